"""Each source's command, run with nothing but environment variables, and the bucket it fills."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio

from collect.worlds import (
    SURVEY,
    landsat_world,
    linz_world,
    modis_world,
    naip_world,
    sentinel_1_world,
    sentinel_2_world,
)
from stacchip.chipper import Chipper
from stacchip.collect.recipes.registry import get_recipe

pytestmark = pytest.mark.servers


def check_archive(outside, root, world, source):
    """Check what holds for every source; return each item's record by id."""
    content = outside.content(root)
    ids = sorted(key.split("/")[2] for key in content if key.endswith("/stac_item.json"))
    if world.expected:
        assert ids == sorted(world.expected)
    assert not [key for key in content if b"X-Amz-" in content[key] or b"sig=" in content[key]]
    records = {}
    for item_id in ids:
        platform = world.platform.get(item_id, source)
        record = json.loads(content[f"/{platform}/{item_id}/stac_item.json"])
        check_item(record, content, root, f"/{platform}/{item_id}", outside)
        check_index(outside, root, platform, record, content)
        records[item_id] = record
    return records


def check_item(record, content, root, folder, outside):
    item = pystac.Item.from_dict(record)
    assert item.geometry is not None
    assert item.bbox is not None
    assert record["type"] == "Feature"
    assert record["stac_version"]
    assert item.get_self_href() == f"{root}{folder}/stac_item.json"
    for key, asset in record["assets"].items():
        name = asset["href"].removeprefix(f"{root}{folder}/")
        assert "/" not in name, f"{key}: {asset['href']} is not beside the item"
        assert asset["file:size"] == len(content[f"{folder}/{name}"])
        with rasterio.MemoryFile(content[f"{folder}/{name}"]) as file, file.open() as dataset:
            shape = asset.get("proj:shape", record["properties"].get("proj:shape"))
            if shape is not None:
                assert tuple(shape) == dataset.shape, key


def check_index(outside, root, platform, record, content):
    item_id = record["id"]
    place = f"/index/{platform}/{item_id}/index_{item_id}.parquet"
    table = read(content[place])
    assert set(table["item_id"].to_pylist()) == {item_id}
    assert set(table["platform"].to_pylist()) == {platform}
    assert table.num_rows > 0


def read(data):
    return pq.read_table(io.BytesIO(data))


def cut_chip(outside, root, platform, item_id, row=0):
    """Cut a chip of the archive with the Chipper, called as in the original."""
    chipper = Chipper(f"{root}/index/{platform}/{item_id}", storage=outside.storage)
    assert len(chipper) > 0
    return chipper[row]


def pixels_at(content, record, key, x, y, size, scale):
    """Cut the same chip with rasterio, from a band whose pixels are `scale` times as large."""
    name = record["assets"][key]["href"].rpartition("/")[2]
    data = next(value for path, value in content.items() if path.endswith(f"{record['id']}/{name}"))
    with rasterio.MemoryFile(data) as file, file.open() as dataset:
        if scale == 1:
            window = rasterio.windows.Window(x * size, y * size, size, size)
            return dataset.read(window=window)
        whole = dataset.read()
    rows = ((np.arange(y * size, (y + 1) * size) + 0.5) / scale).astype(int)
    columns = ((np.arange(x * size, (x + 1) * size) + 0.5) / scale).astype(int)
    return whole[:, rows[:, None], columns[None, :]]


# -- one test a source -----------------------------------------------------------------------------


def test_sentinel_2(outside, shared_data):
    world = sentinel_2_world(shared_data)
    outside.load(world)
    layer = outside.sample("mgrs", name=["30UXB", "29RKH", "1LAC"], geometry=[world.area] * 3)
    done = outside.run(
        "sentinel_2",
        STACCHIP_MGRS_SOURCE=str(layer),
        STACCHIP_BUCKET="s3://archive/sentinel-2",
        AWS_BATCH_JOB_ARRAY_INDEX="1",
    )
    assert "8 items" in done.stdout
    root = "s3://archive/sentinel-2"
    records = check_archive(outside, root, world, "sentinel-2-l2a")
    content = outside.content(root)
    item_id = world.expected[0]
    folder = shared_data / "sentinel2/S2A_29RKH_20200219_0_L2A"
    assert content[f"/sentinel-2-l2a/{item_id}/B02.tif"] == (folder / "B02.tif").read_bytes()
    assert set(records[item_id]["assets"]) == set(get_recipe("sentinel-2").assets["sentinel-2-l2a"])
    # count SCL pixels for the shares: a chip of 256 px of 10 m is 128 px of 20 m
    with rasterio.open(folder / "SCL.tif") as dataset:
        classes = dataset.read(1)
    table = read(content[f"/index/sentinel-2-l2a/{item_id}/index_{item_id}.parquet"])
    assert table.num_rows == 16
    for row in table.to_pylist():
        y, x = row["chip_index_y"] * 128, row["chip_index_x"] * 128
        chip = classes[y : y + 128, x : x + 128]
        cloud = np.isin(chip, (1, 3, 8, 9, 10)).mean()
        assert row["cloud_cover_percentage"] == pytest.approx(cloud, abs=1e-6)
        assert row["nodata_percentage"] == pytest.approx((chip == 0).mean(), abs=1e-6)
    chipper = Chipper(
        bucket=root, platform="sentinel-2-l2a", item_id=item_id, storage=outside.storage
    )
    x, y, chip = chipper[5]
    for key, scale in (("blue", 1), ("rededge1", 2), ("scl", 2)):
        expected = pixels_at(content, records[item_id], key, x, y, 256, scale)
        np.testing.assert_array_equal(chip[key], expected, err_msg=key)


