"""Chips and the blocks that hold their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from stacchip.grid.geobox import make_geobox
from stacchip.grid.nearest import grid_map, make_grid_map
from stacchip.grid.window import Window
from stacchip.stream.read.cutting import _find

UTM = "EPSG:32629"


@pytest.mark.parametrize("seed", range(60))
def test_the_block_that_holds_all_pixels_of_a_chip_is_found(seed):
    rng = np.random.default_rng(seed)
    grid = make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), tuple(rng.integers(20, 70, 2)))
    size = float(rng.choice([5, 10, 15, 20, 30, 60]))
    left, top = rng.integers(-30, 30, 2) * 10
    place = Affine(size, 0, 6e5 + left, 0, -size, 4e6 + top)
    raster = make_geobox(UTM, place, tuple(rng.integers(4, 60, 2)))
    chip = Window(*rng.integers(-20, 50, 2), *rng.integers(1, 40, 2))
    height, width = (int(n) for n in rng.integers(3, 40, 2))
    mapped = make_grid_map(raster, grid)
    cut, found = mapped.cut(chip), _find(mapped, chip, (height, width))
    assert (found is None) == (cut is None)
    if found is None:
        return
    assert found[0].window == cut.window
    _, block, part = found
    window = cut.window
    blocks = {
        (row // height, col // width)
        for row in range(window.row, window.row_stop)
        for col in range(window.col, window.col_stop)
    }
    assert block == (blocks.pop() if len(blocks) == 1 else None)
    if block is not None:
        numbers = np.arange(np.prod(raster.shape.yx)).reshape(1, *raster.shape.yx)
        y, x = block[0] * height, block[1] * width
        pixels = numbers[:, y : y + height, x : x + width]
        np.testing.assert_array_equal(pixels[part], numbers[:, *window.slices])


def test_a_chip_in_a_block_of_the_grid_itself_is_a_part_of_it():
    grid = make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), (30, 40))
    found = _find(grid_map(grid, grid), Window(8, 24, 8, 8), (16, 16))
    assert found is not None
    assert found[1:] == ((0, 1), (slice(None), slice(8, 16), slice(8, 16)))
