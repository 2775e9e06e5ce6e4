"""What a command does if it finds nothing: it fails, unless `--allow-empty` says otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stacchip.cli.terminal import console
from stacchip.errors import ChipNotFound, ItemNotFound, NothingFound, SourceNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING: Final = (NothingFound, ChipNotFound, ItemNotFound, SourceNotFound)


@contextmanager
def nothing_may_be_found(*, allowed: bool) -> Iterator[None]:
    """Do a command's work; if it finds nothing and that is allowed, end it with a note.

    Args:
        allowed: The value of `--allow-empty`.

    Raises:
        NothingFound: Nothing was found, and that is not allowed; the message names the option. The
            error may also be one of what was asked for: `ChipNotFound`, `ItemNotFound`,
            `SourceNotFound`.
    """
    try:
        yield
    except _NOTHING as error:
        if not allowed:
            error.message += " (If that is no mistake, give --allow-empty.)"
            raise
        console.note(f"{error} (--allow-empty)")
