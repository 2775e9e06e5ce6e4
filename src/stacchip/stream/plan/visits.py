"""Visits: chips whose blocks are kept from the first of them to the last."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Visit:
    """Chips of a part of an area, which need the same blocks.

    Attributes:
        group: Their item and chip size.
        chips: Their records in the table, in the order of delivery.
        times: When each of them comes.
    """

    group: int
    chips: NDArray[Any]
    times: NDArray[np.int64]

    @property
    def first(self) -> int:
        """When the first of them comes."""
        return int(self.times[0])

    @property
    def last(self) -> int:
        """When the last of them comes."""
        return int(self.times[-1])

    def before(self, time: int) -> Visit | None:
        """Return the part of it before a time; None if it begins later."""
        count = int((self.times < time).sum())
        return Visit(self.group, self.chips[:count], self.times[:count]) if count else None

    def split(self) -> list[Visit]:
        """Return a visit for all chips that follow each other without a gap."""
        cuts = np.flatnonzero(np.diff(self.times) > 1) + 1
        parts = zip(np.split(self.chips, cuts), np.split(self.times, cuts), strict=True)
        return [Visit(self.group, chips, times) for chips, times in parts]


class VisitQueue:
    """Visits in the order of their first chips, some of which may be looked at ahead.

    Args:
        visits: The visits in that order.
    """

    def __init__(self, visits: Iterator[Visit]) -> None:
        self._visits = visits
        self._ahead: deque[Visit] = deque()

    def peek(self, count: int) -> list[Visit]:
        """Return the next visits, at most so many."""
        while len(self._ahead) < count:
            visit = next(self._visits, None)
            if visit is None:
                break
            self._ahead.append(visit)
        return [self._ahead[number] for number in range(min(count, len(self._ahead)))]

    def pop(self) -> Visit:
        """Return the next visit, and go on to the one after it."""
        self.peek(1)
        return self._ahead.popleft()


def within_memory(
    visits: Iterator[Visit], size_of: Callable[[Visit], float], memory_bytes: float
) -> Iterator[Visit]:
    """Yield visits such that those open at the same time take about so many bytes at most.

    A visit that would not fit is split: its blocks are read again for chips that come later.

    Args:
        visits: In the order of their first chips.
        size_of: Returns the decoded bytes of a visit's blocks.
        memory_bytes: The bytes allowed.
    """
    open_visits: list[tuple[int, float]] = []  # heap of (last, bytes)
    pieces: list[tuple[int, int, Visit]] = []  # heap of (first, number, chip of a split visit)
    held, number = 0.0, 0
    for visit in visits:
        while pieces and pieces[0][0] < visit.first:
            yield heapq.heappop(pieces)[2]
        while open_visits and open_visits[0][0] < visit.first:
            held -= heapq.heappop(open_visits)[1]
        size = size_of(visit)
        if held + size <= memory_bytes or visit.last - visit.first < len(visit.chips):
            held += size
            heapq.heappush(open_visits, (visit.last, size))
            yield visit
            continue
        for piece in visit.split():
            heapq.heappush(pieces, (piece.first, number := number + 1, piece))
        yield heapq.heappop(pieces)[2]
    while pieces:
        yield heapq.heappop(pieces)[2]
