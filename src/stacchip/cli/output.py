"""Checks that a command's output can be written, before any work starts."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from stacchip.cli.terminal import console
from stacchip.errors import StacchipError, UsageError
from stacchip.index.files.layout import find_files, is_file
from stacchip.runtime.presence import is_folder, is_there
from stacchip.storage import Storage, parent_href, redact
from stacchip.storage.writable import require_writable

if TYPE_CHECKING:
    from pathlib import Path


def require_folder(folder: Path) -> None:
    """Check that a folder can be written to, or made if it is absent.

    Raises:
        UsageError: A part of its path is a file, writing to it is refused, or it is an address in a
            store.
    """
    if any(part.endswith(":") for part in folder.parts[:1]):  # what a path makes of "s3://bucket"
        name = folder.as_posix().replace(":/", "://", 1)
        raise UsageError(f"{name} is not a local folder: write to one, and copy from there.")
    require_writable(folder, Storage())


def require_file(path: Path) -> None:
    """Check that a file can be written. Its folder must exist.

    Raises:
        UsageError: Its folder is absent or a file, it is a folder itself, it is in a store, or
            writing is refused.
    """
    if is_folder(path):
        raise UsageError(f"{path} is a folder: give the name of a file in it.")
    require_folder(path.parent)
    if not is_there(path.parent):
        raise UsageError(
            f"{path} cannot be written: there is no folder {path.parent}. "
            f"Make it (mkdir -p {shlex.quote(str(path.parent))}), or choose another place."
        )


def require_place(href: str, storage: Storage, *, is_file: bool) -> None:
    """Check that a file or a folder, local or in a store, can be written.

    Args:
        href: Its address or path.
        storage: Reaches the store.
        is_file: It is a file, and not a folder of files.

    Raises:
        UsageError: It cannot: the bucket is not there, writing is refused, a part of the path is a
            file.
    """
    require_writable(parent_href(href) if is_file else href, storage)


def require_index(href: str, storage: Storage, *, replace: bool) -> None:
    """Check that an index can be written, and that it would not replace another one unasked.

    Raises:
        UsageError: An index is there and `replace` is False, or the place cannot hold one, or
            cannot be written to.
    """
    if href.startswith(("http://", "https://")):
        raise UsageError(
            f"{redact(href)} cannot be written to: name a folder, or an address in a store."
        )
    require_place(href, storage, is_file=is_file(href))
    if not replace and _is_index(href, storage):
        raise UsageError(
            f"There is an index at {redact(href)} already. Replace it with --replace, or write to "
            f"another place and merge the two: {console.command('merge', 'A', 'B', '-o', 'C')}"
        )


def _is_index(href: str, storage: Storage) -> bool:
    if is_file(href):
        return storage.exists(href)
    try:
        find_files(href, storage)
    except StacchipError:
        return False  # nothing is there, or nothing complete
    return True
