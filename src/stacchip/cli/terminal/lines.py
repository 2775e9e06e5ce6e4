"""Lines on standard output and standard error, whole even if several threads write them.

No line shows a signature or a password of an address.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TextIO

from rich.console import Console

from stacchip.runtime.full_disk import naming_full_disk
from stacchip.storage import redact_text

_WRITING = threading.Lock()


class _Console(Console):
    """A console that is a terminal if it is one, whatever FORCE_COLOR or TTY_COMPATIBLE say.

    They ask for colours, and CI often sets them; a bar or folded lines spoil a log or a pipe.
    """

    @property
    def is_terminal(self) -> bool:
        return not self.file.closed and self.file.isatty()


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


class ReaderGoneError(Exception):
    """The reader of our output has left, as `head` does. Typer would exit with 1 for an OSError."""


def terminal_width() -> int | None:
    """Return the width of the terminal that shows standard error; None if it goes elsewhere."""
    return err.width if err.is_terminal else None


def say(text: str) -> None:
    """Print a line of the result, whole and unchanged: tabs, colons and long lines stay."""
    _write_line(sys.stdout, text)


def note(text: str) -> None:
    """Print a line beside the result, on standard error, whole and unchanged."""
    _write_line(sys.stderr, text)


def _write_line(stream: TextIO, text: str) -> None:
    line = f"{redact_text(text)}\n"
    with _WRITING:  # threads report items at the same time
        try:
            stream.write(line)
            stream.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error
        except OSError:
            if stream is sys.stderr:
                return  # a log that cannot be written stops no work
            silence(sys.stdout)
            with naming_full_disk("standard output"):
                raise


def silence(stream: TextIO) -> None:
    """Let nothing more be written, not even what is left in the buffer when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
