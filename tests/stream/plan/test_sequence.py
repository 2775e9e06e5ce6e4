"""The sequence of an epoch, found piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.stream.plan.areas import AreaShape
from stacchip.stream.plan.lanes import LanesReading
from stacchip.stream.plan.segments import Segment, cut_lanes
from stacchip.stream.plan.sequence import ChipSequence
from stacchip.stream.plan.shares import Share
from stacchip.stream.plan.wanted_chips import WantedChips
from stream.plan.test_areas import chips_of

SHAPE = AreaShape(256, 256, 1000, 300, 128, 128, 300)  # areas of 16 chips, in parts of 4


@pytest.fixture(scope="module")
def chips() -> WantedChips:
    """Three hundred items of 100 chips in 9 areas: 42 regions, the last of which is short."""
    places = [(f"item-{n:03}", x, y) for n in range(300) for y in range(10) for x in range(10)]
    return chips_of(*places)


def sequence_of(chips: WantedChips, *draw: int, together: int = 1) -> ChipSequence:
    table = chips.tabulate(np.zeros(300, np.int64), [SHAPE])
    return ChipSequence(table, (0,), draw or None, together)


def read(sequence: ChipSequence, begin: int, end: int) -> list[int]:
    return [
        int(chip) for stretch in sequence.stretches(Segment(begin, end, 0)) for chip in stretch.chip
    ]


@pytest.mark.parametrize("together", [1, 4])
def test_every_chip_comes_once_whatever_the_pieces(chips, together):
    sequence = sequence_of(chips, 1, 0, 0, together=together)
    whole = read(sequence, 0, len(sequence))
    assert sorted(whole) == list(range(30_000))
    assert read(sequence, 30_000, 0) == whole[::-1]
    assert read(sequence, 11_111, 22_222) == whole[11_111:22_222]
    assert read(sequence, 22_222, 11_111) == whole[11_111:22_222][::-1]


def test_each_draw_is_another_and_the_same_again(chips):
    orders = [read(sequence_of(chips, *draw), 0, 500) for draw in [(1, 0), (1, 1), (2, 0), (1, 0)]]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_an_area_is_read_part_by_part(chips):
    sequence = sequence_of(chips, 1, 0, 0)
    order = np.array(read(sequence, 0, 30_000))
    areas = sequence.table.area_of(order)
    assert (np.diff(areas) != 0).sum() == 300 * 9 - 1, "areas follow each other"
    parts = np.stack([areas, sequence.table.y[order] // 2, sequence.table.x[order] // 2])
    assert (np.diff(parts) != 0).any(axis=0).sum() == 300 * 25 - 1
    inner = order.reshape(-1, 100)[:, :16]
    assert len({tuple(np.argsort(each)) for each in inner}) > 100, "and chips at random"


def test_areas_that_come_together_are_mixed(chips):
    sequence = sequence_of(chips, 1, 0, 0, together=4)
    areas = sequence.table.area_of(np.array(read(sequence, 0, 4000)))
    assert (areas[1:] == areas[:-1]).mean() < 0.4


def test_chips_of_a_window_come_from_many_items(chips):
    sequence = sequence_of(chips, 1, 0, 0)
    areas = sequence.table.area_of(np.array(read(sequence, 0, 2000)))
    assert len(np.unique(areas)) > 100
    assert len(np.unique(sequence.table.group[areas])) > 40


def test_without_a_draw_chips_come_as_they_lie(chips):
    assert read(sequence_of(chips), 0, 30_000) == list(range(30_000))


def test_chips_that_have_come_are_not_remembered(chips):
    segments = cut_lanes(0, 30_000, 64)
    both, alone = (LanesReading(sequence_of(chips, 1, 0, 0), segments) for _ in range(2))
    visits = both.visits()
    places = [place.chip for place in both.places()]
    assert [place.chip for place in alone.places()] == places
    assert sum(len(visit.chips) for lane in visits for visit in lane) == 30_000
    assert [list(lane) for lane in alone.visits()] == [[]] * 64


@pytest.mark.parametrize("by_row", [True, False])
def test_some_chips_of_a_share_are_found_without_the_others(chips, by_row):
    classes = np.arange(300) % 2
    table = chips.tabulate(classes, [SHAPE, SHAPE], by_row=by_row)
    sequence = ChipSequence(table, (1,))
    segments = (Segment(3000, 9000, 0), Segment(14_000, 10_000, 500), Segment(2000, 2100, 0))
    share = Share(sequence, segments)
    numbers = np.append(np.arange(7, len(share), 64), len(share) - 1)
    assert share.chips_at(numbers).tolist() == share.chips()[numbers].tolist()
