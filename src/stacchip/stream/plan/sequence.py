"""The sequence of the chips of a kind: every chip once, in an order that is found piece by piece.

A shuffle permutes at two levels. Regions, of up to 64 neighbouring areas each, come at random; of
eight regions that follow each other, the areas come at random; and in an area, the parts that
blocks span, and the chips of each part. So no array is as long as the index, the items of a region
are opened once for it, and the first chip needs no other than those of eight regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.segments import Segment

_REGIONS_TOGETHER: Final = 8


class Stretch(NamedTuple):
    """Chips of a sequence that follow each other.

    Attributes:
        chip: The number of each chip.
        record: Its record in the table.
        group: Its group.
        visit: A number for each chip, the same for chips whose blocks are kept together.
        bundle: A number for each chip that never falls. Visits lie within one bundle.
    """

    chip: NDArray[np.int64]
    record: NDArray[Any]
    group: NDArray[np.int32]
    visit: NDArray[np.int32]
    bundle: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        chip: NDArray[np.int64],
        record: NDArray[Any],
        group: NDArray[np.integer[Any]],
        visit: NDArray[np.integer[Any]],
        bundle: NDArray[np.integer[Any]],
    ) -> Stretch:
        """Return chips with small numbers: a process holds a million of them."""
        numbers = (each.astype(np.int32) for each in (group, visit, bundle))
        return cls(chip, record, *numbers)

    def at(self, places: NDArray[np.intp]) -> Stretch:
        """Return some of the chips."""
        return Stretch._make(values[places] for values in self)

    def take(self, start: int, stop: int) -> Stretch:
        """Return some of the chips, backwards if `stop` lies before `start`."""
        if start <= stop:
            return Stretch._make(values[start:stop] for values in self)
        return Stretch._make(values[stop:start][::-1] for values in self)


@dataclass(frozen=True, eq=False)
class ChipSequence:
    """The sequence of the chips of some classes.

    Attributes:
        table: The chips.
        classes: The classes of the kind.
        draw: Seeds of the shuffle; None to follow the areas.
        areas_together: Number of areas whose chips a shuffle mixes within a lane.
    """

    table: ChipTable
    classes: tuple[int, ...]
    draw: tuple[int, ...] | None = None
    areas_together: int = 1

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def _regions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first area of each region and the one after its last, in the order of the epoch."""
        starts, stops = self.table.ranges(self.classes)
        if self.draw is None:
            return starts, stops
        order = np.random.default_rng(self.draw).permutation(len(starts))
        return starts[order], stops[order]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """The position after the last of each window of regions."""
        starts, stops = self._regions
        first = self.table.first
        ends = np.cumsum(first[stops] - first[starts])
        last = np.arange(_REGIONS_TOGETHER - 1, len(ends), _REGIONS_TOGETHER)
        if len(ends) % _REGIONS_TOGETHER:
            last = np.append(last, len(ends) - 1)
        return ends[last]

    def stretches(self, segment: Segment) -> Iterator[Stretch]:
        """Yield the chips of a segment in the order of reading, bundle by bundle."""
        begin, end = segment.begin, segment.end
        while begin != end:
            is_forward = begin < end
            number = int(np.searchsorted(self._ends, begin - (not is_forward), side="right"))
            low, high = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
            stop = min(end, high) if is_forward else max(end, low)
            chips = self._window(number).take(begin - low, stop - low)
            cuts = np.flatnonzero(np.diff(chips.bundle)) + 1
            yield from map(Stretch, *(np.split(values, cuts) for values in chips))
            begin = stop

    def chips_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the chips at some places of a sequence that follows the areas."""
        firsts, befores = self._begins
        region = np.searchsorted(befores[1:], places, side="right")
        return np.asarray(firsts[region] + places - befores[region], np.int64)

    def count_before(self, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many chips of a sequence that follows the areas have lower numbers."""
        firsts, befores = self._begins
        after = np.searchsorted(firsts, chips, side="right")  # the region after the chip
        region = np.maximum(after - 1, 0)
        inside = chips - np.append(firsts, 0)[region]
        found = np.minimum(befores[region] + np.maximum(inside, 0), befores[after])
        return np.asarray(found, np.int64)

    @cached_property
    def _begins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first chip of each region of a sequence without a draw, and how many come before.

        At the end of the latter is the number of all.
        """
        starts, stops = self._regions
        first = self.table.first
        firsts, counts = first[starts], first[stops] - first[starts]
        return firsts, np.append(0, np.cumsum(counts))

    def between(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the chips of a part of the sequence."""
        parts = [np.empty(0, np.int64)]
        while start < stop:
            number = int(np.searchsorted(self._ends, start, side="right"))
            low, high = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
            parts.append(self._window(number).chip[start - low : stop - low])
            start = high
        return np.concatenate(parts)

    def _window(self, number: int) -> Stretch:
        """Return the chips of a window in their order; the last two windows are kept."""
        if number not in self._kept:
            while len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = self._make_window(number)
            self.table.forget_pages()
        return self._kept[number]

    @cached_property
    def _kept(self) -> dict[int, Stretch]:
        return {}

    def _make_window(self, number: int) -> Stretch:
        regions = slice(number * _REGIONS_TOGETHER, (number + 1) * _REGIONS_TOGETHER)
        starts, stops = (ends[regions] for ends in self._regions)
        areas = np.concatenate([np.arange(*each) for each in zip(starts, stops, strict=True)])
        first = self.table.first
        counts = first[areas + 1] - first[areas]
        offsets = np.cumsum(counts) - counts
        # the number of each chip, and its area's place in the window
        place = np.repeat(np.arange(len(areas)), counts)
        chip = np.arange(counts.sum()) - offsets[place] + first[areas][place]
        group = np.asarray(self.table.group[areas])[place]
        record = self.table.records(chip)
        if self.table.by_row:  # an area comes in pieces, which are visited together
            whole = self._split(record, group, group, areas=True)
            return Stretch.of(chip, record, group, whole, np.zeros_like(chip))
        if self.draw is None:
            return Stretch.of(chip, record, group, place, place)
        chips = Stretch.of(chip, record, group, self._split(record, group, place), place)
        return self._shuffle(chips, (*self.draw, number + 1))

    def _split(
        self,
        record: NDArray[Any],
        group: NDArray[np.integer[Any]],
        within: NDArray[np.integer[Any]],
        *,
        areas: bool = False,
    ) -> NDArray[np.int64]:
        """Return a number for each chip, the same for those of one part of an area.

        Args:
            record: The records of the chips.
            group: Their groups.
            within: A number for each; parts do not go beyond those of one number.
            areas: Number whole areas, and not their parts.
        """
        table = self.table
        sides = [
            (s.height, s.width) if areas else (s.part_height, s.part_width) for s in table.shapes
        ]
        of_chip = table.class_of_group[group]
        sizes = np.array(table.chip_sizes, np.int64)[of_chip]
        height, width = np.array(sides, np.int64)[of_chip].T
        down, across = record["y"] * sizes // height, record["x"] * sizes // width
        rows, cols = int(down.max(initial=0)) + 1, int(across.max(initial=0)) + 1
        _, part = np.unique((within * rows + down) * cols + across, return_inverse=True)
        return part

    def _shuffle(self, chips: Stretch, draw: tuple[int, ...]) -> Stretch:
        """Return the chips of a window at random: areas, parts of areas, and chips of parts."""
        random = np.random.default_rng(draw)
        part = chips.visit
        areas, parts = (int(each.max(initial=-1)) + 1 for each in (chips.bundle, part))
        area, rank = random.permutation(areas)[chips.bundle], random.permutation(parts)[part]
        order = np.lexsort((random.random(len(area)), rank, area))
        bundle = area // self.areas_together
        if self.areas_together > 1:  # chips of several areas by turns, each area in its own order
            counts = np.bincount(area, minlength=areas)
            within = np.arange(len(area)) - (np.cumsum(counts) - counts)[area[order]]
            spread = (within + random.random(len(area))) / counts[area[order]]
            order = order[np.lexsort((spread, bundle[order]))]
        return chips._replace(bundle=bundle.astype(np.int32)).at(order)
