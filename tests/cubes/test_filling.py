"""Chips come in any order and in any batches; cubes come out whole."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.cubes.filling import fill_cubes
from stacchip.errors import AssetNotFound
from stacchip.sources.training_bands import get_platform

PLATFORM = get_platform("somewhere", ["red", "green"])


@dataclass
class Batch:
    """The parts of a `ChipBatch` that filling uses; each chip holds its row and its band."""

    rows: np.ndarray
    bands: tuple[str, ...] = ("red", "green")

    def __post_init__(self) -> None:
        self.rows = np.asarray(self.rows, np.int64)
        of_band = {"red": 0.0, "green": 0.5, "nir": 0.25}
        pixels = self.rows[:, None] + np.array([of_band[name] for name in self.bands])
        self.array = np.broadcast_to(pixels[:, :, None, None], (*pixels.shape, 2, 2))
        self.array = self.array.astype(np.float32)
        self.valid = self.array % 3 != 0.5  # each chip's own, by its row and its band
        self.keys = [SimpleNamespace(item_id=f"item-{row}") for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)


def table_of(count: int) -> pa.Table:
    return pa.table({"row": np.arange(count)})


def require_cube(cube, rows: list[int]) -> None:
    assert cube.pixels.dtype == np.float32
    assert cube.pixels[:, 0, 0, 0].tolist() == rows
    assert cube.pixels[:, 1, 1, 1].tolist() == [row + 0.5 for row in rows]
    assert cube.table["row"].to_pylist() == rows
    np.testing.assert_array_equal(cube.valid, cube.pixels % 3 != 0.5)


@settings(deadline=None)
@given(st.data())
def test_every_chip_is_in_its_slot_whatever_the_batches(data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    numbers = data.draw(st.permutations(range(10, 10 + len(sizes))))
    rows = data.draw(st.permutations(range(sum(sizes))))
    batches = []
    while rows:
        count = data.draw(st.integers(1, len(rows)))
        batches.append(Batch(rows[:count]))
        rows = rows[count:]
    by_number = dict(zip(numbers, sizes, strict=True))

    cubes = {
        cube.number: cube
        for cube in fill_cubes(iter(batches), by_number, table_of(sum(sizes)), PLATFORM)
    }

    assert sorted(cubes) == sorted(numbers)
    start = 0
    for number, size in by_number.items():
        require_cube(cubes[number], list(range(start, start + size)))
        start += size


def test_a_cube_comes_as_soon_as_it_is_full():
    taken = []

    def batches():
        for rows in ([0, 4], [1, 2, 3], [5]):
            taken.append(rows)
            yield Batch(rows)

    cubes = fill_cubes(batches(), {7: 4, 8: 2}, table_of(6), PLATFORM)
    assert next(cubes).number == 7
    assert taken == [[0, 4], [1, 2, 3]]
    assert [cube.number for cube in cubes] == [8]


def test_a_batch_that_is_a_cube_is_not_copied():
    batch = Batch([0, 1, 2])
    (cube,) = fill_cubes(iter([batch]), {0: 3}, table_of(3), PLATFORM)
    assert cube.pixels is batch.array
    assert cube.valid is batch.valid


def test_chips_without_valid_pixels_make_cubes_without():
    batches = [Batch([1]), Batch([0, 2])]
    for batch in batches:
        batch.valid = None
    (cube,) = fill_cubes(iter(batches), {0: 3}, table_of(3), PLATFORM)
    assert cube.valid is None


@pytest.mark.parametrize(
    "batch",
    [
        Batch([2, 0, 1]),
        Batch([0, 1, 2], ("green", "red")),
        Batch([0, 1, 2], ("red", "nir", "green")),
    ],
    ids=["other order", "other bands", "more bands"],
)
def test_a_batch_in_another_order_is_put_in_order(batch):
    (cube,) = fill_cubes(iter([batch]), {0: 3}, table_of(3), PLATFORM)
    require_cube(cube, [0, 1, 2])


def test_batches_of_other_bands_meet_in_one_cube():
    batches = [Batch([1], ("green", "red")), Batch([0, 2])]
    (cube,) = fill_cubes(iter(batches), {0: 3}, table_of(3), PLATFORM)
    require_cube(cube, [0, 1, 2])


def test_a_missing_band_names_the_item():
    with pytest.raises(AssetNotFound, match="item-1") as caught:
        list(fill_cubes(iter([Batch([0]), Batch([1], ("red",))]), {0: 2}, table_of(2), PLATFORM))
    assert caught.value.asset == "green"


def test_a_cube_whose_chips_do_not_all_come_does_not_come_out():
    cubes = fill_cubes(iter([Batch([0, 1, 3])]), {0: 2, 1: 2}, table_of(4), PLATFORM)
    assert [cube.number for cube in cubes] == [0]
