"""The order of an epoch: a function of the selection, the seed and the epoch alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Literal

import numpy as np

from stacchip.errors import UsageError
from stacchip.stream.plan.permuted import PermutedSequence
from stacchip.stream.plan.segments import LANES, Rounds, Segment, cut_lanes
from stacchip.stream.plan.sequence import ChipSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import AreaShape
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.shares import Left

Order = Literal["index", "blocks", "shuffle"]
ORDERS = ("index", "blocks", "shuffle")

# A shuffle opens no more areas than 64 by itself if they take over half of the memory, and fewer if
# they take over three quarters: the blocks of the next ones are decoded ahead.
_MOST_SHARE = 3 / 4
_EASY_SHARE = 1 / 2
_MOST_OPEN = 256


@dataclass(frozen=True)
class Ordering:
    """A way to order chips.

    Attributes:
        order: `"index"` as in the index; `"blocks"` area by area; `"shuffle"` at random, out of
            many areas at once.
        seed: Seed of the shuffle.
        epoch: Number of the epoch. Each has a different shuffle.
        open_areas: Number of areas that a shuffle draws from at once, over all processes; None if
            it draws from all.
    """

    order: Order
    seed: int
    epoch: int
    open_areas: int | None

    def sequences(
        self, table: ChipTable, kinds: Sequence[tuple[int, ...]]
    ) -> tuple[ChipSequence, ...]:
        """Return the sequence of each kind."""
        if self.order != "shuffle":
            return tuple(ChipSequence(table, classes) for classes in kinds)
        draws = [(self.seed, self.epoch, number) for number in range(len(kinds))]
        if self.open_areas is None:
            return tuple(map(PermutedSequence, repeat(table), kinds, draws))
        together = max(1, self.open_areas // LANES)
        return tuple(map(ChipSequence, repeat(table), kinds, draws, repeat(together)))

    def lanes(self, sequences: Sequence[ChipSequence]) -> Left:
        """Return the lanes of each kind at the beginning of the epoch."""
        return [self.cut(0, len(sequence)) for sequence in sequences]

    def cut(self, start: int, stop: int) -> list[Segment]:
        """Return the lanes of a part of a sequence."""
        if self.order != "shuffle":
            return [Segment(start, stop, 0)]
        most = LANES if self.open_areas is None else self.open_areas
        open_lanes = 1 << (min(max(most, 1), LANES).bit_length() - 1)
        return cut_lanes(start, stop, open_lanes)

    def places(self, count: int) -> NDArray[np.int64]:
        """Return the places in a part of a sequence, from 0, in the order in which it is read."""
        segments = self.cut(0, count)
        rounds, places = Rounds(segments), np.empty(count, np.int64)
        for number, segment in enumerate(segments):
            chips = np.arange(len(segment))
            is_forward = segment.end >= segment.begin
            own = segment.begin + chips if is_forward else segment.begin - 1 - chips
            places[rounds.places(number, chips)] = own
        return places


def require_order(order: str) -> None:
    """Refuse an order that there is not.

    Raises:
        UsageError: It is none.
    """
    if order not in ORDERS:
        raise UsageError(f"order is one of {', '.join(ORDERS)}; not {order!r}.")


def find_open_areas(
    shapes: Sequence[AreaShape], kinds: Sequence[tuple[int, ...]], memory_bytes: int
) -> int:
    """Return how many areas of each kind a shuffle draws from: as many as one process can hold.

    The number is a power of two up to 256. Many processes have more memory in all; but the order
    may not depend on their number.
    """
    parts = [max(shapes[number].part_bytes for number in classes) for classes in kinds]
    size = sum(parts)
    count = LANES
    while count > 1 and count * size > _MOST_SHARE * memory_bytes:
        count //= 2
    while count >= LANES and count < _MOST_OPEN and 2 * count * size <= _EASY_SHARE * memory_bytes:
        count *= 2
    return count
