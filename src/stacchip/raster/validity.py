"""Which bands are read, and which of their pixels may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import UsageError
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def valid_pixels(pixels: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Where pixels may be used: where any band has a value that is not `nodata`.

    A NaN is never a value, whatever `nodata` is. That any band suffices is GDAL's rule for a
    dataset's mask: one black channel does not make a hole.

    Args:
        pixels: Array (band, y, x).
        nodata: The value that stands for no data, may be NaN, or None.

    Returns:
        Array (y, x).

    Example:
        >>> valid_pixels(np.array([[[0, 1, 0]], [[0, 5, 7]]]), nodata=0)
        array([[False,  True,  True]])
    """
    is_float = pixels.dtype.kind in "fc"
    if nodata is None and not is_float:
        return np.ones(pixels.shape[1:], np.bool_)
    valid = np.zeros(pixels.shape[1:], np.bool_)
    for band in pixels:
        usable = ~np.isnan(band) if is_float else None
        if nodata is not None and not np.isnan(nodata):
            differs = band != _as_sample(nodata, pixels.dtype)
            usable = differs if usable is None else usable & differs
        valid |= True if usable is None else usable
    return valid


def _as_sample(nodata: float, dtype: np.dtype[Any]) -> Any:
    """`nodata` as a band holds it: a float32 band rounds it, an integer one leaves it alone."""
    if dtype.kind in "fc":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    return nodata


def require_bands(href: str, count: int, bands: Sequence[int] | None) -> list[int]:
    """The bands asked for, all where None.

    Raises:
        UsageError: Where a band does not exist, or none is asked for.

    Example:
        >>> require_bands("a.tif", 3, None), require_bands("a.tif", 3, (2, 0))
        ([0, 1, 2], [2, 0])
    """
    found = list(range(count) if bands is None else bands)
    if not found or min(found) < 0 or max(found) >= count:
        raise UsageError(f"{redact(href)} has no bands {found}: they count from 0 to {count - 1}.")
    return found
