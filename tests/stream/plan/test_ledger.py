"""What is loaded and dropped before each chip."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stacchip.stream.plan.ledger import PIXELS, Drop, LayerBlock, Ledger, Load
from stacchip.stream.plan.visits import Visit, VisitQueue


def block(number: int) -> LayerBlock:
    return LayerBlock(("mine", "a"), "red", PIXELS, 0, number, 0)


class Plans:
    """Blocks of ten bytes for each visit, by number."""

    is_full = False

    def __init__(self, *blocks: tuple[int, ...]) -> None:
        self.blocks = blocks

    def find(self, visit: Visit) -> dict[LayerBlock, int]:
        return {block(number): 10 for number in self.blocks[visit.group]}

    def release(self, position: int) -> None:
        """Keep nothing."""


def visits_of(*spans: tuple[int, int]) -> VisitQueue:
    nothing = np.zeros(2, np.int64)
    return VisitQueue(iter([Visit(n, nothing, np.array(span)) for n, span in enumerate(spans)]))


def run(spans, blocks, *, memory: int, ahead: int) -> tuple[list[str], Ledger]:
    """Say in short what happens before each position: `0+1,2` loads, `3-1` drops."""
    ledger, said = Ledger(visits_of(*spans), Plans(*blocks), memory, ahead), []
    for position in range(max(last for _, last in spans) + 1):
        for step in ledger.advance(position):
            sign = "+" if isinstance(step, Load) else "-"
            numbers = ",".join(str(each.row) for each in step.blocks)
            said.append(f"{position}{sign}{numbers}")
    return said, ledger


def test_a_visit_is_loaded_before_its_first_chip_and_dropped_after_its_last():
    said, ledger = run([(0, 1), (2, 3)], [(1,), (2,)], memory=10, ahead=10)
    assert said == ["0+1", "2-1", "2+2"]
    assert ledger.peak_bytes == 10


def test_the_next_visits_are_loaded_ahead_as_far_as_memory_allows():
    spans, blocks = [(0, 1), (2, 3), (4, 5)], [(1,), (2,), (3,)]
    assert run(spans, blocks, memory=30, ahead=20)[0][:3] == ["0+1", "0+2", "0+3"]
    assert run(spans, blocks, memory=30, ahead=10)[0][:3] == ["0+1", "0+2", "2-1"]
    assert run(spans, blocks, memory=20, ahead=20)[0][:3] == ["0+1", "0+2", "2-1"]


def test_a_block_that_the_next_visit_needs_is_kept():
    said, _ = run([(0, 1), (2, 3)], [(1, 2), (2, 3)], memory=20, ahead=0)
    assert said == ["0+1,2", "2-1", "2+3"]


def test_a_visit_that_begins_is_loaded_even_if_memory_is_full():
    said, ledger = run([(0, 3), (1, 2)], [(1,), (2,)], memory=10, ahead=10)
    assert said == ["0+1", "1+2", "3-2"]
    assert ledger.peak_bytes == 20


def test_a_spare_block_makes_room_for_one_that_is_needed():
    """Block 1 is wanted again by the third visit, and the second needs its memory."""
    said, ledger = run([(0, 0), (1, 1), (2, 2)], [(1,), (2,), (1,)], memory=10, ahead=10)
    assert said == ["0+1", "1-1", "1+2", "2-2", "2+1"]
    assert ledger.peak_bytes == 10


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(0, 10),
            st.sets(st.integers(0, 8), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 200),
    st.integers(0, 100),
)
def test_every_open_visit_has_its_blocks_and_none_is_loaded_twice_at_once(visits, memory, ahead):
    visits = sorted(visits, key=lambda visit: visit[0])
    spans = [(first, first + length) for first, length, _ in visits]
    blocks = [tuple(sorted(each)) for _, _, each in visits]
    ledger = Ledger(visits_of(*spans), Plans(*blocks), memory, ahead)
    held: set[int] = set()
    for position in range(max(last for _, last in spans) + 1):
        for step in ledger.advance(position):
            numbers = {each.row for each in step.blocks}
            if isinstance(step, Drop):
                assert numbers <= held
                held -= numbers
            else:
                assert not numbers & held
                held |= numbers
            assert ledger.held_bytes == 10 * len(held)
        for (first, last), needed in zip(spans, blocks, strict=True):
            if first <= position <= last:
                assert set(needed) <= held
