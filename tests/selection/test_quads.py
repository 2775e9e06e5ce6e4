"""Bounds of footprints of four corners, read without GEOS."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely

from stacchip.selection.quads import find_plain_bounds

BOXES = shapely.box([0, 170, -180, -1e-3], [0, -90, 10, 0], [1, 180, -170, 2e-3], [1, -80, 11, 1])
OTHERS = [
    shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)]),  # over the antimeridian
    shapely.box(179, 0, 181, 1),
    shapely.box(0, 89, 1, 91),
    shapely.Polygon([(0, 0), (1, 0), (0, 1)]),
    shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)], [[(0.1, 0.1), (0.2, 0.1), (0.2, 0.2)]]),
    shapely.Point(1, 2),
    shapely.MultiPolygon([shapely.box(0, 0, 1, 1)]),
    shapely.Polygon(),
]
NAN = shapely.to_wkb(BOXES[0])[:29] + np.float64(np.nan).tobytes() + shapely.to_wkb(BOXES[0])[37:]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_plain_bounds_are_those_of_geos_and_others_are_not_known(kind: pa.DataType) -> None:
    wkb = [*shapely.to_wkb(BOXES), None, *shapely.to_wkb(OTHERS), b"", b"\1" * 93, NAN]
    wkb.append(shapely.to_wkb(BOXES[0], byte_order=0))
    column = pa.chunked_array([pa.array(wkb[:2], kind), pa.array([b"?", *wkb[2:]], kind).slice(1)])
    sides, known = find_plain_bounds(column)
    assert known.tolist() == [True] * len(BOXES) + [False] * (len(wkb) - len(BOXES))
    np.testing.assert_array_equal(sides[known], shapely.bounds(BOXES))
    assert np.isnan(sides[~known]).all()


def test_nothing_has_no_bounds() -> None:
    for column in (
        pa.chunked_array([], pa.binary()),
        pa.chunked_array([[None, None]], pa.binary()),
    ):
        sides, known = find_plain_bounds(column)
        assert len(sides) == len(known) == len(column)
        assert not known.any()
