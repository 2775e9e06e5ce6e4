"""A file and its item may write one CRS in two ways: the pixels are the same, so chips are cut."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.rio.main import main_group
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import GridMismatch
from stacchip.indexer import NoStatsChipIndexer

ARCGIS_LAEA = (
    'PROJCS["ETRS_1989_LAEA",GEOGCS["GCS_ETRS_1989",DATUM["D_ETRS_1989",'
    'SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],'
    'UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Azimuthal_Equal_Area"],'
    'PARAMETER["false_easting",4321000.0],PARAMETER["false_northing",3210000.0],'
    'PARAMETER["central_meridian",10.0],PARAMETER["latitude_of_origin",52.0],UNIT["Meter",1.0]]'
)
PIXELS = np.arange(512 * 512, dtype=np.uint32).reshape(512, 512)


def chipper_of(folder, in_file, in_item):
    return Chipper(NoStatsChipIndexer(item_of(folder, in_file, in_item)).create_index())


def item_of(folder, in_file, in_item):
    crs = rasterio.CRS.from_user_input(in_file)
    transform = Affine(10, 0, 500_000, 0, -10, 4_200_000)
    if crs.is_geographic:
        transform = Affine(0.001, 0, 10, 0, -0.001, 50)
    path = folder / "dem.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=512, width=512, count=1, dtype="uint32", crs=crs,
        transform=transform, tiled=True, blockxsize=256, blockysize=256,
    ) as out:  # fmt: skip
        out.write(PIXELS, 1)
    grid = {
        "proj:code": in_item,
        "proj:shape": [512, 512],
        "proj:transform": list(transform)[:6],
    }
    item = pystac.Item("dem", None, None, datetime(2024, 5, 1, tzinfo=UTC), grid)
    item.add_asset("dem", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
    return item


@pytest.mark.parametrize(
    ("in_file", "in_item"),
    [
        ("EPSG:4326", "OGC:CRS84"),
        ("EPSG:26913+5703", "EPSG:26913"),  # with a height, as 3DEP writes its files
        ("EPSG:26913", "EPSG:26913+5703"),
        ("EPSG:7415", "EPSG:28992"),  # AHN: one code for both parts
        ("EPSG:9518", "EPSG:4326"),
        (ARCGIS_LAEA, "EPSG:3035"),
        ("+proj=utm +zone=29 +ellps=WGS84 +units=m", "EPSG:32629"),
    ],
)
def test_another_spelling_of_the_crs_is_cut(tmp_path, in_file, in_item):
    chipper = chipper_of(tmp_path, in_file, in_item)
    assert len(chipper) == 4
    for x, y in ((0, 0), (1, 1)):
        np.testing.assert_array_equal(
            chipper.cut(x, y).array[0], PIXELS[y * 256 :, x * 256 :][:256, :256]
        )


@pytest.mark.parametrize(
    ("in_file", "in_item"),
    [
        ("EPSG:32629", "EPSG:32630"),
        ("EPSG:26913+5703", "EPSG:26914"),
        ("+proj=utm +zone=29 +ellps=WGS84 +units=m", "EPSG:32630"),
    ],
)
def test_another_crs_is_refused(tmp_path, in_file, in_item):
    with pytest.raises(GridMismatch, match="does not lie on the grid"):
        chipper_of(tmp_path, in_file, in_item).cut(0, 0)


def add_labels(item: pystac.Item, folder: Path, nodata: int | None) -> Path:
    """Add classes of 1..250 in geographic coordinates around the item's own pixels."""
    west, south, east, north = transform_bounds(
        "EPSG:32629", "EPSG:4326", 500_000, 4_194_880, 505_120, 4_200_000
    )
    shape = (700, 800)
    transform = from_bounds(west - 0.001, south - 0.001, east, north + 0.001, *shape[::-1])
    pixels = (np.arange(shape[0] * shape[1]).reshape(shape) % 250 + 1).astype(np.uint8)
    path = folder / "the classes.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype="uint8",
        crs="EPSG:4326", transform=transform, nodata=nodata,
    ) as out:  # fmt: skip
        out.write(pixels, 1)
    item.add_asset("classes", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
    return path


@pytest.mark.parametrize("nodata", [None, 0])
def test_labels_in_another_crs_are_cut_after_the_advice_is_followed(tmp_path, monkeypatch, nodata):
    item = item_of(tmp_path, "EPSG:32629", "EPSG:32629")
    path = add_labels(item, tmp_path, nodata)
    chips = Chipper(NoStatsChipIndexer(item).create_index(), assets=["dem", "classes"])
    with pytest.raises(GridMismatch, match="is in another CRS than its chips") as refused:
        chips.cut(0, 0)
    said = str(refused.value)
    assert ("pixels beyond its edge become 0" in said) is (nodata is None)
    program, *arguments = shlex.split(said.split("`")[1])
    assert program == "rio"  # it comes with rasterio
    monkeypatch.chdir(tmp_path)
    main_group(arguments, standalone_mode=False)

    item.assets["classes"].href = str(tmp_path / "classes-warped.tif")
    chips = Chipper(NoStatsChipIndexer(item).create_index(), assets=["classes"])
    with rasterio.open(path) as file, rasterio.open(item.assets["dem"].href) as like, WarpedVRT(
        file, crs=like.crs, transform=like.transform, width=512, height=512,
    ) as warped:  # fmt: skip
        expected = warped.read(1)
    assert len(np.unique(expected)) > 200
    for x, y in ((0, 0), (1, 1)):
        np.testing.assert_array_equal(
            chips.cut(x, y).array[0], expected[y * 256 :, x * 256 :][:256, :256]
        )


def test_advice_on_another_crs_shows_no_secret(tmp_path):
    item = item_of(tmp_path, "EPSG:32629", "EPSG:32629")
    path = add_labels(item, tmp_path, 0)
    with RangeServer(tmp_path) as server:
        item.assets["classes"].href = f"{server.url(path.name)}?X-Amz-Signature=secret"
        with pytest.raises(GridMismatch) as refused:
            Chipper(NoStatsChipIndexer(item).create_index(), assets=["classes"]).cut(0, 0)
    assert "rio warp" in str(refused.value)
    assert "secret" not in str(refused.value)
