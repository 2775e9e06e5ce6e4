"""A folder for new files of an index, and one writer of an index at a time.

Writers of a local index wait for each other. Those of an index in an object store work beside each
other, and one that comes second begins again.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Final

from stacchip.errors import IndexReplaced, UsageError
from stacchip.index.files.layout import is_file
from stacchip.index.files.switch import WRITER
from stacchip.runtime.presence import is_there
from stacchip.runtime.unwritable import naming_unwritable
from stacchip.runtime.whole_file import Turn, scratch_folder, temporary_folder, writing
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["alone", "lock_place", "staging", "while_replaced"]

_STAGE_PREFIX: Final = ".stacchip-stage-"
_TRIES: Final = 20  # of an index in a store that several writers change
_LONGEST_PAUSE_S: Final = 1.0


def while_replaced(change: Callable[[], T]) -> T:
    """Return what a change of an index returns, which is made anew if others come before it.

    Raises:
        IndexReplaced: They always do.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(IndexReplaced):
            return change()
        time.sleep(random.uniform(0, _LONGEST_PAUSE_S))  # noqa: S311 - no secret
    return change()


@contextlib.contextmanager
def staging(href: str) -> Iterator[Path]:
    """Yield a local folder for files on their way to a folder; it is deleted at the end.

    It is a hidden folder within the other if that is local, which is made. Those that killed
    processes left there are deleted.

    Raises:
        UsageError: The folder is on a web server, which cannot be written to.
    """
    _refuse_web(href)
    target = local_path(href)
    if target is None:
        with temporary_folder("stacchip-") as folder:
            yield folder
        return
    with _made(target), scratch_folder(target, _STAGE_PREFIX) as stage:
        yield stage


@contextlib.contextmanager
def alone(href: str, task: str) -> Iterator[Turn | None]:
    """Wait until no other process of this machine writes to a local index, and keep others waiting.

    Yields:
        The writer's turn; None if the index is not local.
    """
    _refuse_web(href)
    place = lock_place(href)
    if place is None:
        yield None
        return
    with _made(place.parent), writing(place, task) as turn:
        yield turn


def lock_place(href: str) -> Path | None:
    """Return the file that the writers of a local index lock."""
    target = local_path(href)
    if target is None:
        return None
    if is_file(href):
        return target.with_name(f".{target.name}{WRITER}")
    return target / WRITER


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there; if it is empty at the end, it goes again.

    Folders above it stay, since another writer may be about to use them.
    """
    is_new = not is_there(folder)
    with naming_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                folder.rmdir()


def _refuse_web(href: str) -> None:
    if href.startswith(("http://", "https://")):
        raise UsageError(f"{redact(href)} cannot be written to: give a folder or an object store.")
