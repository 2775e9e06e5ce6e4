"""The statistics of one band, of any type."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from stacchip.errors import UsageError
from stacchip.statistics.histogram import Histogram
from stacchip.statistics.moments import Moments
from stacchip.statistics.sketch import NAME, QuantileSketch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    State = Mapping[str, NDArray[Any]]

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class NonFinite:
    """Numbers of pixels that are valid, but not finite: no statistics can count them.

    They come from a division by zero, or from the decibels of a zero, and no nodata value marks
    them.

    Attributes:
        nan: Number of pixels that are NaN.
        positive: Number of pixels that are infinite.
        negative: Number of pixels that are minus infinite.

    Example:
        >>> found = NonFinite.of(np.array([1, np.inf, np.nan, np.nan]))
        >>> found.total, str(found)
        (3, '2 NaN, 1 inf')
    """

    nan: int = 0
    positive: int = 0
    negative: int = 0

    @classmethod
    def of(cls, values: NDArray[Any]) -> NonFinite:
        """Count the values that are not finite, in an array of any shape and real type."""
        nan = int(np.count_nonzero(np.isnan(values)))
        positive = int(np.count_nonzero(np.isposinf(values)))
        return cls(nan, positive, int(np.count_nonzero(np.isneginf(values))))

    @property
    def total(self) -> int:
        """Number of all of them."""
        return self.nan + self.positive + self.negative

    def __add__(self, other: NonFinite) -> NonFinite:
        """Return the counts of both."""
        return NonFinite(
            self.nan + other.nan, self.positive + other.positive, self.negative + other.negative
        )

    def __str__(self) -> str:
        named = {"NaN": self.nan, "inf": self.positive, "-inf": self.negative}
        return ", ".join(f"{count:,} {name}" for name, count in named.items() if count) or "none"


class BandStatistics(Protocol):
    """The statistics of a band's finite values."""

    @property
    def nonfinite(self) -> NonFinite:
        """Numbers of values that were left out because they are not finite."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    @property
    def moments(self) -> Moments:
        """Count, mean, deviation, minimum and maximum."""

    @property
    def rank_error(self) -> float:
        """How far off the rank of a percentile may be, as a share of 1; 0 if it is exact."""

    @property
    def method(self) -> str:
        """The way in which percentiles are found, in words."""

    def add(self, values: NDArray[Any]) -> None:
        """Add values; none of them is nodata."""

    def merge(self, other: BandStatistics) -> None:
        """Add the statistics of other values of the same band."""

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Return the values below which these percentages of all values lie."""

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Return everything that `from_state` needs, as arrays."""


class CountedBand:
    """Statistics of integers of 8 and 16 bits, by a histogram."""

    method: str = "histogram (exact)"
    rank_error: float = 0.0
    nonfinite = NonFinite()  # integers are finite

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.histogram.dtype

    @property
    def moments(self) -> Moments:
        """Count, mean, deviation, minimum and maximum."""
        return self.histogram.moments

    def add(self, values: NDArray[Any]) -> None:
        """Add values of the type, or floats that are whole numbers within its range.

        Raises:
            UsageError: A value is not one of the type.
        """
        self.histogram = self.histogram.add(_as_type(values, self.dtype))

    def merge(self, other: BandStatistics) -> None:
        """Add the statistics of other values of the same band."""
        self.histogram = self.histogram.merge(_same(other, CountedBand, self).histogram)

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Return the values below which these percentages of all values lie."""
        return self.histogram.percentile(percents)

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Return everything that `from_state` needs, as arrays."""
        return {"histogram": self.histogram.counts}

    @classmethod
    def from_state(cls, dtype: np.dtype[Any], state: State) -> CountedBand:
        """Return the statistics that `to_state` described."""
        histogram = Histogram.empty(dtype)
        counts = state["histogram"]
        if (counts.dtype, counts.shape) != (histogram.counts.dtype, histogram.counts.shape):
            raise ValueError(f"{counts.shape} counts of {dtype}")
        return cls(Histogram(dtype, counts))


class SketchedBand:
    """Statistics of floats and wide integers, by merged moments and a sketch."""

    method: str = NAME
    nonfinite = NonFinite()

    def __init__(self, moments: Moments, sketch: QuantileSketch) -> None:
        self.moments = moments
        self.sketch = sketch

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.sketch.dtype

    @property
    def rank_error(self) -> float:
        """How far off the rank of a percentile may be, as a share of 1."""
        return self.sketch.rank_error

    def add(self, values: NDArray[Any]) -> None:
        """Add values; none of them is nodata. Those that are not finite are counted apart.

        Raises:
            UsageError: A finite value is not one of the type, an integer.
        """
        if self.dtype.kind == "f":
            values = _as_type(values, self.dtype)
        finite = np.isfinite(values)
        if not finite.all():
            self.nonfinite += NonFinite.of(values)
            values = values[finite]
        values = _as_type(values, self.dtype)
        self.moments = self.moments.merge(Moments.of(values))
        self.sketch.add(values)

    def merge(self, other: BandStatistics) -> None:
        """Add the statistics of other values of the same band."""
        its = _same(other, SketchedBand, self)
        self.moments = self.moments.merge(its.moments)
        self.sketch.merge(its.sketch)
        self.nonfinite += its.nonfinite

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Return values of about these ranks; the smallest and the largest are exact."""
        found = self.sketch.percentile(percents)
        if not self.moments.count:
            return found
        exact: dict[float, float] = {0: self.moments.minimum, 100: self.moments.maximum}
        return [exact.get(percent, value) for percent, value in zip(percents, found, strict=True)]

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Return everything that `from_state` needs, as arrays."""
        known = self.moments
        return {
            "count": np.array(known.count),
            "moments": np.array([known.mean, known.deviation, known.minimum, known.maximum]),
            "sketch": np.frombuffer(self.sketch.to_bytes(), np.uint8),
            "nonfinite": np.array(
                [self.nonfinite.nan, self.nonfinite.positive, self.nonfinite.negative]
            ),
        }

    @classmethod
    def from_state(cls, dtype: np.dtype[Any], state: State) -> SketchedBand:
        """Return the statistics that `to_state` described.

        Raises:
            UsageError: An earlier version counted values that are not finite.
        """
        moments = Moments(int(state["count"]), *(float(value) for value in state["moments"]))
        # ours are not finite only if the values are too large for them
        if "nonfinite" not in state and not math.isfinite(moments.mean):
            raise UsageError(
                "An earlier version counted pixels that are not finite (infinite or NaN) among the "
                "others."
            )
        self = cls(moments, QuantileSketch.from_bytes(dtype, state["sketch"].tobytes()))
        if "nonfinite" in state:  # earlier versions did not count them
            self.nonfinite = NonFinite(*state["nonfinite"].tolist())
        return self


def new_statistics(dtype: Any) -> CountedBand | SketchedBand:
    """Return statistics without values yet, of the class that suits the type.

    Raises:
        UsageError: The type is neither integer nor float.

    Example:
        >>> new_statistics("uint16").method
        'histogram (exact)'
    """
    try:
        dtype = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{dtype!r} is no type of pixels: {error}.") from error
    if dtype.kind in "ui" and dtype.itemsize <= 2:
        return CountedBand(Histogram.empty(dtype))
    if dtype.kind not in "uif":
        raise UsageError(f"Pixels of type {dtype} have no statistics: give integers or floats.")
    return SketchedBand(Moments(), QuantileSketch(dtype))


def from_state(dtype: np.dtype[Any], state: State) -> CountedBand | SketchedBand:
    """Return the statistics that `to_state` described."""
    kind = CountedBand if "histogram" in state else SketchedBand
    return kind.from_state(dtype, state)


def _as_type(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in a type: floats are rounded to it, and integers must be values of it.

    Raises:
        UsageError: A value is not a value of this integer type.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(invalid="ignore", over="ignore"):  # the comparison finds values beyond it
        converted = values.astype(dtype)
    if dtype.kind == "f" or np.can_cast(values.dtype, dtype):
        return converted
    wrong = converted != values
    if wrong.any():
        raise UsageError(
            f"Some values are not of type {dtype}, such as {values[wrong].flat[0]}: give their "
            "type (dtype=, --dtype), such as float32."
        )
    return converted


def _same(other: Any, kind: type[Kind], ours: BandStatistics) -> Kind:
    if not isinstance(other, kind):
        raise UsageError(f"Statistics of {ours.dtype} and of {other.dtype} cannot be merged.")
    return other
