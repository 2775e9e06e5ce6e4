"""The item as the archive keeps it."""

from __future__ import annotations

import json

import pyproj
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.collect.files import projection_fields
from stacchip.collect.stored_item import (
    Placed,
    make_stored_item,
    parse_stored_item,
    to_bytes,
)
from stacchip.errors import InvalidMetadata
from stacchip.items import parse_item, read_assets
from stacchip.storage import Limits

HREF = "s3://archive/p/i/stac_item.json"
GRID = GeoBox((20, 30), Affine(500, 0, -1e7, 0, -500, 4e6), "EPSG:3857")
REAL = [
    "sentinel2/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json",
    "items/landsat/odc-stac__LC08_L2SP_028030_20200114_20200824_02_T1_SR.json",
    "items/naip/planetary-computer-tasks__naip1.json",
    "items/linz/argo-tasks__BD31.json",
    "items/modis/modis__MOD09A1.A2022033.h19v10.061.json",
    "items/sentinel1/stac-geoparquet__sentinel-1-rtc-pc.json",
]


def read_item(path):
    record = json.loads(path.read_text())
    if isinstance(record, list) or "features" in record:
        record = (record if isinstance(record, list) else record["features"])[0]
    record.setdefault("collection", "some-collection")
    for asset in record["assets"].values():
        asset["href"] += "?sv=2024&se=2025-01-01T00%3A00%3A00Z&sig=secret"
    return parse_item(record)


def store(item, grid=None, **options):
    keys = list(item.assets)[:3]
    projection = None if grid is None else projection_fields(grid)
    files = {
        key: Placed(f"s3://archive/p/i/{key}.tif", 1000 + number, projection)
        for number, key in enumerate(keys)
    }
    return make_stored_item(item, files, href=HREF, choices={"chip_size": 256}, **options)


@pytest.mark.parametrize("grid", [None, GRID], ids=["copied", "converted"])
@pytest.mark.parametrize("name", REAL)
def test_a_real_item_stays_one_in_the_archive(shared_data, name, grid):
    item = read_item(shared_data / name)
    record = store(item, grid, collection_href="https://example.com/collections/c")
    again = parse_item(json.loads(to_bytes(record)), href=HREF)
    assert again.id == item.id
    assert again.geometry == item.geometry
    assert again.get_self_href() == HREF
    assert list(again.assets) == list(item.assets)[:3]
    relations = [link["rel"] for link in record["links"]]
    assert relations.count("self") == 1
    assert relations.count("collection") == 1, "STAC demands it of an item with a collection"
    assert all("://" in link["href"] for link in record["links"])
    text = to_bytes(record).decode()
    assert "sig=" not in text
    assert "alternate" not in text
    assert to_bytes(record) == to_bytes(
        store(item, grid, collection_href="https://example.com/collections/c")
    )


def test_an_item_whose_collection_has_no_address_does_not_name_it(shared_data):
    record = store(read_item(shared_data / REAL[4]))
    assert "collection" not in record


@pytest.mark.parametrize("name", REAL)
def test_a_converted_file_has_its_new_grid_and_nothing_of_the_old_bytes(shared_data, name):
    record = store(read_item(shared_data / name), GRID)
    for key, asset in record["assets"].items():
        assert asset["proj:code"] == "EPSG:3857"
        assert asset["proj:shape"] == [20, 30]
        assert asset["proj:transform"] == [500.0, 0.0, -1e7, 0.0, -500.0, 4e6]
        assert asset["file:size"] >= 1000
        assert not {"file:checksum", "raster:bands", "proj:epsg"} & set(asset), key
    old = {"proj:wkt2", "proj:epsg", "proj:geometry", "proj:bbox", "proj:centroid"}
    assert not old & set(record["properties"])
    placeless = record | {"bbox": None, "geometry": None}  # the grid of this test is made up
    info = next(iter(read_assets(parse_item(placeless, href=HREF)).values()))
    assert info.geobox.shape == (20, 30)


def test_a_copied_file_keeps_its_checksum(shared_data):
    item = read_item(shared_data / REAL[3])
    checksum = item.assets["visual"].extra_fields["file:checksum"]
    assert store(item)["assets"]["visual"]["file:checksum"] == checksum


