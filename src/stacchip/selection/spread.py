"""How the numbers of a column are spread, in memory that does not grow with their count.

Up to 200,000 numbers are kept. Of more, a histogram is, whose bins are about 0.05 % of a number
wide. Neither depends on the order of the numbers, or on the parts that they come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Spread"]

_MOST: Final = 200_000
_SHIFT: Final = np.uint64(41)  # leaves the sign, the exponent, and 11 bits of the fraction
_SIGN: Final = np.uint64(1 << 63)


class Spread:
    """Numbers that come in parts."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.float64]] = []
        self._count = 0
        # of each bin that has numbers: how many, the least and the largest
        self._bins = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._least = np.empty(0)
        self._largest = np.empty(0)

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Add numbers; those that are not finite do not count."""
        finite = numbers[np.isfinite(numbers)] + 0.0  # -0 is 0
        self._count += len(finite)
        self._kept.append(finite)
        if sum(map(len, self._kept)) > _MOST:
            self._fill()

    def _fill(self) -> None:
        """Put the numbers that are kept into bins."""
        numbers = np.concatenate(self._kept)
        self._kept = []
        bins = np.concatenate([self._bins, _bin_of(numbers)])
        found, place = np.unique(bins, return_inverse=True)
        ones = np.ones(len(numbers), np.int64)
        counts = np.bincount(place, np.concatenate([self._counts, ones]), len(found))
        least, largest = np.full(len(found), np.inf), np.full(len(found), -np.inf)
        np.minimum.at(least, place, np.concatenate([self._least, numbers]))
        np.maximum.at(largest, place, np.concatenate([self._largest, numbers]))
        self._bins, self._counts = found, counts.astype(np.int64)
        self._least, self._largest = least, largest

    def sample(self) -> NDArray[np.float64]:
        """Return all numbers, or of many 200,000 that are spread alike; in their order."""
        if self._count <= _MOST:
            return np.sort(np.concatenate([np.empty(0), *self._kept]))
        if self._kept:
            self._fill()
        ends = np.cumsum(self._counts)
        ranks = np.linspace(0, self._count - 1, _MOST)
        place = np.searchsorted(ends, ranks, side="right")
        share = (ranks - (ends - self._counts)[place]) / self._counts[place]
        sample: NDArray[np.float64] = (
            self._least[place] + share * (self._largest - self._least)[place]
        )
        return sample


def _bin_of(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bins of numbers, which rise as these do."""
    bits = numbers.view(np.uint64)
    rising = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (rising >> _SHIFT).astype(np.int64)
