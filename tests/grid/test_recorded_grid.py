"""An item keeps the grid that its chips were indexed on, in every CRS."""

from __future__ import annotations

import json

import pytest
from affine import Affine

from stacchip.grid.crs import same_crs
from stacchip.grid.geobox import make_geobox
from stacchip.grid.recorded_grid import RecordedGrid, read_grid, record_grid

TURNED = Affine.translation(6e5, 4e6) * Affine.rotation(20) * Affine.scale(0.1, -0.3)


@pytest.mark.parametrize(
    "crs",
    ["EPSG:32629", "OGC:CRS84", "ESRI:54008", "+proj=sinu +R=6371007.181 +units=m", "EPSG:7415"],
)
@pytest.mark.parametrize("transform", [Affine(10, 0, 600_000, 0, -10, 4e6), TURNED])
def test_a_grid_survives_json(crs, transform):
    geobox = make_geobox(crs, transform, (123, 456))
    item = {"id": "a", "properties": {"x": 1}}
    kept = json.loads(json.dumps(record_grid(item, RecordedGrid(geobox, "red"))))
    found = read_grid(kept)
    assert found is not None
    assert found.reference == "red"
    assert found.geobox.shape.yx == (123, 456)
    assert found.geobox.affine == transform
    assert same_crs(found.geobox.crs, crs)


def test_the_item_given_is_left_alone():
    item = {"id": "a"}
    geobox = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (1, 1))
    kept = record_grid(item, RecordedGrid(geobox, "red"))
    assert item == {"id": "a"}
    assert set(kept) == {"id", "stacchip:grid"}


def test_an_item_without_a_grid_has_none():
    assert read_grid({"id": "a"}) is None
