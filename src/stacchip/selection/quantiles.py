"""Exact quantiles of any number of values, in memory that does not grow with their count.

The values are read four times. Each time, 16 bits more of each quantile are known: a histogram of
the values that begin with the bits known so far says how the quantile goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["find_quantiles"]

_STEP: Final = 16
_SIGN: Final = np.uint64(1 << 63)


def find_quantiles(read: Callable[[], Iterable[Floats]], shares: Sequence[float]) -> Floats:
    """Return quantiles of the finite values, as `numpy.quantile` does; none if there are no values.

    Args:
        read: Returns all values in parts; it is called four times.
        shares: The quantiles wanted, 0..1.

    Example:
        >>> find_quantiles(lambda: [np.array([4.0, 1.0]), np.array([3.0])], [0, 0.5, 0.75])
        array([1. , 3. , 3.5])
    """
    counts = np.zeros((1, 1 << _STEP), np.int64)
    prefixes, ranks, places = np.zeros(1, np.uint64), np.empty(0, np.int64), np.empty(0)
    of_rank = np.empty(0, np.intp)
    for known in range(0, 64, _STEP):
        counts = np.zeros((len(prefixes), 1 << _STEP), np.int64)
        for values in read():
            _count(_bits_of(values), known, prefixes, counts)
        if not known:
            total = int(counts.sum())
            if not total:
                return np.empty(0)
            places = np.asarray(shares) * (total - 1)
            ranks = np.concatenate([np.floor(places), np.ceil(places)]).astype(np.int64)
            of_rank = np.zeros(len(ranks), np.intp)
        ends = np.cumsum(counts, axis=1)
        digits = np.array(
            [
                np.searchsorted(ends[own], rank, side="right")
                for own, rank in zip(of_rank, ranks, strict=True)
            ]
        )
        ranks = ranks - (ends - counts)[of_rank, digits]
        longer = (prefixes[of_rank] << np.uint64(_STEP)) | digits.astype(np.uint64)
        prefixes, of_rank = np.unique(longer, return_inverse=True)
    low, high = np.split(_values_of(prefixes)[of_rank], 2)
    share = places - np.floor(places)
    found: Floats = low + (high - low) * share
    return found


def _count(
    bits: NDArray[np.uint64], known: int, prefixes: NDArray[np.uint64], counts: NDArray[np.int64]
) -> None:
    """Count values that begin with each prefix by their next bits."""
    rest = 64 - known - _STEP
    begins = bits >> np.uint64(rest + _STEP) if known else np.zeros(len(bits), np.uint64)
    digits = (bits >> np.uint64(rest)) & np.uint64((1 << _STEP) - 1)
    for number, prefix in enumerate(prefixes):
        counts[number] += np.bincount(
            digits[begins == prefix].astype(np.int64), minlength=1 << _STEP
        )


def _bits_of(values: Floats) -> NDArray[np.uint64]:
    """Return the finite values as whole numbers in the same order."""
    bits = (values[np.isfinite(values)] + 0.0).view(np.uint64)  # -0 is 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _values_of(bits: NDArray[np.uint64]) -> Floats:
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float64)
