"""How chips are grouped, and when their areas are visited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from stacchip.chipper.index_rows import ChipRows
from stacchip.stream.plan.areas import AreaShape, find_areas, find_shape
from stacchip.stream.plan.visits import find_visits
from stacchip.stream.plan.wanted_chips import WantedChips


@dataclass
class Blocks:
    """A raster whose blocks are square."""

    side: int
    factor: float
    pixel_bytes: int = 2

    @property
    def block_shape(self) -> tuple[int, int]:
        return self.side, self.side

    @property
    def scale(self) -> tuple[float, float]:
        return self.factor, self.factor


TEN, TWENTY, SIXTY = Blocks(1024, 1), Blocks(1024, 2), Blocks(1024, 6)


def chips_of(*places: tuple[str, int, int], size: int = 64) -> WantedChips:
    items, x, y = zip(*places, strict=True) if places else ((), (), ())
    table = pa.table(
        {
            "platform": pa.array(["mine"] * len(items), pa.string()),
            "item_id": pa.array(items, pa.string()),
            "chip_size": np.full(len(items), size, np.int32),
            "chip_index_x": np.array(x, np.int32),
            "chip_index_y": np.array(y, np.int32),
        }
    )
    return WantedChips.of(ChipRows(table))


def test_an_area_is_the_largest_block_that_fits_24_times_in_memory():
    enough = 24 * (4 * 2 + 2 + 2) * 1024**2  # four blocks of 10 m, one of 20 m, one of 60 m
    shape = find_shape([TEN, TWENTY, SIXTY], 256, enough)
    assert (shape.height, shape.width) == (2048, 2048)
    assert shape.size_bytes * 24 == enough
    assert shape.chip_bytes == 3 * 2 * 1024**2
    assert find_shape([TEN, TWENTY, SIXTY], 256, enough - 24)[:2] == (2048, 1024)


def test_an_area_holds_at_least_a_chip():
    assert find_shape([Blocks(16, 1)], 256, 1 << 30)[:2] == (256, 256)


def test_an_area_is_the_smallest_block_if_none_fits():
    assert find_shape([TEN, TWENTY], 256, 1)[:2] == (1024, 1024)


def test_chips_are_grouped_by_item_and_block():
    chips = chips_of(("a", 0, 0), ("b", 0, 0), ("a", 1, 1), ("a", 2, 0), ("a", 0, 2))
    areas = find_areas(chips, {("mine", 64): AreaShape(128, 128, 1000, 300)})
    assert areas.of_row.tolist() == [0, 3, 0, 1, 2]
    assert areas.sorted_rows.tolist() == [0, 2, 3, 4, 1]
    assert len(areas) == 4
    assert areas.nominal_bytes(np.array([0, 0]), np.array([2, 5])).tolist() == [600, 1000]


def test_no_chips_make_no_areas():
    areas = find_areas(chips_of(), {})
    assert len(areas) == 0
    assert len(find_visits(np.arange(0), areas, 1000)) == 0


def test_groups_are_numbered_by_their_first_rows():
    chips = chips_of(("z", 0, 0), ("a", 0, 0), ("z", 1, 0))
    assert [group.item_id for group in chips.groups] == ["z", "a"]
    assert chips.group.tolist() == [0, 1, 0]
    assert chips.key(2).chipid == "z-1-0"
    assert chips.fingerprint != chips_of(("z", 0, 0), ("a", 0, 0), ("z", 0, 1)).fingerprint


@pytest.mark.parametrize(("memory", "visits"), [(2000, 2), (1000, 4)])
def test_an_area_is_visited_again_if_memory_does_not_hold_it(memory, visits):
    chips = chips_of(("a", 0, 0), ("b", 0, 0), ("a", 1, 1), ("b", 1, 1))
    areas = find_areas(chips, {("mine", 64): AreaShape(128, 128, 1000, 1000)})
    found = find_visits(np.arange(4), areas, memory)
    assert len(found) == visits
    assert sorted(row for each in range(visits) for row in found.rows_of(each)) == [0, 1, 2, 3]
    assert found.first.tolist() == sorted(found.first.tolist())
    assert found.counts.sum() == 4
