"""Marks of invalid pixels: GDAL finds exactly those, and valid pixels keep their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from stacchip.errors import UsageError
from stacchip.raster.gdal.cog import write_cog
from stacchip.raster.marking import MarkedPixels, mark_invalid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GEOBOX = GeoBox.from_bbox((500000, 5190000, 500320, 5190160), "EPSG:32610", resolution=10)
HALF = np.indices(GEOBOX.shape)[1] < 9
OTHER = np.indices(GEOBOX.shape)[0] > 12


def mark(
    folder: Path, pixels: NDArray[Any], valid: NDArray[np.bool_], *nodata: float | None
) -> MarkedPixels:
    """Mark invalid pixels, and check that a GeoTIFF of them says the same to rasterio."""
    marked = mark_invalid(pixels, valid, nodata)
    path = write_cog(
        folder / "a.tif", marked.pixels, GEOBOX, nodata=marked.nodata, mask=marked.mask
    )
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read_masks() != 0, valid)
        np.testing.assert_array_equal(dataset.read()[valid], pixels[valid])
    return marked


def distinct(dtype: str, count: int = 2) -> NDArray[Any]:
    """Return pixels that are not 0, as far as bytes allow."""
    shape = (count, *GEOBOX.shape)
    return (np.arange(np.prod(shape)) % 250 + 1).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32", "float64"])
def test_the_nodata_of_the_source_marks_its_own_pixels(dtype: str, tmp_path: Path) -> None:
    pixels, valid = distinct(dtype), np.stack([HALF, OTHER])
    pixels[~valid] = 255
    marked = mark(tmp_path, pixels, valid, None, 255)
    assert (marked.nodata, marked.mask) == (255, None)
    assert marked.pixels is pixels


def test_rounded_nodata_and_nan_mark_their_pixels(tmp_path: Path) -> None:
    pixels, valid = distinct("float32"), np.stack([HALF, OTHER])
    pixels[~valid] = np.finfo(np.float32).min
    assert mark(tmp_path, pixels, valid, -3.4e38).pixels is pixels
    pixels[~valid] = np.nan
    assert np.isnan(mark(tmp_path, pixels, valid, -9999, np.nan).nodata)


def test_a_file_without_invalid_pixels_has_the_nodata_of_its_source_or_none(tmp_path: Path) -> None:
    pixels, valid = distinct("uint8"), np.ones((2, *GEOBOX.shape), bool)
    assert mark(tmp_path, pixels, valid, 0).nodata == 0
    for nodata in ((), (7,), (-9999,)):
        marked = mark(tmp_path, pixels, valid, *nodata)
        assert (marked.nodata, marked.mask) == (None, None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int64", "complex64"])
def test_a_mask_where_the_nodata_value_is_also_that_of_valid_pixels(
    dtype: str, tmp_path: Path
) -> None:
    pixels, valid = distinct(dtype), np.stack([HALF, HALF])
    marked = mark(tmp_path, pixels, valid, 7)
    np.testing.assert_array_equal(marked.mask, HALF)
    assert marked.nodata is None
    assert marked.pixels is pixels


def test_pixels_that_only_a_mask_hid_keep_their_values(tmp_path: Path) -> None:
    pixels, valid = distinct("uint8"), np.stack([HALF, HALF])
    assert mark(tmp_path, pixels, valid, 0).mask is not None


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [
        ("uint8", 7, 0), ("uint8", 255, 255), ("int16", None, 0), ("float32", None, np.nan),
        ("float32", -9999, -9999), ("int64", 2**63 - 1, 0), ("complex64", None, np.nan),
    ],
)  # fmt: skip
def test_bands_that_differ_get_a_value_that_no_valid_pixel_has(
    dtype: str, nodata: float | None, expected: float, tmp_path: Path
) -> None:
    marked = mark(tmp_path, distinct(dtype), np.stack([HALF, OTHER]), nodata)
    assert repr(marked.nodata) in (repr(expected), repr(float(expected)))
    assert marked.pixels.dtype == dtype


def test_fill_of_two_values_becomes_one(tmp_path: Path) -> None:
    pixels, valid = distinct("int16"), np.stack([HALF, OTHER])
    pixels[0, ~HALF], pixels[1, ~OTHER] = 0, -9999
    marked = mark(tmp_path, pixels, valid, 0, -9999)
    assert marked.nodata == 0
    assert (marked.pixels[~valid] == 0).all()


def test_bytes_that_are_all_used_are_widened(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(256, dtype=np.uint8).reshape(8, 32), (1, 2, 1)).repeat(2, axis=0)
    valid = np.ones(pixels.shape, bool)
    valid[0, 8:], valid[1, :8] = False, False
    marked = mark(tmp_path, pixels, valid, 0)
    assert (marked.pixels.dtype, marked.nodata) == (np.uint16, 256)


def test_valid_nan_is_not_lost(tmp_path: Path) -> None:
    pixels, valid = distinct("float32"), np.stack([HALF, OTHER])
    pixels[0, 0, 0] = np.nan
    assert mark(tmp_path, pixels, valid).nodata == -np.inf


def test_floats_without_a_free_value_are_refused() -> None:
    limits = np.finfo(np.float32)
    used = [np.nan, np.inf, -np.inf, limits.min, limits.max]
    pixels = np.array([[used], [used]], np.float32)
    valid = np.ones(pixels.shape, bool)
    pixels[1, 0, 0], valid[1, 0, 0] = 7, False
    with pytest.raises(UsageError, match="fewer bands"):
        mark_invalid(pixels, valid)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_valid_is_found_again(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    dtype = random.choice(["uint8", "int8", "uint16", "int32", "float32", "float64"])
    pixels = random.integers(0, 5, (int(random.integers(1, 4)), *GEOBOX.shape)).astype(dtype)
    if pixels.dtype.kind == "f":
        pixels[random.random(pixels.shape) < 0.1] = np.nan
    valid = random.random(pixels.shape) < 0.7
    if seed % 3 == 0:
        valid[:] = valid[0]
    if seed % 4 == 0:
        valid = pixels != 2
    mark(tmp_path, pixels, valid, 2, float(random.integers(0, 9)))
