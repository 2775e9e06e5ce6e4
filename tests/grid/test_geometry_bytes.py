"""Geometries from the bytes of others; GEOS ends the process at 30,000 nested collections."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import shapely
from shapely.errors import GEOSException

from stacchip.grid.geometry_bytes import read_wkb, read_wkt

POINT = b"\x01" + struct.pack("<Idd", 1, 0, 0)
SRID = 0x20000000


def nested(depth: int, kind: int = 7, more: bytes = b"") -> bytes:
    return (b"\x01" + struct.pack("<II", kind, 1) + more) * depth + POINT


@pytest.mark.parametrize(
    "data",
    [
        nested(50_000),
        nested(50_000, 6),
        nested(50_000, 1007),
        nested(50_000)[:-30],
        b"\x01" + struct.pack("<II", 7, 2) + POINT + nested(50_000),
        b"\x01" + struct.pack("<III", SRID | 7, 4326, 1) + nested(50_000),
        b"\x01" + struct.pack("<II", 7, 2) + shapely.box(0, 0, 1, 1).wkb + nested(50_000),
        b"\x00" + struct.pack(">II", 7, 1) + nested(50_000),
    ],
)
def test_deep_collections_are_refused(data) -> None:
    with pytest.raises(ValueError, match="levels deep"):
        read_wkb([None, data])


def test_deep_collections_of_text_are_refused() -> None:
    depth = 50_000
    with pytest.raises(ValueError, match="levels deep"):
        read_wkt(["GEOMETRYCOLLECTION(" * depth + "POINT(0 0)" + ")" * depth])


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("axes", [2, 3])
def test_usual_geometries_are_read_as_they_are(flavor, axes) -> None:
    dice = np.random.default_rng(5)
    rings = [dice.random((80, axes)) for _ in range(40)]
    polygons = [shapely.Polygon(np.vstack([ring, ring[:1]])) for ring in rings]
    many = [shapely.MultiPolygon(polygons), shapely.MultiPoint(rings[0])]
    many.append(shapely.GeometryCollection([*many, shapely.LineString(rings[1])]))
    wkb = [shapely.to_wkb(each, flavor=flavor, output_dimension=axes) for each in many]
    assert [each.wkb for each in read_wkb(wkb)] == [each.wkb for each in shapely.from_wkb(wkb)]
    texts = [each.wkt for each in many]
    assert read_wkt(texts).tolist() == shapely.from_wkt(texts).tolist()


def test_bytes_that_are_no_geometry_are_an_error_of_geos() -> None:
    line = b"\x01" + struct.pack("<II", 2, 2**32 - 1)
    for data in (b"", bytes(2000), nested(30)[:-3], line + bytes(2000)):
        with pytest.raises(GEOSException):
            read_wkb([data])
