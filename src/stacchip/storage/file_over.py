"""A file that takes the place of one version of another, and of no other version."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from stacchip.runtime.whole_file import temporary_folder
from stacchip.storage.href import parse_href
from stacchip.storage.transports import local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stacchip.storage.identity import Identity
    from stacchip.storage.storage import Storage

__all__ = ["file_over"]


@contextlib.contextmanager
def file_over(
    href: str | os.PathLike[str], expect: Identity | None, storage: Storage
) -> Iterator[Path]:
    """Yield a path to write to; the file then takes its place as by `Storage.write_over`.

    Args:
        href: The place. Of a local one, the path is beside it, and nothing is copied.
        expect: The version that is there; None if nothing is.
        storage: Writes to the place.

    Raises:
        AssetChanged: Something else is there, which stays.
    """
    place = parse_href(os.fspath(href))
    if place.scheme == "file":
        with local.file_over(place.key, expect) as path:
            yield path
        return
    with temporary_folder("stacchip-over-") as folder:
        path = folder / "file"
        yield path
        storage.write_over(href, path, expect)
