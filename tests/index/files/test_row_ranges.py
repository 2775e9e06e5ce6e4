"""Ranges of rows, compared with sets of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stacchip.index.files.row_ranges import NO_ROWS, RowRanges

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=8)
MOST = 60


def rows_in(pairs: list[tuple[int, int]]) -> set[int]:
    return {row for first, rows in pairs for row in range(first, first + rows)}


def ranges_of(pairs: list[tuple[int, int]]) -> RowRanges:
    return RowRanges.of([first for first, _ in pairs], [rows for _, rows in pairs])


def pairs_of(ranges: RowRanges) -> list[tuple[int, int]]:
    return list(zip(ranges.first.tolist(), (ranges.stop - ranges.first).tolist(), strict=True))


@given(PAIRS, PAIRS)
def test_ranges_are_the_rows_that_they_were_made_of(one, other):
    found, rows = ranges_of(one), sorted(rows_in(one))
    assert sorted(rows_in(pairs_of(found))) == rows
    assert found.rows == len(rows)
    assert bool(found) == bool(rows)
    assert (found.first[1:] > found.stop[:-1]).all()
    assert pairs_of(RowRanges.of_rows(np.array(rows, np.int64))) == pairs_of(found)
    assert RowRanges.of_rows(np.array(rows, np.int64)).digest == found.digest
    assert rows_in(pairs_of(found.join(ranges_of(other)))) == rows_in(one) | rows_in(other)
    assert pairs_of(found.join(NO_ROWS)) == pairs_of(found)


@given(PAIRS, st.integers(0, MOST), st.integers(0, MOST))
def test_the_rows_that_are_left_have_numbers_of_their_own(pairs, start, stop):
    removed, gone = ranges_of(pairs), rows_in(pairs)
    left = [row for row in range(MOST) if row not in gone]
    assert removed.find_left(np.arange(len(left))).tolist() == left
    before = [len([row for row in gone if row < each]) for each in range(MOST)]
    assert removed.count_before(np.arange(MOST)).tolist() == before
    start, stop = min(start, stop), max(start, stop)
    assert removed.rows_left(start, stop).tolist() == [r for r in left if start <= r < stop]