def test_landsat(outside, shared_data):
    world = landsat_world(shared_data)
    outside.load(world)
    layer = outside.sample("landsat", n=[0, 1, 2], geometry=[world.area] * 3)
    done = outside.run(
        "landsat",
        STACCHIP_SAMPLE_SOURCE=str(layer),
        STACCHIP_BUCKET="s3://archive/landsat",
        AWS_BATCH_JOB_ARRAY_INDEX="2",
    )
    assert "8 items" in done.stdout
    assert outside.proxy.count(prefix="/usgs-landsat/", status=403) == 0
    root = "s3://archive/landsat"
    records = check_archive(outside, root, world, "landsat")
    content = outside.content(root)
    scene = shared_data / "landsat/LC08_L2SP_008059_20191201"
    with rasterio.open(next(scene.glob("*QA_PIXEL.TIF"))) as dataset:
        quality = dataset.read(1)
    for item_id in world.expected:
        platform = world.platform[item_id]
        for row in read(
            content[f"/index/{platform}/{item_id}/index_{item_id}.parquet"]
        ).to_pylist():
            y, x = row["chip_index_y"] * 256, row["chip_index_x"] * 256
            chip = quality[y : y + 256, x : x + 256]
            fill = ((chip & 1) > 0).mean()
            cloud = ((chip & 0b11010) > 0).mean()
            assert row["nodata_percentage"] == pytest.approx(fill, abs=1e-6)
            assert row["cloud_cover_percentage"] == pytest.approx(cloud, abs=1e-6)
    assert {"pan", "lwir11", "lwir12"} <= set(records[world.expected[0]]["assets"])
    item_id = world.expected[-1]
    x, y, chip = cut_chip(outside, root, world.platform[item_id], item_id)
    np.testing.assert_array_equal(
        chip["nir08"], pixels_at(content, records[item_id], "nir08", x, y, 256, 1)
    )


def test_naip(outside, shared_data):
    world = naip_world(shared_data)
    outside.load(world)
    layer = outside.sample("naip", n=list(range(5)), geometry=[world.area] * 5)
    done = outside.run(
        "naip",
        STACCHIP_SAMPLE_SOURCE=str(layer),
        STACCHIP_BUCKET="s3://archive/naip",
        AWS_BATCH_JOB_ARRAY_INDEX="3",
    )
    assert "2 items" in done.stdout
    root = "s3://archive/naip"
    records = check_archive(outside, root, world, "naip")
    content = outside.content(root)
    assert outside.proxy.count(prefix="/naip-analytic/", status=404) > 0, "one form is not there"
    for date in ("20090818", "20120731"):
        name = f"m_4709963_se_14_1_{date}.tif"
        item_id = f"nd_m_4709963_se_14_1_{date}"
        assert content[f"/naip/{item_id}/{name}"] == (shared_data / "naip" / name).read_bytes()
        x, y, chip = cut_chip(outside, root, "naip", item_id, row=3)
        np.testing.assert_array_equal(
            chip["image"], pixels_at(content, records[item_id], "image", x, y, 256, 1)
        )


