"""Filling chips from rasters of a coarser, finer or shifted grid."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from stacchip.errors import GridMismatch, UsageError
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.geobox import make_geobox
from stacchip.grid.nearest import (
    Axis,
    grid_map,
    make_grid_map,
    nearest_pixels,
    seen_pixels,
    spread,
)
from stacchip.grid.window import Window

HEIGHT, WIDTH = 40, 48
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "float32", "float64", "complex64", "bool")


def pixels_of(dtype, shape):
    values = np.random.default_rng(7).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    return (values > 127)[..., 0] if dtype == "bool" else values.view(dtype)[..., 0]


def chip_of(pixels, rows, cols, dtype):
    """A chip filled by the stream's code; 77 (or True) where nothing was written."""
    out = np.full((HEIGHT, WIDTH), 77, dtype)
    taken = pixels[rows.start : rows.stop, cols.start : cols.stop]
    spread(taken, rows, cols, out)
    return out


def expected(pixels, row_sources, col_sources, dtype):
    out = np.full((HEIGHT, WIDTH), 77, dtype)
    for y, row in enumerate(row_sources):
        for x, col in enumerate(col_sources):
            if row >= 0 and col >= 0:
                out[y, x] = pixels[row, col]
    return out


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("down", "across"), [(1, 1), (2, 2), (1, 4), (4, 1), (8, 8), (3, 6), (2, 3)]
)
def test_pixels_repeat(dtype, down, across):
    pixels = pixels_of(dtype, (60, 60))
    row_sources, col_sources = 5 + np.arange(HEIGHT) // down, 3 + np.arange(WIDTH) // across
    rows, cols = Axis(row_sources).cut(0, HEIGHT), Axis(col_sources).cut(0, WIDTH)
    found = chip_of(pixels, rows, cols, dtype)
    assert same_bits(found, expected(pixels, row_sources, col_sources, dtype))


@pytest.mark.parametrize(
    ("source", "dtype"),
    [("uint8", "uint16"), ("uint8", "uint32"), ("uint8", "int16"), ("int8", "int16"),
     ("uint16", "float32"), ("int16", "int64"), (">u2", "uint16"), (">i2", "int16"),
     ("uint8", ">u2"), ("uint16", ">u4"), (">u2", ">u2"), (">i2", ">i2")],
)  # fmt: skip
@pytest.mark.parametrize("across", [1, 2, 4, 3])
def test_pixels_repeat_in_a_wider_type(source, dtype, across):
    pixels = pixels_of(source, (60, 60))
    sources = np.arange(WIDTH) // across
    rows, cols = Axis(sources).cut(0, HEIGHT), Axis(sources).cut(0, WIDTH)
    found = chip_of(pixels, rows, cols, dtype)
    assert same_bits(found, expected(pixels, sources[:HEIGHT], sources, dtype))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_raster_that_begins_and_ends_inside_the_chip(dtype):
    """Its first and last pixels may be cut: 60 m bands on a 10 m grid of 256 px are."""
    pixels = pixels_of(dtype, (60, 60))
    for first, size, repeat in ((3, 30, 2), (1, 35, 6), (0, 31, 4), (7, 1, 2)):
        sources = np.full(WIDTH, -1)
        sources[first : first + size] = (np.arange(size) + 1) // repeat
        rows, cols = Axis(sources).cut(0, HEIGHT), Axis(sources).cut(0, WIDTH)
        found = chip_of(pixels, rows, cols, dtype)
        assert same_bits(found, expected(pixels, sources[:HEIGHT], sources, dtype))


@pytest.mark.parametrize("first", [-512, -256, -255, 900, 1000, 1400])
def test_a_chip_beyond_the_grid_has_nothing_of_it(first):
    cut = Axis(np.arange(1000) // 2).cut(first, 256)
    expected = [row for row in range(first, first + 256) if 0 <= row < 1000]
    if not expected:
        assert cut is None
    else:
        assert (cut.start, cut.stop) == (expected[0] // 2, expected[-1] // 2 + 1)
        assert cut.place == slice(expected[0] - first, expected[-1] - first + 1)


# --- maps of whole grids

UTM = "EPSG:32629"


def random_grids(seed):
    """A grid, and a raster of another resolution and corner that overlaps it."""
    rng = np.random.default_rng(seed)
    grid = make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), tuple(rng.integers(20, 70, 2)))
    size = float(rng.choice([5, 10, 15, 20, 30, 60]))
    left, top = rng.integers(-30, 30, 2) * 10
    raster = make_geobox(
        UTM, Affine(size, 0, 6e5 + left, 0, -size, 4e6 + top), tuple(rng.integers(4, 60, 2))
    )
    return raster, grid, rng


@pytest.mark.parametrize("seed", range(60))
def test_a_map_fills_a_chip_with_the_nearest_pixels(seed):
    raster, grid, rng = random_grids(seed)
    rows, cols = nearest_pixels(raster, grid)
    pixels = np.arange(1, 1 + 2 * np.prod(raster.shape.yx)).reshape(2, *raster.shape.yx)
    chip = Window(*rng.integers(-20, 50, 2), *rng.integers(1, 40, 2))
    out = np.zeros((2, *chip.shape), pixels.dtype)
    mapped = make_grid_map(raster, grid)
    window = mapped.window(chip)
    if window is not None:
        assert Window(0, 0, *raster.shape.yx).contains(window)
        mapped.fill(chip, pixels[:, *window.slices], out)
    expected = np.zeros_like(out)
    for y in range(chip.height):
        for x in range(chip.width):
            row, col = chip.row + y, chip.col + x
            if not (0 <= row < len(rows) and 0 <= col < len(cols)):
                continue
            if rows[row] >= 0 and cols[col] >= 0:
                expected[:, y, x] = pixels[:, rows[row], cols[col]]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("seed", range(60))
