"""Marking invalid pixels in a file that holds one array: by a nodata value, or by a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import UsageError
from stacchip.raster.nodata import as_sample, find_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# GDAL's nodata passes through a double, which holds no larger integers exactly
_LARGEST_INTEGER: Final = 2**53
_WIDER: Final = {"uint8": "uint16", "int8": "int16", "uint16": "uint32", "int16": "int32"}


@dataclass(frozen=True, eq=False)
class MarkedPixels:
    """Pixels, and what a file must say beside them about which are valid.

    Attributes:
        pixels: Array (band, y, x).
        nodata: The file's nodata value, the same for all bands; None for none.
        mask: Where the pixels of all bands are valid, (y, x); None for no mask.
    """

    pixels: NDArray[Any]
    nodata: int | float | None = None
    mask: NDArray[np.bool_] | None = None


def mark_invalid(
    pixels: NDArray[Any], valid: NDArray[np.bool_], nodata: Iterable[float | None] = ()
) -> MarkedPixels:
    """Return pixels with a mark by which GDAL finds exactly those that are not valid.

    A GeoTIFF has one nodata value and one mask for all its bands. The mark is the first that fits:

    1. one of the given nodata values, if invalid pixels have it and valid ones do not;
    2. a mask, if the same pixels are valid in all bands;
    3. a value that no valid pixel has, written to all invalid pixels: a given nodata value, else
       NaN, else the least whole number from 0 on that is free. If valid pixels use up their type,
       as bytes can, the pixels get the next wider one.

    Valid pixels keep their values, and with the first two marks so do all others.

    Args:
        pixels: Array (band, y, x).
        valid: True where a pixel may be used, (band, y, x).
        nodata: The values that stand for no data where the pixels come from; None is left out.

    Raises:
        UsageError: Valid floats use up all values that could stand for no data.

    Example:
        >>> red = np.array([[[0, 7, 7]]], "uint8")
        >>> mark_invalid(red, red > 0, [0]).nodata
        0
        >>> mark_invalid(red, np.array([[[True, False, True]]]), [0]).mask
        array([[ True, False,  True]])
    """
    known = list(_usable(nodata, pixels.dtype))
    for value in known:
        if np.array_equal(_is_hidden(pixels, value), ~valid):
            return MarkedPixels(pixels, value)
    if valid.all():
        return MarkedPixels(pixels)
    if (valid == valid[0]).all():
        return MarkedPixels(pixels, mask=valid[0])
    for value in [*known, *_candidates(pixels[valid])]:
        if not (_is_hidden(pixels, value) & valid).any():
            return MarkedPixels(np.where(valid, pixels, pixels.dtype.type(value)), value)
    if pixels.dtype.name not in _WIDER:
        raise UsageError(
            f"Valid pixels of {pixels.dtype} use up all values that could stand for no data: "
            "write fewer bands to a file."
        )
    return mark_invalid(pixels.astype(_WIDER[pixels.dtype.name]), valid)


def _usable(nodata: Iterable[float | None], dtype: np.dtype[Any]) -> Iterator[int | float]:
    """Yield the nodata values that a file of this type can have."""
    for value in nodata:
        sample = as_sample(value, dtype)
        is_exact = dtype.kind == "f" or sample is None or abs(sample) <= _LARGEST_INTEGER
        if sample is not None and is_exact:
            yield sample


def _candidates(used: NDArray[Any]) -> Iterator[int | float]:
    """Yield values that might stand for no data, given those that are used."""
    if used.dtype.kind not in "iu":
        limits = np.finfo(used.dtype)
        yield from (np.nan, -np.inf, np.inf, float(limits.min), float(limits.max))
        return
    # of as many values and one more, one is free
    least = np.arange(min(used.size, np.iinfo(used.dtype).max) + 1)
    yield from np.setdiff1d(least, used)[:1].tolist()


def _is_hidden(pixels: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Return where GDAL finds `nodata`: a NaN counts only if `nodata` is NaN."""
    hidden = ~find_values(pixels, nodata)
    return hidden if pixels.dtype.kind in "iu" or np.isnan(nodata) else hidden & ~np.isnan(pixels)
