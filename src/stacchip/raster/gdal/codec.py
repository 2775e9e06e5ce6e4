"""Blocks of TIFFs whose codec only GDAL knows: JPEG, WebP, LERC, LZMA.

GDAL gets one block at a time, as a TIFF of one strip in memory that carries the codec's tags. So it
needs no network and keeps no file open, blocks are fetched like all others, and an error names its
block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.raster import tiff
from stacchip.raster.codecs import BrokenStreamError
from stacchip.raster.gdal.describe import no_transform
from stacchip.raster.gdal.environment import error_types, gdal_environment, gdal_says
from stacchip.raster.gdal.jpeg import frame_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from stacchip.raster.tiff import ByteOrder, RawTag

_JPEG: Final = 7
_MOST_BANDS: Final = 4096  # a block of them takes 0.2 s, and the time grows with their square


def decode_by_gdal(
    data: bytes | memoryview,
    shape: tuple[int, int],
    *,
    tags: Iterable[RawTag],
    byteorder: ByteOrder,
    most_rows: int = 0,
) -> NDArray[Any]:
    """Decode one block to pixels (band, y, x).

    Args:
        data: The block's bytes in the file.
        shape: (height, width) of the block.
        tags: Those of `tiff.CODEC_TAGS` that the file has.
        byteorder: The byte order of the file.
        most_rows: The rows that they may have, if these are more than the block's: some writers
            store a whole strip even if the image ends within it.

    Raises:
        BrokenStreamError: GDAL cannot decode them, or they have pixels for another block.
    """
    from rasterio.io import MemoryFile

    tags = tuple(tags)
    if _number(tags, tiff.COMPRESSION, byteorder) == _JPEG:
        _require_size(data, shape, most_rows)
    image = tiff.write_image(byteorder, shape, [*no_transform(byteorder), *tags], data)
    try:
        with (
            gdal_environment(),
            MemoryFile(image) as memory,
            memory.open(driver="GTiff") as dataset,
        ):
            if dataset.count <= _MOST_BANDS:
                return np.asarray(dataset.read())
    except error_types() as error:
        raise BrokenStreamError(f"GDAL says: {gdal_says(error)}") from error
    raise BrokenStreamError(f"more than {_MOST_BANDS} bands take GDAL too long")


def _require_size(data: bytes | memoryview, shape: tuple[int, int], most_rows: int) -> None:
    """Refuse a JPEG stream of other pixels than its block's, of which libtiff only warns.

    It checks bands and bits of JPEG itself, and the pixels of other codecs.
    """
    frame = frame_of(data)
    if frame is None:
        raise BrokenStreamError("its JPEG stream has no frame")
    height, width = shape
    if frame.width != width or not height <= frame.height <= max(height, most_rows):
        raise BrokenStreamError(
            f"its JPEG stream has {frame.height} x {frame.width} px, the block {height} x {width}"
        )


def _number(tags: Iterable[RawTag], tag: int, byteorder: ByteOrder) -> int:
    """Return the whole number that a tag holds, of any type; 0 if the tag is absent."""
    raw = next((raw for number, _, _, raw in tags if number == tag), b"")
    return int.from_bytes(raw, "little" if byteorder == "<" else "big")
