"""Nodata: which values of a band stand for no data, compared as GDAL compares them.

A nodata value is text in most files, and some writers round it: `-3.40282e+38` stands for pixels of
-3.4028235e+38. So GDAL allows for a difference, and so do both readers, streams and statistics:

| type of the band | a pixel is nodata if |
|---|---|
| integer | it equals the nodata value without its fraction; a value out of range is ignored |
| float | it equals the nodata value, or differs by less than 2.4e-7 of their sum |
| complex | its real part is nodata |

The difference counts in the band's own type, after the nodata value was rounded to it. There, the
sum of two numbers near the type's maximum is infinite, so any other number near it is nodata, too.
A value beyond the type's range is infinite.

Sources: GDAL 3.10, `gdalnodatamaskband.cpp` and `ARE_REAL_EQUAL` in `gdal_priv.h`; a test compares
with rasterio's masks. One thing differs: for us, NaN is never a value, whatever nodata is.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Ranges = tuple[tuple[Any, Any], ...]

# GDAL takes float's epsilon for double, too
_EPSILON: Final = np.finfo(np.float32).eps
_BEYOND_TOLERANCE: Final = 1e-6


def find_values(
    pixels: NDArray[Any], nodata: float | None, dtype: np.dtype[Any] | None = None
) -> NDArray[np.bool_]:
    """Return where pixels have a value, which is neither nodata nor NaN.

    Args:
        pixels: Array of any shape.
        nodata: The value that stands for no data; it may be NaN, or None.
        dtype: The type of the file, if the pixels have been converted to a wider one since.

    Returns:
        Array of the shape of `pixels`.

    Example:
        >>> pixels = np.array([-3.4028235e38, np.nan, 7], "float32")
        >>> find_values(pixels, -3.40282e38)
        array([False, False,  True])
    """
    kind = pixels.dtype if dtype is None else dtype
    if kind.kind not in "fc":
        sample = as_sample(nodata, kind)
        return np.ones(pixels.shape, np.bool_) if sample is None else np.not_equal(pixels, sample)
    ranges = () if nodata is None else _nodata_ranges(nodata, _real_type(kind).char)
    part = pixels.real if pixels.dtype.kind == "c" else pixels
    found = _is_outside(part, *ranges[0]) if ranges else ~np.isnan(part)
    for low, high in ranges[1:]:
        found &= _is_outside(part, low, high)
    return found & ~np.isnan(pixels.imag) if pixels.dtype.kind == "c" else found


def as_sample(nodata: float | None, dtype: np.dtype[Any]) -> int | float | None:
    """Return the value that a band of this type can hold for `nodata`; None if there is none.

    Example:
        >>> as_sample(-9999, np.dtype("uint8")), as_sample(255.5, np.dtype("uint8"))
        (None, None)
        >>> as_sample(254.5, np.dtype("uint8")), as_sample(0.1, np.dtype("float32"))
        (254, 0.10000000149011612)
    """
    if nodata is None:
        return None
    if dtype.kind in "fc":
        with np.errstate(over="ignore"):  # a value beyond the range is infinite
            return float(_real_type(dtype).type(nodata))
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.uint8)
    is_held = math.isfinite(nodata) and limits.min <= nodata <= limits.max
    return int(nodata) if is_held else None


def _is_outside(pixels: NDArray[Any], low: Any, high: Any) -> NDArray[np.bool_]:
    """Return where numbers lie outside a range; NaN does not."""
    found: NDArray[np.bool_] = np.less(pixels, low)
    found |= np.greater(pixels, high)
    return found


def _real_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which GDAL compares floats and complex numbers of a type."""
    return np.dtype("f8" if dtype in (np.dtype("f8"), np.dtype("c16")) else "f4")


@lru_cache(maxsize=256)
def _nodata_ranges(nodata: float, letter: str) -> Ranges:
    """Return the ranges (first, last) of numbers that GDAL takes for `nodata`; none for NaN.

    Args:
        nodata: The value.
        letter: numpy's letter of the type in which it is compared.
    """
    kind = np.dtype(letter).type
    with np.errstate(over="ignore", under="ignore"):
        value = kind(nodata)
        if np.isnan(value):
            return ()
        if value == 0 or np.isinf(value):
            return ((value, value),)
        ranges = _ranges_of_positive(abs(value), kind)
    return ranges if value > 0 else tuple((-high, -low) for low, high in ranges)


def _ranges_of_positive(value: Any, kind: Any) -> Ranges:
    """Return the ranges of numbers that GDAL takes for a positive number."""
    epsilon, two, most = kind(_EPSILON), kind(2), np.finfo(kind).max

    def is_equal(number: Any) -> bool:
        # the factors in GDAL's order, since the first product may be rounded among the smallest
        return bool(number == value or abs(number - value) < epsilon * abs(number + value) * two)

    low = _find_edge(is_equal, value, kind(0))
    beyond = max(value * kind(1 + _BEYOND_TOLERANCE), np.nextafter(value, kind(np.inf)))
    if np.isinf(beyond) or is_equal(beyond):  # the sum is infinite here and above
        return ((low, most),)
    near = (low, _find_edge(is_equal, value, beyond))
    # a large number's sum with the maximum may be infinite, although the two are far apart
    return (near, (_find_edge(is_equal, most, beyond), most)) if is_equal(most) else (near,)


def _find_edge(is_in: Callable[[Any], bool], inside: Any, outside: Any) -> Any:
    """Return the last number that is in, on the way from one that is to one that is not."""
    while True:
        middle = inside + (outside - inside) / 2
        if middle in (inside, outside):
            return inside
        inside, outside = (middle, outside) if is_in(middle) else (inside, middle)
