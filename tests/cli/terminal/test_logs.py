"""What is shown of the log: stacchip's own messages, each once, with time, level and row."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator

import pytest

from stacchip.cli.terminal import console, logs
from stacchip.runtime.task_name import named_task

OURS = logging.getLogger("stacchip.somewhere")
LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<level>[A-Z]+) (?P<text>.*)")


def run(command, capsys, *arguments: str) -> list[str]:
    """Run a command and return the lines on standard error."""
    assert console.run_command(command, "prog", list(arguments)) == 0
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("options", "levels"), [([], ["WARNING"]), (["-v"], ["INFO", "WARNING"])])
def test_a_message_is_one_line_with_its_time_and_level(options, levels, capsys):
    def talk() -> None:
        OURS.info("read %s", "x" * 300)
        OURS.warning("trying\n  %s again", "y" * 300)

    found = [LINE.fullmatch(line) for line in run(talk, capsys, *options)]
    assert [match["level"] for match in found] == levels
    assert found[-1]["text"] == f"trying {'y' * 300} again"


@pytest.fixture
def far_east() -> Iterator[None]:
    """Set the time zone of this process to twelve hours ahead of UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "EAST-12"
    time.tzset()
    yield
    os.environ.pop("TZ")
    os.environ.update({"TZ": before} if before is not None else {})
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_times_are_in_utc():
    assert time.localtime(86400).tm_hour == 12
    record = logging.makeLogRecord({"name": "stacchip", "levelname": "INFO", "created": 86400.0})
    assert logs.LogFormatter().format(record).startswith("1970-01-02T00:00:00Z INFO")


def test_a_message_names_the_row_at_work(capsys):
    def talk() -> None:
        with named_task("row 7 (20HNJ)"):
            OURS.warning("slow")
        OURS.warning("done")

    texts = [LINE.fullmatch(line)["text"] for line in run(talk, capsys)]
    assert texts == ["[row 7 (20HNJ)] slow", "done"]


def test_other_libraries_are_not_heard_even_with_verbose(capsys):
    def talk() -> None:
        for name in ("urllib3", "botocore", "rasterio._env", "pystac_client", "fiona"):
            logging.getLogger(name).warning("chatter")
        OURS.info("ours")

    with warnings.catch_warnings():
        (line,) = run(talk, capsys, "-v")
    assert line.endswith("INFO ours")


def test_warnings_of_libraries_are_not_shown(capsys):
    def talk() -> None:
        warnings.warn("this will change", FutureWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(talk, capsys) == []


def test_a_message_is_shown_once_whatever_else_is_set_up(capsys):
    other = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(other)
    try:
        with logs.shown_logs(), logs.shown_logs():
            OURS.warning("again")
    finally:
        logging.getLogger().removeHandler(other)
    assert capsys.readouterr().err.count("again") == 1


def test_logging_is_as_it_was_after_a_command(capsys):
    ours, root = logging.getLogger("stacchip"), logging.getLogger()

    def facts() -> tuple:
        return ours.level, ours.propagate, list(ours.handlers), list(root.handlers)

    before = (*facts(), warnings.showwarning)
    run(lambda: None, capsys, "-v")
    assert (*facts(), warnings.showwarning) == before


def test_the_error_of_a_message_is_on_its_line(capsys):
    def talk() -> None:
        try:
            raise ValueError("out of range")
        except ValueError:
            OURS.warning("left out", exc_info=True)

    (line,) = run(talk, capsys)
    assert line.endswith("WARNING left out (ValueError: out of range)")


def test_a_line_is_folded_between_words_and_no_address_is_cut():
    address = "https://example.com/a-very-long-address/that-is-not-broken-at-its-hyphens/B04.tif"
    line = f"2026-01-01T00:00:00Z WARNING trying to read {address} once more"
    folded = logs.fold(line, 60)
    assert folded.splitlines()[1] == f"  {address}"
    assert " ".join(folded.split()) == line
    assert logs.fold(line, None) == line


def test_a_message_whose_reader_has_left_does_no_harm():
    program = "\n".join(
        [
            "import logging, os, sys",
            "from stacchip.cli.terminal import console",
            "def talk():",
            "    sys.stdin.read()",
            "    for _ in range(3):",
            "        logging.getLogger('stacchip').warning('heard?')",
            "os._exit(console.run_command(talk, 'prog', []))",
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stderr.close()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
