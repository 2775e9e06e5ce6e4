"""Lines on standard output and standard error, whole even if several threads write them."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from rich.console import Console

_WRITING = threading.Lock()

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class ReaderGoneError(Exception):
    """The reader of our output has left, as `head` does. Typer would exit with 1 for an OSError."""


def terminal_width() -> int | None:
    """Return the width of the terminal that shows standard error; None if it goes elsewhere."""
    return err.width if err.is_terminal else None


def say(text: str) -> None:
    """Print a line of the result, whole and unchanged: tabs, colons and long lines stay."""
    _write_line(sys.stdout, text)


def note(text: str) -> None:
    """Print a line beside the result, on standard error."""
    _write_line(sys.stderr, text)


def _write_line(stream: TextIO, text: str) -> None:
    with _WRITING:  # threads report items at the same time
        try:
            stream.write(f"{text}\n")
            stream.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error
