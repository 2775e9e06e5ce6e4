"""Chips of two splits are never nearer than the buffer; a split depends on nothing but the row."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from stacchip.errors import UsageError
from stacchip.splits.by_cell import CellRule
from stacchip.splits.rules import rule_from_dict
from stacchip.splits.shares import BORDER, make_shares

GEOD = Geod(ellps="WGS84")
SHARES = make_shares({"train": 0.8, "val": 0.1, "test": 0.1})


def rule(buffer_km: float = 1, cell_km: float = 100, salt: str = "v1", **cells) -> CellRule:
    return CellRule(SHARES, cell_km, buffer_km, salt, cells.get("cells", {}))


def table_of(west, south, east, north) -> pa.Table:
    sides = [pa.array(np.asarray(side, float)) for side in (west, south, east, north)]
    return pa.table({"bbox": pa.StructArray.from_arrays(sides, ["xmin", "ymin", "xmax", "ymax"])})


def squares(random: np.random.Generator, count: int, km: float = 2.56, lat_range=(-89.9, 89.9)):
    """Random chips over the whole globe, with those that cross the antimeridian."""
    low, high = np.sin(np.radians(lat_range))
    lat = np.degrees(np.arcsin(random.uniform(low, high, count)))
    lon = random.uniform(-180, 180, count)
    north = np.minimum(lat + km / 111, 90)
    east = lon + np.minimum(km / 111 / np.cos(np.radians(np.abs(lat))), 180)
    return table_of(lon, lat, np.where(east > 180, east - 360, east), north)


@pytest.mark.parametrize(
    ("buffer_km", "train", "test"), [(0, 0.99, 0.96), (1, 0.98, 0.92), (5, 0.95, 0.79)]
)
def test_shares_of_chips_that_are_kept(buffer_km, train, test):
    """Of 2.56 km chips in cells of 100 km."""
    chips = squares(np.random.default_rng(1), 200_000, lat_range=(-70, 70))
    own = rule(buffer_km)
    codes = own.codes(chips)
    box = [chips["bbox"].combine_chunks().field(side).to_numpy() for side in ("xmin", "ymin")]
    corner = own.of_cells(own.grid.at(*box))
    for code, share in ((0, train), (2, test)):
        assert (codes == code).sum() / (corner == code).sum() == pytest.approx(share, abs=0.02)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 5, 40]), st.sampled_from([50, 100]))
def test_no_point_within_the_buffer_has_another_split(seed, buffer_km, cell_km):
    random = np.random.default_rng(seed)
    lat_range = [(-90, 90), (85, 90), (-90, -88)][seed % 3]
    chips, own = squares(random, 200, lat_range=lat_range), rule(buffer_km, cell_km)
    codes = own.codes(chips)
    box = chips["bbox"].combine_chunks()
    west, south, east, north = (
        box.field(side).to_numpy() for side in ("xmin", "ymin", "xmax", "ymax")
    )
    east = np.where(east < west, east + 360, east)
    x = west + (east - west) * random.uniform(0, 1, len(west))
    y = south + (north - south) * random.uniform(0, 1, len(west))
    lon, lat, _ = GEOD.fwd(
        x, y, random.uniform(0, 360, len(x)), random.uniform(0, 1, len(x)) * buffer_km * 1000
    )
    there = own.of_cells(own.grid.at(lon, lat))
    kept = codes != BORDER
    assert (codes[kept] == there[kept]).all()


@given(st.integers(0, 2**32 - 1))
def test_a_split_survives_filters_orders_and_growth(seed):
    random = np.random.default_rng(seed)
    chips, more = squares(random, 100), squares(random, 50)
    codes = rule().codes(chips)
    order = random.permutation(100)[:60]
    assert (rule().codes(chips.take(pa.array(order))) == codes[order]).all()
    assert (rule().codes(pa.concat_tables([more, chips]))[50:] == codes).all()
    rounded = rule_from_dict(json.loads(json.dumps(rule().to_dict())))
    assert (rounded.codes(chips) == codes).all()


def test_the_chance_of_a_cell_is_what_is_documented():
    from hashlib import blake2b

    chance = int.from_bytes(blake2b(b"v1/100km/52U_5R", digest_size=8).digest(), "big") / 2**64
    expected = 0 if chance < 0.8 else 1 if chance < 0.9 else 2
    grid = rule().grid
    west, south, _, _ = grid.bounds(np.arange(len(grid)))
    cell = grid.names(np.arange(len(grid))).index("52U_5R")
    chip = table_of(
        [west[cell] + 0.3], [south[cell] + 0.3], [west[cell] + 0.31], [south[cell] + 0.31]
    )
    assert rule().codes(chip).tolist() == [expected]


def test_another_salt_gives_other_splits_of_the_same_sizes():
    chips = squares(np.random.default_rng(0), 20_000)
    one, other = rule().codes(chips), rule(salt="v2").codes(chips)
    assert (one != other).mean() > 0.2
    for codes in (one, other):
        assert (codes == 0).sum() / (codes >= 0).sum() == pytest.approx(0.8, abs=0.03)


def test_cells_that_are_given_are_not_left_to_chance():
    box = table_of([5.3], [45.3], [5.31], [45.31])
    grid = rule().grid
    name = grid.names(grid.at(np.array([5.3]), np.array([45.3])))[0]
    assert rule(cells={name: "test"}).codes(box).tolist() == [2]
    assert rule(cells={name: "val"}).codes(box).tolist() == [1]
    with pytest.raises(UsageError, match="Cells are in splits that have no share: dev"):
        rule(cells={name: "dev"})


def test_chips_without_bounds_and_chips_of_half_a_globe_are_in_none():
    boxes = [None, {"xmin": -180.0, "ymin": -90.0, "xmax": 180.0, "ymax": 90.0}]
    kind = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
    chips = pa.table({"bbox": pa.array(boxes, kind)})
    assert rule().codes(chips).tolist() == [BORDER, BORDER]
    assert rule(cell_km=0.1).codes(chips).tolist() == [BORDER, BORDER]


def test_small_cells_are_decided_without_a_table():
    chips = squares(np.random.default_rng(0), 1000, km=0.1)
    codes = rule(buffer_km=0, cell_km=1).codes(chips)
    assert (codes == 0).sum() > 500
    assert rule(buffer_km=0, cell_km=1).codes(chips.slice(10, 5)).tolist() == codes[10:15].tolist()


@pytest.mark.parametrize("buffer_km", [0, 1])
def test_chips_that_meet_at_a_pole_or_the_antimeridian_are_not_apart(buffer_km):
    own = CellRule(make_shares({"a": 0.4, "b": 0.3, "c": 0.3}), 100, buffer_km, "v1")
    lat = np.linspace(-89.9, 89.8, 2000)
    one = own.codes(table_of([179.9] * 2000, lat, [180.0] * 2000, lat + 0.1))
    other = own.codes(table_of([-180.0] * 2000, lat, [-179.9] * 2000, lat + 0.1))
    assert ((one == other) | (one == BORDER) | (other == BORDER)).all()
    lon = np.arange(-180.0, 180.0, 10)
    for south, north in ((89.9, 90.0), (-90.0, -89.9)):
        ring = own.codes(table_of(lon, [south] * 36, lon + 5, [north] * 36))
        assert len(set(ring.tolist()) - {BORDER}) <= 1
