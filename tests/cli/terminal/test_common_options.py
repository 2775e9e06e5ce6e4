"""Options that work in every command, before its name and after it."""

from __future__ import annotations

import importlib.metadata
import logging

import pytest
from typer.main import get_command

from stacchip.cli import run
from stacchip.cli.app import app
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine

LINE = get_command(app)
COMMON = ["-v", "--verbose", "--progress", "--version"]


@pytest.mark.parametrize("name", ["", *LINE.commands])
def test_every_command_has_them(name):
    command = LINE.commands[name] if name else LINE
    options = [text for option in command.params for text in option.opts]
    assert [text for text in COMMON if options.count(text) != 1] == []


@pytest.mark.parametrize("words", [["-v", "work"], ["work", "-v"], ["-v", "work", "--verbose"]])
def test_verbose_works_in_both_places(words, capsys):
    commands = CommandLine()

    @commands.command()
    def work() -> None:
        logging.getLogger("stacchip.work").info("working")

    @commands.command()
    def rest() -> None: ...

    assert console.run_app(commands, "prog", words) == 0
    assert capsys.readouterr().err.count("INFO working") == 1


@pytest.mark.parametrize("words", [["--version"], ["info", "--version"]])
def test_the_version_is_a_line(words, capsys):
    assert run(words) == 0
    version = importlib.metadata.version("stacchip")
    assert capsys.readouterr() == (f"stacchip {version}\n", "")


def test_a_style_of_progress_that_does_not_exist_is_misuse(capsys):
    assert run(["info", "somewhere", "--progress", "loud"]) == 2
    assert "'loud' is not one of auto, bar, lines, json, none." in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--progress", "json", "work"], ["work", "--progress", "json"]])
def test_progress_is_chosen_in_both_places(words, capsys):
    commands = CommandLine()

    @commands.command()
    def work() -> None:
        with console.progress("Working", 1) as advance:
            advance("it")

    @commands.command()
    def rest() -> None: ...

    assert console.run_app(commands, "prog", words) == 0
    assert all(line.startswith("{") for line in capsys.readouterr().err.splitlines())
