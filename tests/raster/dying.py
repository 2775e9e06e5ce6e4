"""Writers of blocks and COGs, to be run in processes of their own, which die or fail."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from stacchip.raster.cache import DiskCache

if TYPE_CHECKING:
    from pathlib import Path


def key_of(name: Any, length: int) -> tuple[Any, ...]:
    return (f"s3://a/{name}.tif", 1000, None, None, 0, length, 0, 0, 0, 1, "uint8", 0)


BLOCKS = {key_of(name, 1_000): random.Random(name).randbytes(1_000) for name in "abcd"}


def fill(folder: Path, limit_bytes: int) -> None:
    """Put four blocks into a cache."""
    disk = DiskCache(folder, limit_bytes)
    for key, data in BLOCKS.items():
        disk.put(key, data)


def convert(folder: Path, source: Path) -> None:
    """Convert a file to `converted.tif`."""
    from stacchip.raster.gdal import Conversion, convert_to_cog

    convert_to_cog(source, folder / "converted.tif", Conversion())
