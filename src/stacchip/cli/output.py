"""Checks that a command's output can be written, before any work starts."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from stacchip.cli import console
from stacchip.errors import AccessDenied, StacchipError, UsageError
from stacchip.index.files.layout import find_files, is_file
from stacchip.storage import local_path

if TYPE_CHECKING:
    from stacchip.storage import Storage


def require_folder(folder: Path) -> None:
    """Check that a folder can be written to, or made if it is absent.

    Raises:
        UsageError: A part of its path is a file, or it is an address in a store.
        AccessDenied: Writing to it, or making it, is not allowed.
    """
    if any(part.endswith(":") for part in folder.parts[:1]):  # what a path makes of "s3://bucket"
        raise UsageError(f"{folder} is not a local folder: write to one, and copy from there.")
    nearest = next(part for part in (folder, *folder.parents) if os.access(part, os.F_OK))
    if not nearest.is_dir():
        raise UsageError(
            f"{folder} cannot be written to: {nearest} is a file, not a folder. "
            "Choose another place."
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise AccessDenied(
            f"{folder} cannot be written to: access to {nearest} was refused. "
            "Check its permissions, or choose another place.",
            href=str(nearest),
        )


def require_file(path: Path) -> None:
    """Check that a file can be written. Its folder must exist.

    Raises:
        UsageError: Its folder is absent or a file, it is a folder itself, or it is in a store.
        AccessDenied: Writing to its folder is not allowed.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file in it.")
    require_folder(path.parent)
    if not path.parent.exists():
        raise UsageError(
            f"{path} cannot be written: there is no folder {path.parent}. "
            f"Make it (mkdir -p {shlex.quote(str(path.parent))}), or choose another place."
        )


def require_index(href: str, storage: Storage, *, replace: bool) -> None:
    """Check that an index can be written, and that it would not replace another one unasked.

    Raises:
        UsageError: An index is there and `replace` is False, or the place cannot hold one.
        AccessDenied: Writing to the place is not allowed.
    """
    if href.startswith(("http://", "https://")):
        raise UsageError(f"{href} cannot be written to: name a folder, or an address in a store.")
    local = local_path(href)
    if local is not None:
        require_folder(local.parent if is_file(href) else local)
    if not replace and _is_index(href, storage):
        raise UsageError(
            f"There is an index at {href} already. Replace it with --replace, or write to another "
            f"place and merge the two: {console.command('merge', 'A', 'B', '-o', 'C')}"
        )


def _is_index(href: str, storage: Storage) -> bool:
    if is_file(href):
        return storage.exists(href)
    try:
        find_files(href, storage)
    except StacchipError:
        return False  # nothing is there, or nothing complete
    return True
