"""Where order files are: in the user's cache folder, made by whoever needs one first."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import StorageError
from stacchip.runtime.cache_folder import clear_unused, make_cache_folder, note_use
from stacchip.runtime.whole_file import whole_file, writing
from stacchip.stream.plan.order_file import OrderFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Write = Callable[[Path], None]

_log = logging.getLogger(__name__)

_FOLDER: Final = "orders"
_SUFFIX: Final = ".order"
_DAYS: Final = 30
_MOST_BYTES: Final = 20 << 30


class OrderCache:
    """Finds order files by their names, and makes those that are not there.

    Processes that need one at the same time wait for the first of them to make it. A file that is
    not whole, or is of something else, is made again. If the folder cannot be written to, a file is
    made in the folder for temporary files, for this process and those that it starts.

    A copy in another process looks for the files where they were.
    """

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._checked: dict[str, set[str]] = {}

    def find(self, name: str, write: Write, *, parts: Collection[str]) -> OrderFile:
        """Return a file, which is made if it is not there.

        Args:
            name: What it is of; files of one name are equal.
            write: Writes it to a path.
            parts: The parts that the caller reads: `"chips"`, `"areas"`, `"runs"`. They are
                compared with their checksums once, and not again by copies in other processes.

        Raises:
            StorageError: It can be written nowhere.
        """
        known = self._paths.get(name)
        checked = self._checked.setdefault(name, set())
        found = None
        if known is not None:
            found = OrderFile.open(known, name, checked={*parts} - checked)
            note_use(known)
        if found is None:
            found = self._find_or_make(name, write, parts)
        self._paths[name] = found.path
        checked.update(parts)
        return found

    def _find_or_make(self, name: str, write: Write, parts: Collection[str]) -> OrderFile:
        path = None
        try:
            path = make_cache_folder(_FOLDER) / f"{name}{_SUFFIX}"
            return _find_at(path, name, write, parts)
        except StorageError as error:
            if path is not None and error.href != str(path):
                raise  # the index cannot be read
            folder = tempfile.gettempdir()
            _log.warning(
                "The order of the chips is kept in %s, for this process and its workers only: %s",
                folder,
                error,
            )
            return _make(_temporary(Path(folder)), name, write)


def _find_at(path: Path, name: str, write: Write, parts: Collection[str]) -> OrderFile:
    found = OrderFile.open(path, name, checked=parts)
    if found is not None:
        note_use(path)
        return found
    with _alone(path.with_suffix(".lock")):
        found = OrderFile.open(path, name, checked=parts)  # another has made it meanwhile
        if found is not None:
            return found
        clear_unused(path.parent, f"*{_SUFFIX}", days=_DAYS, most_bytes=_MOST_BYTES, kept=[path])
        return _make(path, name, write)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process makes the file; where there are no locks, nobody waits."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StorageError):
            stack.enter_context(writing(lock, "order"))
        yield


def _make(path: Path, name: str, write: Write) -> OrderFile:
    _log.info("The order of the chips is written to %s.", path)
    with whole_file(path, sync=True) as part:
        write(part)
    found = OrderFile.open(path, name)
    if found is None:
        raise StorageError(f"{path} is not what was written to it.", href=str(path))
    return found


def _temporary(folder: Path) -> Path:
    """Return a path for a file that goes when this process ends."""
    path = folder / f"stacchip-{secrets.token_hex(8)}{_SUFFIX}"
    process = os.getpid()

    def delete() -> None:
        if os.getpid() == process:  # and not a forked child
            path.unlink(missing_ok=True)

    atexit.register(delete)
    return path