def test_linz(outside, shared_data, tmp_path):
    world = linz_world(shared_data, tmp_path)
    outside.load(world)
    done = outside.run(
        "linz",
        STACCHIP_BUCKET="s3://archive/linz",
        STACCHIP_CATALOGUE="s3://nz-imagery/",
        AWS_BATCH_JOB_ARRAY_INDEX=str(world.row),
    )
    assert "11 items" in done.stdout
    root = "s3://archive/linz"
    records = check_archive(outside, root, world, "linz")
    assert len(records) == 11
    content = outside.content(root)
    for item_id, record in records.items():
        assert item_id.startswith("christchurch_2018_0.075m_BX24_500_")
        sheet = item_id.removeprefix("christchurch_2018_0.075m_")
        assert any(
            link["href"] == f"s3://nz-imagery/{SURVEY}/{sheet}.json"
            for link in record["links"] if link["rel"] == "derived_from"
        )  # fmt: skip
        data = content[f"/linz/{item_id}/{sheet}.tiff"]
        with rasterio.MemoryFile(data) as file, file.open() as dataset:
            assert dataset.res == pytest.approx((0.3, 0.3))
            assert dataset.count == 3
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            with rasterio.open(tmp_path / f"{sheet}.tiff") as before:
                pair = before.read()[:, ::2, ::2].astype(int)  # its pixels come in blocks of 20
                assert dataset.bounds == pytest.approx(before.bounds)
            assert np.abs(dataset.read().astype(int) - pair).max() <= 1
        assert record["properties"]["proj:code"] == "EPSG:2193"
    item_id = min(records)
    x, y, chip = cut_chip(outside, root, "linz", item_id)
    np.testing.assert_array_equal(
        chip["visual"], pixels_at(content, records[item_id], "visual", x, y, 256, 1)
    )


def test_sentinel_1(outside, shared_data, tmp_path):
    world = sentinel_1_world(shared_data, tmp_path)
    outside.load(world)
    outside.proxy.set(sas_life_s=62)  # renewed a minute before it expires, so every two seconds
    layer = outside.sample("sentinel-1", n=[0], geometry=[world.area])
    done = outside.run(
        "sentinel_1",
        STACCHIP_SAMPLE_SOURCE=str(layer),
        STACCHIP_BUCKET="s3://archive/sentinel-1",
        AWS_BATCH_JOB_ARRAY_INDEX="0",
    )
    assert "8 items" in done.stdout
    assert outside.proxy.count(prefix="/sas/sentinel1euwestrtc/sentinel1-grd-rtc") >= 1
    root = "s3://archive/sentinel-1"
    records = check_archive(outside, root, world, "sentinel-1-rtc")
    content = outside.content(root)
    item_id = world.expected[0]
    with rasterio.open(tmp_path / "iw-vv.rtc.tiff") as before:
        pixels = before.read()
    data = content[f"/sentinel-1-rtc/{item_id}/iw-vv.rtc.tiff"]
    with rasterio.MemoryFile(data) as file, file.open() as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.nodata == -32768
        np.testing.assert_array_equal(dataset.read(), pixels)
    rows = read(content[f"/index/sentinel-1-rtc/{item_id}/index_{item_id}.parquet"]).to_pylist()
    shares = {(row["chip_index_x"], row["chip_index_y"]): row["nodata_percentage"] for row in rows}
    assert (0, 0) not in shares, "a chip without data gets no row"
    for (x, y), share in shares.items():
        chip = pixels[0, y * 256 : (y + 1) * 256, x * 256 : (x + 1) * 256]
        assert share == pytest.approx((chip == -32768).mean(), abs=1e-6)
    x, y, chip = cut_chip(outside, root, "sentinel-1-rtc", item_id)
    np.testing.assert_array_equal(
        chip["vh"], pixels_at(content, records[item_id], "vh", x, y, 256, 1)
    )


def test_modis(outside, shared_data, tmp_path):
    world = modis_world(shared_data, tmp_path)
    outside.load(world)
    done = outside.run(
        "modis", STACCHIP_BUCKET="s3://archive/modis", AWS_BATCH_JOB_ARRAY_INDEX=str(world.row)
    )
    assert "12 items" in done.stdout
    root = "s3://archive/modis"
    records = check_archive(outside, root, world, "modis")
    content = outside.content(root)
    item_id = world.expected[0]
    record = records[item_id]
    assert record["properties"]["proj:code"] == "EPSG:3857"
    assert "proj:wkt2" not in record["properties"]
    name = record["assets"]["sur_refl_qc_500m"]["href"].rpartition("/")[2]
    with rasterio.MemoryFile(content[f"/modis/{item_id}/{name}"]) as file, file.open() as dataset:
        assert dataset.crs.to_epsg() == 3857
        quality = dataset.read(1) & 3
    assert {0, 1, 2, 3} <= set(np.unique(quality))
    for row in read(content[f"/index/modis/{item_id}/index_{item_id}.parquet"]).to_pylist():
        y, x = row["chip_index_y"] * 256, row["chip_index_x"] * 256
        chip = quality[y : y + 256, x : x + 256]
        assert row["cloud_cover_percentage"] == pytest.approx((chip == 2).mean(), abs=1e-6)
        assert row["nodata_percentage"] == pytest.approx((chip == 3).mean(), abs=1e-6)
    x, y, chip = cut_chip(outside, root, "modis", item_id)
    np.testing.assert_array_equal(
        chip["sur_refl_b01"], pixels_at(content, record, "sur_refl_b01", x, y, 256, 1)
    )