def test_a_cut_names_the_block_that_holds_it_all(seed):
    raster, grid, rng = random_grids(seed)
    chip = Window(*rng.integers(-20, 50, 2), *rng.integers(1, 40, 2))
    height, width = (int(n) for n in rng.integers(3, 40, 2))
    mapped = make_grid_map(raster, grid)
    window, cut = mapped.window(chip), mapped.cut(chip, (height, width))
    assert (cut is None) == (window is None)
    if cut is None:
        return
    blocks = {
        (row // height, col // width)
        for row in range(window.row, window.row_stop)
        for col in range(window.col, window.col_stop)
    }
    assert cut.block == (blocks.pop() if len(blocks) == 1 else None)
    if cut.block is not None:
        numbers = np.arange(np.prod(raster.shape.yx)).reshape(raster.shape.yx)
        top, left = cut.block[0] * height, cut.block[1] * width
        block = numbers[top : top + height, left : left + width]
        np.testing.assert_array_equal(block[cut.part], numbers[window.slices])
    filled = np.zeros(chip.shape, bool)
    filled[cut.rows.place, cut.cols.place] = True
    assert cut.is_whole == filled.all()


def test_a_grid_of_the_same_pixels_maps_one_to_one_even_if_it_is_rotated():
    turned = Affine.translation(6e5, 4e6) * Affine.rotation(20) * Affine.scale(10, -10)
    grid = make_geobox(UTM, turned, (30, 40))
    cut = grid_map(grid, grid).cut(Window(8, 8, 8, 8), (16, 16))
    assert (cut.block, cut.is_whole, cut.rows.repeat, cut.cols.repeat) == ((0, 0), True, 1, 1)
    assert cut.part == (slice(8, 16), slice(8, 16))


def test_bands_of_one_resolution_share_their_map():
    raster, grid, _ = random_grids(1)
    again = make_geobox(UTM, raster.affine, raster.shape.yx)
    assert grid_map(raster, grid) is grid_map(again, grid)


def test_a_map_between_crss_is_refused():
    raster, grid, _ = random_grids(1)
    other = make_geobox("EPSG:32630", raster.affine, raster.shape.yx)
    with pytest.raises(UsageError, match=r"EPSG:32630 and EPSG:32629. Reproject"):
        make_grid_map(other, grid)


# --- pixels that are counted


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("edge", ["drop", "pad"])
def test_seen_pixels_are_those_of_each_chip_one_by_one(seed, edge):
    raster, geobox, rng = random_grids(seed)
    grid = ChipGrid(geobox, int(rng.integers(3, 25)), edge)
    seen = seen_pixels(raster, grid)
    for axis, mapped, chips in zip(
        (seen.rows, seen.cols), nearest_pixels(raster, geobox), (grid.y_size, grid.x_size),
        strict=True,
    ):  # fmt: skip
        for chip in range(chips):
            own = mapped[chip * grid.chip_size : (chip + 1) * grid.chip_size]
            numbers, counts = np.unique(own[own >= 0], return_counts=True)
            entries = axis.entries_of(chip, 0, 10**6)
            assert axis.position[entries].tolist() == numbers.tolist()
            assert axis.weight[entries].tolist() == counts.tolist()
            assert axis.inside[chip] == counts.sum()


@pytest.mark.parametrize("seed", range(40))
def test_sums_of_columns_become_sums_of_chips(seed):
    raster, geobox, rng = random_grids(seed)
    grid = ChipGrid(geobox, int(rng.integers(3, 25)))
    cols = seen_pixels(raster, grid).cols
    mapped = nearest_pixels(raster, geobox)[1]
    first = int(rng.integers(0, raster.shape.x))
    sums = rng.integers(0, 1000, (3, raster.shape.x - first)).astype(np.int32)
    expected = np.zeros((3, grid.x_size), np.int64)
    for col, source in enumerate(mapped[: grid.x_size * grid.chip_size]):
        if source >= first:
            expected[:, col // grid.chip_size] += sums[:, source - first]
    np.testing.assert_array_equal(cols.reduce(sums, first), expected)


def test_parts_that_no_chip_sees_are_not_needed():
    raster = make_geobox(UTM, Affine(10, 0, 6e5 - 100, 0, -10, 4e6), (40, 60))
    grid = ChipGrid(make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), (20, 30)), 10)
    seen = seen_pixels(raster, grid)
    assert not seen.needs(Window(0, 0, 40, 10))
    assert not seen.needs(Window(20, 0, 20, 60))
    assert seen.needs(Window(19, 39, 5, 5))
    assert seen.rows.chips_in(0, 11) == range(2)
    assert seen.rows.chips_in(20, 40) == range(0)
    assert (seen.inside == 100).all()


def test_a_raster_turned_against_the_grid_is_refused():
    turned = Affine.translation(6e5, 4e6) * Affine.rotation(20) * Affine.scale(10, -10)
    grid = ChipGrid(make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), (20, 30)), 10)
    with pytest.raises(GridMismatch, match="turned against the chip grid"):
        seen_pixels(make_geobox(UTM, turned, (20, 30)), grid)
