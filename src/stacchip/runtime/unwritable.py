"""What cannot be written: an error that names the place and says why, whichever library noticed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import AccessDenied, DiskFull, ObjectNotFound, StacchipError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

# a quota and the largest size of a file are limits of space too
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
# only writing fails so: an error that names no path is of what is written
_OF_WRITING: Final = _FULL | {errno.EROFS}
_NO_FOLDER: Final = "a file, or a link that leads nowhere, is where a folder should be"
_WHY: Final = {
    errno.EEXIST: _NO_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EISDIR: "it is a folder",
    errno.EROFS: "its file system is read-only",
}


@contextlib.contextmanager
def naming_unwritable(place: Path | str, *, shown: str | None = None) -> Iterator[None]:
    """Raise an error that names a place if the block, which does nothing else, cannot write there.

    Args:
        place: What is written, or the folder for files that the caller does not know.
        shown: The name of the place in the error, by default its path.

    Raises:
        DiskFull: There is no space left.
        AccessDenied: The user may not write there, or nobody may.
        ObjectNotFound: The folder is not there.
        StorageError: Anything else: a part of the path is a file, the disk fails.

    Example:
        >>> with naming_unwritable("chip.npy"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        ...
        stacchip.errors.DiskFull: No space left on device: chip.npy. Free some, or write elsewhere.
    """
    try:
        yield
    except StacchipError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        raise _name(shown or str(place), error.errno) from error


@contextlib.contextmanager
def naming_unwritable_within(own: Path, *, shown: str) -> Iterator[None]:
    """Raise an error that names a place if a block of the caller cannot write to files of ours.

    The block may do more than that: read, ask servers, call what a user gave. So an error counts
    only if it names the path or one within, or names none and can only come from writing.

    Args:
        own: A file or folder that nobody else knows.
        shown: The name of the place in the error.

    Raises:
        StorageError: As `naming_unwritable`.

    Example:
        >>> from pathlib import Path
        >>> with naming_unwritable_within(Path("index/.stage"), shown="index"):
        ...     raise OSError(errno.ENOSPC, "No space left on device", "index/.stage/rows")
        Traceback (most recent call last):
        ...
        stacchip.errors.DiskFull: No space left on device: index. Free some, or write elsewhere.
    """
    try:
        yield
    except StacchipError:
        raise
    except OSError as error:
        if error.errno is None or not _is_of(own, error):
            raise
        raise _name(shown, error.errno) from error


@contextlib.contextmanager
def naming_path(path: Path) -> Iterator[None]:
    """Add a path to an OSError that names none.

    A failed `write` or `close` names none, nor do errors of pyarrow. Whoever made the folder then
    knows by the path that the error is of its files (`naming_unwritable_within`).

    Raises:
        OSError: The system gave an error number: the same with the path.
        StorageError: It gave none: pyarrow also raises an OSError for what it cannot encode.

    Example:
        >>> from pathlib import Path
        >>> with naming_path(Path("rows")):
        ...     raise OSError(errno.EIO, "Input/output error")
        Traceback (most recent call last):
        ...
        OSError: [Errno 5] Input/output error: 'rows'
    """
    try:
        yield
    except StacchipError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        code = error.errno
        if code is None:
            raise StorageError(f"{path} cannot be written: {error}", href=str(path)) from error
        raise OSError(code, os.strerror(code), str(path)) from error


def find_full_disk(place: Path, size_bytes: int) -> DiskFull | None:
    """Return the error for a library that failed to write and does not say why, if space is short.

    Args:
        place: The file that it was writing, in a folder that exists.
        size_bytes: Its size, roughly.
    """
    if shutil.disk_usage(place.parent).free >= size_bytes:
        return None
    return _disk_full(str(place), errno.ENOSPC)


def _is_of(own: Path, error: OSError) -> bool:
    """Return True if an error comes from writing to a path, not from what was done meanwhile."""
    named = [
        Path(os.path.abspath(os.fsdecode(name)))  # noqa: PTH100 - text is enough
        for name in (error.filename, error.filename2)
        if isinstance(name, str | bytes | os.PathLike)
    ]
    if not named:
        return error.errno in _OF_WRITING
    return any(path.is_relative_to(own.absolute()) for path in named)


def _name(place: str, code: int) -> StorageError:
    if code in _FULL:
        return _disk_full(place, code)
    if code in _REFUSED:
        message = f"Access to {place} was refused. Check its permissions and those of its folder."
        return AccessDenied(message, href=place)
    kind = {errno.ENOENT: ObjectNotFound, errno.EROFS: AccessDenied}.get(code, StorageError)
    why = _WHY.get(code, os.strerror(code))
    return kind(f"{place} cannot be written: {why}. Choose another place.", href=place)


def _disk_full(place: str, code: int) -> DiskFull:
    return DiskFull(f"{os.strerror(code)}: {place}. Free some, or write elsewhere.", href=place)
