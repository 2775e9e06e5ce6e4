"""What GDAL makes of tags is what rasterio says of the file that they came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from raster.pixels import HALF_FLOAT
from stacchip.grid.crs import name_crs, same_crs
from stacchip.raster import read_header
from stacchip.raster.file_bytes import BrokenTiffError
from stacchip.raster.gdal import ImageTags, describe_image
from stacchip.raster.gdal.describe import crs_of, nodata_of

PLAIN = ImageTags(
    samples=1, bits=16, sample_format=1, photometric=1, extra_samples=(), byteorder="<", geo=(),
    nodata=b"", metadata=b"",
)  # fmt: skip


class Dataset:
    """A dataset that knows only its CRS and nodata."""

    def __init__(self, crs: Any = None, nodata: float | None = None) -> None:
        self.crs = crs
        self.nodata = nodata


@pytest.mark.parametrize(
    ("bits", "sample_format", "dtype"),
    [
        (8, 1, "uint8"), (16, 1, "uint16"), (32, 1, "uint32"), (64, 1, "uint64"), (8, 2, "int8"),
        (16, 2, "int16"), (32, 2, "int32"), (64, 2, "int64"), (16, 3, HALF_FLOAT),
        (32, 3, "float32"), (64, 3, "float64"), (32, 5, "complex64"), (64, 6, "complex64"),
        (128, 6, "complex128"), (1, 1, "uint8"), (12, 1, "uint16"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_the_type_follows_from_bits_and_format(bits, sample_format, dtype, byteorder):
    image = replace(PLAIN, bits=bits, sample_format=sample_format, byteorder=byteorder)
    assert describe_image(image).dtype == dtype


@pytest.mark.parametrize(
    ("nodata", "bits", "sample_format", "expected", "fill"),
    [
        (b"", 16, 1, None, 0),
        (b"7\0", 16, 1, 7, 7),
        (b"-9999\0", 16, 2, -9999, -9999),
        (b"nan\0", 32, 3, "nan", "nan"),
        (b"-3.5\0", 32, 3, -3.5, -3.5),
        (b"18446744073709551615\0", 64, 1, 2**64 - 1, 2**64 - 1),
        (b"-9223372036854775808\0", 64, 2, -(2**63), -(2**63)),
    ],
)
def test_nodata_is_typed_and_fills_sparse_blocks(nodata, bits, sample_format, expected, fill):
    image = describe_image(replace(PLAIN, nodata=nodata, bits=bits, sample_format=sample_format))
    if expected == "nan":
        assert np.isnan(image.nodata)
        assert np.isnan(image.fill)
    else:
        assert (image.nodata, type(image.nodata)) == (expected, type(expected))
        assert image.fill == fill
    assert image.validity == ("nodata" if expected is not None else "all")


def test_an_alpha_band_says_what_is_valid():
    rgba = replace(PLAIN, bits=8, samples=4, photometric=2, extra_samples=(2,))
    image = describe_image(rgba)
    assert (image.alpha, image.validity) == (3, "alpha")
    assert describe_image(replace(rgba, extra_samples=(0,))).alpha is None


def test_nodata_goes_before_an_alpha_band():
    image = describe_image(replace(PLAIN, bits=8, samples=2, extra_samples=(2,), nodata=b"0\0"))
    assert image.validity == "nodata"


def test_an_image_of_thousands_of_bands_is_described_by_a_part():
    image = describe_image(replace(PLAIN, samples=60_000, nodata=b"3\0"))
    assert (image.dtype, image.nodata, image.alpha) == ("uint16", 3, None)


def test_an_image_that_gdal_refuses_is_broken():
    with pytest.raises(BrokenTiffError, match="GDAL refuses an image of that form"):
        describe_image(replace(PLAIN, bits=77))


@pytest.mark.parametrize(
    "crs",
    ["EPSG:32629", "EPSG:4326", "EPSG:2193", "EPSG:3031", "EPSG:7415", "ESRI:54008",
     "+proj=sinu +R=6371007.181 +units=m", "EPSG:26913+5703"],
)  # fmt: skip
def test_a_crs_is_named_as_it_is_everywhere(crs, write_tiff, storage):
    path = write_tiff(np.ones((1, 16, 16), np.uint8), crs=CRS.from_user_input(crs))
    with rasterio.open(path) as dataset:
        name = crs_of(dataset)
    assert name is not None
    assert same_crs(name, crs)
    assert read_header(storage, path).crs == name
    if crs.startswith("EPSG:") and "+" not in crs:
        assert name == name_crs(crs) == crs


def test_a_code_that_is_not_all_of_a_crs_is_not_its_name():
    moved = CRS.from_epsg(32629).to_wkt().replace("500000", "500001")
    name = crs_of(Dataset(CRS.from_wkt(moved)))
    assert name is not None
    assert name.startswith("PROJCS[")
    assert crs_of(Dataset()) is None


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [("uint8", 7.0, 7), ("uint8", 7.5, 7.5), ("float32", 7.0, 7.0), ("int16", None, None)],
)
def test_whole_nodata_of_integers_is_an_integer(dtype, nodata, expected):
    found = nodata_of(Dataset(nodata=nodata), dtype)
    assert (found, type(found)) == (expected, type(expected))


def test_a_transform_that_is_not_there_is_none(write_tiff, storage):
    assert describe_image(PLAIN).transform is None
    path = write_tiff(np.ones((1, 16, 16), np.uint8), transform=Affine(2, 1, 5, 1, -2, 7))
    assert read_header(storage, path).transform == Affine(2, 1, 5, 1, -2, 7)
