"""Count, mean and variance of values that come in parts, merged without sums of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# values in one part: their float64 copies should stay in the cache
_PART = 1 << 18


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of some values.

    Moments are merged by the formula of Chan, Golub and LeVeque ("Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances", Stanford STAN-CS-79-773, 1979, formula 2.1). A sum
    of squares minus the square of a sum would lose every digit if the deviation is small beside the
    mean.

    Attributes:
        count: Number of values.
        mean: Mean of the values; 0 if there are none.
        deviation: Sum of the squared deviations from the mean.
        minimum: The smallest value; +inf if there are none.
        maximum: The largest value; -inf if there are none.

    Example:
        >>> Moments.of(np.array([1.0, 3.0])).merge(Moments.of(np.array([5.0]))).mean
        3.0
    """

    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Return the moments of values of any shape and real type; none of them may be NaN."""
        flat = values.reshape(-1)
        parts = [cls._of_part(flat[at : at + _PART]) for at in range(0, len(flat), _PART)]
        while len(parts) > 1:  # by pairs: rounding errors grow with the logarithm of the number
            merged = [one.merge(other) for one, other in zip(parts[::2], parts[1::2], strict=False)]
            parts = merged + parts[len(merged) * 2 :]
        return parts[0] if parts else cls()

    @classmethod
    def _of_part(cls, values: NDArray[Any]) -> Self:
        exact = values.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # see `is_beyond_float64`
            mean = float(exact.mean())
            exact -= mean
            # the mean is rounded: its remainder is taken out of the deviation
            rest = float(exact.sum())
            deviation = float(np.dot(exact, exact)) - rest * rest / len(exact)
        return cls(
            len(exact),
            mean + rest / len(exact),
            max(deviation, 0.0),
            float(values.min()),
            float(values.max()),
        )

    def merge(self, other: Moments) -> Self:
        """Return the moments of the values of both."""
        count = self.count + other.count
        if not self.count or not other.count:
            some = self if self.count else other
            return type(self)(count, some.mean, some.deviation, some.minimum, some.maximum)
        step = other.mean - self.mean
        return type(self)(
            count,
            self.mean + step * (other.count / count),
            self.deviation + other.deviation + step * step * (self.count * other.count / count),
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def is_beyond_float64(self) -> bool:
        """True if the values are so large that their mean or deviation is no number of float64.

        Example:
            >>> Moments.of(np.array([-1.7e308, 1.0])).is_beyond_float64
            True
        """
        return not (math.isfinite(self.mean) and math.isfinite(self.deviation))

    @property
    def std(self) -> float:
        """The standard deviation (divided by the count, not count - 1); NaN without values."""
        return math.sqrt(self.deviation / self.count) if self.count else math.nan
