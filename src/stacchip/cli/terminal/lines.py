"""Lines on standard output and standard error, whole even if several threads write them.

No line shows a signature or a password of an address. Ids, keys, addresses and messages of servers
come from outside: what they hold besides text, such as the codes that move a terminal's cursor or
set its title, is shown and not sent.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Console
from rich.segment import Segment

from stacchip.runtime.unwritable import naming_unwritable
from stacchip.storage import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions

_WRITING = threading.Lock()
_NOT_TEXT: Final = re.compile(
    # controls but tab and line feed (C0, DEL, C1), marks that turn the direction of writing, line
    # and paragraph separators, tags, and halves of surrogate pairs
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    r"""Return a text as a terminal may show it: whatever is not text becomes an escape.

    Example:
        >>> plain("a\x1b[2Jb\tc") == r"a\x1b[2Jb" + "\tc"
        True
    """
    return _NOT_TEXT.sub(lambda found: ascii(found[0])[1:-1], text)


class _Console(Console):
    """A console that is a terminal if it is one, whatever FORCE_COLOR or TTY_COMPATIBLE say.

    They ask for colours, and CI often sets them; a bar or folded lines spoil a log or a pipe.
    """

    @property
    def is_terminal(self) -> bool:
        return not self.file.closed and self.file.isatty()

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield segments whose texts hold text alone; the console's own codes are not in them."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control is None and _NOT_TEXT.search(text):
                text = _NOT_TEXT.sub("\ufffd", text)  # as wide as the table or bar allows for it
            yield Segment(text, style, control)


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
    line = plain(f"{redact_text(text)}\n")
    if stream.encoding:  # one that lacks a letter must not end the command
        line = line.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
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
            with naming_unwritable("standard output"):
                raise


def silence(stream: TextIO) -> None:
    """Let nothing more be written, not even what is left in the buffer when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