def test_grids_that_differ_are_stated_for_each_asset_only(shared_data):
    item = read_item(shared_data / REAL[0])
    other = GeoBox((10, 15), Affine(1000, 0, -1e7, 0, -1000, 4e6), "EPSG:3857")
    grids = {"blue": GRID, "scl": other}
    files = {
        key: Placed(f"s3://b/{key}.tif", 1, projection_fields(each)) for key, each in grids.items()
    }
    record = make_stored_item(item, files, href=HREF, choices={})
    assert "proj:shape" not in record["properties"]
    assert record["assets"]["scl"]["proj:shape"] == [10, 15]


def test_a_crs_without_a_code_is_written_as_wkt(shared_data):
    grid = GeoBox(GRID.shape, GRID.affine, "+proj=sinu +R=6371007.181 +units=m")
    record = store(read_item(shared_data / REAL[0]), grid)
    assert record["properties"]["proj:code"] is None
    written = record["properties"]["proj:wkt2"]
    assert written.startswith("PROJCRS[")
    assert pyproj.CRS(written).equals(pyproj.CRS(grid.crs.to_wkt()))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"5", b"{}", b"\xff", b"[" * 100_000, b'{"properties": {}}',
     b'{"properties": [], "assets": {}}', b'{"properties": {}, "assets": []}',
     b'{"properties": {}, "assets": {"a": 5}}', b'{"properties": {}, "assets": {"a": {"href": 5}}}',
     b'{"properties": {}, "assets": {"a": {}}}'],
)  # fmt: skip
def test_what_is_no_item_is_not_taken_for_one(data):
    assert parse_stored_item(data, HREF, Limits()) is None


def test_a_stored_item_is_read_as_it_was_written():
    record = {"properties": {"a": 1}, "assets": {"b": {"href": "./b.tif"}}}
    assert parse_stored_item(to_bytes(record), HREF, Limits()) == record


def test_numbers_and_texts_that_json_lacks_are_written_as_json_has_them():
    nan, inf = float("nan"), float("inf")
    properties = {"eo:cloud_cover": nan, "b": [{"c": -inf}], "d": 1.5, "\ud800": 1}
    odd = {"e": (nan, 1), nan: 2, "nodata": -inf}
    asset = {"raster:bands": [{"nodata": nan}], "file:nodata": [nan, 0]}
    data = to_bytes({"properties": properties | odd, "assets": {"a": asset}})
    read = json.loads(data.decode(), parse_constant=pytest.fail)
    plain = {"eo:cloud_cover": None, "b": [{"c": None}], "d": 1.5, "\ud800": 1}
    assert read["properties"] == plain | {"e": [None, 1], "nan": 2, "nodata": "-inf"}
    assert read["assets"]["a"] == {"raster:bands": [{"nodata": "nan"}], "file:nodata": ["nan", 0]}


def itself():
    record = {}
    record["a"] = [record]
    return record


def deep():
    record = []
    for _ in range(100_000):
        record = [record]
    return record


@pytest.mark.parametrize("value", [itself(), deep(), {1, 2}, {(1, 2): 3}])
def test_an_item_that_json_cannot_hold_is_an_error_that_names_it(value):
    with pytest.raises(InvalidMetadata, match="Item 'a' cannot be written as JSON") as caught:
        to_bytes({"id": "a", "properties": {"b": value, "c": float("nan")}})
    assert caught.value.item_id == "a"


@pytest.mark.parametrize(("files", "kept"), [("copy", None), ("link", "https://example.com/stac")])
def test_an_item_whose_files_are_in_the_archive_comes_from_there(files, kept):
    record = {"type": "Feature", "stac_version": "1.1.0", "id": "a", "geometry": None,
              "properties": {"datetime": "2020-02-19T00:00:00Z"}, "links": [],
              "assets": {"red": {"href": "https://example.com/a.tif"}}}  # fmt: skip
    item = parse_item(record, origin="https://example.com/stac")
    placed = {"red": Placed("/data/p/a/a.tif")}
    stored = make_stored_item(
        item, placed, href="/data/p/a/stac_item.json", choices={"assets": files}
    )
    assert stored.get("stacchip:origin") == kept
