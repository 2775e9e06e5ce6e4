"""Placements: pixels of a raster on the chip grid, in windows that lie inside, across and apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.errors import UsageError
from stacchip.grid.geobox import crop_geobox, make_geobox
from stacchip.grid.window import Window
from stacchip.raster.placement import Placement
from stacchip.raster.resample import resample
from turned import turned

GRID = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (60, 80))
COARSE = make_geobox("EPSG:32629", Affine(20, 0, 6e5, 0, -20, 4e6), (30, 40))
APART = make_geobox("EPSG:32629", Affine(10, 0, 7e5, 0, -10, 4e6), (60, 80))
SHIFTED = make_geobox("EPSG:32629", Affine(10, 0, 6e5 + 100, 0, -10, 4e6 - 50), (60, 80))
WINDOWS = [
    Window(0, 0, 60, 80), Window(10, 20, 16, 16), Window(-8, -8, 16, 16), Window(50, 70, 20, 20),
]  # fmt: skip


@dataclass(frozen=True)
class ArrayReader:
    """Pixels in memory, as a reader holds them."""

    pixels: Any

    @property
    def count(self) -> int:
        return len(self.pixels)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pixels.dtype


def placement(source: GeoBox, *, nodata: float | None = 7, method: Any = "nearest") -> Placement:
    shape = source.shape.yx
    pixels = np.arange(100, 100 + 2 * np.prod(shape), dtype=np.uint16).reshape(2, *shape)
    return Placement(ArrayReader(pixels), source, GRID, nodata, method)  # type: ignore[arg-type]


def placed(placement: Placement, window: Window) -> tuple[Any, Any]:
    """Read and place a window; every pixel of the file is valid."""
    request, pixels = placement.request(window), np.zeros((2, 0, 0), np.uint16)
    if request is not None:
        pixels = placement.reader.pixels[:, *request.window.slices]  # type: ignore[attr-defined]
    return placement.place(window, request, pixels, np.ones(pixels.shape[1:], bool))


def on_canvas(array: Any, window: Window, fill: Any) -> Any:
    """A window of an array (band, y, x), with `fill` beyond its edges."""
    out = np.full((len(array), *window.shape), fill, array.dtype)
    inside = window.clip(array.shape[1:])
    if inside is not None:
        out[:, *inside.shift(-window.row, -window.col).slices] = array[:, *inside.slices]
    return out


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("nodata", [7, None])
def test_a_raster_on_the_grid_keeps_its_pixels(window, nodata):
    here = placement(GRID, nodata=nodata)
    pixels, valid = placed(here, window)
    expected = on_canvas(here.reader.pixels, window, nodata or 0)
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(valid, expected[0] >= 100)
    assert here.lies_on_grid


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("source", [COARSE, SHIFTED])
def test_nearest_pixels_are_those_of_the_whole_raster(window, source):
    here = placement(source)
    whole, whole_valid = resample(here.reader.pixels, source, GRID, nodata=7)
    pixels, valid = placed(here, window)
    np.testing.assert_array_equal(pixels, on_canvas(whole, window, 7))
    np.testing.assert_array_equal(valid, on_canvas(whole_valid[None], window, False)[0])
    assert not here.lies_on_grid


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_other_methods_see_enough_of_the_raster_around_a_window(window, method):
    here = placement(COARSE, method=method)
    whole, whole_valid = resample(here.reader.pixels, COARSE, GRID, method=method, nodata=7)
    pixels, valid = placed(here, window)
    np.testing.assert_array_equal(pixels, on_canvas(whole, window, 7))
    np.testing.assert_array_equal(valid, on_canvas(whole_valid[None], window, False)[0])


@pytest.mark.parametrize("method", ["nearest", "cubic"])
def test_a_raster_apart_needs_no_read_and_is_nodata(method):
    here = placement(APART, method=method)
    assert here.request(WINDOWS[1]) is None
    pixels, valid = placed(here, WINDOWS[1])
    assert (pixels == 7).all()
    assert not valid.any()


def test_a_window_beyond_the_grid_is_nodata_even_if_the_raster_goes_on():
    large = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (90, 90))
    pixels, valid = placed(placement(large), Window(58, 0, 4, 4))
    assert valid.tolist() == [[True] * 4] * 2 + [[False] * 4] * 2
    assert (pixels[:, 2:] == 7).all()


def test_a_method_does_not_matter_on_the_grid():
    here = placement(GRID, method="cubic")
    pixels, _ = placed(here, WINDOWS[1])
    np.testing.assert_array_equal(pixels, here.reader.pixels[:, *WINDOWS[1].slices])


def test_the_same_grid_in_another_spelling_is_not_resampled():
    transform = Affine(0.001, 0, 10, 0, -0.001, 50)
    one, other = (make_geobox(crs, transform, (60, 80)) for crs in ("EPSG:4326", "OGC:CRS84"))
    here = Placement(placement(GRID).reader, one, other, 7, "cubic")
    assert here.lies_on_grid
    pixels, _ = placed(here, WINDOWS[0])
    np.testing.assert_array_equal(pixels, here.reader.pixels)


def test_another_crs_is_refused():
    other = make_geobox("EPSG:32630", GRID.affine, (60, 80))
    with pytest.raises(UsageError, match="differ in CRS"):
        placement(other).request(WINDOWS[0])


def test_a_rotated_raster_is_refused_unless_it_is_the_grid():
    askew = turned((6e5, 4e6), 20, 10, -10)
    rotated = make_geobox("EPSG:32629", askew, (60, 80))
    with pytest.raises(UsageError, match="rotated"):
        placement(rotated).request(WINDOWS[0])
    own = Placement(placement(GRID).reader, rotated, crop_geobox(rotated, WINDOWS[0]), 7, "nearest")
    pixels, _ = placed(own, WINDOWS[1])
    np.testing.assert_array_equal(pixels, own.reader.pixels[:, *WINDOWS[1].slices])
