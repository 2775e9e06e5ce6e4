"""Pure functions from QA pixels to shares: which pixels are cloud, which are nodata.

Each has the signature that `Source.classify` needs: it takes `(pixels, classes, nodata)` and
returns, for each share, a bool array of the shape of `pixels`. They work on whole strips of
millions of pixels. A share costs a few passes of comparisons, which numpy does with SIMD; there are
no look-up tables and no fancy indexing, since a gather costs about ten times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stacchip.raster.nodata import as_sample, find_values

Pixels = NDArray[np.generic]
Flags = NDArray[np.bool_]
Classes = Mapping[str, tuple[int, ...]]
Classify = Callable[[Pixels, Classes, float | None], dict[str, Flags]]


def classify_values(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """Return the shares of a band whose pixels are class numbers, such as SCL or Fmask.

    Args:
        pixels: QA values, integers, of any shape.
        classes: For each share, the class numbers that count; a number may count for several.
        nodata: The nodata value that the file declares; it counts as `nodata`, as its classes do.

    Example:
        >>> import numpy as np
        >>> scl = np.array([[0, 4, 9]], "uint8")
        >>> shares = classify_values(scl, {"nodata": (0,), "cloud": (8, 9)}, None)
        >>> shares["cloud"].tolist()
        [[False, False, True]]
    """
    shares = {share: _is_any_of(pixels, values) for share, values in classes.items()}
    return _with_declared_nodata(shares, pixels, classes.get("nodata", ()), nodata)


def classify_low_bits(
    pixels: Pixels,
    classes: Classes,
    nodata: float | None,  # noqa: ARG001 - the signature of `Classify`
) -> dict[str, Flags]:
    """Return the shares of a band whose two lowest bits are a class: MODIS surface reflectance QC.

    Args:
        pixels: QA values, integers, of any shape.
        classes: For each share, the values of bits 0-1 that count.
        nodata: Not used: the fill values of these bands have both bits set, which is class 3.

    Example:
        >>> import numpy as np
        >>> qc = np.array([[0, 2, 4294967295]], "uint32")
        >>> shares = classify_low_bits(qc, {"nodata": (3,), "cloud": (2,)}, None)
        >>> shares["cloud"].tolist(), shares["nodata"].tolist()
        ([[False, True, False]], [[False, False, True]])
    """
    # the low byte is enough, and makes each comparison below four times as cheap
    low = np.bitwise_and(pixels, 3, dtype=pixels.dtype).astype(np.uint8)
    return {share: _is_any_of(low, values) for share, values in classes.items()}


def classify_bits(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """Return the shares of a band whose bits are flags: Landsat Collection 2 QA_PIXEL.

    Args:
        pixels: QA values, integers, of any shape.
        classes: For each share, bits; a pixel counts if at least one of them is set. A pixel with a
            bit of `nodata` counts for no other share: its other bits mean nothing.
        nodata: The nodata value that the file declares; it counts as `nodata`, as its bits do.

    Example:
        >>> import numpy as np
        >>> qa = np.array([[1, 1 << 3, 1 | 1 << 3]], "uint16")
        >>> shares = classify_bits(qa, {"nodata": (0,), "cloud": (1, 3, 4)}, None)
        >>> shares["cloud"].tolist(), shares["nodata"].tolist()
        ([[False, True, False]], [[True, False, True]])
    """
    fill_bits = classes.get("nodata", ())
    shares = {"nodata": _has_any_bit(pixels, fill_bits)}
    value = as_sample(nodata, pixels.dtype)
    if value is not None and not any(int(value) >> bit & 1 for bit in fill_bits):
        shares["nodata"] |= pixels == value
    filled = shares["nodata"]
    for share, bits in classes.items():
        if share != "nodata":
            flags = _has_any_bit(pixels, bits)
            # flags and not filled, in one pass over bytes
            shares[share] = np.greater(flags, filled, out=flags)
    return shares


def classify_nodata(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """Return `nodata` only, from the pixels of a band itself: Sentinel-1. NaN is always nodata.

    Args:
        pixels: Values of the band, of any type and shape.
        classes: `nodata` lists values that are always fill.
        nodata: The nodata value of the file, else of the item, else of the source.

    Example:
        >>> import numpy as np
        >>> vv = np.array([[0.1, -32768, np.nan, 0]], "float32")
        >>> classify_nodata(vv, {"nodata": (-32768,)}, 0)["nodata"].tolist()
        [[False, True, True, True]]
    """
    always = classes.get("nodata", ())
    flags = _is_any_of(pixels, always)
    if pixels.dtype.kind in "fc":
        # NaN is the one value that differs from itself; a comparison is faster than isnan
        flags |= pixels != pixels  # noqa: PLR0124 - see above
    return _with_declared_nodata({"nodata": flags}, pixels, always, nodata)


def classify_nothing(
    pixels: Pixels,  # noqa: ARG001 - the signature of `Classify`
    classes: Classes,  # noqa: ARG001 - the signature of `Classify`
    nodata: float | None,  # noqa: ARG001 - the signature of `Classify`
) -> dict[str, Flags]:
    """Return no shares, for imagery without a QA band.

    Example:
        >>> import numpy as np
        >>> classify_nothing(np.zeros((2, 2), "uint8"), {}, None)
        {}
    """
    return {}


def _with_declared_nodata(
    shares: dict[str, Flags], pixels: Pixels, known: Sequence[int], nodata: float | None
) -> dict[str, Flags]:
    """Return the shares, counting pixels equal to `nodata` unless `known` has that value."""
    if nodata is None or nodata != nodata or nodata in known:  # noqa: PLR0124 - NaN, as above
        return shares
    declared = ~find_values(pixels, nodata)
    shares["nodata"] = shares["nodata"] | declared if "nodata" in shares else declared
    return shares


def _is_any_of(pixels: Pixels, values: Sequence[int]) -> Flags:
    """Mark pixels that have one of some values, with one comparison for each run of values."""
    found: Flags | None = None
    for low, high in _runs(values):
        flags = _is_between(pixels, low, high)
        found = flags if found is None else np.logical_or(found, flags, out=found)
    return np.zeros(pixels.shape, bool) if found is None else found


def _is_between(pixels: Pixels, low: int, high: int) -> Flags:
    """Mark pixels with `low <= pixel <= high`, by a subtraction that wraps if the type allows."""
    if low == high:
        return np.equal(pixels, low)
    if pixels.dtype.kind == "u" and high < 1 << 8 * pixels.dtype.itemsize:
        return np.less_equal(np.subtract(pixels, pixels.dtype.type(low)), high - low)
    return np.logical_and(np.greater_equal(pixels, low), np.less_equal(pixels, high))


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Return values as runs of neighbours: `(1, 3, 8, 9, 10)` is `(1, 1), (3, 3), (8, 10)`."""
    runs: list[tuple[int, int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


def _has_any_bit(pixels: Pixels, bits: Sequence[int]) -> Flags:
    """Mark pixels that have at least one of some bits set."""
    if not bits:
        return np.zeros(pixels.shape, bool)
    if pixels.dtype.kind == "i":  # in a signed type, no number has the highest bit alone
        pixels = pixels.view(pixels.dtype.str.replace("i", "u"))
    mask = pixels.dtype.type(sum(1 << bit for bit in set(bits)))
    return np.not_equal(np.bitwise_and(pixels, mask), 0)
