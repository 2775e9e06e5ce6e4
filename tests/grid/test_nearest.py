"""Filling chips from rasters of a coarser, finer or shifted grid."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from affine import Affine

from stacchip.errors import GridMismatch, UsageError
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.geobox import make_geobox
from stacchip.grid.nearest import GridMap, grid_map, make_grid_map, nearest_pixels, seen_pixels
from stacchip.grid.window import Window
from turned import turned

HEIGHT, WIDTH = 40, 48
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "float32", "float64", "complex64", "bool")


def pixels_of(dtype, shape):
    values = np.random.default_rng(7).integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    return (values > 127)[..., 0] if dtype == "bool" else values.view(dtype)[..., 0]


def chip_of(pixels, row_sources, col_sources, dtype):
    """A chip (band, y, x) filled by its cut; 77 (or True) where nothing was written."""
    out = np.full((len(pixels), HEIGHT, WIDTH), 77, dtype)
    cut = GridMap((row_sources, col_sources)).cut(Window(0, 0, HEIGHT, WIDTH))
    cut.fill(pixels[:, *cut.window.slices], out)
    return out


def expected(pixels, row_sources, col_sources, dtype):
    out = np.full((len(pixels), HEIGHT, WIDTH), 77, dtype)
    for y, row in enumerate(row_sources):
        for x, col in enumerate(col_sources):
            if row >= 0 and col >= 0:
                out[:, y, x] = pixels[:, row, col]
    return out


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("down", "across"), [(1, 1), (2, 2), (1, 4), (4, 1), (8, 8), (3, 6), (2, 3)]
)
def test_pixels_repeat(dtype, down, across):
    pixels = pixels_of(dtype, (2, 60, 60))
    row_sources, col_sources = 5 + np.arange(HEIGHT) // down, 3 + np.arange(WIDTH) // across
    found = chip_of(pixels, row_sources, col_sources, dtype)
    assert same_bits(found, expected(pixels, row_sources, col_sources, dtype))


@pytest.mark.parametrize(
    ("source", "dtype"),
    [("uint8", "uint16"), ("uint8", "uint32"), ("uint8", "int16"), ("int8", "int16"),
     ("uint16", "float32"), ("int16", "int64"), (">u2", "uint16"), (">i2", "int16"),
     ("uint8", ">u2"), ("uint16", ">u4"), (">u2", ">u2"), (">i2", ">i2")],
)  # fmt: skip
@pytest.mark.parametrize("across", [1, 2, 4, 3])
def test_pixels_repeat_in_a_wider_type(source, dtype, across):
    pixels = pixels_of(source, (2, 60, 60))
    sources = np.arange(WIDTH) // across
    found = chip_of(pixels, sources[:HEIGHT], sources, dtype)
    assert same_bits(found, expected(pixels, sources[:HEIGHT], sources, dtype))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_raster_that_begins_and_ends_inside_the_chip(dtype):
    """Its first and last pixels may be cut: 60 m bands on a 10 m grid of 256 px are."""
    pixels = pixels_of(dtype, (2, 60, 60))
    for first, size, repeat in ((3, 30, 2), (1, 35, 6), (0, 31, 4), (7, 1, 2)):
        sources = np.full(WIDTH, -1)
        sources[first : first + size] = (np.arange(size) + 1) // repeat
        found = chip_of(pixels, sources[:HEIGHT], sources, dtype)
        assert same_bits(found, expected(pixels, sources[:HEIGHT], sources, dtype))


@pytest.mark.parametrize("first", [-512, -256, -255, 900, 1000, 1400])
def test_a_chip_beyond_the_grid_has_nothing_of_it(first):
    sources = np.arange(1000) // 2
    cut = GridMap((sources, sources)).cut(Window(first, 300, 256, 256))
    expected = [row for row in range(first, first + 256) if 0 <= row < 1000]
    if not expected:
        assert cut is None
    else:
        assert (cut.rows.start, cut.rows.stop) == (expected[0] // 2, expected[-1] // 2 + 1)
        assert cut.rows.place == slice(expected[0] - first, expected[-1] - first + 1)
        assert cut.window == Window(expected[0] // 2, 150, cut.rows.stop - cut.rows.start, 128)


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
    cut = make_grid_map(raster, grid).cut(chip)
    if cut is not None:
        assert Window(0, 0, *raster.shape.yx).contains(cut.window)
        cut.fill(pixels[:, *cut.window.slices], out)
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
def test_a_cut_is_whole_if_the_raster_fills_the_chip(seed):
    raster, grid, rng = random_grids(seed)
    chip = Window(*rng.integers(-20, 50, 2), *rng.integers(1, 40, 2))
    cut = make_grid_map(raster, grid).cut(chip)
    filled = np.zeros((1, *chip.shape), bool)
    if cut is not None:
        cut.fill(np.ones((1, *cut.window.shape), bool), filled)
    assert (cut is not None and cut.is_whole) == filled.all()


def test_a_grid_of_the_same_pixels_maps_one_to_one_even_if_it_is_rotated():
    askew = turned((6e5, 4e6), 20, 10, -10)
    grid = make_geobox(UTM, askew, (30, 40))
    cut = grid_map(grid, grid).cut(Window(8, 8, 8, 8))
    assert (cut.window, cut.is_whole) == (Window(8, 8, 8, 8), True)
    assert (cut.rows.repeat, cut.cols.repeat) == (1, 1)


def test_chips_side_by_side_share_the_cut_of_their_rows():
    mapped = GridMap((np.arange(40) // 2, np.arange(40) // 2))
    cut = mapped.cut(Window(8, 8, 8, 8))
    beside, below = mapped.cut(Window(8, 16, 8, 8)), mapped.cut(Window(16, 8, 8, 8))
    assert beside.rows is cut.rows
    assert below.cols is cut.cols
    assert below.rows is not cut.rows


def test_a_pickled_map_cuts_the_same_chips():
    mapped = GridMap((np.arange(40) // 2, np.arange(40) // 4))
    mapped.cut(Window(8, 8, 8, 8))
    again = pickle.loads(pickle.dumps(mapped))
    for chip in (Window(8, 8, 8, 8), Window(20, 12, 8, 8)):
        assert again.cut(chip).window == mapped.cut(chip).window


def test_a_pickle_of_a_map_leaves_its_cuts_out():
    """Other threads may be adding some."""
    mapped = GridMap((np.arange(40) // 2, np.arange(40) // 4))
    before = pickle.dumps(mapped)
    mapped.cut(Window(8, 8, 8, 8))
    assert pickle.dumps(mapped) == before


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
    askew = turned((6e5, 4e6), 20, 10, -10)
    grid = ChipGrid(make_geobox(UTM, Affine(10, 0, 6e5, 0, -10, 4e6), (20, 30)), 10)
    with pytest.raises(GridMismatch, match="turned against the chip grid"):
        seen_pixels(make_geobox(UTM, askew, (20, 30)), grid)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("repeat", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("bands", [1, 3])
def test_bands_that_are_repeated_at_once_fill_chips_of_a_batch(dtype, repeat, bands):
    """A chip is one of a batch, whose memory goes on behind it."""
    side = 48
    pixels = pixels_of(dtype, (bands, 60, 60))
    sources = 3 + np.arange(side) // repeat
    batch = np.full((3, bands, side, side), 77, dtype)
    cut = GridMap((sources, sources)).cut(Window(0, 0, side, side))
    assert cut.rows.repeat == cut.cols.repeat == repeat
    assert cut.is_whole
    # as many pixels as the chip needs out of a larger plane, as a store has them
    cut.fill(pixels[:, *cut.window.slices], batch[1])
    assert same_bits(batch[1], pixels[:, sources[:, None], sources[None]])
    assert (batch[[0, 2]] == np.array(77, dtype)).all()


@pytest.mark.parametrize(
    ("source", "dtype"),
    [("uint8", "uint16"), ("uint8", "int16"), ("uint16", "uint32"), ("uint16", "float32"),
     ("int16", "int32"), (">u2", "uint16"), ("uint8", ">u2"), (">u2", ">u2"), ("bool", "uint8")],
)  # fmt: skip
@pytest.mark.parametrize("repeat", [2, 3, 4])
def test_bands_are_repeated_at_once_in_a_wider_type(source, dtype, repeat):
    pixels = pixels_of(source, (2, 60, 60))
    sources = np.arange(24) // repeat
    out = np.full((2, 24, 24), 77, dtype)
    cut = GridMap((sources, sources)).cut(Window(0, 0, 24, 24))
    cut.fill(pixels[:, *cut.window.slices], out)
    values = pixels[:, sources[:, None], sources[None]]
    assert out.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(out, values.astype(dtype))


@pytest.mark.parametrize("repeat", [2, 3, 4])
def test_the_rest_of_a_chip_stays_if_its_rows_or_columns_are_beyond_the_raster(repeat):
    pixels = pixels_of("uint16", (2, 60, 60))
    inside = np.arange(24) // repeat
    beyond = np.where(np.arange(36) < 24, np.arange(36) // repeat, -1)
    for rows, cols in ((beyond, inside), (inside, beyond), (beyond, beyond)):
        for bands in (1, 2):
            out = np.full((bands, len(rows), len(cols)), 77, "uint16")
            cut = GridMap((rows, cols)).cut(Window(0, 0, len(rows), len(cols)))
            assert not cut.is_whole
            cut.fill(pixels[:bands, *cut.window.slices], out)
            expected = np.full_like(out, 77)
            expected[:, :24, :24] = pixels[:bands, inside[:, None], inside[None]]
            assert same_bits(out, expected)
