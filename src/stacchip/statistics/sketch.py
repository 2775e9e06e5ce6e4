"""Percentiles of values that are too many to keep and too varied to count, by a KLL sketch.

The sketch is Apache DataSketches' implementation of Karnin, Lang and Liberty, "Optimal Quantile
Approximation in Streams" (FOCS 2016). Sketches can be merged: the error is the same as that of one
sketch that saw all values. The sketch draws random numbers that cannot be seeded, so two runs over
the same values may differ within the error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

K = 4096
"""Size of our sketches: about 4,096 values in the top level, 50 kB in all."""

NAME = "KLL sketch of Apache DataSketches"


class QuantileSketch:
    """A KLL sketch of float64 values, or of float32 values if that is their type.

    Args:
        dtype: Type of the values; all but float32 are kept as float64.
        k: Size of the sketch; the rank error is about 2.3 / k ** 0.9.

    Example:
        >>> sketch = QuantileSketch(np.float32)
        >>> sketch.add(np.arange(1001, dtype=np.float32))
        >>> sketch.percentile([50])
        [500.0]
        >>> sketch.rank_error  # the sketch still keeps all of them
        0.0
    """

    def __init__(self, dtype: Any, k: int = K) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._sketch = _kind(self.dtype)(k)

    def add(self, values: NDArray[Any]) -> None:
        """Add values of any shape; none of them may be NaN."""
        kept = np.float32 if self.dtype == np.float32 else np.float64
        flat = np.ascontiguousarray(values.reshape(-1), kept)
        if len(flat):
            self._sketch.update(flat)

    def merge(self, other: QuantileSketch) -> None:
        """Add the values of another sketch."""
        if other.dtype != self.dtype:
            raise UsageError(f"Statistics of {self.dtype} and of {other.dtype} cannot be merged.")
        self._sketch.merge(other._sketch)

    def percentile(self, percents: Sequence[float]) -> list[float]:
        """Return values of about these ranks, in percent; NaN if there are no values."""
        if self._sketch.is_empty():
            return [math.nan] * len(percents)
        ranks = [percent / 100 for percent in percents]
        return [float(value) for value in self._sketch.get_quantiles(ranks, True)]

    @property
    def rank_error(self) -> float:
        """How far off a percentile's rank may be, as a share of 1, in 99 of 100 cases.

        This is DataSketches' epsilon. It is 0 as long as the sketch keeps every value.
        """
        if not self._sketch.is_estimation_mode():
            return 0.0
        return float(self._sketch.normalized_rank_error(False))

    def to_bytes(self) -> bytes:
        """Return the sketch in DataSketches' format."""
        return bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, dtype: Any, data: bytes) -> Self:
        """Return the sketch that `to_bytes` wrote."""
        sketch = cls(dtype)
        sketch._sketch = _kind(sketch.dtype).deserialize(data)
        return sketch


def _kind(dtype: np.dtype[Any]) -> Any:
    """Return the class of DataSketches for a type.

    Raises:
        UsageError: DataSketches is not installed.
    """
    try:
        import datasketches  # an extra that only imagery of floats needs
    except ImportError as error:
        raise UsageError(
            "Percentiles of floats need DataSketches: pip install 'stacchip[processors]'."
        ) from error
    return (
        datasketches.kll_floats_sketch if dtype == np.float32 else datasketches.kll_doubles_sketch
    )
