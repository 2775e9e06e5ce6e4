"""The count of each value: with 8 or 16 bits, all statistics follow from it exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stacchip.errors import UsageError
from stacchip.statistics.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# values counted at a time: `bincount` copies them as 8 bytes each, which should stay in the cache
_PART = 1 << 18


@dataclass(frozen=True, eq=False)
class Histogram:
    """The count of each value of an integer type of 8 or 16 bits.

    Attributes:
        dtype: The type.
        counts: The count of each value of the type, from the smallest: 256 or 65,536 counts.

    Example:
        >>> histogram = Histogram.of(np.array([3, 3, 5], np.uint8))
        >>> histogram.moments.mean, histogram.percentile([50])
        (3.6666666666666665, [3.0])
    """

    dtype: np.dtype[Any]
    counts: NDArray[np.int64] = field(repr=False)

    @classmethod
    def empty(cls, dtype: Any) -> Self:
        """Return a histogram of a type without values.

        Raises:
            UsageError: The type has no histogram.
        """
        dtype = np.dtype(dtype)
        if dtype.kind not in "ui" or dtype.itemsize > 2:
            raise UsageError(f"A histogram counts integers of 8 or 16 bits, not {dtype}.")
        return cls(dtype, np.zeros(1 << 8 * dtype.itemsize, np.int64))

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Return the histogram of values of any shape.

        Raises:
            UsageError: Their type has no histogram.
        """
        return cls.empty(values.dtype).add(values)

    @property
    def _lowest(self) -> int:
        return int(np.iinfo(self.dtype).min)

    def add(self, values: NDArray[Any]) -> Self:
        """Return a histogram that counts these values of its type, too.

        Raises:
            UsageError: The values have another type.
        """
        if values.dtype != self.dtype:
            raise UsageError(f"This histogram counts {self.dtype}, not {values.dtype}.")
        counts = self.counts.copy()
        flat = values.reshape(-1)
        for at in range(0, len(flat), _PART):
            part = flat[at : at + _PART].astype(np.intp)
            if self._lowest:
                part -= self._lowest
            counts += np.bincount(part, minlength=len(counts))
        return type(self)(self.dtype, counts)

    def merge(self, other: Histogram) -> Self:
        """Return the histogram of the values of both.

        Raises:
            UsageError: The histograms count different types.
        """
        if other.dtype != self.dtype:
            raise UsageError(f"Statistics of {self.dtype} and of {other.dtype} cannot be merged.")
        return type(self)(self.dtype, self.counts + other.counts)

    @cached_property
    def moments(self) -> Moments:
        """The moments of all values, exact up to the last rounding."""
        present = np.flatnonzero(self.counts)
        if not len(present):
            return Moments()
        counts = [int(count) for count in self.counts[present]]
        values = [int(value) + self._lowest for value in present]
        # Python's whole numbers have any length, so these sums are exact
        count = sum(counts)
        total = sum(n * value for n, value in zip(counts, values, strict=True))
        scaled = sum(
            n * (value * count - total) ** 2 for n, value in zip(counts, values, strict=True)
        )
        deviation = scaled / (count * count)
        return Moments(count, total / count, deviation, float(values[0]), float(values[-1]))

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Return the same percentiles as `numpy.percentile` (linear).

        Args:
            percents: In 0..100.

        Returns:
            A number for each percent; NaN if there are no values.
        """
        upto = np.cumsum(self.counts)
        count = int(upto[-1])
        if not count:
            return [math.nan] * len(percents)
        places = np.asarray(percents, np.float64) / 100 * (count - 1)
        below = np.floor(places).astype(np.int64)
        low, high = (
            np.searchsorted(upto, np.minimum(rank, count - 1), side="right") + self._lowest
            for rank in (below, below + 1)
        )
        found: list[float] = (low + (high - low) * (places - below)).tolist()
        return found
