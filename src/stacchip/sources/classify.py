"""Pure functions from QA pixels to shares: which pixels are cloud, which are nodata.

Each has the form that `Source.classify` asks for: `(pixels, classes, nodata)` in, a bool array of
the shape of `pixels` for each share out. They work on whole strips of millions of pixels, so that
a share costs a few passes of compares that numpy does with SIMD: no look-up tables, no fancy
indexing (a gather costs about ten times as much).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.generic]
Flags = NDArray[np.bool_]
Classes = Mapping[str, tuple[int, ...]]
Classify = Callable[[Pixels, Classes, float | None], dict[str, Flags]]


def classify_values(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """The shares of a band whose pixels are class numbers, such as SCL or Fmask.

    Args:
        pixels: QA values, integers, of any shape.
        classes: For each share, the class numbers that count; a number may count for several.
        nodata: What the file declares as nodata; counts as `nodata` beside its classes.

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
    nodata: float | None,  # noqa: ARG001  part of the form
) -> dict[str, Flags]:
    """The shares of a band whose two lowest bits are a class number: MODIS surface reflectance QC.

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
    # the low byte is enough, and makes every compare that follows four times as cheap
    low = np.bitwise_and(pixels, 3, dtype=pixels.dtype).astype(np.uint8)
    return {share: _is_any_of(low, values) for share, values in classes.items()}


def classify_bits(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """The shares of a band whose bits are flags: Landsat Collection 2 QA_PIXEL.

    Args:
        pixels: QA values, integers, of any shape.
        classes: For each share, the bits of which at least one must be set. A pixel with a bit of
            `nodata` counts for no other share: what the other bits say of a fill pixel is void.
        nodata: What the file declares as nodata; counts as `nodata` beside its bits.

    Example:
        >>> import numpy as np
        >>> qa = np.array([[1, 1 << 3, 1 | 1 << 3]], "uint16")
        >>> shares = classify_bits(qa, {"nodata": (0,), "cloud": (1, 3, 4)}, None)
        >>> shares["cloud"].tolist(), shares["nodata"].tolist()
        ([[False, True, False]], [[True, False, True]])
    """
    fill_bits = classes.get("nodata", ())
    shares = {"nodata": _has_any_bit(pixels, fill_bits)}
    if nodata is not None and not any(int(nodata) >> bit & 1 for bit in fill_bits):
        shares["nodata"] |= pixels == nodata
    filled = shares["nodata"]
    for share, bits in classes.items():
        if share != "nodata":
            flags = _has_any_bit(pixels, bits)
            # flags and not filled, in one pass over bytes
            shares[share] = np.greater(flags, filled, out=flags)
    return shares


def classify_nodata(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """Only `nodata`, from the pixels of a band itself: Sentinel-1.

    Args:
        pixels: Values of the band, of any type and shape.
        classes: `nodata` lists values that are always fill.
        nodata: What the file (or else the item, or else the source) declares.

    NaN is always nodata.

    Example:
        >>> import numpy as np
        >>> vv = np.array([[0.1, -32768, np.nan, 0]], "float32")
        >>> classify_nodata(vv, {"nodata": (-32768,)}, 0)["nodata"].tolist()
        [[False, True, True, True]]
    """
    always = classes.get("nodata", ())
    flags = _is_any_of(pixels, always)
    if pixels.dtype.kind in "fc":
        # NaN is the one value that differs from itself: a compare, where isnan is a call
        flags |= pixels != pixels  # noqa: PLR0124  (see above)
    return _with_declared_nodata({"nodata": flags}, pixels, always, nodata)


def classify_nothing(
    pixels: Pixels,  # noqa: ARG001  part of the form, as are the others
    classes: Classes,  # noqa: ARG001
    nodata: float | None,  # noqa: ARG001
) -> dict[str, Flags]:
    """No share at all, for imagery without a QA band.

    Example:
        >>> import numpy as np
        >>> classify_nothing(np.zeros((2, 2), "uint8"), {}, None)
        {}
    """
    return {}


def _with_declared_nodata(
    shares: dict[str, Flags], pixels: Pixels, known: Sequence[int], nodata: float | None
) -> dict[str, Flags]:
    """The shares, with pixels equal to `nodata` counted as such where `known` does not have it."""
    if nodata is None or nodata != nodata or nodata in known:  # noqa: PLR0124  (NaN: see above)
        return shares
    declared = pixels == nodata
    shares["nodata"] = shares["nodata"] | declared if "nodata" in shares else declared
    return shares


def _is_any_of(pixels: Pixels, values: Sequence[int]) -> Flags:
    """Where pixels have one of some values, with one compare for each run of values."""
    found: Flags | None = None
    for low, high in _runs(values):
        flags = _is_between(pixels, low, high)
        found = flags if found is None else np.logical_or(found, flags, out=found)
    return np.zeros(pixels.shape, bool) if found is None else found


def _is_between(pixels: Pixels, low: int, high: int) -> Flags:
    """Where `low <= pixels <= high`; one subtraction that wraps, where the type allows."""
    if low == high:
        return np.equal(pixels, low)
    if pixels.dtype.kind == "u" and high < 1 << 8 * pixels.dtype.itemsize:
        return np.less_equal(np.subtract(pixels, pixels.dtype.type(low)), high - low)
    return np.logical_and(np.greater_equal(pixels, low), np.less_equal(pixels, high))


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Values as runs of neighbours: `(1, 3, 8, 9, 10)` is `(1, 1), (3, 3), (8, 10)`."""
    runs: list[tuple[int, int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


def _has_any_bit(pixels: Pixels, bits: Sequence[int]) -> Flags:
    """Where pixels have at least one of some bits set."""
    if not bits:
        return np.zeros(pixels.shape, bool)
    mask = pixels.dtype.type(sum(1 << bit for bit in set(bits)))
    return np.not_equal(np.bitwise_and(pixels, mask), 0)
