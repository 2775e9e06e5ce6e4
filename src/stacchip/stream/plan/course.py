"""The course of a process through an epoch: its batches, known before the first chip is read."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from stacchip.stream.plan.braid import Braid
from stacchip.stream.plan.schedule import InOrder, Proportional
from stacchip.stream.plan.shares import UNBRAIDED, Braiding, find_shares
from stacchip.stream.plan.visits import Visit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.plan.schedule import Schedule
    from stacchip.stream.plan.sequence import ChipSequence
    from stacchip.stream.plan.shares import Left, Share
    from stacchip.stream.shards import Shard, Uneven


_RATE: Final = 1_000_000


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
        shares: Its chips of each kind; of a kind whose batches have chips of several parts of a
            mix, those of each part.
        batching: How it makes batches.
        schedule: The kinds of its batches.
        braids: The parts of the chips of each kind, if it has several.
    """

    shares: tuple[Share, ...]
    batching: Batching
    schedule: Schedule
    braids: tuple[Braid, ...] = ()

    @classmethod
    def of(
        cls,
        shares: Sequence[Share],
        batching: Batching,
        uneven: Uneven = "exact",
        braiding: Braiding = UNBRAIDED,
    ) -> Course:
        """Return the course of a process with these shares.

        Batches of an index in its order come in that of their last chips. They come evenly where
        ranks must have the same kinds at the same time, or where a process goes on for several
        others, whose parts it reads side by side.
        """
        strands = braiding.strands
        lengths = [len(share) for share in shares]
        of_kind = [lengths[start : start + strands] for start in range(0, len(shares), strands)]
        counts = [batching.count(sum(each)) for each in of_kind]
        if strands > 1:
            braids = tuple(Braid(each, braiding.shares) for each in of_kind)
            return cls(tuple(shares), batching, Proportional(counts), braids)
        is_rising = uneven == "exact" and len(shares) > 1 and braiding.parts == 1
        if is_rising and all(share.is_rising for share in shares):
            schedule: Schedule = InOrder(shares, batching.size, counts)
        else:
            schedule = Proportional(counts, _rates_of_kinds(counts, braiding))
        return cls(tuple(shares), batching, schedule)

    @property
    def steps(self) -> int:
        """The number of batches."""
        return sum(self.batching.count(self._chips(kind)) for kind in range(self._kinds))

    @property
    def strands(self) -> int:
        """The number of shares that batches of a kind have chips of."""
        return len(self.shares) // len(self.braids) if self.braids else 1

    @property
    def _kinds(self) -> int:
        return len(self.shares) // self.strands

    def _chips(self, kind: int) -> int:
        """Return the number of chips of a kind."""
        first = kind * self.strands
        return sum(map(len, self.shares[first : first + self.strands]))

    def _of_shares(self, kind: int, chips: int) -> list[int]:
        """Return how many chips each share of a kind has among the first so many of the kind."""
        first = min(chips, self._chips(kind))
        return self.braids[kind].counts(first) if self.braids else [first]

    def delivered(self, step: int) -> list[int]:
        """Return how many chips of each share the batches before a step have."""
        counts = self.schedule.counts(min(step, self.steps))
        return [
            chips
            for kind, count in enumerate(counts)
            for chips in self._of_shares(kind, count * self.batching.size)
        ]

    def planned(self) -> list[int]:
        """Return how many chips of each share all batches have: `drop_last` leaves some out."""
        size = self.batching.size
        return [
            chips
            for kind in range(self._kinds)
            for chips in self._of_shares(kind, self.batching.count(self._chips(kind)) * size)
        ]

    def times(self, share: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when some chips of a share come: their places if all batches were full."""
        kind, strand = divmod(share, self.strands)
        of_kind = self.braids[kind].steps(strand, numbers) if self.braids else numbers
        batches, places = np.divmod(of_kind, self.batching.size)
        return self.schedule.steps(kind, batches) * self.batching.size + places

    def in_turn(self, kind: int, done: int, places: Sequence[Iterator[Place]]) -> Iterator[Place]:
        """Yield the chips of a kind, those of its shares by turns.

        Args:
            kind: The kind.
            done: Number of chips of the kind that came before.
            places: The chips of each share, without these.
        """
        if not self.braids:
            yield from places[0]
            return
        for strand in self.braids[kind].strands(done):
            yield next(places[strand])

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
        self._delivered = course.delivered(step)
        self._lanes = [
            share.read(done) for share, done in zip(course.shares, self._delivered, strict=True)
        ]

    def batches(self) -> Iterator[PlannedBatch]:
        """Yield the batches."""
        course, size = self._course, self._course.batching.size
        each = [lanes.places() for lanes in self._lanes]
        firsts = range(0, len(each), course.strands)
        places = [
            course.in_turn(kind, sum(self._delivered[own]), each[own])
            for kind, own in enumerate(slice(first, first + course.strands) for first in firsts)
        ]
        for step, kind in enumerate(course.schedule.kinds(self._step), self._step):
            yield PlannedBatch(step, kind, step * size, list(islice(places[kind], size)))

    def visits(self) -> Iterator[Visit]:
        """Yield the visits in the order of their first chips; their times are those of batches."""
        own = (
            self._timed(share, planned, lane)
            for share, (planned, lanes) in enumerate(
                zip(self._course.planned(), self._lanes, strict=True)
            )
            for lane in lanes.visits()
        )
        return heapq.merge(*own, key=lambda visit: visit.first)

    def _timed(self, share: int, planned: int, visits: Iterator[Visit]) -> Iterator[Visit]:
        for whole in visits:
            visit = whole.before(planned)
            if visit is not None:
                times = self._course.times(share, visit.times)
                yield Visit(visit.group, visit.chips, times)


def _rates_of_kinds(counts: Sequence[int], braiding: Braiding) -> list[int] | None:
    """Return how often each kind comes, if each part of a mix has batches of its own.

    Args:
        counts: The number of batches of each kind of each part, part after part within a kind.
        braiding: The rates of the parts; kinds of one part share its rate.
    """
    if not braiding.is_until_end:
        return None
    of_part = [max(sum(counts[part :: braiding.parts]), 1) for part in range(braiding.parts)]
    return [
        max(1, round(_RATE * braiding.shares[part] * count / of_part[part]))
        for part, count in zip(cycle(range(braiding.parts)), counts, strict=False)
    ]


def what_is_left(
    sequences: Sequence[ChipSequence],
    left: Left,
    shards: Sequence[Shard],
    batching: Batching,
    steps: Sequence[int],
    *,
    braiding: Braiding = UNBRAIDED,
) -> Left:
    """Return what is left of each share after processes have delivered so many batches each."""
    rests: Left = [[] for _ in sequences]
    for shard, step in zip(shards, steps, strict=True):
        shares = find_shares(sequences, left, shard, braiding)
        course = Course.of(shares, batching, shard.uneven, braiding)
        for kind, own in enumerate(course.rest(step)):
            rests[kind] += own
    return rests
