"""The archive as a whole, from which a newcomer makes a first index."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.warp import transform_geom
from shapely.geometry import shape

from stacchip.demo import GENERATED, write_archive
from stacchip.errors import UsageError
from stacchip.grid.transform import map_points
from stacchip.items import read_assets
from stacchip.sources import find_source

SOURCES = {
    "S2B_DEMO_20240416_0_L2A": "sentinel-2-l2a",
    "LC09_L2SP_DEMO_20240926_02_T1": "landsat-c2l2-sr",
    "NAIP_DEMO_20230618": "naip",
}


def open_rasters(item: pystac.Item) -> dict[str, rasterio.DatasetReader]:
    return {
        key: rasterio.open(asset.get_absolute_href())
        for key, asset in item.assets.items()
        if "geotiff" in asset.media_type
    }


def hash_files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    code = "import sys; from stacchip.demo import *; write_archive(sys.argv[1], small=True)"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}  # sets and dicts must not decide
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=environment)
    again = hash_files(tmp_path)
    assert len(again) == 33
    assert again == hash_files(archive)


def test_another_seed_makes_another_landscape(archive: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    paths = write_archive(tmp_path, seed=3, small=True, progress=lambda *step: steps.append(step))
    for path in paths:
        other = archive / path.relative_to(tmp_path)
        assert json.loads(path.read_text())["id"] == json.loads(other.read_text())["id"]
    before = hash_files(archive)
    changed = {name for name, digest in hash_files(tmp_path).items() if digest != before[name]}
    assert changed >= {name for name in before if name.lower().endswith(".tif")}

    # and progress was reported: each part from none of its steps to all of them
    parts = list(dict.fromkeys(name for name, _, _ in steps))
    assert parts == ["landscape", "Sentinel-2", "Landsat", "NAIP"]
    for part in parts:
        done = [number for name, number, _ in steps if name == part]
        total = {total for name, _, total in steps if name == part}
        assert total == {done[-1]}
        assert done == list(range(done[-1] + 1))


def test_a_negative_seed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 or more, not -1"):
        write_archive(tmp_path / "archive", seed=-1)
    assert not (tmp_path / "archive").exists()


def test_files_lie_as_in_a_bucket(archive: Path) -> None:
    items = sorted(path.relative_to(archive).as_posix() for path in archive.glob("*/*/*.json"))
    assert items == [
        f"{collection}/{name}/stac_item.json"
        for collection, name in (
            ("landsat-c2-l2", "LC09_L2SP_DEMO_20240926_02_T1"),
            ("naip", "NAIP_DEMO_20230618"),
            ("sentinel-2-l2a", "S2B_DEMO_20240416_0_L2A"),
        )
    ]


def test_every_item_says_that_it_is_generated(item_path: Path) -> None:
    item = json.loads(item_path.read_text())
    collection = json.loads((item_path.parent.parent / "collection.json").read_text())
    assert item["properties"]["description"] == GENERATED
    assert item["properties"]["processing:lineage"] == GENERATED
    assert collection["description"] == GENERATED
    assert "DEMO" in item["id"]
    assert "no sensor has seen" in GENERATED


def test_items_are_whole_stac_items(item_path: Path) -> None:
    item = pystac.Item.from_file(str(item_path))
    assert item.datetime is not None
    collection = item.get_collection()
    assert collection is not None
    assert collection.id == item.collection_id
    assert [linked.id for linked in collection.get_items()] == [item.id]
    for asset in item.assets.values():
        assert asset.href.startswith("./")
        assert Path(asset.get_absolute_href() or "").is_file()


def test_sources_recognise_the_items(item_path: Path) -> None:
    item = pystac.Item.from_file(str(item_path))
    source = find_source(item)
    assert source is not None
    assert source.name == SOURCES[item.id]
    if source.qa_assets:
        assert source.qa_asset(item) in {"scl", "qa_pixel"}


def test_the_items_projection_equals_the_files_header(item_path: Path) -> None:
    """As plain JSON, without stacchip's own reading of items."""
    item = json.loads(item_path.read_text())
    rasters = {key: asset for key, asset in item["assets"].items() if "geotiff" in asset["type"]}
    assert rasters
    for key, asset in rasters.items():
        said = {**item["properties"], **asset}
        code = said.get("proj:code") or f"EPSG:{said['proj:epsg']}"
        with rasterio.open(item_path.parent / asset["href"]) as dataset:
            assert dataset.crs.to_string() == code, key
            assert list(dataset.shape) == said["proj:shape"], key
            assert list(dataset.transform)[:6] == said["proj:transform"], key
            for band in asset.get("raster:bands", ()):
                assert band["data_type"] == dataset.dtypes[0], key
                assert band["nodata"] == dataset.nodata, key
                assert band["spatial_resolution"] == dataset.res[0], key


