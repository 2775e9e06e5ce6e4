"""The versions of files that the processes of one chipper tell each other.

The workers of a `DataLoader` cut from the same files. They share one file in the folder for
temporary files (`TMPDIR`): whoever opens a raster appends a line with its version, unless there is
one, and the first line counts for all. A line is written at once, so that no lock is needed. It
holds a digest of the address, which may be signed.

The file lasts as long as the process that made the chipper, even if that drops the chipper: a
worker may open the file late. At its end, the process waits for its workers and deletes the file,
unless others have it open. Then, or if the process was killed, the last that has the file open
deletes it, or else the next process that shares versions.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import stat
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Final

from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.whole_file import has_ended, held_at_once, process_mark
from stacchip.storage import Identity

__all__ = ["SharedVersions"]

_log = logging.getLogger(__name__)
_PREFIX: Final = "stacchip-versions-"
_MOST_BYTES: Final = 16 << 20  # of about 100,000 files; the versions of more are not shared
_AFTER_WORKERS: Final = -1  # `multiprocessing` waits for them before it runs what is negative
_OPENING: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class SharedVersions:
    """The version of each file that a process of this machine opened first.

    A copy in another process shares the versions; on another machine it shares none.

    Example:
        >>> import pickle
        >>> versions = SharedVersions()
        >>> copy = pickle.loads(pickle.dumps(versions))
        >>> copy.first("a.tif", Identity(10, '"1"')).etag
        '"1"'
        >>> versions.first("a.tif", Identity(10, '"2"')).etag
        '"1"'
    """

    def __init__(self) -> None:
        maker, path = process_mark(), None
        with contextlib.suppress(OSError):  # there is no folder to write to
            path = Path(tempfile.gettempdir(), f"{_PREFIX}{maker}-{secrets.token_hex(8)}")
        self._begin(maker, path)
        if path is not None:
            _folders.get().add(path.parent)

    def _begin(self, maker: str, path: Path | None) -> None:
        self._maker, self._path = maker, path
        self._lines: PerProcess[_Lines] = PerProcess(partial(_open, maker, path))

    def first(self, href: str, found: Identity) -> Identity:
        """Return the version that a file had when the first of the processes opened it.

        Args:
            href: The file.
            found: The version that it has now.
        """
        return self._lines.get().first(href, found)

    def __getstate__(self) -> tuple[str, Path | None]:
        return self._maker, self._path

    def __setstate__(self, state: tuple[str, Path | None]) -> None:
        self._begin(*state)


@dataclass
class _Lines:
    """The lines of an open file; without a file, every version is the first."""

    descriptor: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: dict[str, Identity] = field(default_factory=dict)
    read_to: int = 0

    def first(self, href: str, found: Identity) -> Identity:
        name = hashlib.blake2b(href.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        with self.lock, contextlib.suppress(OSError):  # the disk may be full
            self._read_on()
            if name not in self.known and self.descriptor >= 0 and self.read_to < _MOST_BYTES:
                line = [name, found.size_bytes, found.etag, found.last_modified]
                os.write(self.descriptor, json.dumps(line).encode() + b"\n")
                self._read_on()
        return self.known.get(name, found)

    def _read_on(self) -> None:
        """Read what was appended since the last time."""
        while self.descriptor >= 0 and (data := os.pread(self.descriptor, 1 << 20, self.read_to)):
            end = data.rfind(b"\n")
            if end < 0:
                return
            self.read_to += end + 1
            for line in data[:end].split(b"\n"):
                with contextlib.suppress(ValueError, TypeError):  # cut short by a full disk
                    name, *identity = json.loads(line)
                    self.known.setdefault(name, Identity(*identity))


def _open(maker: str, path: Path | None) -> _Lines:
    if path is None or process_mark()[:4] != maker[:4]:
        return _Lines()  # on another machine, nobody would delete the file
    try:
        descriptor = _open_held(path, is_maker=process_mark() == maker)
    except OSError as error:
        _log.debug("versions of files are not shared among processes: %s", error)
        return _Lines()
    lines = _Lines(descriptor)
    Finalize(lines, os.close, (descriptor,), exitpriority=_AFTER_WORKERS)
    _folders.get().add(path.parent)
    if not os.fstat(descriptor).st_size:
        _clear(path.parent)
    return lines


def _open_held(path: Path, *, is_maker: bool) -> int:
    """Open a file, which is made if it is not there, and hold it, so that nobody clears it away.

    Its maker does not: nobody clears it away while that runs, and a worker that was forked from it
    would keep its lock.

    Raises:
        OSError: It cannot be opened, or is another user's.
    """
    while True:
        descriptor = os.open(path, _OPENING, 0o600)
        try:
            _require_own(path, os.fstat(descriptor))
            if not is_maker:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was cleared away before it was held


def _require_own(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        raise PermissionError(f"{path} is not a file of this user")


def _clear(folder: Path, ending: str = "") -> None:
    """Delete the files of processes that have ended, which no other process has open.

    Args:
        folder: The folder for temporary files.
        ending: The mark of a process that counts as ended.
    """
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # too many files are open: the next process clears them
        paths += folder.glob(f"{_PREFIX}*")
    for path in paths:
        maker = path.name.removeprefix(_PREFIX).partition("-")[0]
        if maker == ending or has_ended(maker) or _was_killed(maker):
            with contextlib.suppress(OSError), held_at_once(path):  # in use, or another user's
                path.unlink()


def _was_killed(maker: str) -> bool:
    """Return True for the parent of this process, if it has ended.

    A killed one counts as running until its own parent looks.
    """
    parent = parent_process()
    return (
        parent is not None
        and maker == f"{process_mark()[:4]}{parent.pid:06x}"
        and not parent.is_alive()
    )


def _clear_at_end(folders: set[Path]) -> None:
    for folder in tuple(folders):
        _clear(folder, process_mark())


def _folders_to_clear() -> set[Path]:
    folders: set[Path] = set()
    # workers end without `atexit`; by then, the files are closed
    Finalize(None, _clear_at_end, (folders,), exitpriority=_AFTER_WORKERS - 1)
    return folders


# those that are cleared at the end of this process
_folders: PerProcess[set[Path]] = PerProcess(_folders_to_clear)
