"""Full disks: an error that names the place, whichever library noticed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING, Final

from stacchip.errors import DiskFull, StacchipError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# a quota and the largest size of a file are limits of space too
_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def naming_full_disk(place: Path | str) -> Iterator[None]:
    """Raise `DiskFull` with a path if the block cannot write for want of space.

    Args:
        place: What is written, or the folder for files that the caller does not know.

    Example:
        >>> with naming_full_disk("chip.npy"):
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
        if error.errno not in _CODES:
            raise
        raise _disk_full(place, error.errno) from error


def find_full_disk(place: Path, size_bytes: int) -> DiskFull | None:
    """Return the error for a library that failed to write and does not say why, if space is short.

    Args:
        place: The file that it was writing, in a folder that exists.
        size_bytes: Its size, roughly.
    """
    if shutil.disk_usage(place.parent).free >= size_bytes:
        return None
    return _disk_full(place, errno.ENOSPC)


def _disk_full(place: Path | str, code: int) -> DiskFull:
    return DiskFull(
        f"{os.strerror(code)}: {place}. Free some, or write elsewhere.", href=str(place)
    )
