"""Stretches of a sequence that are read side by side."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.stream.plan.segments import LANES, Rounds, Segment, cut, cut_lanes

WIDTHS = st.sampled_from([1, 2, 16, 64])


def positions(segment: Segment) -> list[int]:
    if segment.begin <= segment.end:
        return list(range(segment.begin, segment.end))
    return list(range(segment.begin - 1, segment.end - 1, -1))


def read(segments: list[Segment]) -> list[int]:
    """Return the positions in the order of reading, one turn after the other."""
    timed = [
        (segment.start + number, lane, position)
        for lane, segment in enumerate(segments)
        for number, position in enumerate(positions(segment))
    ]
    return [position for _, _, position in sorted(timed)]


@given(st.integers(0, 500), st.integers(0, 500), WIDTHS)
def test_lanes_hold_each_position_once_and_are_equally_long(start, count, width):
    lanes = cut_lanes(start, start + count, width)
    assert sorted(read(lanes)) == list(range(start, start + count))
    assert {len(lane) for lane in lanes} <= {count // LANES, -(-count // LANES)}


@given(st.integers(0, 500), WIDTHS)
def test_no_more_lanes_are_read_side_by_side_than_asked(count, width):
    lanes = cut_lanes(0, count, width)
    for turn in range(max((lane.start + len(lane) for lane in lanes), default=0)):
        assert sum(lane.start <= turn < lane.start + len(lane) for lane in lanes) <= width


def test_neighbours_begin_or_end_at_the_cut_between_them():
    lanes = [(positions(lane)[0], positions(lane)[-1]) for lane in cut_lanes(0, 640, 64)]
    for number, (one, other) in enumerate(pairwise(lanes)):
        end = number % 2  # even lanes begin where the next one begins
        assert other[end] - one[end] == 1


@given(st.integers(0, 300), WIDTHS, st.lists(st.integers(0, 300), min_size=2, max_size=2))
def test_a_part_has_the_chips_between_its_ends(count, width, ends):
    lanes, (start, stop) = cut_lanes(0, count, width), sorted(ends)
    whole = [position for lane in lanes for position in positions(lane)]
    part = cut(lanes, start, stop)
    assert [each for segment in part for each in positions(segment)] == whole[start:stop]


@given(st.integers(1, 300), WIDTHS, st.integers(0, 300))
def test_places_are_those_of_the_turns(count, width, done):
    lanes = cut_lanes(0, count, width)
    rounds, order = Rounds(lanes), read(lanes)
    for number, lane in enumerate(lanes):
        places = rounds.places(number, np.arange(len(lane)))
        assert [order[place] for place in places.tolist()] == positions(lane)
    given_out = rounds.given(min(done, count)).tolist()
    taken = [positions(lane)[:n] for lane, n in zip(lanes, given_out, strict=True)]
    assert sorted(chain(*taken)) == sorted(order[: min(done, count)])
    assert read(rounds.rest(min(done, count))) == order[min(done, count) :]


@pytest.mark.parametrize("processes", [1, 2, 4, 8, 16, 64])
def test_a_round_of_all_processes_has_the_same_chips_whatever_their_number(processes):
    lanes = cut_lanes(0, 64 * 50 + 21, 64)
    total = sum(map(len, lanes))
    ends = [total * number // processes for number in range(processes + 1)]
    orders = [read(cut(lanes, *each)) for each in pairwise(ends)]
    whole, per_process = read(lanes), 64 // processes
    for turn in range(50):
        together = [
            position
            for order in orders
            for position in order[turn * per_process : (turn + 1) * per_process]
        ]
        assert sorted(together) == sorted(whole[turn * 64 : (turn + 1) * 64])
