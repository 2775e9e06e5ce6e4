"""Local files that appear whole or not at all, and locks that end with their process.

A file is written under a hidden name beside its place and then renamed: a reader sees the old file
or the new one, even if the writer is killed. The remains of killed writers are cleared away:

- A hidden file goes when a process first writes into its folder. Its name tells its writer: if that
  is a process of this machine, it goes once the process has ended; else, if it is a day old. It has
  no lock: a lock costs two system calls per file, and not every file system shares locks between
  machines.
- A `scratch_folder` goes when the next one is made beside it, if its lock is free by then.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.unwritable import naming_unwritable, naming_unwritable_within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

__all__ = [
    "Turn",
    "clear_scratch",
    "has_ended",
    "held_at_once",
    "is_unfinished",
    "locked_file",
    "locked_folder",
    "move_whole",
    "process_mark",
    "scratch_folder",
    "temporary_folder",
    "whole_file",
    "writing",
]

# GDAL adds endings of its own, such as ".ovr.tmp"
_UNFINISHED: Final = re.compile(r"\.stacchip-([0-9a-f]{4})([0-9a-f]{6})[0-9a-f]{6}\.part")
_LEFT_AFTER_S: Final = 24 * 3600.0
_LOCK_SUFFIX: Final = ".lock"
_LONGEST_TASK: Final = 64 * 1024
_swept: PerProcess[set[Path]] = PerProcess(set)


def is_unfinished(name: str) -> bool:
    """Return True if a file of this name is being written, or was left by a killed writer.

    Example:
        >>> is_unfinished(".stacchip-0123456789abcdef.part"), is_unfinished("B04.tif")
        (True, False)
    """
    return _UNFINISHED.match(name) is not None


@contextlib.contextmanager
def whole_file(target: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a path to write to; the file takes the name `target` if the block succeeds.

    If the block fails, the file is deleted and `target` stays as it was. The folder must exist. If
    it cannot be written (a full disk, say), the error is one of `naming_unwritable`. A link of this
    name is replaced; the file that it leads to stays as it is.

    Args:
        target: The final path.
        sync: Make sure that the bytes reach the disk before the file gets its name, and then the
            name, so that even a power cut never leaves half a file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "a.txt")) as part:
        ...         _ = part.write_text("chips")
        ...         before = Path(folder, "a.txt").exists()
        ...     before, Path(folder, "a.txt").read_text()
        (False, 'chips')
    """
    _clear_unfinished(target.parent)
    part = target.with_name(f".stacchip-{process_mark()}{secrets.token_hex(3)}.part")
    try:
        with naming_unwritable_within(part, shown=str(target)):
            yield part
        if sync:
            move_whole(part, target)
        else:
            with naming_unwritable(target):
                part.replace(target)
    finally:
        _delete(part)


def move_whole(file: Path, target: Path) -> None:
    """Rename a finished file of the same file system; its bytes reach the disk before its name."""
    with naming_unwritable(file, shown=str(target)):
        _sync(file)
    with naming_unwritable(target):
        file.replace(target)
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        _sync(target.parent)


def _delete(file: Path) -> None:
    """Delete what was needed meanwhile; if it cannot be, that is no failure of the work."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear_unfinished(folder: Path) -> None:
    """Delete files of killed writers; a process looks once per folder."""
    swept = _swept.get()
    if folder in swept:
        return
    swept.add(folder)
    oldest_s = time.time() - _LEFT_AFTER_S
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        for file in files:
            found = _UNFINISHED.match(file.name)
            if found and (_has_ended(*found.groups()) or file.stat().st_mtime < oldest_s):
                os.unlink(file.path)  # noqa: PTH108 - scandir gives strings


@cache
def _machine() -> str:
    """Return a short mark of this machine, and of the container in which processes have numbers."""
    marks = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):  # only Linux has them
            place = Path(path)
            marks.append(str(place.readlink()) if place.is_symlink() else place.read_text())
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:4]


def process_mark() -> str:
    """Return a short mark of this process; its first four characters are those of its machine."""
    return f"{_machine()}{os.getpid():06x}"


def has_ended(mark: str) -> bool:
    """Return True if a mark is that of a process of this machine that is no more.

    Example:
        >>> has_ended(process_mark())
        False
    """
    return re.fullmatch(r"[0-9a-f]{10,}", mark) is not None and _has_ended(mark[:4], mark[4:])


def _has_ended(machine: str, process: str) -> bool:
    """Return True if the writer of a file was a process of this machine, and is no more."""
    if machine != _machine():
        return False
    try:
        os.kill(int(process, 16), 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[FileIO]:
    """Open a file that no other thread or process can open in this way at the same time.

    The file is made if it does not exist, and opened for reading and writing, at its start. A
    symbolic link is refused: another user may have put it there. Errors name its folder.
    """
    with naming_unwritable(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    # without a buffer, which would be written again after a failure
    file = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        with naming_unwritable(path.parent):  # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        _unlock(descriptor)
        with contextlib.suppress(OSError):  # of a lock, nothing is lost
            file.close()


def _unlock(descriptor: int) -> None:
    """Give up a lock; closing the file does not while a child that was forked since has it open."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@dataclass
