"""Lanes that are read side by side: their chips one by one, and the visits that these make up."""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stacchip.stream.plan.segments import Rounds
from stacchip.stream.plan.visits import Visit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stacchip.stream.plan.segments import Segment
    from stacchip.stream.plan.sequence import ChipSequence, Stretch


class Place(NamedTuple):
    """A chip of the table, and where it is.

    Attributes:
        chip: Its number.
        group: Its group.
        row: Its row in the index.
        x: Its column in the grid of its item.
        y: Its row there.
    """

    chip: int
    group: int
    row: int
    x: int
    y: int


class LanesReading:
    """One pass over the lanes of a share: its chips, and the visits that they make up.

    Args:
        sequence: The sequence that the lanes are parts of.
        segments: The lanes.
        start: The number of the first chip to read.
    """

    def __init__(self, sequence: ChipSequence, segments: Sequence[Segment], start: int = 0) -> None:
        self._rounds = Rounds(segments)
        self._given = self._rounds.given(start).tolist()
        self._lanes = [
            _Lane(sequence, segment, done)
            for segment, done in zip(segments, self._given, strict=True)
        ]

    def places(self) -> Iterator[Place]:
        """Yield the chips, a round after the other."""
        segments = self._rounds.segments
        waiting = deque(
            sorted(
                (segment.start + done, number)
                for number, (segment, done) in enumerate(zip(segments, self._given, strict=True))
                if done < len(segment)
            )
        )
        reading: list[int] = []
        turn = 0
        while waiting or reading:
            turn = turn if reading else waiting[0][0]
            while waiting and waiting[0][0] <= turn:
                insort(reading, waiting.popleft()[1])
            for number in tuple(reading):
                lane = self._lanes[number]
                yield lane.next_place()
                if not lane.left:
                    reading.remove(number)
            turn += 1

    def visits(self) -> list[Iterator[Visit]]:
        """Return the visits of each lane; their times are the numbers of the chips in the share.

        Call it before the first chip is asked for: chips that have come are not remembered.
        """
        for lane in self._lanes:
            lane.has_visits = True
        return [self._visits(number) for number in range(len(self._lanes))]

    def _visits(self, number: int) -> Iterator[Visit]:
        lane, begin = self._lanes[number], self._given[number]
        while (stretch := lane.next_stretch()) is not None:
            count = len(stretch.chip)
            times = self._rounds.places(number, np.arange(begin, begin + count))
            begin += count
            order = np.argsort(stretch.visit, kind="stable")
            starts = np.flatnonzero(np.diff(stretch.visit[order], prepend=-1))
            members = np.split(order, starts[1:])
            members.sort(key=lambda chips: int(chips[0]))
            for chips in members:
                yield Visit(int(stretch.group[chips[0]]), stretch.record[chips], times[chips])


class _Lane:
    """One lane. Its chips come twice in one order: as stretches, and then one by one.

    Args:
        sequence: The sequence.
        segment: The part of it.
        done: Number of chips that are not read any more.

    Attributes:
        left: Number of chips that are still to come one by one.
        has_visits: True if they come as stretches, too.
    """

    def __init__(self, sequence: ChipSequence, segment: Segment, done: int) -> None:
        self.left = len(segment) - done
        self.has_visits = False
        self._stretches = sequence.stretches(segment.part(done, len(segment)))
        self._for_visits: deque[Stretch] = deque()
        self._for_places: deque[Stretch] = deque()
        self._next = 0  # in the first of these

    def next_stretch(self) -> Stretch | None:
        """Return the next chips of one bundle; None if there are no more."""
        if not self._for_visits and not self._find():
            return None
        return self._for_visits.popleft()

    def next_place(self) -> Place:
        """Return the next chip; there must be one."""
        if not self._for_places:
            self._find()
        stretch = self._for_places[0]
        number = self._next
        row, x, y = stretch.record[number].item()
        place = Place(int(stretch.chip[number]), int(stretch.group[number]), row, x, y)
        self.left -= 1
        self._next += 1
        if self._next == len(stretch.chip):
            self._for_places.popleft()
            self._next = 0
        return place

    def _find(self) -> bool:
        """Find the next chips of one bundle; return False if there are none."""
        stretch = next(self._stretches, None)
        if stretch is None:
            return False
        if self.has_visits:
            self._for_visits.append(stretch)
        self._for_places.append(stretch)
        return True
