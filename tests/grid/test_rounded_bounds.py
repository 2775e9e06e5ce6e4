"""Bounds in float32 hold what the bounds in float64 hold, and hardly more."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.footprints import BBOX
from stacchip.grid.rounded_bounds import ROUNDED_BBOX, round_outwards, rounding_of

degrees = st.floats(-360, 360)
boxes = st.tuples(degrees, degrees, degrees, degrees)


def rounded(west, south, east, north):
    box = {"xmin": west, "ymin": south, "xmax": east, "ymax": north}
    return round_outwards(pa.chunked_array([[box]], BBOX)).to_pylist()[0]


@settings(deadline=None)
@given(boxes)
@example((-180.0, -90.0, 180.0, 90.0))
@example((1e-50, -1e-50, 1e-50, -1e-50))
@example((179.99999999, 89.99999999, 180.00000001, 90.00000001))
def test_rounded_bounds_hold_the_true_ones_and_lie_within_a_step_of_float32(sides):
    west, south, east, north = rounded(*sides).values()
    assert west <= sides[0]
    assert south <= sides[1]
    assert east >= sides[2]
    assert north >= sides[3]
    for true, side in zip(sides, (west, south, east, north), strict=True):
        assert abs(true - side) <= rounding_of(side)


@settings(deadline=None)
@given(boxes)
def test_rounded_bounds_stay_as_they_are(sides):
    once = rounded(*sides)
    assert rounded(*once.values()) == once


def test_the_edges_of_the_world_stay():
    assert rounded(-180.0, -90.0, 180.0, 90.0) == {
        "xmin": -180.0, "ymin": -90.0, "xmax": 180.0, "ymax": 90.0
    }  # fmt: skip


def test_what_has_no_bounds_has_none_rounded():
    boxes = [None, {"xmin": None, "ymin": 1.0, "xmax": math.nan, "ymax": 2.0}]
    bbox = pa.chunked_array([boxes, []], BBOX)
    absent, partly = round_outwards(bbox.slice(0)).to_pylist()
    assert absent is None
    assert partly["ymin"] == 1.0
    assert math.isnan(partly["xmax"])


@pytest.mark.parametrize("kind", [ROUNDED_BBOX, BBOX])
def test_parts_of_a_column_are_rounded_alike(kind):
    boxes = [dict.fromkeys(BBOX.names, 0.1 * number) for number in range(6)]
    whole = pa.chunked_array([boxes[:2], boxes[2:]], BBOX)
    made = round_outwards(whole, kind)
    assert made.type == kind
    assert round_outwards(whole.slice(1, 3), kind).to_pylist() == made.slice(1, 3).to_pylist()


def test_only_numbers_of_float32_may_have_been_rounded():
    assert rounding_of(0.1) == 0
    assert rounding_of(math.nan) == 0
    assert rounding_of(float(np.float32(0.1))) == pytest.approx(7.45e-9, rel=0.01)
    assert rounding_of(-1e300) == 0


# chips of 19 m in New Zealand, where a step of float32 is 1.3 m
LINZ = GeoBox((2560, 2560), Affine(0.075, 0, 2_030_000, 0, -0.075, 5_700_000), "EPSG:2193")


@pytest.mark.parametrize("chip", [(0, 0), (3, 7), (9, 9)])
def test_a_small_chip_has_its_rounded_bounds_and_no_others(chip):
    grid = ChipGrid(LINZ, 256)
    x, y = chip
    made = grid.footprints().bbox[y * grid.x_size + x].as_py()
    assert grid.has_chip_at(x, y, rounded(*made.values()))
    assert grid.misfit(x, y, rounded(*made.values())) == 0
    for other in ((x - 1, y), (x, y - 1), (x + 1, y)):
        assert not grid.has_chip_at(*other, rounded(*made.values()))


def test_exact_bounds_are_compared_exactly():
    grid = ChipGrid(LINZ, 256)
    made = grid.footprints().bbox[0].as_py()
    width = made["xmax"] - made["xmin"]
    moved = {side: value + 0.03 * width * side.startswith("x") for side, value in made.items()}
    assert not grid.has_chip_at(0, 0, moved)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32601", Affine(10, 0, 166_000, 0, -10, 10_240)),  # over the antimeridian
        ("EPSG:3413", Affine(10, 0, -5_120, 0, -10, 5_120)),  # around the pole
        ("EPSG:4326", Affine(0.001, 0, -180, 0, -0.001, 90)),
    ],
)
def test_chips_at_the_edges_of_the_world_have_their_rounded_bounds(crs, transform):
    grid = ChipGrid(GeoBox((1024, 1024), transform, crs), 256)
    for number, made in enumerate(grid.footprints().bbox.to_pylist()):
        y, x = divmod(number, grid.x_size)
        assert grid.has_chip_at(x, y, rounded(*made.values()))
