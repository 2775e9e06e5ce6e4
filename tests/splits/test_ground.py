"""Boxes hold all ground within a distance, as geodesics on the ellipsoid measure it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from stacchip.errors import UsageError
from stacchip.splits.ground import bounds_of, grow, require_buffer

GEOD = Geod(ellps="WGS84")


@given(
    st.floats(-180, 180), st.floats(-89.9, 89.9), st.sampled_from([0.5, 5, 300, 4000]),
    st.floats(0, 1),
)  # fmt: skip
def test_what_lies_within_the_distance_is_inside(lon, lat, km, share):
    azimuths = np.arange(0, 360, 15.0)
    there = np.full_like(azimuths, 1.0)
    x, y, _ = GEOD.fwd(lon * there, lat * there, azimuths, km * 1000 * share * there)
    west, south, east, north = (
        float(side[0])
        for side in grow(tuple(np.array([each]) for each in (lon, lat, lon, lat)), km)
    )
    assert (south <= y + 1e-9).all()
    assert (y <= north + 1e-9).all()
    inside = [(west <= x + turn + 1e-9) & (x + turn <= east + 1e-9) for turn in (-360, 0, 360)]
    assert np.any(inside, axis=0).all()


@pytest.mark.parametrize("lat", [0, 30, 60, 80])
def test_a_box_is_little_larger_than_it_must_be(lat):
    west, south, east, north = grow(tuple(np.array([each]) for each in (0.0, lat, 0.0, lat)), 5)
    height = GEOD.inv(0, south[0], 0, north[0])[2]
    width = GEOD.inv(west[0], lat, east[0], lat)[2]
    assert 10_000 <= height <= 10_100
    assert 10_000 <= width <= 10_200


def test_bounds_across_the_antimeridian_go_on():
    boxes = [
        {"xmin": 179.5, "ymin": 0, "xmax": -179.5, "ymax": 1},
        {"xmin": 1.0, "ymin": 2, "xmax": 3.0, "ymax": 4},
        None,
    ]
    kind = pa.struct([(side, pa.float32()) for side in ("xmin", "ymin", "xmax", "ymax")])
    parts = [pa.array(boxes[:1], kind), pa.array(boxes[1:], kind)]
    west, _, east, _ = bounds_of(pa.table({"bbox": pa.chunked_array(parts)}))
    assert east[:2].tolist() == [180.5, 3]
    assert west[:2].tolist() == [179.5, 1]
    assert np.isnan(west[2])


@pytest.mark.parametrize("km", [-1, float("nan"), 1e6, "1"])
def test_a_buffer_that_is_no_distance_is_refused(km):
    with pytest.raises(UsageError, match="buffer_km must be 0 to 5000"):
        require_buffer(km)
