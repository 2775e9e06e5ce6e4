"""Footprints are compared with the chips' true outlines, point by point."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from stacchip.errors import LimitExceeded
from stacchip.grid.transform import map_points
from stacchip.index import ChipGrid
from turned import turned

SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"


def grid_of(crs, transform, shape, chip_size=256, edge="drop"):
    return ChipGrid(GeoBox(shape, transform, crs), chip_size, edge)


def outline(grid, x, y, points=97):
    """The true outline of a chip as (longitude, latitude), dense."""
    size = grid.chip_size
    side = np.linspace(0, size, points)
    col = np.concatenate([side, np.full(points, size), side[::-1], np.zeros(points)])
    row = np.concatenate([np.zeros(points), side, np.full(points, size), side[::-1]])
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    col, row = col + x * size, row + y * size
    to_lonlat = pyproj.Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
    return np.stack(to_lonlat.transform(a * col + b * row + c, d * col + e * row + f), axis=-1)


def error_px(grid, x, y):
    """How far a footprint's edges leave the chip's true outline, in pixels of the grid."""
    ring = grid.footprint(x, y).exterior.segmentize(0.001)
    to_grid = pyproj.Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True)
    native = np.stack(to_grid.transform(*np.array(ring.coords).T), axis=-1)
    col, row = map_points(~grid.transform, *native.T)
    square = shapely.box(0, 0, 1, 1).exterior
    unit = np.stack([col / grid.chip_size - x, row / grid.chip_size - y], axis=-1)
    return max(shapely.distance(square, shapely.points(unit))) * grid.chip_size


GRIDS = {
    "UTM at 60 N": grid_of("EPSG:32633", Affine(10, 0, 300_000, 0, -10, 6_700_000), (2560, 2560)),
    "UTM south-up": grid_of("EPSG:32733", Affine(10, 0, 300_000, 0, 10, 6_700_000), (2560, 2560)),
    "UTM rotated": grid_of("EPSG:32633", Affine(7, -7, 400_000, -7, -7, 5_000_000), (2560, 2560)),
    "Antarctic polar stereographic": grid_of(
        "EPSG:3031", Affine(30, 0, -1_200_000, 0, -30, 1_300_000), (2560, 2560)
    ),
    "MODIS sinusoidal": grid_of(
        SINUSOIDAL, Affine(463.3127, 0, 1_111_950, 0, -463.3127, 6_671_703), (2400, 2400)
    ),
    "web Mercator, coarse": grid_of(
        "EPSG:3857", Affine(5000, 0, -8_000_000, 0, -5000, 9_000_000), (2560, 2560)
    ),
    "degrees": grid_of("EPSG:4326", Affine(0.01, 0, 5, 0, -0.01, 60), (2560, 2560)),
    "NZTM": grid_of("EPSG:2193", Affine(0.3, 0, 1_570_000, 0, -0.3, 5_180_000), (2560, 2560)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_edges_stay_within_a_third_of_a_pixel_of_the_true_ones(name):
    grid = GRIDS[name]
    for x in range(0, grid.x_size, 3):
        for y in range(0, grid.y_size, 3):
            assert error_px(grid, x, y) < 0.34


@pytest.mark.parametrize("name", GRIDS)
def test_rings_are_valid_and_run_counterclockwise(name):
    footprints = shapely.from_wkb(GRIDS[name].footprints().wkb.to_pylist())
    assert shapely.is_valid(footprints).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(footprints)).all()


@pytest.mark.parametrize("name", GRIDS)
def test_bounds_are_those_of_the_polygon(name):
    made = GRIDS[name].footprints()
    bounds = shapely.bounds(shapely.from_wkb(made.wkb.to_pylist()))
    found = np.array([list(box.values()) for box in made.bbox.to_pylist()])
    assert np.array_equal(found, bounds)


def test_four_corners_are_enough_where_edges_are_straight():
    assert len(GRIDS["UTM at 60 N"].footprint(0, 0).exterior.coords) == 5
    assert len(GRIDS["MODIS sinusoidal"].footprint(0, 0).exterior.coords) > 5


def test_a_chip_across_the_antimeridian_is_two_polygons_and_not_a_belt():
    grid = grid_of("EPSG:32660", Affine(10, 0, 699_960, 0, -10, 4_000_000), (10980, 10980))
    made = grid.footprints()
    footprints = shapely.from_wkb(made.wkb.to_pylist())
    kinds = np.array([footprint.geom_type for footprint in footprints])
    crossing = kinds == "MultiPolygon"
    assert crossing.any()
    assert (kinds[~crossing] == "Polygon").all()
    assert (shapely.area(footprints) < 0.002).all()
    for footprint in footprints[crossing]:
        west, east = sorted(footprint.geoms, key=lambda part: part.centroid.x)
        assert west.bounds[0] == -180
        assert east.bounds[2] == 180
        assert shapely.is_ccw(shapely.get_exterior_ring([west, east])).all()
    boxes = np.array([list(box.values()) for box in made.bbox.to_pylist()])
    assert (boxes[crossing][:, [0, 2]] == (-180, 180)).all()
    assert (boxes[~crossing][:, 2] - boxes[~crossing][:, 0] < 0.05).all()


def test_the_parts_across_the_antimeridian_have_the_area_of_a_neighbour():
    grid = grid_of("EPSG:32601", Affine(10, 0, 300_000, 0, -10, 7_000_000), (10980, 10980))
    footprints = shapely.from_wkb(grid.footprints().wkb.to_pylist()).reshape(42, 42)
    for row in footprints:
        areas = shapely.area(row)
        assert np.abs(np.diff(areas) / areas[1:]).max() < 0.01


def test_a_grid_that_ends_at_the_antimeridian_does_not_cross_it():
    grid = grid_of("EPSG:4326", Affine(0.1, 0, -180, 0, -0.1, 90), (1800, 3600), chip_size=300)
    footprints = shapely.from_wkb(grid.footprints().wkb.to_pylist())
    assert all(footprint.geom_type == "Polygon" for footprint in footprints)
    assert shapely.area(footprints).sum() == pytest.approx(360 * 180)
    assert shapely.union_all(footprints).equals(shapely.box(-180, -90, 180, 90))


def test_longitudes_from_0_to_360_become_minus_180_to_180():
    grid = grid_of("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 90), (1800, 3600), chip_size=400)
    footprints = shapely.from_wkb(grid.footprints().wkb.to_pylist())
    assert shapely.union_all(footprints).equals(shapely.box(-180, -70, 180, 90))
    assert grid.footprint(4, 0).geom_type == "MultiPolygon"  # 160 to 200


def test_a_chip_wider_than_half_the_globe_is_itself():
    grid = grid_of("EPSG:4326", Affine(0.1, 0, -180, 0, -0.1, 90), (1800, 3600), 3600, "pad")
    assert grid.footprint(0, 0).bounds == (-180, -90, 180, 90)


@pytest.mark.parametrize("shift", [0, 0.5, 0.25, 1e-7, 17 / 64])
@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
def test_chips_around_a_pole_cover_it_once(crs, pole, shift):
    # the pole lies in a corner, in an edge, in the middle, ever so slightly inside of a chip
    side = 500 * 64
    offset = (4 + shift) * side
    grid = grid_of(crs, Affine(500, 0, -offset, 0, -500, offset), (64 * 9, 64 * 9), 64)
    footprints = shapely.from_wkb(grid.footprints().wkb.to_pylist())
    assert shapely.is_valid(footprints).all()
    whole = shapely.union_all(footprints)
    assert shapely.area(footprints).sum() == pytest.approx(whole.area, rel=2e-3)
    near_pole = shapely.box(-180, min(pole, pole * 0.992), 180, max(pole, pole * 0.992))
    assert near_pole.difference(whole).area < 0.005 * near_pole.area


def test_a_chip_beyond_the_edge_of_the_earth_has_no_footprint():
    # MODIS tile h00v02: nothing of it is on the globe
    grid = grid_of(
        SINUSOIDAL, Affine(463.3127, 0, -20_015_109, 0, -463.3127, 7_783_654), (2400, 2400)
    )
    made = grid.footprints()
    assert made.wkb.null_count == made.bbox.null_count == grid.size
    assert grid.footprint(0, 0) is None


def test_a_chip_partly_beyond_the_edge_of_the_earth_has_the_rest():
    # MODIS tile h35v10, at the right edge: the globe ends in it
    grid = grid_of(
        SINUSOIDAL, Affine(463.3127, 0, 18_903_158, 0, -463.3127, -1_111_951), (2400, 2400)
    )
    made = grid.footprints()
    there = shapely.from_wkb([wkb for wkb in made.wkb.to_pylist() if wkb])
    assert 0 < made.wkb.null_count < grid.size
    assert (shapely.bounds(there)[:, 0] > 160).all()
    assert shapely.bounds(there)[:, 2].max() > 179.9
    assert shapely.is_valid(there).all()


@settings(max_examples=60, deadline=None)
@given(
    zone=st.integers(1, 60),
    south=st.booleans(),
    east=st.floats(100_000, 900_000),
    north=st.floats(0, 9_300_000),
    resolution=st.sampled_from([0.3, 1, 10, 30, 60]),
    angle=st.floats(0, 360),
)
def test_any_utm_chip_has_its_true_area(zone, south, east, north, resolution, angle):
    askew = turned((east, north), angle, resolution)
    grid = grid_of(f"EPSG:{(32700 if south else 32600) + zone}", askew, (512, 512))
    for x, y in ((0, 0), (1, 1)):
        footprint = grid.footprint(x, y)
        parts = getattr(footprint, "geoms", [footprint])
        assert all(-180 <= p.bounds[0] < p.bounds[2] <= 180 for p in parts)
        ring = outline(grid, x, y)
        lon = np.degrees(np.unwrap(np.radians(ring[:, 0])))
        shoelace = sum(
            a[0] * b[1] - b[0] * a[1]
            for a, b in pairwise(np.stack([lon - lon[0], ring[:, 1] - ring[0, 1]], axis=-1))
        )
        assert math.isclose(footprint.area, abs(shoelace) / 2, rel_tol=2e-3)


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        ("EPSG:4326", Affine(1e5, 0, 0, 0, -1e5, 0), (300_000, 300_000)),
        ("EPSG:3031", Affine(1e5, 0, -1e10, 0, -1e5, 1e10), (300_000, 300_000)),
        ("EPSG:32629", Affine(10, 0, -1.5e8, 0, -10, 1.5e6), (256, 2**26)),
        (SINUSOIDAL, Affine(500, 0, -1e8, 0, -500, 1e8), (300_000, 300_000)),
    ],
)
def test_a_grid_that_is_made_up_is_refused_before_the_memory_is_full(crs, transform, shape):
    with pytest.raises(LimitExceeded, match="Mend its transform"):
        grid_of(crs, transform, shape).footprints()
