"""The statistics of one band, whatever its type."""

from __future__ import annotations

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


class BandStatistics(Protocol):
    """What is known of a band's values."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    @property
    def moments(self) -> Moments:
        """Count, mean, deviation, minimum and maximum."""

    @property
    def rank_error(self) -> float:
        """How far off the rank of a percentile may be; 0 where they are exact."""

    @property
    def method(self) -> str:
        """How percentiles are found."""

    def add(self, values: NDArray[Any]) -> None:
        """Add values that may be used."""

    def merge(self, other: BandStatistics) -> None:
        """Add what another has seen of the same band."""

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Values below which so many percent lie."""

    def to_state(self) -> dict[str, NDArray[Any]]:
        """All that is known, as arrays."""


class CountedBand:
    """Statistics by a histogram: of 8 and 16 bit integers."""

    method: str = "histogram (exact)"
    rank_error: float = 0.0

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.histogram.dtype

    @property
    def moments(self) -> Moments:
        """Count, mean, deviation, minimum and maximum."""
        return self.histogram.moments

    def add(self, values: NDArray[Any]) -> None:
        """Add values; floats that are whole numbers of the type will do.

        Raises:
            UsageError: They are not of this type.
        """
        if values.dtype != self.dtype:
            whole = values.astype(self.dtype)
            if not np.array_equal(whole, values):
                raise UsageError(
                    f"The values are said to be {self.dtype}, and some are not: say which type "
                    "they are (--dtype float32)."
                )
            values = whole
        self.histogram = self.histogram.add(values)

    def merge(self, other: BandStatistics) -> None:
        """Add what another has seen of the same band."""
        self.histogram = self.histogram.merge(_same(other, CountedBand, self).histogram)

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Values below which so many percent lie."""
        return self.histogram.percentile(percents)

    def to_state(self) -> dict[str, NDArray[Any]]:
        """All that is known, as arrays."""
        return {"histogram": self.histogram.counts}

    @classmethod
    def from_state(cls, dtype: np.dtype[Any], state: State) -> CountedBand:
        """What `to_state` gave."""
        return cls(Histogram(dtype, state["histogram"]))


class SketchedBand:
    """Statistics by merged moments and a sketch: of floats and of wide integers."""

    method: str = NAME

    def __init__(self, moments: Moments, sketch: QuantileSketch) -> None:
        self.moments = moments
        self.sketch = sketch

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.sketch.dtype

    @property
    def rank_error(self) -> float:
        """How far off the rank of a percentile may be."""
        return self.sketch.rank_error

    def add(self, values: NDArray[Any]) -> None:
        """Add values that may be used."""
        self.moments = self.moments.merge(Moments.of(values))
        self.sketch.add(values)

    def merge(self, other: BandStatistics) -> None:
        """Add what another has seen of the same band."""
        its = _same(other, SketchedBand, self)
        self.moments = self.moments.merge(its.moments)
        self.sketch.merge(its.sketch)

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Values of about these ranks; the smallest and largest are exact."""
        found = self.sketch.percentile(percents)
        exact: dict[float, float] = {0: self.moments.minimum, 100: self.moments.maximum}
        return [exact.get(percent, value) for percent, value in zip(percents, found, strict=True)]

    def to_state(self) -> dict[str, NDArray[Any]]:
        """All that is known, as arrays."""
        known = self.moments
        return {
            "count": np.array(known.count),
            "moments": np.array([known.mean, known.deviation, known.minimum, known.maximum]),
            "sketch": np.frombuffer(self.sketch.to_bytes(), np.uint8),
        }

    @classmethod
    def from_state(cls, dtype: np.dtype[Any], state: State) -> SketchedBand:
        """What `to_state` gave."""
        moments = Moments(int(state["count"]), *(float(value) for value in state["moments"]))
        return cls(moments, QuantileSketch.from_bytes(dtype, state["sketch"].tobytes()))


def new_statistics(dtype: Any) -> CountedBand | SketchedBand:
    """Statistics of no values yet, of the kind that suits their type.

    Example:
        >>> new_statistics("uint16").method
        'histogram (exact)'
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "ui" and dtype.itemsize <= 2:
        return CountedBand(Histogram.empty(dtype))
    if dtype.kind not in "uif":
        raise UsageError(f"There are no statistics of pixels of type {dtype}.")
    return SketchedBand(Moments(), QuantileSketch(dtype))


def from_state(dtype: np.dtype[Any], state: State) -> CountedBand | SketchedBand:
    """The statistics that `to_state` gave."""
    kind = CountedBand if "histogram" in state else SketchedBand
    return kind.from_state(dtype, state)


def _same(other: Any, kind: type[Kind], ours: BandStatistics) -> Kind:
    if not isinstance(other, kind):
        raise UsageError(f"Statistics of {ours.dtype} and of {other.dtype} cannot be merged.")
    return other
