"""A file and its item may write one CRS in two ways: the pixels are the same, so chips are cut."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

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
    return Chipper(NoStatsChipIndexer(item).create_index())


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
