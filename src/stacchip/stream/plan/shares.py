"""The share of a process: what it delivers of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from stacchip.stream.plan.braid import Braid
from stacchip.stream.plan.lanes import LanesReading
from stacchip.stream.plan.segments import Rounds, Segment, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.sequence import ChipSequence
    from stacchip.stream.shards import Shard

Left: TypeAlias = list[list[Segment]]
"""What is left of the sequence of each kind."""


class Braiding(NamedTuple):
    """How the parts of a mix come together.

    Attributes:
        strands: Number of parts that share batches; each kind has so many shares, one after another
            among all.
        parts: Number of parts of a mix that come in batches of their own or share batches.
        shares: The share of each part, if there are several.
        is_until_end: True if the shares hold until a part is at its end, and not for all chips.
    """

    strands: int = 1
    parts: int = 1
    shares: tuple[float, ...] = (1.0,)
    is_until_end: bool = False


UNBRAIDED: Final = Braiding()
"""Chips of all parts are shuffled together."""


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


def find_shares(
    sequences: Sequence[ChipSequence],
    left: Left,
    shard: Shard,
    braiding: Braiding = UNBRAIDED,
) -> tuple[Share, ...]:
    """Return what a process delivers of what is left of each kind.

    Args:
        sequences: The sequences of each kind; of each part of it, if these share batches.
        left: What is left of each.
        shard: The process.
        braiding: How parts come together.
    """
    strands = braiding.strands
    return tuple(
        share
        for first in range(0, len(sequences), strands)
        for share in _share_kind(
            sequences[first : first + strands], left[first : first + strands], shard, braiding
        )
    )


def _share_kind(
    sequences: Sequence[ChipSequence], left: Left, shard: Shard, braiding: Braiding
) -> list[Share]:
    """Return what a process delivers of a kind: a stretch of the order of all its chips."""
    counts = [sum(map(len, segments)) for segments in left]
    total = sum(counts)
    start, stop = shard.bounds(total)
    first, last = shard.part(total)
    # chips of the rank itself, and then chips that repeat its last one
    ends = (start + first, max(start + first, min(start + last, stop)))
    repeated = last - max(first, min(last, stop - start)) if total else 0
    if len(sequences) == 1:
        cuts = [ends]
        of_last = [(max(stop - 1, 0), max(stop, 1))]
    else:
        braid = Braid(counts, braiding.shares)
        cuts = list(zip(*map(braid.counts, ends), strict=True))
        of_last = list(zip(braid.counts(max(stop - 1, 0)), braid.counts(stop), strict=True))
    own = [cut(segments, *each) for segments, each in zip(left, cuts, strict=True)]
    lengths = [high - low for low, high in cuts]
    again = int(np.argmax(lengths if any(lengths) else [high - low for low, high in of_last]))
    if repeated:
        own[again] += _repeat(own[again] or cut(left[again], *of_last[again]), own[again], repeated)
    return [
        Share(sequence, tuple(segments), repeated if strand == again else 0)
        for strand, (sequence, segments) in enumerate(zip(sequences, own, strict=True))
    ]


def _repeat(last: Sequence[Segment], own: Sequence[Segment], times: int) -> list[Segment]:
    """Return segments that repeat the last chip of some, to come after others."""
    place = last[-1].part(len(last[-1]) - 1, len(last[-1]))
    turn = max((segment.start + len(segment) for segment in own), default=0)
    return [Segment(place.begin, place.end, turn + number) for number in range(times)]
