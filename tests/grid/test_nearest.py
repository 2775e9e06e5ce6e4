"""Filling chips from rasters of a coarser, finer or shifted grid."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.grid.nearest import Axis, spread

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
