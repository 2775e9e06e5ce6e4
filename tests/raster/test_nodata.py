"""Which values stand for no data: as rasterio's masks say, whatever the text of the nodata tag."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from raster.handmade import strip_tags, write_handmade
from stacchip.grid.window import Window
from stacchip.raster import open_reader
from stacchip.raster.nodata import as_sample, find_values

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.storage import Storage

TEXTS = (
    "-3.40282e+38", "3.4e38", "-3.4028234663852886e+38", "3.4028235677973366e+38", "-1e40", "1e32",
    "1e38", "1.6e38", "-1.79769e+308", "1.797693134862315708e+308", "1e309", "1e300", "nan", "NAN",
    "-nan", "inf", "-INF", "-1.#IND", "-9999", "-9999.0000001", "-9999.001", " -9999 ", "-9999,0",
    "0.1", "-0.1", "254.9999999", "255", "255.5", "256", "-1", "0", "-0", " ", "", "garbage",
    "0x10", "1e-40", "1e-45", "5e-324", "9999.5", "-129", "127", "65535", "65536", "4294967295",
    "-2147483648", "1e20", "18446744073709551615", "18446744073709551616", "9223372036854775807",
    "-9223372036854775808", "-9223372036854775809", "9007199254740993", "1d5", "+5", "1_0",
    "0" * 120 + "5",
)  # fmt: skip
FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def numbers_around(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers that the texts stand for, and their neighbours, as far as a type can hold them."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wanted = [0, 1, 5, -1, 127, 128, -128, 254, 255, 256, -9999, 9999, 10000, 2**53, 2**53 + 1]
        wanted += [limits.min, limits.min + 1, limits.max - 1, limits.max]
        return np.array([n for n in wanted if limits.min <= n <= limits.max], dtype)
    kind = np.finfo(dtype).dtype
    wanted = [0.0, 0.1, 1, 5, 254, 255, 255.5, 256, 9999, 9999.5, 1e20, 1e32, 1e38, 1.6e38, 3.4e38]
    wanted += [1e300, 1e-40, 1e-45, *(float(np.finfo(kind).max) * np.array([1, 1 - 1e-6, 1e-6]))]
    found = [kind.type(np.nan), kind.type(np.inf)]
    with np.errstate(over="ignore", under="ignore"):
        for number in map(kind.type, wanted):
            found.append(number)
            for towards in (-np.inf, np.inf):
                near = number
                for _ in range(12):
                    near = np.nextafter(near, kind.type(towards))
                    found.append(near)
    array = np.array(found)
    return np.concatenate([array, -array]).astype(dtype)


@pytest.mark.parametrize(
    "name",
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64",
     "complex64", "complex128"],
)  # fmt: skip
def test_pixels_are_valid_where_gdal_says_so(name: str, tmp_path: Path, storage: Storage) -> None:
    dtype = np.dtype(name)
    pixels = numbers_around(dtype)
    shape = (1, len(pixels))
    for number, text in enumerate(TEXTS):
        tags = strip_tags(
            shape, 1, bits=8 * dtype.itemsize, t339=(3, FORMATS[dtype.kind]),
            t42113=(2, text.encode()),
        )  # fmt: skip
        path = write_handmade(tmp_path / f"{number}.tif", tags, [pixels.tobytes()])
        with np.errstate(over="ignore"):  # of rasterio's: a double as complex64
            with rasterio.open(path) as dataset:
                expected = (dataset.dataset_mask()[0] != 0) & ~np.isnan(pixels)
            valid = open_reader(path, storage).read_valid(Window(0, 0, *shape))[0]
        wrong = pixels[valid != expected]
        assert not wrong.size, (text, wrong)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(1, 9))
def test_a_rounded_text_hides_what_it_hides_in_gdal(value: float, digits: int) -> None:
    nodata = float(f"{value:.{digits}g}")
    with np.errstate(over="ignore"):
        start = np.array([value, nodata, -value, 0], np.float32)
    bits = start.view(np.uint32)[:, None] + np.arange(-6, 7).astype(np.uint32)
    pixels = bits.view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.MemoryFile() as memory,
            memory.open(
                driver="GTiff", height=4, width=13, count=1, dtype="float32",
                nodata=float(np.float32(nodata)) if abs(nodata) < 3.4e38 else value,
            ) as dataset,
        ):  # fmt: skip
            dataset.write(pixels, 1)
            used = dataset.nodata
            expected = (dataset.dataset_mask() != 0) & ~np.isnan(pixels)
    np.testing.assert_array_equal(find_values(pixels, used), expected)


def test_pixels_of_a_wider_type_are_compared_as_those_of_the_file() -> None:
    lowest = np.float32(-3.4028235e38)
    pixels = np.array([lowest, np.nan, 7], np.float64)
    assert find_values(pixels, -3.4e38, np.dtype("float32")).tolist() == [False, False, True]
    whole = np.array([4294967295, 4294967294], np.float64)
    assert find_values(whole, 4294967295, np.dtype("uint32")).tolist() == [False, True]


def test_pixels_may_have_any_shape() -> None:
    assert find_values(np.zeros((2, 1, 3), np.uint8), None).all()
    assert find_values(np.zeros((2, 1, 3), np.float32), 0).shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [
        ("uint8", -9999, None), ("uint8", 255.0, 255), ("uint8", 255.5, None), ("int16", -7.9, -7),
        ("uint16", float("nan"), None), ("uint16", float("inf"), None), ("uint64", 2.0**64, None),
        ("uint64", 2**64 - 1, 2**64 - 1), ("float32", 0.1, 0.10000000149011612),
        ("float32", -1.79769e308, float("-inf")), ("float64", 0.1, 0.1), ("complex64", 1, 1.0),
        ("float32", None, None), ("bool", 1, 1), ("bool", 0.0, 0),
    ],
)  # fmt: skip
def test_a_band_holds_nodata_in_its_own_type(
    dtype: str, nodata: float | None, expected: float | None
) -> None:
    found = as_sample(nodata, np.dtype(dtype))
    assert (found, type(found)) == (expected, type(expected))