class Turn:
    """The turn of one of several writers.

    Attributes:
        left: The task of the last writer, if it was killed or left its work unfinished; else "".
        is_unfinished: Set it if the work could not be ended: the task stays for the next writer.
    """

    left: str
    is_unfinished: bool = False


@contextlib.contextmanager
def writing(place: Path, task: str) -> Iterator[Turn]:
    """Wait until no other thread or process of this machine writes, then keep others waiting.

    Args:
        place: The file that is locked; it is there as long as somebody writes, or waits to. Errors
            name its folder.
        task: What this writer does.

    Example:
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     writing(Path(folder, "lock"), "remove naip") as turn,
        ... ):
        ...     turn.left, Path(folder, "lock").read_text()
        ('', 'remove naip')
    """
    while True:
        with naming_unwritable(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
        with locked_file(place) as lock:
            if not _is_at(lock.fileno(), place):
                continue  # its holder has deleted it
            with naming_unwritable(place.parent):
                turn = Turn(lock.read(_LONGEST_TASK).decode(errors="replace"))
            try:
                if turn.left != task:
                    with naming_unwritable(place.parent):
                        _write_over(lock, task.encode()[:_LONGEST_TASK])
                yield turn
            finally:
                if not turn.is_unfinished:
                    _delete(place)
            return


def _write_over(file: FileIO, content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)


@contextlib.contextmanager
def held_at_once(place: Path) -> Iterator[None]:
    """Hold a file of `writing` that a killed writer left, without a wait; its task stays in it.

    Raises:
        BlockingIOError: Somebody writes.
        OSError: It is not there, or is not the user's to write.
    """
    descriptor = os.open(place, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, place):
            raise FileNotFoundError(place)
        yield
    finally:
        _unlock(descriptor)
        os.close(descriptor)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Wait until no other thread or process of this machine holds a folder, then hold it.

    The folder is made if it does not exist. If it is empty at the end, it goes again. Where folders
    cannot be locked (some network file systems), nobody waits.

    Example:
        >>> folder = Path(tempfile.mkdtemp()) / "an" / "item"
        >>> with locked_folder(folder):
        ...     folder.is_dir()
        True
    """
    while True:
        with naming_unwritable(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # or it did, a moment ago
                if _is_no_folder(folder):
                    raise
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # the holder left it empty
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(descriptor, folder):
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # refused unless it is empty
            return
        finally:
            _unlock(descriptor)
            os.close(descriptor)


def _is_no_folder(path: Path) -> bool:
    """Return True if something else than a folder, or a link to one, has this path."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(mode) and not (stat.S_ISLNK(mode) and path.is_dir())


def _is_at(descriptor: int, path: Path) -> bool:
    """Return True if an open file or folder still has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that lasts as long as the block, and clear away those of killed processes.

    A lock beside the folder ends with its process, however that ends.

    Args:
        parent: The folder to make it in.
        prefix: The start of its name; folders with this prefix belong to this function.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with scratch_folder(Path(parent), "convert-") as folder:
        ...         there = folder.is_dir()
        ...     there, list(Path(parent).iterdir())
        (True, [])
    """
    clear_scratch(parent, prefix)
    with _make_scratch(parent, prefix, shown=str(parent)) as folder:
        yield folder


@contextlib.contextmanager
def _make_scratch(parent: Path, prefix: str, *, shown: str) -> Iterator[Path]:
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(8)}"
        place = folder.with_name(f"{folder.name}{_LOCK_SUFFIX}")
        with locked_file(place) as lock:
            if not os.fstat(lock.fileno()).st_nlink:
                continue  # another process took it for abandoned before it was locked
            try:
                with naming_unwritable(parent, shown=shown):
                    folder.mkdir(mode=0o700)
                with naming_unwritable_within(folder, shown=shown):
                    yield folder
            finally:
                _delete_scratch(folder, place)
            return


def clear_scratch(parent: Path, prefix: str) -> None:
    """Delete the scratch folders of this prefix whose processes have ended, as making one does."""
    for place in _list_named(parent, f"{prefix}*{_LOCK_SUFFIX}"):
        with contextlib.suppress(OSError):
            # a folder for temporary files is shared: a link or a pipe there is not ours
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as lock:
                if os.fstat(descriptor).st_uid != os.geteuid():
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it is in use
                _delete_scratch(place.with_suffix(""), place)


def _delete_scratch(folder: Path, place: Path) -> None:
    """Delete a scratch folder, and then its lock; by a lock that stays, the next one finds it."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            place.unlink(missing_ok=True)


def _list_named(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder whose names fit a pattern; none if it cannot be listed."""
    with contextlib.suppress(OSError):
        return list(folder.glob(pattern))
    return []


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder in `TMPDIR` that lasts as long as the block; errors name it.

    Those that killed processes left with this prefix are cleared away.

    Example:
        >>> with temporary_folder("index-") as folder:
        ...     folder.is_dir()
        True
    """
    parent = Path(tempfile.gettempdir())
    clear_scratch(parent, prefix)
    with _make_scratch(parent, prefix, shown=f"{parent} (TMPDIR)") as folder:
        yield folder
