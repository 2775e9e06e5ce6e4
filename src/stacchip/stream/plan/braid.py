"""A braid: the chips of several parts of a mix in one order, in the proportions of the mix.

Where shares are simple fractions, the order follows a pattern that repeats, such as 0 1 0 2 for
1/2, 1/4 and 1/4. Up to any place in it, the chips of each part differ by less than one from what
its share says (R. Tijdeman, "The chairman assignment problem", 1980). For other shares, the chips
of each part come at equal intervals, which keeps them within about two chips however long the order
is. A part that has no more chips is passed over.
"""

from __future__ import annotations

import heapq
import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Times = NDArray[np.float64]

__all__ = ["Braid"]

_LONGEST: Final = 10_000  # places of a pattern
_SIMPLE: Final = 1000  # the largest denominator of a share in a pattern
_NEAR: Final = 1e-12


class Braid:
    """Chips of several strands in one order.

    Args:
        counts: The number of chips of each strand.
        shares: The share of each in the order, until it is at its end.

    Example:
        >>> list(Braid([4, 2, 1], (0.5, 0.25, 0.25)).strands(0))
        [0, 1, 2, 0, 0, 1, 0]
    """

    def __init__(self, counts: Sequence[int], shares: Sequence[float]) -> None:
        self._counts = list(counts)
        places = _find_places(tuple(shares))
        self._clock: _Clock = _Intervals(shares) if places is None else _Pattern(places)

    def steps(self, strand: int, numbers: Numbers) -> Numbers:
        """Return the places, among all chips, of some chips of a strand."""
        times = self._clock.times(strand, numbers)
        steps = numbers.copy()
        for other, count in enumerate(self._counts):
            if other != strand:  # at equal times, the strand that is numbered first
                before = self._clock.count(other, times, with_equal=other < strand)
                steps += np.minimum(before, count)
        return steps

    def counts(self, place: int) -> list[int]:
        """Return how many chips of each strand come before a place."""
        found = []
        for strand, count in enumerate(self._counts):
            low, high = 0, count
            while low < high:
                middle = (low + high) // 2
                if int(self.steps(strand, np.array([middle]))[0]) < place:
                    low = middle + 1
                else:
                    high = middle
            found.append(low)
        return found

    def strands(self, place: int) -> Iterator[int]:
        """Yield the strands of the chips from a place on."""
        done = self.counts(place)
        following = [
            (self._time(strand, number), strand)
            for strand, number in enumerate(done)
            if number < self._counts[strand]
        ]
        heapq.heapify(following)
        while following:
            _, strand = following[0]
            yield strand
            done[strand] += 1
            if done[strand] < self._counts[strand]:
                heapq.heapreplace(following, (self._time(strand, done[strand]), strand))
            else:
                heapq.heappop(following)

    def _time(self, strand: int, number: int) -> float:
        return float(self._clock.times(strand, np.array([number]))[0])


class _Clock(Protocol):
    """Says when the chips of each strand come, if no strand ends."""

    def times(self, strand: int, numbers: Numbers) -> Times:
        """Return when some chips of a strand come."""
        ...

    def count(self, strand: int, times: Times, *, with_equal: bool) -> Numbers:
        """Return how many chips of a strand come before some times, or at them."""
        ...


class _Pattern:
    """A pattern that repeats, of which each place is a unit of time.

    Args:
        places: The places of each strand in the pattern.
    """

    def __init__(self, places: Sequence[Numbers]) -> None:
        self._places = places
        self._period = sum(map(len, places))

    def times(self, strand: int, numbers: Numbers) -> Times:
        """Return when some chips of a strand come."""
        places = self._places[strand]
        turn, place = np.divmod(numbers, len(places))
        return (turn * self._period + places[place]).astype(np.float64)

    def count(self, strand: int, times: Times, *, with_equal: bool) -> Numbers:
        """Return how many chips of a strand come before some times, or at them."""
        turn, place = np.divmod(times.astype(np.int64), self._period)
        places = self._places[strand]
        found = np.searchsorted(places, place, side="right" if with_equal else "left")
        return np.asarray(turn * len(places) + found, np.int64)


class _Intervals:
    """Equal intervals; strands of equal shares come one after another.

    Args:
        shares: The share of each strand.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares = list(shares)
        alike = {share: [n for n, other in enumerate(shares) if other == share] for share in shares}
        self._first = [
            (alike[share].index(number) + 0.5) / len(alike[share])
            for number, share in enumerate(shares)
        ]

    def times(self, strand: int, numbers: Numbers) -> Times:
        """Return when some chips of a strand come."""
        return np.asarray((numbers + self._first[strand]) / self._shares[strand], np.float64)

    def count(self, strand: int, times: Times, *, with_equal: bool) -> Numbers:
        """Return how many chips of a strand come before some times, or at them."""
        found = np.floor(times * self._shares[strand] - self._first[strand]).astype(np.int64)
        found = np.maximum(found, 0)
        for _ in range(3):  # the division that makes times is rounded
            at = self.times(strand, found)
            found += (at <= times) if with_equal else (at < times)
        for _ in range(3):
            at = self.times(strand, found - 1)
            found -= ((at > times) if with_equal else (at >= times)) & (found > 0)
        return found


@cache
def _find_places(shares: tuple[float, ...]) -> list[Numbers] | None:
    """Return the places of each strand in a pattern; None if no short pattern has the shares."""
    simple = [Fraction(share).limit_denominator(_SIMPLE) for share in shares]
    is_near = all(abs(one - own) < _NEAR for one, own in zip(simple, shares, strict=True))
    period = math.lcm(*(each.denominator for each in simple))
    if not is_near or min(simple) <= 0 or period > _LONGEST or sum(simple) != 1:
        return None
    counts = [int(each * period) for each in simple]
    pattern = np.array(_find_pattern(counts))
    return [np.flatnonzero(pattern == strand) for strand in range(len(counts))]


def _find_pattern(counts: Sequence[int]) -> list[int]:
    """Return a pattern in which each strand has so many places."""
    period, strands = sum(counts), len(counts)
    if strands == 1:
        return [0] * period
    given, pattern = [0] * strands, []
    for place in range(1, period + 1):
        # in units of 1 / period: how far each strand is behind its share
        behind = [count * place - period * own for count, own in zip(counts, given, strict=True)]
        ready = [
            strand for strand in range(strands) if behind[strand] * (2 * strands - 2) >= period
        ]
        chosen = min(
            ready,
            key=lambda strand: (
                ((2 * strands - 3) * period - (2 * strands - 2) * behind[strand]) / counts[strand]
            ),
        )
        given[chosen] += 1
        pattern.append(chosen)
    return pattern
