"""COGs that are written anew: same pixels, same nodata, same bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.warp import Resampling, reproject

from failures import small_files
from kills import left_by_kills
from raster import dying
from scenes import make_scene
from stacchip.errors import NotARaster, StorageError, UsageError
from stacchip.raster.gdal import Conversion, convert_to_cog

# rasterio 1.4 multiplies transforms as affine 3.1 no longer likes it
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def write(path, pixels, *, nodata=None, crs="EPSG:2193", res=0.075, colours=None, valid=None):
    count, height, width = pixels.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", width=width, height=height, count=count,
            dtype=pixels.dtype, crs=crs, transform=Affine(res, 0, 1_570_000, 0, -res, 5_180_000),
            nodata=nodata,
        ) as out,
    ):  # fmt: skip
        if colours:
            out.colorinterp = colours
        out.write(pixels)
        if valid is not None:
            out.write_mask(valid)
    return path


def distinct(count, height, width, dtype="uint16"):
    return np.resize(np.arange(65_000).astype(dtype), (count, height, width))


def is_cog(path):
    with rasterio.open(path) as dataset:
        return (
            dataset.profile["tiled"]
            and dataset.block_shapes[0] == (512, 512)
            and dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
            and (max(dataset.shape) <= 512 or dataset.overviews(1))
        )


MOD09GA = "modis/MOD09GA.A2008296.h14v17.006.2015181011753"
OPERA = "sentinel1/OPERA_L2_RTC-S1_T137-292318-IW1_20250102T015857Z_20250102T190143Z_S1A_30_v1.0"


@pytest.mark.parametrize(
    "name", [f"{MOD09GA}_sur_refl_b01.tif", f"{MOD09GA}_QC_500m.tif", f"{OPERA}_VV.tif"]
)
def test_a_file_written_anew_keeps_pixels_grid_and_nodata(shared_data, tmp_path, name):
    target = tmp_path / "out.tif"
    convert_to_cog(shared_data / name, target, Conversion())
    with rasterio.open(shared_data / name) as before, rasterio.open(target) as after:
        np.testing.assert_array_equal(before.read(), after.read())
        assert before.transform == after.transform
        assert before.crs == after.crs
        assert before.dtypes == after.dtypes
        assert before.nodata == after.nodata or math.isnan(before.nodata) == math.isnan(
            after.nodata
        )
    assert is_cog(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_modis_is_reprojected_as_gdal_does_it(shared_data, tmp_path):
    source = shared_data / "modis/MOD10A2.A2022033.h09v05.061.2022042050729_Maximum_Snow_Extent.tif"
    target = tmp_path / "out.tif"
    convert_to_cog(source, target, Conversion(crs="EPSG:3857"))
    with rasterio.open(source) as before, rasterio.open(target) as after:
        assert after.crs.to_epsg() == 3857
        expected = np.full(after.shape, before.nodata, before.dtypes[0])
        reproject(
            rasterio.band(before, 1), expected, dst_transform=after.transform, dst_crs=after.crs,
            resampling=Resampling.nearest, dst_nodata=before.nodata,
        )  # fmt: skip
        np.testing.assert_array_equal(after.read(1), expected)
        assert (expected == before.nodata).any()
        assert len(np.unique(expected)) > 3


def test_aerial_imagery_is_averaged_to_whole_pixels_of_the_sheet(tmp_path):
    pixels = distinct(4, 4800, 3200, "uint8")
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
    source = write(tmp_path / "in.tif", pixels, colours=colours)
    target = tmp_path / "out.tif"
    convert_to_cog(source, target, Conversion(resolution=0.3, band_count=3))
    with rasterio.open(target) as after:
        assert after.shape == (1200, 800)
        assert after.count == 3
        assert after.res == (0.3, 0.3)
        expected = pixels[:3].reshape(3, 1200, 4, 800, 4).mean((2, 4))
        assert np.abs(after.read().astype(float) - expected).max() <= 0.51
    assert is_cog(target)


def test_a_file_without_nodata_gets_no_zeros_where_there_is_no_source(tmp_path):
    source = write(tmp_path / "in.tif", distinct(1, 300, 300) + 1, crs="EPSG:32659", res=30)
    target = tmp_path / "out.tif"
    convert_to_cog(source, target, Conversion(crs="EPSG:3857"))
    with rasterio.open(target) as after:
        assert after.nodata == 65_535
        assert (after.read(1) != 0).all()
        assert (after.read(1) == 65_535).any()


@pytest.mark.parametrize("resolution", [None, 0.15])
@pytest.mark.parametrize("kind", ["alpha", "mask"])
def test_what_a_mask_or_an_alpha_band_says_is_kept(tmp_path, kind, resolution):
    pixels = distinct(3, 600, 600, "uint8")
    valid = np.full((600, 600), 255, "uint8")
    valid[:, :200] = 0
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    if kind == "alpha":
        source = write(tmp_path / "in.tif", np.concatenate([pixels, valid[None]]), colours=colours)
    else:
        source = write(tmp_path / "in.tif", pixels, valid=valid)
    target = tmp_path / "out.tif"
    convert_to_cog(source, target, Conversion(resolution=resolution, band_count=3))
    step = 1 if resolution is None else 2
    with rasterio.open(target) as after:
        assert after.count == 3
        assert after.nodata is None
        assert MaskFlags.per_dataset in after.mask_flag_enums[0]
        np.testing.assert_array_equal(after.dataset_mask() > 0, valid[::step, ::step] > 0)
        if resolution is None:
            np.testing.assert_array_equal(after.read()[:, :, 200:], pixels[:, :, 200:])


def test_the_same_input_gives_the_same_bytes(tmp_path):
    source = write(tmp_path / "in.tif", distinct(3, 1500, 1300, "uint8"))
    outputs = []
    for number in range(2):
        target = tmp_path / f"out{number}.tif"
        convert_to_cog(source, target, Conversion(resolution=0.1))
        outputs.append(target.read_bytes())
    assert outputs[0] == outputs[1]


def test_a_file_that_is_no_raster_is_an_error_that_names_it(tmp_path):
    source = tmp_path / "in.tif"
    source.write_bytes(b"<html>not found</html>")
    with pytest.raises(NotARaster, match=r"https://h/a\.tif cannot"):
        convert_to_cog(
            source, tmp_path / "out.tif", Conversion(), href="https://h/a.tif?sig=secret"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_a_truncated_jpeg2000_is_an_error_too(tmp_path):
    """GDAL hides such errors where it decodes tiles in several threads."""
    path = tmp_path / "a.jp2"
    grid = {"crs": "EPSG:2193", "transform": Affine(10, 0, 1.5e6, 0, -10, 5e6)}
    size = {"count": 1, "height": 128, "width": 128, "dtype": "uint16"}
    tiles = {"BLOCKXSIZE": 32, "BLOCKYSIZE": 32}
    with rasterio.open(path, "w", driver="JP2OpenJPEG", **size, **grid, **tiles) as out:
        out.write(distinct(1, 128, 128))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotARaster, match="cannot be converted"):
        convert_to_cog(path, tmp_path / "b.tif", Conversion(crs="EPSG:3857"))


def test_a_truncated_file_is_an_error_and_leaves_nothing(shared_data, tmp_path):
    with pytest.raises(NotARaster):
        convert_to_cog(
            shared_data / "odd/derived/truncated_half.tif", tmp_path / "o.tif", Conversion()
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [1000, 20_000, 1_300_000])
def test_a_disk_that_takes_no_more_is_not_the_fault_of_the_source(tmp_path, limit):
    rng = np.random.default_rng(0)
    source = write(tmp_path / "in.tif", rng.integers(0, 60_000, (1, 600, 600)).astype("uint16"))
    with pytest.raises(StorageError, match=r"out\.tif cannot be written"), small_files(limit):
        convert_to_cog(source, tmp_path / "out.tif", Conversion())
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_bands_that_are_not_there_cannot_be_kept(tmp_path):
    source = write(tmp_path / "in.tif", distinct(1, 20, 20))
    with pytest.raises(UsageError, match="has 1 bands; 3"):
        convert_to_cog(source, tmp_path / "out.tif", Conversion(band_count=3))


def test_a_conversion_that_is_killed_leaves_the_old_file_or_the_whole_new_one(tmp_path):
    make_scene(tmp_path / "scene")
    folder = tmp_path / "folder"
    folder.mkdir()
    target = folder / "converted.tif"
    target.write_bytes(b"old")
    lefts = left_by_kills(
        dying.convert, folder, tmp_path / "scene" / "red.tif", copies=tmp_path / "copies"
    )
    new = target.read_bytes()
    found = [(left.folder / "converted.tif").read_bytes() for left in lefts]
    assert set(found) == {b"old", new}
    assert any(left.step.endswith("as /converted.tif") for left in lefts)
    assert [path.name for path in folder.iterdir()] == ["converted.tif"]
