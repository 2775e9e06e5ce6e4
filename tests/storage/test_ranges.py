from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stacchip.storage.ranges import join_ranges

ranges = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 300)), max_size=20)


@given(ranges=ranges, gap=st.integers(0, 200), most=st.integers(1, 2000))
def test_every_range_lies_in_exactly_one_join(
    ranges: list[tuple[int, int]], gap: int, most: int
) -> None:
    joins = join_ranges(ranges, largest_gap=gap, largest_join=most)
    served = [i for join in joins for i in join.members]
    assert sorted(served) == [i for i, (_, length) in enumerate(ranges) if length]
    for join in joins:
        for i in join.members:
            start, length = ranges[i]
            assert join.start <= start
            assert start + length <= join.start + join.length
        # only gaps are fetched besides the ranges themselves
        assert join.start == min(ranges[i][0] for i in join.members)
        assert join.start + join.length == max(sum(ranges[i]) for i in join.members)
        assert join.length <= most or len(join.members) == 1


def test_gaps_and_sizes_part_joins() -> None:
    near = [(0, 100), (116, 100)]
    assert len(join_ranges(near, largest_gap=16)) == 1
    assert len(join_ranges(near, largest_gap=15)) == 2
    assert len(join_ranges(near, largest_gap=16, largest_join=215)) == 2
