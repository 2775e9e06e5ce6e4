"""Which pixels may be used: NaN-safe, typed to the band."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.errors import UsageError
from stacchip.raster.validity import find_valid, hide_fill, require_bands, valid_pixels


@pytest.mark.parametrize(
    ("dtype", "values", "nodata", "expected"),
    [
        ("uint8", [0, 1, 255], None, [1, 1, 1]),
        ("uint8", [0, 1, 255], 0, [0, 1, 1]),
        ("uint8", [0, 1, 255], 300, [1, 1, 1]),
        ("uint8", [0, 1, 255], -1, [1, 1, 1]),
        ("uint8", [0, 1, 255], 0.5, [0, 1, 1]),
        ("uint8", [0, 1, 255], np.nan, [1, 1, 1]),
        ("int16", [-32768, 0, 1], -32768, [0, 1, 1]),
        ("uint64", [2**64 - 1, 2**64 - 2, 0], 2**64 - 1, [0, 1, 1]),
        ("float32", [np.nan, 0, -3.4028234663852886e38], -3.4028235e38, [0, 1, 0]),
        ("float32", [0.1, 0.2, np.nan], 0.1, [0, 1, 0]),
        ("float32", [np.inf, 0, np.nan], None, [1, 1, 0]),
        ("float32", [np.inf, 0, np.nan], 1e300, [0, 1, 0]),
        ("float64", [1e300, np.nan, 2], np.nan, [1, 0, 1]),
        ("complex64", [1 + 2j, 5, np.nan], 5, [1, 0, 0]),
    ],
)
def test_values_against_nodata(
    dtype: str, values: list[float], nodata: float | None, expected: list[int]
) -> None:
    pixels = np.array(values, dtype).reshape(1, 1, 3)
    assert valid_pixels(pixels, nodata).astype(int)[0].tolist() == expected


def test_one_band_with_a_value_suffices() -> None:
    pixels = np.array([[[0, 0, 3]], [[0, 5, 0]]], np.uint8)
    assert valid_pixels(pixels, 0).tolist() == [[False, True, True]]


def test_without_flags_pixels_say_which_are_valid() -> None:
    pixels = np.array([[[0, 5]], [[0, 0]]], np.uint8)
    assert find_valid(pixels, None, 0).tolist() == [[False, True]]
    assert find_valid(pixels, None, None).tolist() == [[True, True]]


@pytest.mark.parametrize("nodata", [None, 0, 5])
def test_flags_go_before_nodata(nodata: float | None) -> None:
    pixels = np.array([[[0, 5, 5]]], np.uint8)
    flags = np.array([[255, 0, 1]], np.uint8)
    valid = find_valid(pixels, flags, nodata)
    assert valid.dtype == np.bool_
    assert valid.tolist() == [[True, False, True]]


def test_the_items_nodata_counts_where_the_file_has_none() -> None:
    pixels = np.array([[[7, 5, 7]]], np.int16)
    valid = np.array([[True, True, False]])
    assert hide_fill(valid, pixels, None, 7).tolist() == [[False, True, False]]
    assert hide_fill(valid, pixels, None, None).tolist() == valid.tolist()
    assert hide_fill(valid, pixels, 0, 7).tolist() == valid.tolist()


def test_nan_is_hidden_even_without_a_nodata_value() -> None:
    pixels = np.array([[[np.nan, 5]]], np.float32)
    assert hide_fill(np.array([[True, True]]), pixels, None, None).tolist() == [[False, True]]


@pytest.mark.parametrize("bands", [[], [-1], [3], [0, 3], (1, -2)])
def test_bands_that_do_not_exist_are_refused_by_number(bands: list[int]) -> None:
    with pytest.raises(UsageError, match=r"its bands are 0 to 2"):
        require_bands("a.tif", 3, bands)


def test_an_error_of_bands_shows_no_signature() -> None:
    with pytest.raises(UsageError) as caught:
        require_bands("https://a.org/a.tif?sig=secret", 1, [1])
    assert "secret" not in str(caught.value)
