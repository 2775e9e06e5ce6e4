"""Shares of real scenes, against figures that owe nothing to our code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from stacchip.errors import GridMismatch
from stacchip.index import ChipGrid, chip_shares
from stacchip.raster import open_reader
from stacchip.sources import LANDSAT, SENTINEL_2
from stacchip.storage import Storage


def total(shares, grid):
    """Pixels over the whole band, from the shares of padded chips."""
    return float(shares.astype(np.float64).sum()) * grid.chip_size**2 / np.prod(grid.shape)


def test_sentinel_2_cloud_is_the_producers(shared_data):
    folder = shared_data / "sentinel2" / "S2A_29RKH_20200219_0_L2A"
    reference = open_reader(str(folder / "B04.tif"), Storage())
    scl = open_reader(str(folder / "SCL.tif"), Storage())
    producers = replace(SENTINEL_2, classes={**SENTINEL_2.classes, "cloud": (8, 9, 10)})
    for chip_size in (32, 61, 256):
        grid = ChipGrid(reference.geobox, chip_size, "pad")
        shares = chip_shares(scl, producers, grid)
        assert 100 * total(shares["cloud"], grid) == pytest.approx(4.06, abs=0.005)


def test_landsat_cloud_is_the_producers(shared_data):
    folder = shared_data / "landsat" / "LC08_L2SP_008059_20191201"
    qa = open_reader(str(next(folder.glob("*QA_PIXEL.TIF"))), Storage())
    bit_3 = replace(LANDSAT, classes={**LANDSAT.classes, "cloud": (3,)})
    grid = ChipGrid(qa.geobox, 50, "pad")
    shares = chip_shares(qa, bit_3, grid)
    fill = 1 - (1 - total(shares["nodata"], grid)) - (grid.size * 50**2 / np.prod(grid.shape) - 1)
    assert 100 * fill == pytest.approx(31, abs=0.5)
    assert 100 * total(shares["cloud"], grid) / (1 - fill) == pytest.approx(81.1, abs=0.05)


def test_landsat_over_antarctica_is_all_cloud(shared_data):
    folder = shared_data / "landsat" / "LC08_L2SR_099120_20191129"
    qa = open_reader(str(next(folder.glob("*QA_PIXEL.TIF"))), Storage())
    grid = ChipGrid(qa.geobox, 40)
    shares = chip_shares(qa, LANDSAT, grid)
    assert np.allclose(shares["cloud"] + shares["nodata"], 1)


@pytest.mark.parametrize("chip_size", [64, 100, 256])
def test_shares_are_those_of_the_pixels_that_gdal_warps(shared_data, chip_size):
    # 20 m classes on the grid of the 60 m band and of the 10 m band
    folder = shared_data / "sentinel2" / "S2A_29RKH_20200219_0_L2A"
    scl = open_reader(str(folder / "SCL.tif"), Storage())
    for band in ("B01.tif", "B04.tif"):
        grid = ChipGrid(open_reader(str(folder / band), Storage()).geobox, chip_size, "pad")
        side = (grid.y_size * chip_size, grid.x_size * chip_size)
        with (
            rasterio.open(folder / "SCL.tif") as dataset,
            WarpedVRT(
                dataset, crs=dataset.crs, transform=grid.transform, height=side[0], width=side[1],
                resampling=Resampling.nearest, nodata=0,
            ) as warped,
        ):  # fmt: skip
            classes = warped.read(1)
        classes[grid.shape[0] :], classes[:, grid.shape[1] :] = 0, 0
        tiles = classes.reshape(grid.y_size, chip_size, grid.x_size, chip_size)
        shares = chip_shares(scl, SENTINEL_2, grid)
        for name, values in SENTINEL_2.classes.items():
            expected = np.isin(tiles, values).mean(axis=(1, 3)).astype(np.float32)
            assert np.array_equal(shares[name], expected), (band, name)


def test_classes_in_another_crs_are_refused(shared_data):
    folder = shared_data / "sentinel2" / "L2A_T19UDP_20170729_mixed"
    band = open_reader(str(next(folder.glob("R10m/*"))), Storage())
    scl = open_reader(str(next(folder.glob("**/SCL*"))), Storage())
    with pytest.raises(GridMismatch, match=r"EPSG:32701.*EPSG:32619"):
        chip_shares(scl, SENTINEL_2, ChipGrid(band.geobox, 64))


def test_a_qa_band_across_the_dateline_is_indexed(shared_data):
    qa = open_reader(
        str(shared_data / "landsat" / "QA_PIXEL_C2_antimeridian_EPSG32660_cog_dateline.tif"),
        Storage(),
    )
    grid = ChipGrid(qa.geobox, 256)
    assert chip_shares(qa, LANDSAT, grid)["nodata"].shape == (9, 9)
    boxes = grid.footprints().bbox.to_pylist()
    assert any(box["xmin"] == -180 and box["xmax"] == 180 for box in boxes)
    assert not all(box["xmax"] - box["xmin"] > 1 for box in boxes)
