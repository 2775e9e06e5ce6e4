"""A braid: the chips of several parts of a mix in one order, in the proportions of the mix.

The order follows a pattern that repeats, such as 0 1 0 2 for the shares 1/2, 1/4 and 1/4. Up to any
place in it, the chips of each part differ by less than one from what its share says (R. Tijdeman,
"The chairman assignment problem", 1980). A part that has no more chips is passed over.
"""

from __future__ import annotations

import heapq
import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.draws.strata import share_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Braid"]

_LONGEST: Final = 10_000  # places of a pattern
_SIMPLE: Final = 1000  # shares are taken for fractions with such denominators, if these are near
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
        pattern = np.array(_find_pattern(tuple(shares)))
        self._period = len(pattern)
        self._places = [np.flatnonzero(pattern == strand) for strand in range(len(counts))]

    def _slots(self, strand: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where some chips of a strand come in the pattern, if no strand ended."""
        places = self._places[strand]
        turn, place = np.divmod(numbers, len(places))
        return turn * self._period + places[place]

    def _before(self, strand: int, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many chips of a strand come before some slots."""
        turn, slot = np.divmod(slots, self._period)
        places = self._places[strand]
        found = turn * len(places) + np.searchsorted(places, slot)
        return np.minimum(found, self._counts[strand])

    def steps(self, strand: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places, among all chips, of some chips of a strand."""
        slots = self._slots(strand, numbers)
        steps = numbers.copy()
        for other in range(len(self._counts)):
            if other != strand:
                steps += self._before(other, slots)
        return steps

    def counts(self, place: int) -> list[int]:
        """Return how many chips of each strand come before a place."""
        low, high = 0, (max(self._counts, default=0) + 1) * self._period
        strands = range(len(self._counts))
        while low < high:  # the first slot before which there are so many chips
            middle = (low + high) // 2
            slot = np.array([middle])
            if sum(int(self._before(strand, slot)[0]) for strand in strands) < place:
                low = middle + 1
            else:
                high = middle
        return [int(self._before(strand, np.array([low]))[0]) for strand in strands]

    def strands(self, place: int) -> Iterator[int]:
        """Yield the strands of the chips from a place on."""
        done = self.counts(place)
        following = [
            (int(self._slots(strand, np.array([number]))[0]), strand)
            for strand, number in enumerate(done)
            if number < self._counts[strand]
        ]
        heapq.heapify(following)
        while following:
            _, strand = following[0]
            yield strand
            done[strand] += 1
            if done[strand] < self._counts[strand]:
                turn, place = divmod(done[strand], len(self._places[strand]))
                slot = turn * self._period + int(self._places[strand][place])
                heapq.heapreplace(following, (slot, strand))
            else:
                heapq.heappop(following)


@cache
def _find_pattern(shares: tuple[float, ...]) -> list[int]:
    """Return the strands of a pattern in which each has its share."""
    counts = _find_counts(shares)
    period, strands = sum(counts), len(counts)
    if strands == 1:
        return [0]
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


def _find_counts(shares: tuple[float, ...]) -> list[int]:
    """Return how many places each strand has in a pattern."""
    simple = [Fraction(share).limit_denominator(_SIMPLE) for share in shares]
    period = math.lcm(*(each.denominator for each in simple))
    is_near = all(abs(one - own) < _NEAR for one, own in zip(simple, shares, strict=True))
    if is_near and period <= _LONGEST and sum(simple) == 1:
        return [int(each * period) for each in simple]
    counts = np.maximum(share_out(_LONGEST, np.array(shares)), 1)
    return [int(count) for count in counts]
