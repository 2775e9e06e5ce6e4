"""The folder of what a user's processes keep and can make again, shared by all of them.

It is `STACCHIP_CACHE_DIR`, else `stacchip` in `XDG_CACHE_HOME`, else `~/.cache/stacchip`. Nobody
else can read or write in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import AccessDenied, StorageError
from stacchip.runtime.unwritable import naming_unwritable

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["clear_unused", "find_cache_folder", "make_cache_folder", "note_use"]

_HOUR_S: Final = 3600.0
_DAY_S: Final = 24 * _HOUR_S


def find_cache_folder() -> Path:
    """Return the folder, which may not exist yet.

    Raises:
        StorageError: The user has no home, and no variable names a folder.
    """
    own = os.environ.get("STACCHIP_CACHE_DIR")
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if own:
            return Path(own).expanduser().absolute()
        if shared.is_absolute():  # others are to be ignored (XDG Base Directory Specification 0.8)
            return shared / "stacchip"
        return Path.home() / ".cache" / "stacchip"
    except RuntimeError as error:
        raise StorageError(f"No folder for caches: {error}. Set STACCHIP_CACHE_DIR.") from error


def make_cache_folder(name: str) -> Path:
    """Return a folder within the cache folder, for the user alone; make it if it does not exist.

    Args:
        name: Its name.

    Raises:
        StorageError: It cannot be made, or others could write in it; `href` is its path.
    """
    above = find_cache_folder()
    folder = above / name
    with naming_unwritable(folder):
        above.parent.mkdir(parents=True, exist_ok=True)
        above.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = {above: above.stat(), folder: folder.lstat()}  # the upper may be a user's link
    for each, said in found.items():
        _require_own(each, said)
    if not os.access(folder, os.W_OK):
        raise AccessDenied(f"{folder} cannot be written to.", href=str(folder))
    return folder


def _require_own(folder: Path, found: os.stat_result) -> None:
    """Refuse a folder in which others can put files, or which leads to another."""
    remedy = "It is not used. Delete it, or set STACCHIP_CACHE_DIR to another folder."
    if not stat.S_ISDIR(found.st_mode):
        raise AccessDenied(f"{folder} is a link. {remedy}", href=str(folder))
    if found.st_uid != os.geteuid():
        raise AccessDenied(
            f"{folder} belongs to another user (uid {found.st_uid}). {remedy}", href=str(folder)
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise AccessDenied(f"Others may write in {folder}. {remedy}", href=str(folder))


def note_use(file: Path) -> None:
    """Note that a file of a cache is used now."""
    with contextlib.suppress(OSError):
        if time.time() - file.stat().st_mtime > _HOUR_S:
            os.utime(file)


def clear_unused(
    folder: Path, pattern: str, *, days: float, most_bytes: int, kept: Collection[Path] = ()
) -> None:
    """Delete files of a cache that were not used for some days, or that are too many.

    Processes that have a deleted file open read on; those of another machine may not. So no file
    goes that was used within a day.

    Args:
        folder: The folder.
        pattern: The files, as `Path.glob` takes it.
        days: They go after so many.
        most_bytes: If all take more, those go first that were used longest ago.
        kept: Files that stay.
    """
    files = []
    for file in folder.glob(pattern):
        with contextlib.suppress(OSError):
            found = file.stat()
            files.append((found.st_mtime, found.st_size, file))
    now, total = time.time(), sum(size for _, size, _ in files)
    for used, size, file in sorted(files):
        is_old = now - used > days * _DAY_S
        is_in_the_way = total > most_bytes and now - used > _DAY_S
        if file not in kept and (is_old or is_in_the_way):
            with contextlib.suppress(OSError):
                file.unlink()
                total -= size
