from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely

from stacchip.cubes.normalise import encode_degrees, encode_hour, encode_week, find_centres
from stacchip.errors import IndexFormatError


def table(*footprints: shapely.Geometry | None) -> pa.Table:
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [
        None if each is None else dict(zip(sides, each.bounds, strict=True)) for each in footprints
    ]
    wkb = [None if each is None else shapely.to_wkb(each) for each in footprints]
    return pa.table(
        {"chipid": [f"chip-{n}" for n in range(len(boxes))], "bbox": boxes, "geometry": wkb}
    )


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 5, 1, 10, 30, tzinfo=UTC),
        datetime(2024, 12, 30, 23, 59, tzinfo=UTC),  # of week 1 of 2025
        datetime(2021, 1, 1, tzinfo=UTC),  # of week 53 of 2020
    ],
)
def test_weeks_and_hours_are_those_of_the_calendar(moment):
    column = pa.chunked_array([[moment]], pa.timestamp("us", tz="UTC"))
    week = moment.isocalendar().week * 2 * math.pi / 52
    hour = moment.hour * 2 * math.pi / 24
    np.testing.assert_allclose(encode_week(column), [[math.sin(week), math.cos(week)]], atol=1e-6)
    np.testing.assert_allclose(encode_hour(column), [[math.sin(hour), math.cos(hour)]], atol=1e-6)


def test_places_are_the_middles_of_bounds():
    lon, lat = find_centres(table(shapely.box(10, 20, 12, 24)))
    assert (lon.tolist(), lat.tolist()) == ([11], [22])
    expected = [math.sin(math.radians(11)), math.cos(math.radians(11))]
    np.testing.assert_allclose(encode_degrees(lon)[0], expected, atol=1e-6)


def test_a_chip_at_the_antimeridian_is_placed_there():
    parts = shapely.MultiPolygon([shapely.box(179.5, 0, 180, 1), shapely.box(-180, 0, -179.7, 1)])
    lon, _ = find_centres(table(parts, shapely.box(0, 0, 1, 1)))
    assert lon.tolist() == pytest.approx([179.9, 0.5])
    mirrored = shapely.MultiPolygon(
        [shapely.box(179.7, 0, 180, 1), shapely.box(-180, 0, -179.5, 1)]
    )
    assert find_centres(table(mirrored))[0].tolist() == pytest.approx([-179.9])


def test_a_chip_outside_the_earths_edge_is_named():
    with pytest.raises(IndexFormatError, match="chip-1"):
        find_centres(table(shapely.box(0, 0, 1, 1), None))
