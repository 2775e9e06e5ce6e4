"""The course of a process through an epoch: its batches, known before the first chip is read."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stacchip.stream.plan.schedule import InOrder, Proportional
from stacchip.stream.plan.shares import find_shares
from stacchip.stream.plan.visits import Visit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.plan.schedule import Schedule
    from stacchip.stream.plan.sequence import ChipSequence
    from stacchip.stream.plan.shares import Left, Share
    from stacchip.stream.shards import Shard, Uneven


class Batching(NamedTuple):
    """How a process makes batches.

    Attributes:
        size: Chips in a batch.
        drop_last: Leave out batches that are not full.
    """

    size: int
    drop_last: bool = False

    def count(self, chips: int) -> int:
        """Return the number of batches of so many chips of one kind."""
        return chips // self.size if self.drop_last else -(-chips // self.size)


@dataclass(frozen=True, eq=False)
class Course:
    """The batches of one process.

    Attributes:
        shares: Its chips of each kind.
        batching: How it makes batches.
        schedule: The kinds of its batches.
    """

    shares: tuple[Share, ...]
    batching: Batching
    schedule: Schedule

    @classmethod
    def of(cls, shares: Sequence[Share], batching: Batching, uneven: Uneven = "exact") -> Course:
        """Return the course of a process with these shares.

        Batches of an index in its order come in that of their last chips. They come evenly where
        ranks must have the same kinds at the same time, or where a process goes on for several
        others, whose parts it reads side by side.
        """
        counts = [batching.count(len(share)) for share in shares]
        if uneven == "exact" and len(shares) > 1 and all(share.is_rising for share in shares):
            schedule: Schedule = InOrder(shares, batching.size, counts)
        else:
            schedule = Proportional(counts)
        return cls(tuple(shares), batching, schedule)

    @property
    def steps(self) -> int:
        """The number of batches."""
        return sum(self.batching.count(len(share)) for share in self.shares)

    def delivered(self, step: int) -> list[int]:
        """Return how many chips of each kind the batches before a step have."""
        counts = self.schedule.counts(min(step, self.steps))
        return [
            min(count * self.batching.size, len(share))
            for count, share in zip(counts, self.shares, strict=True)
        ]

    def rest(self, step: int) -> Left:
        """Return what is left of each kind at a step."""
        delivered = self.delivered(step)
        return [share.rest(done) for share, done in zip(self.shares, delivered, strict=True)]

    def read(self, step: int = 0) -> CourseReading:
        """Begin to read the batches from a step on."""
        return CourseReading(self, step)


class PlannedBatch(NamedTuple):
    """The chips of a batch.

    Attributes:
        step: Its number among the batches of the process.
        kind: Its kind.
        time: When its first chip comes; the others follow.
        places: The chips.
    """

    step: int
    kind: int
    time: int
    places: list[Place]


class CourseReading:
    """One pass over the batches of a process.

    The time of a chip is its number among all chips, if all batches were full.

    Args:
        course: The batches.
        step: The batch to begin with.
    """

    def __init__(self, course: Course, step: int) -> None:
        self._course = course
        self._step = step
        self._lanes = [
            share.read(done)
            for share, done in zip(course.shares, course.delivered(step), strict=True)
        ]

    def batches(self) -> Iterator[PlannedBatch]:
        """Yield the batches."""
        size = self._course.batching.size
        places = [lanes.places() for lanes in self._lanes]
        for step, kind in enumerate(self._course.schedule.kinds(self._step), self._step):
            yield PlannedBatch(step, kind, step * size, list(islice(places[kind], size)))

    def visits(self) -> Iterator[Visit]:
        """Yield the visits in the order of their first chips; their times are those of batches."""
        own = (
            self._timed(kind, lane)
            for kind, lanes in enumerate(self._lanes)
            for lane in lanes.visits()
        )
        return heapq.merge(*own, key=lambda visit: visit.first)

    def _timed(self, kind: int, visits: Iterator[Visit]) -> Iterator[Visit]:
        size = self._course.batching.size
        most = self._course.batching.count(len(self._course.shares[kind])) * size
        for whole in visits:
            visit = whole.before(most)  # `drop_last` leaves out those after it
            if visit is None:
                continue
            batches, places = np.divmod(visit.times, size)
            steps = self._course.schedule.steps(kind, batches)
            yield Visit(visit.group, visit.chips, steps * size + places)


def what_is_left(
    sequences: Sequence[ChipSequence],
    left: Left,
    shards: Sequence[Shard],
    batching: Batching,
    steps: Sequence[int],
) -> Left:
    """Return what is left of each kind after processes have delivered so many batches each."""
    rests: Left = [[] for _ in sequences]
    for shard, step in zip(shards, steps, strict=True):
        course = Course.of(find_shares(sequences, left, shard), batching, shard.uneven)
        for kind, own in enumerate(course.rest(step)):
            rests[kind] += own
    return rests
