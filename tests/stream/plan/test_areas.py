"""How chips are grouped into areas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stacchip.chipper.index_rows import ChipKey, ChipRows
from stacchip.stream.plan.areas import AreaShape, find_shape
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


def test_an_area_is_the_largest_block_that_is_small_enough():
    layers = [TEN] * 4 + [TWENTY] * 6 + [SIXTY] * 2
    shape = find_shape(layers, 256)
    assert (shape.height, shape.width) == (2048, 2048)
    assert (shape.part_height, shape.part_width) == (1024, 1024)
    assert shape.size_bytes == (4 * 4 + 6 + 2) * 2 * 1024**2
    assert shape.part_bytes == shape.chip_bytes == 12 * 2 * 1024**2
    assert find_shape(layers * 2, 256)[:2] == (2048, 1024), "of whole blocks of 20 m, two parts"


def test_an_area_holds_at_least_a_chip():
    assert find_shape([Blocks(16, 1)], 256)[:2] == (256, 256)


def test_an_area_is_the_smallest_block_if_none_fits():
    assert find_shape([Blocks(8192, 1), Blocks(8192, 2)], 256)[:2] == (8192, 8192)


SHAPE = AreaShape(128, 128, 1000, 300, 64, 64, 300)
ONE = np.zeros(9, np.int64)


def test_chips_are_grouped_by_item_and_block():
    chips = chips_of(("a", 0, 0), ("b", 0, 0), ("a", 1, 1), ("a", 2, 0), ("a", 0, 2))
    table = chips.tabulate(ONE[:2], [SHAPE])
    assert table.row.tolist() == [0, 2, 3, 4, 1]
    assert table.first.tolist() == [0, 2, 3, 4, 5]
    assert table.group.tolist() == [0, 0, 0, 1]
    assert table.area_of(np.arange(5)).tolist() == [0, 0, 1, 2, 3]
    assert table.records(np.array([4, 2])).tolist() == [(1, 0, 0), (3, 2, 0)], "row, x and y"
    assert table.key(1, 3, 5).chipid == "b-3-5"


def test_classes_follow_each_other():
    chips = chips_of(("a", 0, 0), ("b", 0, 0), ("c", 0, 0), ("a", 1, 0))
    table = chips.tabulate(np.array([0, 1, 0]), [SHAPE, SHAPE])
    assert table.row.tolist() == [0, 3, 2, 1]
    assert [each.tolist() for each in table.ranges((0,))] == [[0], [2]]
    assert [each.tolist() for each in table.ranges((1,))] == [[2], [3]]


def test_chips_may_keep_the_order_of_the_index():
    chips = chips_of(("b", 0, 0), ("a", 0, 0), ("b", 1, 0))
    table = chips.tabulate(ONE[:2], [SHAPE], by_row=True)
    assert table.row.tolist() == [0, 1, 2]
    assert table.group.tolist() == [0, 1, 0]


def test_no_chips_make_no_areas():
    table = chips_of().tabulate(ONE[:0], [])
    assert len(table) == len(table.group) == 0


def test_groups_are_numbered_by_their_first_rows():
    chips = chips_of(("z", 0, 0), ("a", 0, 0), ("z", 1, 0))
    assert [group.item_id for group in chips.groups] == ["z", "a"]
    assert chips.group.tolist() == [0, 1, 0]
    assert chips.fingerprint != chips_of(("z", 0, 0), ("a", 0, 0), ("z", 0, 1)).fingerprint


def test_some_chips_are_known_by_their_keys():
    keys = [ChipKey("mine", "z", 64, 3, 4), ChipKey("mine", "a", 64, 1, 2)]
    chips = WantedChips.of_keys([keys[0], keys[1], keys[0]], [7, 5, 7])
    assert chips.group.tolist() == [0, 1, 0]
    assert chips.first_rows.tolist() == [7, 5]
    assert (chips.x.tolist(), chips.row.tolist()) == ([3, 1, 3], [7, 5, 7])
