"""Files that write_cog writes: what goes in comes out, tiled and with overviews."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp

from stacchip.errors import RasterError, UsageError
from stacchip.raster import Window, open_reader
from stacchip.raster.gdal.cog import write_cog
from stacchip.storage import Storage

GEOBOX = GeoBox.from_bbox((500000, 5190000, 506000, 5195000), "EPSG:32610", resolution=10)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float16", "float32"])
@pytest.mark.parametrize("count", [1, 3])
def test_pixels_and_grid_survive(tmp_path: Path, dtype: str, count: int) -> None:
    shape = (count, *GEOBOX.shape)
    array = (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)
    path = write_cog(tmp_path / "a.tif", array, GEOBOX, nodata=7)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), array)
        assert dataset.crs.to_epsg() == 32610
        assert dataset.transform == GEOBOX.transform
        assert dataset.nodata == 7
        assert dataset.block_shapes == [(512, 512)] * count
        assert dataset.overviews(1) == [2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_our_fast_reader_reads_them(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(1, 4000, GEOBOX.shape).astype(np.uint16)
    path = write_cog(tmp_path / "a.tif", array, GEOBOX, nodata=0)
    reader = open_reader(str(path), Storage(), force="fast")
    np.testing.assert_array_equal(
        reader.read(Window(100, 200, 300, 250))[0], array[100:400, 200:450]
    )


def test_classes_are_not_averaged_in_overviews(tmp_path: Path) -> None:
    array = np.where(np.indices(GEOBOX.shape).sum(axis=0) // 3 % 2, 9, 4).astype(np.uint8)
    path = write_cog(tmp_path / "a.tif", array, GEOBOX, overviews="mode")
    with rasterio.open(path, overview_level=0) as dataset:
        assert set(np.unique(dataset.read(1)).tolist()) == {4, 9}


def test_a_fourth_band_is_what_the_caller_says(tmp_path: Path) -> None:
    array = np.full((4, *GEOBOX.shape), 5, np.uint8)
    colours = ("red", "green", "blue", "undefined")
    with rasterio.open(write_cog(tmp_path / "a.tif", array, GEOBOX, colours=colours)) as dataset:
        assert dataset.colorinterp == tuple(ColorInterp[name] for name in colours)


def test_tags_are_kept_and_bytes_are_the_same_again(tmp_path: Path) -> None:
    array = np.ones(GEOBOX.shape, np.uint16)
    tags = {"TIFFTAG_IMAGEDESCRIPTION": "generated"}
    first, second = (
        write_cog(tmp_path / name, array, GEOBOX, tags=tags) for name in ("a.tif", "b.tif")
    )
    assert first.read_bytes() == second.read_bytes()
    with rasterio.open(first) as dataset:
        assert dataset.tags()["TIFFTAG_IMAGEDESCRIPTION"] == "generated"


def test_a_shape_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\(500, 601\) does not fit .* \(500, 600\)"):
        write_cog(tmp_path / "a.tif", np.ones((500, 601), np.uint8), GEOBOX)
    assert not list(tmp_path.iterdir())


def test_what_gdal_refuses_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        RasterError, match=r"1 uint8 bands into .*WEBP.* Choose another compression"
    ):
        write_cog(tmp_path / "a.tif", np.ones(GEOBOX.shape, np.uint8), GEOBOX, compress="webp")
    assert not list(tmp_path.iterdir())
