from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from stacchip.cubes.normalise import encode_degrees, encode_hour, encode_week, find_centres


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
    box = {"xmin": 10.0, "ymin": 20.0, "xmax": 12.0, "ymax": 24.0}
    lon, lat = find_centres(pa.table({"bbox": [box]}))
    assert (lon.tolist(), lat.tolist()) == ([11], [22])
    expected = [math.sin(math.radians(11)), math.cos(math.radians(11))]
    np.testing.assert_allclose(encode_degrees(lon)[0], expected, atol=1e-6)
