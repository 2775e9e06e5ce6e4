"""The sequence of an epoch, found piece by piece."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from stacchip.stream.plan.areas import AreaShape
from stacchip.stream.plan.course import Batching, Course
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


@pytest.mark.parametrize("segments", [(Segment(3000, 9000, 0),), (), (Segment(0, 15_000, 0),)])
def test_some_chips_of_a_share_are_found_without_the_others(chips, segments):
    table = chips.tabulate(np.arange(300) % 2, [SHAPE, SHAPE], by_row=True)
    shares = [Share(ChipSequence(table, (kind,)), segments) for kind in (0, 1)]
    every = np.arange(len(table) + 1)
    for share in shares:
        assert share.is_rising
        assert share.chips_at(np.arange(len(share))).tolist() == share.chips().tolist()
        wanted = np.searchsorted(share.chips(), every)
        assert share.count_before(every).tolist() == wanted.tolist()


def test_of_a_kind_without_chips_none_come_before(chips):
    table = chips.tabulate(np.zeros(300, np.int64), [SHAPE, SHAPE], by_row=True)
    assert ChipSequence(table, (1,)).count_before(np.array([0, 5, 30_000])).tolist() == [0, 0, 0]


def test_parts_that_are_read_side_by_side_do_not_rise(chips):
    for by_row, segments in (
        (True, (Segment(0, 5, 0), Segment(5, 9, 0))),
        (True, (Segment(5, 0, 0),)),
        (False, (Segment(0, 5, 0),)),
    ):
        table = chips.tabulate(np.zeros(300, np.int64), [SHAPE], by_row=by_row)
        assert not Share(ChipSequence(table, (0,)), segments).is_rising


def test_the_course_of_several_kinds_holds_no_more_for_more_chips(chips):
    group = np.repeat(np.arange(4), 250_000)
    numbers = np.arange(len(group))
    many = WantedChips(
        chips.groups[:4],
        numbers[::250_000],
        group,
        numbers % 500,
        numbers % 250_000 // 500,
        numbers,
    )
    table = many.tabulate(np.arange(4) % 2, [SHAPE, SHAPE], by_row=True)
    sequences = [ChipSequence(table, (kind,)) for kind in (0, 1)]
    lengths = [len(sequence) for sequence in sequences]
    tracemalloc.start()
    try:
        shares = [Share(each, (Segment(0, len(each), 0),)) for each in sequences]
        course = Course.of(shares, Batching(1))
        kinds = list(islice(course.schedule.kinds(499_990), 20))
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
    assert lengths == [500_000, 500_000]
    assert kinds == [1] * 10 + [0] * 10
    assert course.delivered(600_000) == [350_000, 250_000]
