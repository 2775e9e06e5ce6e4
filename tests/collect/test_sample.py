"""Rows of layers and lists."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path

import geopandas
import pytest
import shapely

from stacchip.collect.sample import Row, join_rows, read_layer, read_list, select_rows
from stacchip.errors import UsageError
from stacchip.storage import Storage


@pytest.mark.parametrize("suffix", ["fgb", "gpkg", "geojson", "parquet"])
def test_a_layer_in_any_format_gives_rows_in_longitude_and_latitude(tmp_path, suffix):
    frame = geopandas.GeoDataFrame(
        {"name": ["29RKH", "31UDQ"]},
        geometry=[shapely.box(200_000, 2_990_000, 300_000, 3_100_000)] * 2,
        crs="EPSG:32629",
    )
    path = tmp_path / f"layer.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "geojson":
        frame.to_crs("EPSG:4326").to_file(path)
    else:
        frame.to_file(path)
    rows = read_layer(str(path))
    assert [row.number for row in rows] == [0, 1]
    assert {row.require("name") for row in rows} == {"29RKH", "31UDQ"}
    xmin, ymin, xmax, ymax = rows[0].require_geometry().bounds
    assert -13 < xmin < xmax < -10
    assert 26 < ymin < ymax < 29


def test_a_layer_without_a_crs_is_refused(tmp_path):
    path = tmp_path / "layer.parquet"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)]).to_parquet(path)
    with pytest.raises(UsageError, match="no CRS"):
        read_layer(str(path))


def test_a_row_without_the_column_says_what_it_has():
    with pytest.raises(UsageError, match="it has: fid, area"):
        Row(3, "row 3", attributes={"fid": 1, "area": 2.0}).require("name", "mgrs")


@pytest.mark.parametrize("geometry", [None, shapely.Point()])
def test_a_row_without_a_geometry_cannot_be_searched_by(geometry):
    with pytest.raises(UsageError, match="no geometry"):
        Row(0, "row 0", geometry).require_geometry()


def test_the_packages_lists_are_well_formed():
    tiles = [row.name for row in read_list(None, default="modis_tiles.txt")]
    assert len(tiles) == len(set(tiles)) > 200
    assert all(re.fullmatch(r"h\d\dv\d\d", tile) for tile in tiles)
    assert {"h18v04", "h19v10", "h09v05", "h31v12"} <= set(tiles)
    prefixes = [row.name for row in read_list(None, default="linz_prefixes.txt")]
    assert len(prefixes) == len(set(prefixes)) > 50
    assert all(re.fullmatch(r"[a-z-]+/[a-z0-9_.\-]+/rgb/2193", prefix) for prefix in prefixes)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [(None, [0, 1, 2, 3]), ("1:3", [1, 2]), (":2", [0, 1]), ("2:", [2, 3]), ("3", [3])],
)
def test_rows_are_selected(wanted, numbers):
    rows = [Row(number, "") for number in range(4)]
    assert [row.number for row in select_rows(rows, wanted)] == numbers


@pytest.mark.parametrize("wanted", ["4", "3:3", "-1", "a:b", "0:9", ""])
def test_rows_that_are_not_there_are_refused(wanted):
    with pytest.raises(UsageError):
        select_rows([Row(number, "") for number in range(4)], wanted)


def test_a_file_that_is_not_a_layer_is_reported_in_one_line(tmp_path):
    text = tmp_path / "tiles.txt"
    text.write_text("h16v00\n")
    for path in (str(text), str(tmp_path / "nowhere.fgb")):
        with pytest.raises(UsageError, match="--sample") as caught:
            read_layer(path)
        assert "\n" not in str(caught.value)


def test_a_layer_is_not_a_list(tmp_path):
    layer = tmp_path / "layer.fgb"
    layer.write_bytes(b"fgb\x03fgb\x00\xe4\xff")
    with pytest.raises(UsageError, match="STACCHIP_MGRS_SOURCE"):
        read_list(str(layer), default="modis_tiles.txt", storage=Storage())


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("7", [7]), ("3:9", range(3, 9)), (":", range(20)), ("3,7,12:15", [3, 7, 12, 13, 14]),
        ("15, 2 ,15", [2, 15]), ("18:,:2,1", [0, 1, 18, 19]),
    ],
)  # fmt: skip
def test_rows_are_numbers_ranges_and_lists_of_these(wanted, numbers):
    rows = [Row(number, "") for number in range(20)]
    assert [row.number for row in select_rows(rows, wanted)] == list(numbers)


@pytest.mark.parametrize(
    "wanted", ["", " ", ",", "1,", "1;2", "a", "1:b", "20", "3:99", "-1", "5:5"]
)
def test_what_names_no_rows_is_refused(wanted):
    rows = [Row(number, "") for number in range(20)]
    with pytest.raises(UsageError):
        select_rows(rows, wanted)


@pytest.mark.parametrize("numbers", [[], [5], [0, 1], [0, 1, 2], [9, 3, 4, 5, 1, 19, 18]])
def test_rows_that_are_written_down_are_read_again(numbers):
    rows = [Row(number, "") for number in range(20)]
    text = join_rows(numbers)
    if not numbers:
        assert text == ""
        return
    assert [row.number for row in select_rows(rows, text)] == sorted(numbers)


def test_a_row_is_named_after_its_tile(tmp_path):
    path = tmp_path / "tiles.gpkg"
    points = [shapely.Point(n, n) for n in range(3)]
    geopandas.GeoDataFrame(
        {"Name": ["29RKH", None, "a\n0\tb"], "n": [1, 2, 3]}, geometry=points, crs="EPSG:4326"
    ).to_file(path)
    titles = ["row 0 (29RKH)", "row 1", "row 2 (a 0 b)"]
    assert [row.title for row in read_layer(str(path))] == titles


def pointers(layer: Path) -> dict[str, str]:
    """Texts by which GDAL reads a layer elsewhere."""
    source = f'<OGRVRTLayer name="layer"><SrcDataSource>{layer}</SrcDataSource></OGRVRTLayer>'
    return {
        "vrt": f"<OGRVRTDataSource>{source}</OGRVRTDataSource>",
        "vrt after a mark": f"\ufeff \n<OGRVRTDataSource>{source}</OGRVRTDataSource>",
        "command": json.dumps(
            {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {layer}"}
        ),
    }


@pytest.mark.parametrize("kind", ["vrt", "vrt after a mark", "command"])
@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.vrt", "a.zip"])
def test_a_text_that_names_a_layer_elsewhere_is_no_layer(kind, name, tmp_path):
    layer = tmp_path / "layer.geojson"
    layer.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": '
        '"TOPSECRET"}, "geometry": {"type": "Point", "coordinates": [1, 2]}}]}'
    )
    assert read_layer(str(layer))[0].name == "TOPSECRET"
    text = pointers(layer)[kind]
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside.vrt", text)
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=r"names layers elsewhere.*ogr2ogr"):
        read_layer(str(tmp_path / name))


def test_a_fifo_is_no_layer(tmp_path):
    os.mkfifo(tmp_path / "a.geojson")
    with pytest.raises(UsageError, match="not a regular file"):
        read_layer(str(tmp_path / "a.geojson"))
