"""Which pixels may be used: NaN-safe, typed to the band."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.raster.validity import valid_pixels


@pytest.mark.parametrize(
    ("dtype", "values", "nodata", "expected"),
    [
        ("uint8", [0, 1, 255], None, [1, 1, 1]),
        ("uint8", [0, 1, 255], 0, [0, 1, 1]),
        ("uint8", [0, 1, 255], 300, [1, 1, 1]),
        ("uint8", [0, 1, 255], -1, [1, 1, 1]),
        ("uint8", [0, 1, 255], 0.5, [1, 1, 1]),
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
