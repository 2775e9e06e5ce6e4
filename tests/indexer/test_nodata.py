"""Nodata of items without a QA band: from the reference band, if its file says what it is."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from stacchip import Chipper, index_items, read_index
from stacchip.errors import GridMismatch, RasterError, UnsupportedRaster
from stacchip.indexer import Indexer
from stacchip.sources import NAIP, Source

CHIP = 64
EMPTY_ROWS = 48


def write(path: Path, *, count: int = 1, kind: str = "plain", **options) -> Path:
    """Write 128 x 128 px whose first 48 rows are empty: the value 0, or hidden by a mask."""
    pixels = np.arange(1, 128 * 128 + 1, dtype=np.float64).reshape(128, 128)
    pixels[:EMPTY_ROWS] = options.pop("fill", 0)
    profile = {
        "driver": "GTiff", "width": 128, "height": 128, "count": count, "dtype": "uint16",
        "crs": "EPSG:32629", "transform": Affine(10, 0, 5e5, 0, -10, 4.2e6), "tiled": True,
        "blockxsize": 32, "blockysize": 32, "compress": "deflate",
    } | options  # fmt: skip
    opaque = np.where(np.arange(128)[:, None] < EMPTY_ROWS, 0, 255) * np.ones((1, 128))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile) as dataset,
    ):
        dataset.write(np.stack([pixels] * count).astype(profile["dtype"]))
        if kind == "mask":
            dataset.write_mask(opaque.astype(np.uint8))
        if kind == "alpha":
            dataset.colorinterp = [*dataset.colorinterp[:-1], rasterio.enums.ColorInterp.alpha]
            dataset.write(opaque.astype(profile["dtype"]), count)
    return path


def make_item(path: Path, collection: str | None = None, **fields) -> pystac.Item:
    item = pystac.Item("m-1", None, None, datetime(2021, 6, 1, tzinfo=UTC), {})
    item.collection_id = collection
    item.add_asset("image", pystac.Asset(str(path), roles=["data"], extra_fields=fields))
    return item


def measured(item: pystac.Item, **options) -> list[float | None]:
    table = Indexer(item, CHIP, 1.0, **options).create_index()
    return table["nodata_percentage"].to_pylist()


FIRST_ROWS = [EMPTY_ROWS / CHIP, EMPTY_ROWS / CHIP, 0, 0]


@pytest.mark.parametrize(
    "options",
    [
        {"nodata": 0},
        {"nodata": 0, "count": 3, "interleave": "pixel"},
        {"kind": "mask", "count": 3},
        {"kind": "alpha", "count": 4, "dtype": "uint8"},
        {"dtype": "float32", "nodata": np.nan, "fill": np.nan},
        {"dtype": "float32", "nodata": -9999, "fill": -9999},
        {"nodata": 0, "compress": "lzma"},  # read by GDAL
        {"nodata": 0, "driver": "GTiff", "tiled": False, "blockysize": 7},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_nodata_is_measured_where_the_file_says_what_it_is(tmp_path: Path, options):
    item = make_item(write(tmp_path / "image.tif", **options))
    assert measured(item) == FIRST_ROWS
    # it is what a cut chip shows
    chipper = Chipper(Indexer(item, CHIP, 1.0).create_index())
    shown = [1 - chipper.cut_row(row).valid.mean() for row in range(4)]
    assert shown == FIRST_ROWS


def test_a_file_that_is_read_whole_is_named_in_the_log(tmp_path: Path, caplog):
    path = write(tmp_path / "image.tif", nodata=0)
    with caplog.at_level(logging.INFO, "stacchip"):
        measured(make_item(path))
    assert f"asset 'image' is read whole, to measure its nodata: {path}" in caplog.messages


def test_one_band_with_a_value_makes_a_pixel_valid(tmp_path: Path):
    path = write(tmp_path / "image.tif", nodata=0, count=2)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((128, 128), 7, np.uint16), 2)
    assert measured(make_item(path)) == [0, 0, 0, 0]


@pytest.mark.parametrize("collection", [None, "sentinel-2-l1c", "landsat-8-l1-c1"])
def test_nodata_of_a_file_that_does_not_say_is_not_measured(tmp_path: Path, collection):
    item = make_item(write(tmp_path / "image.tif"), collection)
    assert measured(item) == [None] * 4
    assert measured(item, edge="pad") == [None] * 4


def test_the_item_may_say_what_nodata_is(tmp_path: Path):
    path = write(tmp_path / "image.tif")
    assert measured(make_item(path, **{"raster:bands": [{"nodata": 0}]})) == FIRST_ROWS
    # a value that the band cannot hold says nothing
    assert measured(make_item(path, **{"raster:bands": [{"nodata": -9999}]})) == [None] * 4


def test_the_file_goes_before_the_item(tmp_path: Path):
    path = write(tmp_path / "image.tif", nodata=65535)
    assert measured(make_item(path, **{"raster:bands": [{"nodata": 0}]})) == [0, 0, 0, 0]


def test_chips_that_are_mostly_nodata_get_no_row(tmp_path: Path):
    item = make_item(write(tmp_path / "image.tif", nodata=0))
    index_items([item], tmp_path / "index", chip_size=CHIP)
    assert read_index(tmp_path / "index")["chip_index_y"].to_pylist() == [1, 1]
    index_items([item], tmp_path / "all", chip_size=CHIP, stats=False)
    assert read_index(tmp_path / "all")["nodata_percentage"].to_pylist() == [None] * 4


def test_a_source_that_is_free_of_clouds_says_so_and_measures_nodata(tmp_path: Path):
    for name, options, nodata in (
        ("declared", {"nodata": 0}, FIRST_ROWS),
        ("complete", {}, [0, 0, 0, 0]),
    ):
        item = make_item(write(tmp_path / f"{name}.tif", **options), "naip")
        table = Indexer(item, CHIP, 1.0).create_index()
        assert table["cloud_cover_percentage"].to_pylist() == [0, 0, 0, 0]
        assert table["nodata_percentage"].to_pylist() == nodata
        assert table["snow_percentage"].null_count == 4


def test_padding_of_complete_imagery_counts_as_nodata(tmp_path: Path):
    item = make_item(write(tmp_path / "image.tif"), "naip")
    table = Indexer(item, 100, 1.0, edge="pad").create_index()
    assert table["nodata_percentage"].to_pylist() == pytest.approx(
        [0, 0.72, 0.72, 1 - 0.28**2], abs=1e-6
    )


def test_a_source_without_declaration_leaves_clouds_unmeasured(tmp_path: Path):
    item = make_item(write(tmp_path / "image.tif", nodata=0))
    mine = Source(name="mine", title="Mine", bands=("image",))
    table = Indexer(item, CHIP, 1.0, source=mine).create_index()
    assert table["cloud_cover_percentage"].null_count == 4
    assert table["nodata_percentage"].to_pylist() == FIRST_ROWS
    # the source may name the value, too
    item = make_item(write(tmp_path / "silent.tif"))
    assert measured(item, source=replace(mine, nodata=0)) == FIRST_ROWS
    assert measured(item, source=replace(NAIP, is_complete=False)) == [None] * 4


def test_a_qa_band_that_tells_clouds_alone_leaves_nodata_to_the_reference_band(tmp_path: Path):
    item = make_item(write(tmp_path / "image.tif", nodata=0))
    item.add_asset("qa", pystac.Asset(str(write(tmp_path / "qa.tif", dtype="uint8"))))
    mine = Source(
        name="mine", title="Mine", bands=("image",), qa_assets=("qa",), classes={"cloud": (3,)},
        classify=lambda pixels, classes, nodata: {"cloud": pixels == classes["cloud"][0]},
    )  # fmt: skip
    assert measured(item, source=mine) == FIRST_ROWS
    item.assets["image"].href = str(write(tmp_path / "silent.tif"))
    assert measured(item, source=mine) == [None] * 4


@pytest.mark.parametrize("content", [None, b"<html>log in</html>"])
def test_a_file_that_cannot_be_opened_is_said_and_its_nodata_is_not_measured(
    tmp_path: Path, content: bytes | None, caplog
):
    grid = {
        "proj:code": "EPSG:32629", "proj:shape": [128, 128],
        "proj:transform": [10, 0, 5e5, 0, -10, 4.2e6],
    }  # fmt: skip
    if content is not None:
        (tmp_path / "gone.tif").write_bytes(content)
    item = make_item(tmp_path / "gone.tif", **grid)
    with caplog.at_level(logging.WARNING, "stacchip"):
        assert measured(item) == [None] * 4
    assert "nodata of 'image' is not measured" in caplog.text
    assert "gone.tif" in caplog.text


def test_a_file_without_a_grid_is_refused_though_its_item_gives_one(tmp_path: Path):
    corners = [(0, 0, -9, 38), (0, 128, -8.9, 38), (128, 0, -9, 37.9), (128, 128, -8.9, 37.9)]
    with rasterio.open(
        tmp_path / "image.tif", "w", driver="GTiff", width=128, height=128, count=1, dtype="uint16",
        nodata=0, crs="EPSG:4326", gcps=[GroundControlPoint(*corner) for corner in corners],
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 128, 128), np.uint16))
    grid = {
        "proj:code": "EPSG:32629", "proj:shape": [128, 128],
        "proj:transform": [10, 0, 5e5, 0, -10, 4.2e6],
    }  # fmt: skip
    with pytest.raises(UnsupportedRaster, match="control points"):
        measured(make_item(tmp_path / "image.tif", **grid))


def test_a_broken_block_is_an_error(tmp_path: Path):
    path = write(tmp_path / "image.tif", nodata=0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises((RasterError, GridMismatch)):
        measured(make_item(path))


def test_a_real_elevation_model_that_is_almost_all_nodata_says_so(shared_data: Path):
    path = shared_data / "linz" / "BQ25_10000_0305.tiff"
    with rasterio.open(path) as dataset:
        empty = dataset.dataset_mask() == 0
    table = Indexer(make_item(path), 2400, 1.0).create_index()
    assert table.num_rows == 6
    chips = empty.reshape(3, 2400, 2, 2400).mean(axis=(1, 3)).ravel()
    np.testing.assert_array_equal(table["nodata_percentage"].to_numpy(), chips.astype(np.float32))
    assert chips.min() > 0.9
