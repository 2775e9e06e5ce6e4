"""Segments: stretches of a kind's sequence, of which lanes and shares are made.

The chips of a kind are numbered along the sequence of an epoch. A shuffle cuts that into lanes,
which are read side by side: in each round, every lane gives its next chip. So a batch holds chips
from everywhere, and each lane goes through its stretch area by area.

Even lanes are read backwards. Two neighbours begin, or end, at the cut between them at the same
time, so that the area through which the cut goes is read once for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

LANES = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a sequence, and when it is read.

    Attributes:
        begin: Where reading begins: forwards, the first position; backwards, the one after it.
        end: Where it ends: forwards, the position after the last; backwards, the last one.
        start: The round in which the first chip comes.
    """

    begin: int
    end: int
    start: int

    def __len__(self) -> int:
        return abs(self.end - self.begin)

    def part(self, start: int, stop: int) -> Segment:
        """Return a part of it, counted in chips in the order of reading.

        Example:
            >>> Segment(10, 0, 5).part(2, 4)
            Segment(begin=8, end=6, start=7)
        """
        sign = 1 if self.end >= self.begin else -1
        return Segment(self.begin + sign * start, self.begin + sign * stop, self.start + start)


def cut_lanes(start: int, stop: int, open_lanes: int) -> list[Segment]:
    """Cut a sequence, or a part of it, into 64 lanes of equal length, to the chip.

    Args:
        start: The first position.
        stop: The position after the last.
        open_lanes: Number of lanes that are read side by side, a power of two up to 64. The others
            follow.

    Example:
        >>> cut_lanes(0, 64_000, 64)[:2]
        [Segment(begin=1000, end=0, start=0), Segment(begin=1000, end=2000, start=0)]
    """
    turns, count = LANES // open_lanes, stop - start
    longest = -(-count // LANES)
    ends = [start + count * number // LANES for number in range(LANES + 1)]
    lanes = []
    for number in range(LANES):
        low, high, begin = ends[number], ends[number + 1], (number % turns) * longest
        lanes.append(Segment(high, low, begin) if number % 2 == 0 else Segment(low, high, begin))
    return lanes


def cut(segments: Iterable[Segment], start: int, stop: int) -> list[Segment]:
    """Return the segments of some of the chips, counted through all segments in their order.

    Example:
        >>> cut([Segment(0, 4, 0), Segment(8, 4, 0)], 3, 6)
        [Segment(begin=3, end=4, start=3), Segment(begin=8, end=6, start=0)]
    """
    found, before = [], 0
    for segment in segments:
        own = max(start - before, 0), min(stop - before, len(segment))
        if own[0] < own[1]:
            found.append(segment.part(*own))
        before += len(segment)
    return found


class Rounds:
    """Segments that are read side by side: in each round, each gives a chip, in their order.

    Args:
        segments: The segments.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = list(segments)
        self._starts = np.array([segment.start for segment in segments], np.int64)
        self._lengths = np.array([len(segment) for segment in segments], np.int64)

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def places(self, number: int, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places, among the chips of all segments, of some chips of one.

        Args:
            number: The segment.
            chips: Which of its chips, counted in the order of reading.
        """
        rounds = (self._starts[number] + chips)[:, None]
        passed = rounds - self._starts
        before = np.clip(passed, 0, self._lengths).sum(axis=1)
        in_round = (passed >= 0) & (passed < self._lengths)
        places: NDArray[np.int64] = before + in_round[:, :number].sum(axis=1)
        return places

    def given(self, count: int) -> NDArray[np.int64]:
        """Return how many chips each segment has given when all together have given `count`."""
        low, high = 0, int((self._starts + self._lengths).max(initial=0))
        while low < high:  # the last round that is over
            middle = (low + high + 1) // 2
            if self._after(middle).sum() <= count:
                low = middle
            else:
                high = middle - 1
        given = self._after(low)
        rest = count - int(given.sum())
        in_round = np.flatnonzero((low >= self._starts) & (given < self._lengths))
        given[in_round[:rest]] += 1
        return given

    def _after(self, rounds: int) -> NDArray[np.int64]:
        return np.clip(rounds - self._starts, 0, self._lengths)

    def rest(self, count: int) -> list[Segment]:
        """Return what is left of the segments when all together have given `count` chips."""
        given = self.given(count).tolist()
        parts = (s.part(done, len(s)) for s, done in zip(self.segments, given, strict=True))
        return [part for part in parts if len(part)]
