"""Single blocks and arrays in memory go through GDAL, and come back or say why not."""

from __future__ import annotations

import lzma
import struct

import numpy as np
import pytest
from affine import Affine

from stacchip.grid.geobox import crop_geobox, make_geobox
from stacchip.grid.window import Window
from stacchip.raster import open_reader, read_header, tiff
from stacchip.raster.codecs import BrokenStreamError
from stacchip.raster.gdal import decode_by_gdal, warp

LZMA = 34925


def tags_of(byteorder):
    short = f"{byteorder}H"
    values = {
        tiff.BITS_PER_SAMPLE: 16, tiff.COMPRESSION: LZMA, tiff.PHOTOMETRIC: 1,
        tiff.SAMPLES_PER_PIXEL: 1, tiff.SAMPLE_FORMAT: 1,
    }  # fmt: skip
    return [(tag, 3, 1, struct.pack(short, value)) for tag, value in values.items()]


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_block_is_decoded_by_its_tags(byteorder):
    pixels = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
    data = lzma.compress(pixels.astype(f"{byteorder}u2").tobytes(), check=lzma.CHECK_NONE)
    found = decode_by_gdal(data, (30, 20), tags=tags_of(byteorder), byteorder=byteorder)
    np.testing.assert_array_equal(found, pixels[None])
    assert found.dtype == np.uint16


@pytest.mark.parametrize("data", [b"no stream", bytes(500)])
def test_a_block_that_gdal_cannot_decode_says_what_gdal_says(data):
    with pytest.raises(BrokenStreamError, match=r"^GDAL says: "):
        decode_by_gdal(data, (30, 20), tags=tags_of("<"), byteorder="<")


@pytest.mark.parametrize("compress", ["lzma", "jpeg", "webp", "lerc"])
def test_blocks_of_codecs_that_gdal_alone_knows_are_read_one_by_one(compress, write_tiff, storage):
    options = {"webp_lossless": True} if compress == "webp" else {}
    pixels = (np.arange(3 * 128 * 128) // 7 % 251).astype(np.uint8).reshape(3, 128, 128)
    path = write_tiff(
        pixels, compress=compress, tiled=True, blockxsize=64, blockysize=64, **options
    )
    header = read_header(storage, path)
    assert header.codec_tags
    reader = open_reader(path, storage)
    whole = open_reader(path, storage, force="gdal")
    for window in (Window(0, 0, 128, 128), Window(60, 10, 8, 100)):
        np.testing.assert_array_equal(reader.read(window), whole.read(window))


GRID = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (20, 30))


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average", "mode", "min"])
def test_a_constant_stays_what_it_is(method):
    target = make_geobox("EPSG:32629", Affine(15, 0, 6e5 + 7, 0, -15, 4e6 - 3), (10, 15))
    found = warp(np.full((2, 20, 30), 5.0), GRID, target, method)
    assert found.shape == (2, 10, 15)
    np.testing.assert_allclose(found, 5)


def test_pixels_without_data_and_beyond_the_source_are_nan():
    pixels = np.ones((1, 20, 30))
    pixels[0, 5, 6] = np.nan
    found = warp(pixels, GRID, crop_geobox(GRID, Window(0, 20, 20, 20)), "nearest")
    assert np.isnan(found[0, :, 10:]).all()
    assert np.isfinite(found[0, :, :10]).all()
    assert np.isnan(warp(pixels, GRID, GRID, "nearest")[0, 5, 6])


def test_a_grid_without_a_crs_is_warped_as_well():
    source, target = (
        make_geobox(None, Affine(size, 0, 100, 0, -size, 200), (20 // size, 20 // size))
        for size in (1, 2)
    )
    pixels = np.arange(400.0).reshape(1, 20, 20)
    expected = pixels.reshape(1, 10, 2, 10, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(warp(pixels, source, target, "average"), expected)
