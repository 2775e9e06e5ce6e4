"""Rings on the globe become polygons between -180 and 180 degrees."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from stacchip.grid.antimeridian import fold_ring, unroll


def box_ring(west, south, east, north):
    """A ring around a box, whose longitudes may leave -180..180; written within it."""
    ring = np.array([[west, south], [east, south], [east, north], [west, north], [west, south]])
    ring[:, 0] = (ring[:, 0] + 180) % 360 - 180
    return ring.astype(float)


def cap_ring(latitude, points=72, start=0.0):
    lon = (start + np.arange(points + 1) * 360 / points + 180) % 360 - 180
    return np.stack([lon, np.full(points + 1, float(latitude))], axis=-1)


WESTS, SIDES = st.integers(-180, 179), st.integers(1, 100)


@given(WESTS, SIDES, st.integers(-80, 60), st.integers(1, 20), st.booleans())
def test_a_box_keeps_its_area_wherever_it_lies(west, width, south, height, reverse):
    ring = box_ring(west, south, west + width, south + height)
    found = fold_ring(ring[::-1] if reverse else ring)
    assert found.is_valid
    assert found.area == pytest.approx(width * height)
    bounds = found.bounds
    assert bounds[0] >= -180
    assert bounds[2] <= 180
    assert (bounds[1], bounds[3]) == (south, south + height)
    crosses = west < 180 < west + width
    assert found.geom_type == ("MultiPolygon" if crosses else "Polygon")


@given(WESTS, SIDES, st.integers(-80, 60), st.integers(1, 20), st.booleans())
def test_rings_run_counter_clockwise(west, width, south, height, reverse):
    ring = box_ring(west, south, west + width, south + height)
    found = fold_ring(ring[::-1] if reverse else ring)
    assert all(part.exterior.is_ccw for part in shapely.get_parts(found))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("start", [0.0, 90.0, 177.0])
@pytest.mark.parametrize("latitude", [60, 85, -70])
def test_a_ring_around_a_pole_holds_it(latitude, start, reverse):
    ring = cap_ring(latitude, start=start)
    found = fold_ring(ring[::-1] if reverse else ring)
    pole = 90 if latitude > 0 else -90
    assert found.geom_type == "Polygon"
    assert found.area == pytest.approx(360 * abs(pole - latitude))
    assert set(found.bounds) == {-180, 180, latitude, pole}


def test_a_ring_that_only_touches_the_antimeridian_is_one_polygon():
    assert fold_ring(box_ring(170, 0, 180, 5)).geom_type == "Polygon"
    assert fold_ring(box_ring(180, 0, 190, 5)).bounds == (-180, 0, -170, 5)


def test_a_ring_without_area_is_nothing():
    assert fold_ring(np.array([[10.0, 0], [20, 0], [10, 0]])) is None


def test_a_ring_that_crosses_itself_is_made_valid():
    bow = np.array([[0.0, 0], [10, 10], [10, 0], [0, 10], [0, 0]])
    found = fold_ring(bow)
    assert found.is_valid
    assert found.area == pytest.approx(50)


@given(st.lists(st.floats(-170, 170), min_size=1, max_size=30), st.floats(-180, 180))
def test_unrolled_longitudes_are_the_same_places_without_jumps(steps, start):
    path = np.concatenate([[start], start + np.cumsum(steps)])
    found = unroll((path + 180) % 360 - 180)
    offset = found[0] - path[0]
    np.testing.assert_allclose(found - path, offset, atol=1e-6)
    assert abs(round(offset / 360) * 360 - offset) < 1e-6
