"""Where order files are: in the user's cache folder, made by whoever needs one first."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import StorageError
from stacchip.runtime.cache_folder import clear_unused, make_cache_folder, note_use
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.whole_file import scratch_folder, whole_file, writing
from stacchip.stream.plan.order_file import OrderFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Write = Callable[[Path], None]

_log = logging.getLogger(__name__)

_FOLDER: Final = "orders"
_SUFFIX: Final = ".order"
_DAYS: Final = 30
_MOST_BYTES: Final = 20 << 30
_SCRATCH: Final = "stacchip-orders-"


class OrderCache:
    """Finds order files by their names, and makes those that are not there.

    Processes that need one at the same time wait for the first of them to make it. A file that is
    not whole, or is of something else, is made again. One with damaged chips is deleted by whoever
    comes to them (`OrderFile.records`), and is made again by the next who needs it. If the folder
    cannot be written to, a file is made in the folder for temporary files, for this process and
    those that it starts.

    A copy in another process looks for the files where they were.
    """

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._checked: dict[str, set[str]] = {}

    def find(self, name: str, write: Write, *, parts: Collection[str] = ()) -> OrderFile:
        """Return a file, which is made if it is not there.

        Args:
            name: What it is of; files of one name are equal.
            write: Writes it to a path.
            parts: The parts that the caller reads beside chips: `"areas"`, `"runs"`. They are
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
            folder = _scratch.get()
            _log.warning(
                "The order of the chips is kept in %s, for this process and its workers only: %s",
                folder.parent,
                error,
            )
            return _find_at(folder / f"{name}{_SUFFIX}", name, write, parts)


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


def _make_scratch() -> Path:
    """Make a folder that goes when this process ends; those of killed processes go now."""
    stack = contextlib.ExitStack()
    folder = stack.enter_context(scratch_folder(Path(tempfile.gettempdir()), _SCRATCH))
    Finalize(None, stack.close, exitpriority=0)  # also in a worker, which ends without `atexit`
    return folder


_scratch: Final = PerProcess(_make_scratch)