def test_items_declare_the_extensions_that_they_use(item_path: Path) -> None:
    item = json.loads(item_path.read_text())
    prefixes = {
        name.split(":")[0]
        for fields in (item["properties"], *item["assets"].values())
        for name in fields
        if ":" in name
    }
    names = {"proj": "projection"}
    declared = {url.split("/")[3] for url in item["stac_extensions"]}
    known = prefixes - {"s2", "landsat", "naip"}  # vendors' own fields
    assert {names.get(prefix, prefix) for prefix in known} <= declared
    version = {"proj:epsg": "v1", "proj:code": "v2"}
    (projection,) = (url for url in item["stac_extensions"] if "/projection/" in url)
    (code,) = (name for name in version if name in item["properties"])
    assert f"/{version[code]}." in projection


def test_footprints_run_counter_clockwise(item_path: Path) -> None:
    """As RFC 7946 wants it."""
    item = json.loads(item_path.read_text())
    ring = shapely.LinearRing(item["geometry"]["coordinates"][0])
    assert ring.is_ccw
    assert item["geometry"]["coordinates"][0][0] == item["geometry"]["coordinates"][0][-1]


def test_metadata_agree_with_the_files(item_path: Path) -> None:
    item = pystac.Item.from_file(str(item_path))
    infos = read_assets(item)
    rasters = open_rasters(item)
    assert {key for key, info in infos.items() if info.is_raster} == set(rasters)
    assert len(infos) - len(rasters) == 2, (
        "a thumbnail and a file of metadata, which are no rasters"
    )
    for key, dataset in rasters.items():
        geobox = infos[key].geobox
        assert geobox is not None
        assert dataset.crs.to_epsg() == geobox.crs.epsg
        assert (dataset.transform, dataset.shape) == (geobox.transform, tuple(geobox.shape))
        assert infos[key].nodata in (None, dataset.nodata)
        dataset.close()


def test_files_are_tiled_with_overviews(item_path: Path) -> None:
    for key, dataset in open_rasters(pystac.Item.from_file(str(item_path))).items():
        with dataset:
            layout = dataset.tags(ns="IMAGE_STRUCTURE")
            block = dataset.block_shapes[0][0]
            assert (layout["LAYOUT"], layout["COMPRESSION"]) == ("COG", "DEFLATE"), key
            assert layout["PREDICTOR"] == "2", key
            assert block in (256, 512), key
            assert bool(dataset.overviews(1)) == (max(dataset.shape) > block), key


def test_geometry_covers_the_data_and_little_else(item_path: Path) -> None:
    item = pystac.Item.from_file(str(item_path))
    datasets = open_rasters(item)
    dataset = datasets.get("red") or datasets["image"]
    valid = dataset.dataset_mask() > 0
    footprint = shape(transform_geom("OGC:CRS84", dataset.crs, item.geometry))
    rows, cols = np.nonzero(valid)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        # a metre of tolerance: a side between two points is straight in degrees, not in UTM
        x, y = map_points(dataset.transform, cols + right, rows + down)
        assert shapely.contains_xy(shapely.buffer(footprint, 1.0), x, y).all()
    area = valid.sum() * abs(dataset.transform.determinant)
    assert area <= footprint.area * 1.01
    assert footprint.area <= area * 1.03
    assert item.bbox == pytest.approx(shape(item.geometry).bounds)
    for open_dataset in datasets.values():
        open_dataset.close()


def test_thumbnails_are_pictures(item_path: Path) -> None:
    item = pystac.Item.from_file(str(item_path))
    asset = item.assets.get("thumbnail") or item.assets["rendered_preview"]
    with Image.open(asset.get_absolute_href() or "") as picture:
        assert picture.mode == "RGB"
        assert 256 <= max(picture.size) < 512
        assert np.asarray(picture).std() > 10
