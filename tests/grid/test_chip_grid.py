from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from index.tables import make_grid
from stacchip.errors import ChipOutOfRange, UsageError
from stacchip.index import ChipGrid, name_crs
from stacchip.raster import Window

sizes = st.integers(1, 3000)


@given(height=sizes, width=sizes, chip_size=st.integers(1, 700))
def test_pad_covers_every_pixel_and_drop_only_whole_chips(height, width, chip_size):
    geobox = GeoBox((height, width), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633")
    drop, pad = ChipGrid(geobox, chip_size), ChipGrid(geobox, chip_size, "pad")
    assert drop.x_size * chip_size <= width < (drop.x_size + 1) * chip_size
    assert (pad.y_size - 1) * chip_size < height <= pad.y_size * chip_size
    assert drop.size == drop.x_size * drop.y_size


def test_a_chip_has_its_window_geobox_and_bounds():
    grid = make_grid(chips=(3, 4), chip_size=100)
    assert grid.window(2, 1) == Window(100, 200, 100, 100)
    assert grid.bbox(2, 1) == (502_000, 3_998_000, 503_000, 3_999_000)
    geobox = grid.chip_geobox(2, 1)
    assert tuple(geobox.boundingbox) == grid.bbox(2, 1)
    assert tuple(geobox.shape) == (100, 100)


@pytest.mark.parametrize("chip", [(4, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_chip_outside_the_grid_is_refused(chip):
    with pytest.raises(ChipOutOfRange, match=r"columns 0\.\.3 and rows 0\.\.2"):
        make_grid(chips=(3, 4)).window(*chip)


@pytest.mark.parametrize("chip_size", [0, -1, 2.5, True, 1 << 31, 1 << 70])
def test_an_impossible_chip_size_is_refused(chip_size):
    with pytest.raises(UsageError, match="chip_size"):
        ChipGrid(make_grid().geobox, chip_size)


def test_an_unknown_edge_is_refused():
    with pytest.raises(UsageError, match="'drop' or 'pad'"):
        ChipGrid(make_grid().geobox, 256, "stretch")


def test_a_geobox_without_crs_is_refused():
    with pytest.raises(UsageError, match="with a CRS"):
        ChipGrid(GeoBox((10, 10), Affine.identity(), None), 5)


def test_a_band_smaller_than_a_chip_has_no_chip_or_a_padded_one():
    small = GeoBox((100, 90), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633")
    assert ChipGrid(small, 256).size == 0
    assert len(ChipGrid(small, 256).footprints().wkb) == 0
    assert ChipGrid(small, 256, "pad").size == 1


def test_footprints_come_row_by_row():
    grid = make_grid(chips=(2, 3))
    footprints = shapely.from_wkb(grid.footprints().wkb.to_pylist())
    for chip, footprint in enumerate(footprints):
        y, x = divmod(chip, 3)
        assert footprint.equals_exact(grid.footprint(x, y), 1e-12)
    to_grid = pyproj.Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True)
    inside = np.array(
        [to_grid.transform(*footprint.centroid.coords[0]) for footprint in footprints]
    )
    expected = [
        (x * 2560 + 501_280, 4_000_000 - y * 2560 - 1280) for y in (0, 1) for x in (0, 1, 2)
    ]
    assert np.abs(inside - expected).max() < 1


@pytest.mark.parametrize(
    "code", ["EPSG:32633", "EPSG:3031", "EPSG:4326", "ESRI:54008", "OGC:CRS84"]
)
def test_a_crs_of_an_authority_has_its_code(code):
    assert name_crs(pyproj.CRS(code).to_wkt()) == code
    assert name_crs(code) == code


def test_a_crs_that_only_resembles_one_of_an_authority_has_wkt():
    resembling = pyproj.CRS("EPSG:32633").to_wkt().replace("500000", "500001")
    assert name_crs(resembling).startswith("PROJCRS[")
    assert pyproj.CRS(name_crs(resembling)) == pyproj.CRS(resembling)


def test_a_chip_is_known_by_its_bounds():
    grid = ChipGrid(GeoBox.from_bbox((500000, 0, 510000, 6000), "EPSG:32633", resolution=10))
    bbox = grid.footprints().bbox[4].as_py()
    assert grid.has_chip_at(1, 1, bbox)
    assert grid.has_chip_at(1, 1, {**bbox, "xmin": bbox["xmin"] + 1e-4})  # rounded by its writer
    assert not grid.has_chip_at(1, 0, bbox)
    assert not grid.has_chip_at(9, 9, bbox)
    assert not ChipGrid(grid.geobox, 128).has_chip_at(1, 1, bbox)
