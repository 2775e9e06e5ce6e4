"""Every chip of a stream is the chipper's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import tifffile

from scenes import ORIGIN, make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream


def assert_same(chip, expected) -> None:
    np.testing.assert_array_equal(chip.array, expected.array)
    np.testing.assert_array_equal(chip.valid, expected.valid)
    assert chip.array.dtype == expected.array.dtype
    for name in ("bands", "geobox", "datetime", "chipid", "platform", "item_id", "x", "y"):
        assert getattr(chip, name) == getattr(expected, name), name


def compare(chipper: Chipper, **options) -> None:
    stream = ChipStream(chipper, **options)
    seen = 0
    for batch in stream.batches(7):
        for row, chip in zip(batch.rows, batch, strict=True):
            assert_same(chip, chipper.cut_row(int(row)))
            seen += 1
    assert seen == len(chipper.rows)


@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_chips_of_three_resolutions(scene, order):
    compare(Chipper(NoStatsChipIndexer(scene.item, 64)), order=order)


@pytest.mark.parametrize("chip_size", [37, 100, 256, 300])
def test_chips_that_straddle_blocks(scene, chip_size):
    compare(Chipper(NoStatsChipIndexer(scene.item, chip_size)))


def test_chips_that_reach_over_the_edge(scene):
    compare(Chipper(NoStatsChipIndexer(scene.item, 256, edge="pad"), edge="pad"))


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_bands_resampled_in_other_ways(scene, method):
    resampling = {"swir": method, "coastal": "nearest"}
    compare(Chipper(NoStatsChipIndexer(scene.item, 64), resampling=resampling))


def test_files_that_only_gdal_reads(tmp_path):
    scene = make_scene(tmp_path / "a")
    write_band(scene.path("swir"), 20, (300, 350), compress="LERC", predictor=1)
    compare(Chipper(NoStatsChipIndexer(scene.item, 64)))


@pytest.mark.parametrize(
    "options",
    [
        {"count": 4, "interleave": "pixel", "dtype": "uint8"},
        {"count": 3, "interleave": "band", "dtype": "int16", "nodata": -1},
        {"dtype": "float32", "nodata": float("nan"), "predictor": 3},
        {"dtype": "uint16", "tiled": False, "blockysize": 16, "blockxsize": 700},
        {"dtype": "uint16", "compress": "none", "predictor": 1},
        {"dtype": "uint16", "ENDIANNESS": "BIG"},
    ],
)
def test_files_of_many_kinds(tmp_path, options):
    scene = make_scene(tmp_path / "a")
    write_band(scene.path("red"), 10, (600, 700), **options)
    compare(Chipper(NoStatsChipIndexer(scene.item, 64)))


def test_masks_and_alpha_bands_tell_what_is_valid(tmp_path):
    scene = make_scene(tmp_path / "a")
    write_band(scene.path("red"), 10, (600, 700), dtype="uint8", nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene.path("red"), "r+") as file:
        file.write_mask(np.tri(600, 700, dtype=bool))
    write_band(scene.path("swir"), 20, (300, 350), count=2, dtype="uint8", nodata=None, alpha="yes")
    compare(Chipper(NoStatsChipIndexer(scene.item, 64)))


@pytest.mark.parametrize("mask_block", [64, 128, 512])
def test_a_mask_may_have_blocks_of_its_own(tmp_path, mask_block):
    scene = make_scene(tmp_path / "a")
    shape, path = (600, 700), scene.path("red")
    pixels = np.random.default_rng(3).integers(1, 9999, shape).astype("uint16")
    place = [
        (33550, 12, 3, (10.0, 10.0, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, *ORIGIN, 0.0), True),
        (34735, 3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32629), True),
    ]
    with tifffile.TiffWriter(path) as writer:
        common = {"compression": "zlib", "photometric": "minisblack", "metadata": None}
        writer.write(pixels, tile=(256, 256), extratags=place, **common)
        mask = np.tri(*shape, dtype="uint8") * 255
        writer.write(mask, tile=(mask_block, mask_block), subfiletype=2, **common)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[1].tags["NewSubfileType"].overwrite(4)  # a mask: tifffile writes none
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64), assets=["red"])
    assert 0 < chipper.cut(3, 3).valid.mean() < 1
    compare(chipper)


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_fill_whose_nodata_text_is_rounded(tmp_path, method):
    scene = make_scene(tmp_path / "a")
    for key, dtype, nodata in (("red", "float32", -3.4e38), ("swir", "float64", -1.79769e308)):
        shape, resolution = ((600, 700), 10) if key == "red" else ((300, 350), 20)
        write_band(scene.path(key), resolution, shape, dtype=dtype, nodata=nodata, predictor=3)
        with rasterio.open(scene.path(key), "r+") as file:
            pixels = file.read(1)
            pixels[: shape[0] // 2] = np.finfo(dtype).min
            file.write(pixels, 1)
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64), assets=["red", "swir"], resampling=method)
    assert not chipper.cut(0, 0).valid.any()
    assert chipper.cut(0, 8).valid.all()
    compare(chipper)


def test_another_type_is_made_while_copying(scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64))
    for chip in ChipStream(chipper, dtype="float32"):
        assert chip.array.dtype == np.float32
        expected = chipper.cut(chip.x, chip.y)
        np.testing.assert_array_equal(chip.array, expected.array.astype(np.float32))
        np.testing.assert_array_equal(chip.valid, expected.valid)


def test_batches_that_are_kept_are_not_written_over(scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item, 64))
    kept = list(ChipStream(chipper).batches(4))
    for batch in kept:
        for row, chip in zip(batch.rows, batch, strict=True):
            np.testing.assert_array_equal(chip.array, chipper.cut_row(int(row)).array)
