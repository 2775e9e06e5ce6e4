"""The bands that are read, and which of their pixels may be used.

A file says this in one of four ways: by a mask, an alpha band, a nodata value, or not at all.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import UsageError
from stacchip.raster.nodata import find_values
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def valid_pixels(
    pixels: NDArray[Any], nodata: float | None, dtype: np.dtype[Any] | None = None
) -> NDArray[np.bool_]:
    """Return where pixels may be used: where any band has a value that is not `nodata`.

    `stacchip.raster.nodata.find_values` says what a value is. One band suffices, which is GDAL's
    rule for a dataset's mask: one black channel does not make a hole.

    Args:
        pixels: Array (band, y, x).
        nodata: The value that stands for no data; it may be NaN, or None.
        dtype: The type of the file, if the pixels have been converted to a wider one since.

    Returns:
        Array (y, x).

    Example:
        >>> valid_pixels(np.array([[[0, 1, 0]], [[0, 5, 7]]]), nodata=0)
        array([[False,  True,  True]])
    """
    return reduce(np.logical_or, (find_values(band, nodata, dtype) for band in pixels))


def find_valid(
    pixels: NDArray[Any], flags: NDArray[Any] | None, nodata: float | None
) -> NDArray[np.bool_]:
    """Return where a file says that its pixels may be used.

    Args:
        pixels: Array (band, y, x).
        flags: The mask or alpha band (y, x): numbers other than 0 mark usable pixels. None if the
            values of the pixels decide.
        nodata: The file's nodata, which counts only if there are no `flags`.

    Returns:
        Array (y, x).

    Example:
        >>> find_valid(np.array([[[0, 5]]]), np.array([[255, 0]]), nodata=0)
        array([[ True, False]])
    """
    return valid_pixels(pixels, nodata) if flags is None else np.asarray(flags != 0)


def hide_fill(
    valid: NDArray[np.bool_],
    pixels: NDArray[Any],
    file_nodata: float | None,
    item_nodata: float | None,
) -> NDArray[np.bool_]:
    """Return `valid` without the pixels that only the item declares to be nodata.

    Args:
        valid: Where the file says that its pixels may be used, array (y, x).
        pixels: Array (band, y, x).
        file_nodata: The file's nodata. If it has one, `valid` allows for it, and the item's is not
            used.
        item_nodata: The nodata that the item or its source names.

    Example:
        >>> pixels, valid = np.array([[[7, 5]]]), np.array([[True, True]])
        >>> hide_fill(valid, pixels, None, 7), hide_fill(valid, pixels, 0, 7)
        (array([[False,  True]]), array([[ True,  True]]))
    """
    return valid if file_nodata is not None else valid & valid_pixels(pixels, item_nodata)


def require_bands(href: str, count: int, bands: Sequence[int] | None) -> list[int]:
    """Return the numbers of the bands asked for; of all bands if None.

    Raises:
        UsageError: A band does not exist, or none is asked for.

    Example:
        >>> require_bands("a.tif", 3, None), require_bands("a.tif", 3, (2, 0))
        ([0, 1, 2], [2, 0])
    """
    found = list(range(count) if bands is None else bands)
    if not found or min(found) < 0 or max(found) >= count:
        raise UsageError(f"{redact(href)} has no bands {found}: its bands are 0 to {count - 1}.")
    return found
