from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stacchip.index.files.item_order import hilbert_distance, order_items


def test_places_side_by_side_on_the_curve_are_side_by_side_on_the_globe():
    # the corners of 64 x 64 cells, visited along the curve
    cells = np.arange(64)
    lon, lat = np.meshgrid(-180 + (cells + 0.5) * 360 / 64, -90 + (cells + 0.5) * 180 / 64)
    along = np.argsort(hilbert_distance(lon.ravel(), lat.ravel()))
    y, x = np.unravel_index(along, (64, 64))
    assert (np.abs(np.diff(x)) + np.abs(np.diff(y)) == 1).all()


@given(
    st.lists(
        st.tuples(
            st.floats(-180, 180), st.floats(-90, 90), st.integers(0, 2**50), st.integers(1, 9)
        ),
        max_size=60,
    )
)
def test_every_item_is_in_one_region_and_regions_are_in_time_order(items):
    lon, lat, time, rows = np.array(items, float).reshape(-1, 4).T
    regions = order_items(lon, lat, time.astype(np.int64), rows.astype(np.int64), 10)
    assert sorted(np.concatenate([*regions, np.empty(0, int)]).tolist()) == list(range(len(items)))
    for region in regions:
        assert (np.diff(time[region]) >= 0).all()


def test_regions_and_times_prune_alike():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 1000), rng.uniform(-60, 70, 1000)
    regions = order_items(lon, lat, rng.integers(0, 10**6, 1000), np.full(1000, 1000), 10_000)
    assert len(regions) == 10
    assert all(80 <= len(region) <= 120 for region in regions)
    boxes = sum(np.ptp(lon[region]) * np.ptp(lat[region]) for region in regions)
    assert boxes < 3 * np.ptp(lon) * np.ptp(lat)
