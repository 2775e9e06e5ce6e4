"""Centres of chips, against the middle of the chip in its own CRS."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import IndexFormatError
from stacchip.grid.footprints import make_footprints
from stacchip.index.centres import find_centres, find_known_centres

SIDE_PX = 64


def table(*footprints: shapely.Geometry | None) -> pa.Table:
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [
        None if each is None else dict(zip(sides, each.bounds, strict=True)) for each in footprints
    ]
    wkb = [None if each is None else shapely.to_wkb(each) for each in footprints]
    return pa.table(
        {"chipid": [f"chip-{n}" for n in range(len(boxes))], "bbox": boxes, "geometry": wkb}
    )


def across(west: float, east: float) -> shapely.Geometry:
    """A footprint from `west` over the antimeridian to `east`."""
    return shapely.MultiPolygon([shapely.box(west, 0, 180, 1), shapely.box(-180, 0, east, 1)])


@pytest.mark.parametrize(
    ("footprint", "longitude"),
    [
        (across(179.5, -179.7), 179.9),
        (across(179.7, -179.5), -179.9),
        (across(100, -170), 145),
        (shapely.box(10, 0, 12, 1), 11),
        (shapely.box(-100, 0, 100, 1), 0),  # wider than half of the globe, and not cut
        (shapely.box(-180, 0, 180, 1), 0),
    ],
)
def test_the_centre_is_the_middle_of_the_bounds_also_at_the_antimeridian(footprint, longitude):
    lon, lat = find_centres(table(footprint, shapely.box(0, 0, 1, 1)))
    assert lon.tolist() == pytest.approx([longitude, 0.5])
    assert lat.tolist() == [0.5, 0.5]


def test_bounds_from_east_to_west_cross_the_antimeridian():
    boxes = [(179.5, -1.0, -179.7, 1.0), (179.8, 0.0, -179.0, 1.0)]
    rows = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in boxes]
    lon, lat = find_centres(pa.table({"bbox": rows}))
    assert lon.tolist() == pytest.approx([179.9, -179.6])
    assert lat.tolist() == [0, 0.5]


def test_a_chip_whose_centre_is_not_known_is_named():
    with pytest.raises(IndexFormatError, match=r"chip-1.*bbox is null"):
        find_centres(table(shapely.box(0, 0, 1, 1), None))
    cut = table(across(179, -179)).set_column(2, "geometry", pa.array([None], pa.binary()))
    with pytest.raises(IndexFormatError, match=r"chip-0.*geometry is null"):
        find_centres(cut)
    for unknown in (cut, cut.drop_columns(["geometry"]), cut.drop_columns(["bbox"])):
        assert np.isnan(find_known_centres(unknown)).all()


# name: (the CRS, metres or degrees a pixel, x and y of the middles of chips)
GRIDS = {
    "UTM 1, over the antimeridian": ("EPSG:32601", 100, (100_000, 220_000), (100_000, 8_000_000)),
    "UTM 60 south": ("EPSG:32760", 100, (780_000, 900_000), (2_000_000, 9_900_000)),
    "Mercator of the Pacific": ("EPSG:3832", 300, (3_000_000, 3_700_000), (-5e6, 5e6)),
    "New Zealand": ("EPSG:3851", 200, (3_200_000, 4_000_000), (6_000_000, 8_000_000)),
    "degrees from 0 to 360": ("EPSG:4326", 0.01, (170, 190), (-80, 80)),
    "at the north pole": ("EPSG:3413", 500, (-60_000, 60_000), (-60_000, 60_000)),
    "at the south pole": ("EPSG:3031", 500, (-60_000, 60_000), (-60_000, 60_000)),
    "equal areas at the pole": ("EPSG:6931", 500, (-60_000, 60_000), (-60_000, 60_000)),
    "far from all": ("EPSG:32631", 10, (300_000, 700_000), (1_000, 9_000_000)),
}


@pytest.mark.parametrize("name", GRIDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_centre_is_near_the_middle_of_the_chip(name, data):
    code, resolution, *ranges = GRIDS[name]
    x, y = (data.draw(st.floats(*span)) for span in ranges)
    crs, half = pyproj.CRS(code), SIDE_PX / 2 * resolution
    transform = Affine(resolution, 0, x - half, 0, -resolution, y + half)
    made = make_footprints(transform, crs, SIDE_PX, (1, 1))
    (lon,), (lat,) = find_centres(pa.table({"bbox": made.bbox, "geometry": made.wkb}))
    assert -180 <= lon <= 180
    geod = pyproj.Geod(ellps="WGS84")
    true = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    side_m = 2 * half * (111_320 if crs.is_geographic else 1)
    _, _, metres = geod.inv(lon, lat, *true)
    # the bounds of a chip whose edge is close to a pole span half of the globe, unevenly
    assert metres < side_m * (0.6 if "pole" in name else 0.125)
