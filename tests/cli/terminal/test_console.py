"""What commands print, and how a command line ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stacchip.cli.terminal import console
from stacchip.errors import ObjectNotFound, StacchipError, UsageError

LINES = ["a\tb\tc", "s3://bucket/:ok:/urn:o:1", "[red]x[/red]", "word " * 100]


@pytest.mark.parametrize("text", LINES)
def test_a_line_of_the_result_is_printed_unchanged(text, capsys):
    console.say(text)
    console.note(text)
    assert capsys.readouterr() == (f"{text}\n", f"{text}\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("Name\n  one."), 2, "prog: Name one."),
        (StacchipError("It failed."), 1, "prog: It failed."),
        (ObjectNotFound("Nothing is there."), 1, "prog: Nothing is there."),
        (OSError("The disk is full."), 1, "prog: The disk is full."),
        (KeyboardInterrupt(), 130, "prog: interrupted"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, line, capsys):
    def fail() -> None:
        raise error

    assert console.run_command(fail, "prog", []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == line


def test_a_command_that_says_nothing_of_its_end_has_succeeded(capsys):
    assert console.run_command(lambda: None, "prog", []) == 0
    assert capsys.readouterr() == ("", "")


def test_a_command_can_fail_without_an_error(capsys):
    def fail() -> None:
        raise typer.Exit(1)

    assert console.run_command(fail, "prog", []) == 1
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_leaves_is_no_failure():
    program = "\n".join(
        [
            "import sys, typer",
            "from stacchip.cli.terminal import console",
            "def talk():",
            "    for _ in range(100_000):",
            "        console.say('a line of the result')",
            "sys.exit(console.run_command(talk, 'prog', []))",
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "a line of the result\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_what_to_run_next_is_quoted_for_a_shell():
    assert console.command("info", "it's here") == """stacchip info 'it'"'"'s here'"""


def test_a_program_that_is_not_on_the_path_is_called_by_its_place(monkeypatch, tmp_path):
    script = tmp_path / "bin" / "stacchip"
    script.parent.mkdir()
    script.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr("sys.argv", [str(script)])
    assert console.program() == str(Path("bin", "stacchip"))
