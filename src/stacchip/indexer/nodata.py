"""The share of nodata of each chip, from the reference band itself: for items without a QA band."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stacchip.index import count_shares, nodata_shares
from stacchip.raster.nodata import as_sample
from stacchip.storage import redact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stacchip.grid.chip_grid import ChipGrid
    from stacchip.items import AssetInfo
    from stacchip.raster.reader import Reader
    from stacchip.sources import Source

_log = logging.getLogger(__name__)


def measure_nodata(
    reader: Reader, reference: AssetInfo, source: Source | None, grid: ChipGrid
) -> NDArray[np.float32] | None:
    """Return the share of nodata of all chips, 0..1, (grid.y_size, grid.x_size).

    The pixels of the reference band are read if its file has a mask, an alpha band or a nodata
    value, or else if the item or the source names a nodata value. If there is none of these, no
    pixel is read: a source whose imagery is complete has no nodata but padding.

    Args:
        reader: The file of the reference band, open.
        reference: The asset that carries the chip grid.
        source: The kind of imagery, if it is known.
        grid: The chips.

    Returns:
        None if nothing says what nodata is: the share is not measured.

    Raises:
        GridMismatch: The file has another CRS than the grid, or is rotated against it.
        RasterError: A block of the file is broken.
        StorageError: Its pixels cannot be fetched.
    """
    nodata = _find_nodata(reader, reference, source)
    if nodata is not None or reader.validity != "all":
        file = redact(reader.href)
        _log.info("asset %r is read whole, to measure its nodata: %s", reference.key, file)
        return nodata_shares(reader, grid, geobox=reference.geobox, nodata=nodata)["nodata"]
    if source is not None and source.is_complete:
        return count_shares({}, grid)["nodata"]
    return None


def _find_nodata(reader: Reader, reference: AssetInfo, source: Source | None) -> float | None:
    """Return the first nodata value, out of file, item and source, that the band can hold."""
    named = (reader.nodata, reference.nodata, None if source is None else source.nodata)
    samples = (as_sample(value, reader.dtype) for value in named)
    return next((sample for sample in samples if sample is not None), None)
