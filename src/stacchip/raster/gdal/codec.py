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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from stacchip.raster.tiff import ByteOrder, RawTag

_MOST_BANDS: Final = 4096  # a block of them takes 0.2 s, and the time grows with their square


def decode_by_gdal(
    data: bytes | memoryview,
    shape: tuple[int, int],
    *,
    tags: Iterable[RawTag],
    byteorder: ByteOrder,
) -> NDArray[Any]:
    """Decode one block to pixels (band, y, x).

    Args:
        data: The block's bytes in the file.
        shape: (height, width) of the block.
        tags: Those of `tiff.CODEC_TAGS` that the file has.
        byteorder: The byte order of the file.

    Raises:
        BrokenStreamError: GDAL cannot decode them.
    """
    from rasterio.io import MemoryFile

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
