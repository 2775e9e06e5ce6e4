"""Local files: read ranges with `pread`, and write files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stacchip.errors import AccessDenied, ObjectNotFound, StorageError
from stacchip.runtime.unwritable import naming_unwritable
from stacchip.runtime.whole_file import is_unfinished, whole_file, writing
from stacchip.storage.failure import failure_of_change
from stacchip.storage.identity import Blob, Entry, Identity, file_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stacchip.storage.limits import Bound

# the most that Linux reads at once; macOS refuses more
_MOST_PER_CALL = 0x7FFF_F000
# a pipe without a writer would keep `open` waiting; for files it changes nothing
_OPENING = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

# the lock of those who write over a version of a file
_OVER = ".stacchip-over.lock"

# what Linux and Windows keep at the root of a disk, in lower case; only the system may look there
_OF_SYSTEM = frozenset({"lost+found", "system volume information", "$recycle.bin"})


def identify(facts: os.stat_result) -> Identity:
    """Return the identity of a file: its size, and when it was last changed.

    The inode does not count: a copy that keeps the times (`cp -p`, `rsync -a`, a restored backup)
    is the same version.
    """
    return Identity(facts.st_size, file_tag(facts.st_mtime_ns, facts.st_size))


def stat_file(path: str) -> Identity:
    """Return the identity of a file without opening it."""
    with _translated(path):
        facts = os.stat(path)  # noqa: PTH116 - a Path would cost more than the call
        _require_regular(path, facts)
        return identify(facts)


def read_ranges(path: str, ranges: Sequence[tuple[int, int]]) -> list[Blob]:
    """Read (start, length) ranges of one file, opened once."""
    with _translated(path), _opened(path) as (descriptor, facts):
        return _read_parts(path, descriptor, facts, ranges)


def read_file(path: str, bound: Bound) -> Blob:
    """Read a whole file: the one that has the path at the start, even if another takes it.

    Raises:
        LimitExceeded: It has more bytes than the bound. For what a person keeps on a disk that
            counts only if it is sparse, and says more of itself than it holds.
    """
    with _translated(path), _opened(path) as (descriptor, facts):
        size = facts.st_size
        is_whole = getattr(facts, "st_blocks", 0) * 512 >= size
        if size > bound.most_bytes and not (is_whole and bound.name == "file_bytes"):
            raise bound.exceeded(path)
        return _read_parts(path, descriptor, facts, [(0, size)])[0]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open a file of bytes; yield its descriptor, and its facts at this time."""
    descriptor = os.open(path, _OPENING)
    try:
        facts = os.fstat(descriptor)
        _require_regular(path, facts)
        yield descriptor, facts
    finally:
        os.close(descriptor)


def _read_parts(
    path: str, descriptor: int, before: os.stat_result, ranges: Sequence[tuple[int, int]]
) -> list[Blob]:
    """Read ranges of an open file.

    Its identity before the first byte is compared with that after the last, so that a rewrite in
    between is noticed.
    """
    size = before.st_size
    if len(ranges) > 1 and hasattr(os, "posix_fadvise"):  # macOS lacks it
        for start, length in ranges:  # let the disk fetch them together
            os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_WILLNEED)
    # the system would find memory for all that is asked for, whatever the file has
    parts = [
        read_fully(descriptor, start, min(length, size - start)) if start < size else b""
        for start, length in ranges
    ]
    identity = identify(os.fstat(descriptor))
    if identity != identify(before):
        raise StorageError(f"{path} changed while it was read. Read it again.", href=path)
    return [Blob(part, identity, start) for part, (start, _) in zip(parts, ranges, strict=True)]


def read_fully(
    descriptor: int, start: int, length: int, *, most_per_call: int = _MOST_PER_CALL
) -> bytes:
    """Read a range, or as much of it as the file has, in as many calls as it takes."""
    data = os.pread(descriptor, min(length, most_per_call), start)
    if len(data) == length or not data:
        return data
    parts = [data]
    while data and (length := length - len(data)):
        start += len(data)
        data = os.pread(descriptor, min(length, most_per_call), start)
        parts.append(data)
    return b"".join(parts)


