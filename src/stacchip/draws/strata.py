"""Strata: the kinds of chips that a draw tells apart, and how many chips each may give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.runtime.key_hash import Hashes

__all__ = ["Quota", "Strata", "Totals", "Weighed", "Weigher", "share_out"]


class Weighed(NamedTuple):
    """Rows of an index, weighed.

    Attributes:
        rows: Their numbers.
        weight: Their weights, from 0 on.
        stratum: The stratum of each.
        place: A hash of the place of each, if chips are drawn by place.
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float32]
    stratum: NDArray[np.uint32]
    place: Hashes | None


class Weigher(Protocol):
    """Weighs the chips of an index."""

    strata: Strata

    def scan(self) -> Iterator[Weighed]:
        """Yield all chosen chips in the order of the index."""
        ...


@dataclass(frozen=True)
class Strata:
    """The strata: each combination of the classes of some columns is one.

    Attributes:
        columns: What is told apart.
        classes: The names of the classes of each.
    """

    columns: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of classes of each column."""
        return tuple(map(len, self.classes))

    @property
    def count(self) -> int:
        """The number of strata."""
        return math.prod(self.shape)

    def by_class(self, column: int, of_stratum: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the values of strata for each class of a column."""
        others = tuple(axis for axis in range(len(self.columns)) if axis != column)
        sums: NDArray[np.float64] = of_stratum.reshape(self.shape).sum(axis=others)
        return sums


@dataclass(frozen=True, eq=False)
class Totals:
    """What the chips of each stratum are together.

    Attributes:
        chips: Their number.
        drawable: The number of those with a weight above 0.
        weight: Their weights together.
        most: The largest weight.
    """

    chips: NDArray[np.int64]
    drawable: NDArray[np.int64]
    weight: NDArray[np.float64]
    most: NDArray[np.float64]

    @classmethod
    def of(cls, strata: int) -> Totals:
        """Return the totals of no chips."""
        counts, sums = (np.zeros((2, strata), kind) for kind in (np.int64, np.float64))
        return cls(counts[0], counts[1], sums[0], sums[1])

    def add(self, weighed: Weighed) -> None:
        """Add further chips."""
        number, weight = weighed.stratum, weighed.weight
        self.chips[:] += np.bincount(number, minlength=len(self.chips))
        self.drawable[:] += np.bincount(number[weight > 0], minlength=len(self.chips))
        self.weight[:] += np.bincount(number, weight, len(self.chips))
        np.maximum.at(self.most, number, weight)


@dataclass(frozen=True, eq=False)
class Quota:
    """What an epoch takes.

    Attributes:
        factor: By stratum: the odds of a chip are its weight times this.
        group: By stratum: the group whose chips have a quota together.
        chips: By group: the number of chips.
        is_capped: True if no chip may come twice.
        asked: By stratum: the share of the epoch that is asked for.
    """

    factor: NDArray[np.float64]
    group: NDArray[np.int64]
    chips: NDArray[np.int64]
    is_capped: bool
    asked: NDArray[np.float64]


def share_out(number: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers in some proportions, which add up to a number.

    Example:
        >>> share_out(10, np.array([0.55, 0.25, 0.2])).tolist()
        [6, 2, 2]
    """
    exact = number * shares / shares.sum()
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    rest = number - int(found.sum())
    found[np.argsort(found - exact, kind="stable")[:rest]] += 1
    return found
