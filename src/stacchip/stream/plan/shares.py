"""The share of a process: what it delivers of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from stacchip.stream.plan.lanes import LanesReading
from stacchip.stream.plan.segments import Rounds, Segment, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.sequence import ChipSequence
    from stacchip.stream.shards import Shard

Left: TypeAlias = list[list[Segment]]
"""What is left of the sequence of each kind."""


@dataclass(frozen=True, eq=False)
class Share:
    """The chips of a kind that a process delivers.

    Attributes:
        sequence: The sequence of the kind.
        segments: The process's part of it.
        repeated: Number of chips at the end that repeat others.
    """

    sequence: ChipSequence
    segments: tuple[Segment, ...]
    repeated: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    def read(self, start: int = 0) -> LanesReading:
        """Begin to read the lanes, from the chip with this number on."""
        return LanesReading(self.sequence, self.segments, start)

    def chips(self) -> NDArray[np.int64]:
        """Return all chips in the order of delivery."""
        rounds = Rounds(self.segments)
        chips = np.empty(len(self), np.int64)
        for number, segment in enumerate(self.segments):
            places = rounds.places(number, np.arange(len(segment)))
            for stretch in self.sequence.stretches(segment):
                own, places = np.split(places, [len(stretch.chip)])
                chips[own] = stretch.chip
        return chips

    @property
    def is_rising(self) -> bool:
        """True if the chips come in the order of the index: one part of it, read forwards."""
        is_forward = all(segment.begin <= segment.end for segment in self.segments)
        return self.sequence.table.by_row and len(self.segments) <= 1 and is_forward

    def chips_at(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return some chips of a rising share by their numbers in the order of delivery."""
        return self.sequence.chips_at(self._begin + numbers)

    def count_before(self, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many chips of a rising share have lower numbers than some chips."""
        return np.clip(self.sequence.count_before(chips) - self._begin, 0, len(self))

    @property
    def _begin(self) -> int:
        return self.segments[0].begin if self.segments else 0

    def rest(self, count: int) -> list[Segment]:
        """Return what is left when so many chips were delivered, without those that repeat others.

        What is left keeps the order of the share.
        """
        own = len(self) - self.repeated
        segments, repeated = list(self.segments), self.repeated
        while repeated:  # each repeats a chip of an earlier segment
            repeated -= len(segments.pop())
        return Rounds(segments).rest(min(count, own))


def find_shares(sequences: Sequence[ChipSequence], left: Left, shard: Shard) -> tuple[Share, ...]:
    """Return what a process delivers of what is left of each kind."""
    return tuple(
        _find_share(sequence, segments, shard)
        for sequence, segments in zip(sequences, left, strict=True)
    )


def _find_share(sequence: ChipSequence, segments: list[Segment], shard: Shard) -> Share:
    total = sum(map(len, segments))
    start, stop = shard.bounds(total)
    first, last = shard.part(total)
    # chips of the rank itself, and then chips that repeat its last one
    own = cut(segments, start + first, min(start + last, stop))
    repeated = last - max(first, min(last, stop - start)) if total else 0
    if repeated:
        ends = cut(segments, max(stop - 1, 0), max(stop, 1))
        again = (own or ends)[-1]
        place = again.part(len(again) - 1, len(again))
        turn = max((segment.start + len(segment) for segment in own), default=0)
        own += [Segment(place.begin, place.end, turn + number) for number in range(repeated)]
    return Share(sequence, tuple(own), repeated)