def write_file(path: str, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file whole or not at all, and make its folder."""
    target = Path(path)
    with _translated(path):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        with naming_unwritable(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target, sync=True) as part, part.open("xb") as stream:
            for chunk in chunks:
                stream.write(chunk)


@contextlib.contextmanager
def file_over(path: str, expect: Identity | None) -> Iterator[Path]:
    """Yield a path to write to; the file takes its name if that is still as expected.

    Writers of this machine take turns, where the file system has locks.

    Args:
        path: The final path, whose folder is made.
        expect: The version that must be there; None if nothing may be.

    Raises:
        AssetChanged: Something else is there, which stays.
    """
    target = Path(path)
    with naming_unwritable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    # the turn ends after the file has its name
    with contextlib.ExitStack() as turn, whole_file(target, sync=True) as part:
        yield part
        with contextlib.suppress(StorageError):  # not every file system has locks
            turn.enter_context(writing(target.with_name(_OVER), "replace"))
        try:
            found = stat_file(path)
        except ObjectNotFound:
            found = None
        if found != expect:
            raise failure_of_change(path, expect, found)


def list_files(path: str) -> Iterator[Entry]:
    """Yield all files below a folder, in the order of their names; none if there is no folder."""
    root = path or "."
    refuse = partial(_refuse_partly_listed, root)
    with _translated(path):
        for folder, folders, files in os.walk(root, onerror=refuse):
            folders.sort()
            for name in sorted(files):
                if is_unfinished(name):
                    continue
                file = os.path.join(folder, name)  # noqa: PTH118 - keeps "./" off and is quick
                try:
                    size = os.stat(file).st_size  # noqa: PTH116 - as above
                except OSError as error:
                    if error.errno != errno.ELOOP:  # a link that leads nowhere
                        refuse(error)
                else:
                    yield Entry(file, size)


def _refuse_partly_listed(root: str, error: OSError) -> None:
    """Raise the error for an existing folder that cannot be listed; `os.walk` would skip it.

    Folders that the system or another user keeps below the root hold nothing of ours.
    """
    refused = os.fsdecode(error.filename or root)
    is_gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
    is_locked = error.errno in (errno.EACCES, errno.EPERM)
    if is_gone or (is_locked and any(map(_is_of_system, Path(refused).relative_to(root).parts))):
        return
    with _translated(refused):
        raise error


def _is_of_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _OF_SYSTEM


def delete_file(path: str) -> None:
    """Delete a file; a file that does not exist is no error, as in object stores."""
    with _translated(path):
        Path(path).unlink(missing_ok=True)


def open_file(path: str) -> BinaryIO:
    """Open a file for reading."""
    with _translated(path):
        descriptor = os.open(path, _OPENING)
        try:
            _require_regular(path, os.fstat(descriptor))
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise


def _require_regular(path: str, facts: os.stat_result) -> None:
    """Refuse what is no file of bytes: a pipe may wait for ever, and a device never end."""
    if stat.S_ISREG(facts.st_mode):
        return
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise _not_regular(path)


def _not_regular(path: str) -> StorageError:
    return StorageError(
        f"{path} is a pipe, a socket or a device, and only files are read. Copy what it gives into "
        "a file.",
        href=path,
    )


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn errors of the operating system into ours, with path and remedy."""
    try:
        yield
    except StorageError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFound(f"There is no file {path}.", href=path) from error
    except ValueError as error:
        if "\0" not in path and not isinstance(error, UnicodeEncodeError):
            raise
        message = f"There is no file {path!r}: a character in it cannot be in a path."
        raise ObjectNotFound(message, href=path) from error
    except IsADirectoryError as error:
        raise ObjectNotFound(f"{path} is a folder, not a file.", href=path) from error
    except PermissionError as error:
        message = f"Access to {path} was refused. Check the permissions of the file and its folder."
        raise AccessDenied(message, href=path) from error
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, which cannot be opened
            raise _not_regular(path) from error
        message = f"{path}: {error.strerror or type(error).__name__}."
        raise StorageError(message, href=path) from error
