"""Grids against grids, and grids kept with an item: in every CRS, rotated or not."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.warp import reproject

from stacchip.errors import InvalidMetadata, UsageError
from stacchip.grid.crs import same_crs
from stacchip.grid.geobox import (
    RecordedGrid,
    covering_window,
    crop_geobox,
    is_axis_aligned,
    make_geobox,
    read_grid,
    record_grid,
)
from stacchip.grid.nearest import nearest_pixels
from stacchip.grid.transform import map_points
from stacchip.raster import Window, read_header
from turned import turned

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from stacchip.storage import Storage

CRS = "EPSG:32629"


def warped_numbers(source: GeoBox, target: GeoBox) -> np.ndarray:
    """Where GDAL's nearest neighbour takes each pixel from: its number, or -1."""
    numbers = np.arange(np.prod(source.shape.yx), dtype=np.int32).reshape(source.shape.yx)
    found = np.full(target.shape.yx, -1, np.int32)
    reproject(
        numbers, found, src_transform=source.affine, dst_transform=target.affine,
        src_crs=CRS, dst_crs=CRS, resampling=Resampling.nearest, init_dest_nodata=False,
        tolerance=0,
    )  # fmt: skip
    return found


def our_numbers(source: GeoBox, target: GeoBox) -> np.ndarray:
    rows, cols = nearest_pixels(source, target)
    numbers = rows[:, None] * source.shape.x + cols
    return np.where((rows[:, None] < 0) | (cols < 0), -1, numbers)


SCALES = st.sampled_from([10.0, 20.0, 60.0, 7.5, 13.0, 0.3, 444.8])


def is_rounding_decisive(scale: float, other: float, count: int) -> bool:
    """Whether a centre falls on an edge of scales that floats hold but nearly."""
    edges = (np.arange(count) + 0.5) * other / scale
    is_near = bool((np.abs(edges - np.round(edges)) < 1e-6).any())
    return is_near and not {scale, other}.isdisjoint({0.3, 444.8})


@settings(max_examples=80, deadline=None)
@given(
    SCALES, SCALES, SCALES, SCALES, st.integers(-40, 40), st.integers(-40, 40),
    st.booleans(), st.booleans(), st.integers(1, 40), st.integers(1, 40),
)  # fmt: skip
@example(60.0, 60.0, 10.0, 10.0, 1, 1, False, False, 9, 9)
@example(10.0, 10.0, 20.0, 20.0, 0, 0, False, False, 9, 9)  # centres fall on edges
@example(10.0, 10.0, 60.0, 60.0, 3, -3, True, False, 40, 30)
def test_nearest_pixels_are_those_of_a_rasterio_warp(
    a: float, b: float, c: float, d: float, dx: int, dy: int, south_up: bool, other_up: bool,
    height: int, width: int,
) -> None:  # fmt: skip
    assume(not is_rounding_decisive(a, c, width) and not is_rounding_decisive(b, d, height))
    source = make_geobox(CRS, Affine(a, 0, 6e5, 0, b if south_up else -b, 4e6), (23, 31))
    top = 4e6 + dy * b + (0 if other_up == south_up else height * d * (1 if south_up else -1))
    target = make_geobox(
        CRS, Affine(c, 0, 6e5 + dx * a, 0, d if other_up else -d, top), (height, width)
    )
    expected = warped_numbers(source, target)
    assume((expected >= 0).any())  # GDAL refuses to warp what does not overlap
    assert np.array_equal(our_numbers(source, target), expected)


def test_60_m_bands_lie_right_on_10_m_chips(shared_data: Path, storage: Storage) -> None:
    scene = shared_data / "sentinel2/S2A_29RKH_20200219_0_L2A"
    fine = read_header(storage, str(scene / "B04.tif")).geobox
    assert fine is not None
    for name in ("B01.tif", "B05.tif", "B09.tif", "SCL.tif"):
        coarse = read_header(storage, str(scene / name)).geobox
        assert coarse is not None
        chip = crop_geobox(fine, Window(777, 512, 256, 256))
        assert np.array_equal(our_numbers(coarse, chip), warped_numbers(coarse, chip))


def test_a_coordinate_on_an_edge_goes_to_the_higher_pixel_despite_rounding() -> None:
    source = make_geobox("EPSG:4326", Affine(1e-4, 0, -180, 0, -1e-4, 90), (50, 4000))
    target = make_geobox("EPSG:4326", Affine(2e-4, 0, -180, 0, -2e-4, 90), (25, 2000))
    rows, cols = nearest_pixels(source, target)
    assert np.array_equal(cols, np.arange(2000) * 2 + 1)
    assert np.array_equal(rows, np.arange(25) * 2 + 1)


def test_grids_apart_share_nothing() -> None:
    source = make_geobox(CRS, Affine(10, 0, 0, 0, -10, 0), (5, 5))
    target = make_geobox(CRS, Affine(10, 0, 1e6, 0, -10, 0), (5, 5))
    assert (nearest_pixels(source, target)[1] == -1).all()
    assert covering_window(source, target) is None


@pytest.mark.parametrize("south_up", [False, True])
@pytest.mark.parametrize("margin", [0, 2])
def test_the_covering_window_holds_all_that_is_taken(south_up: bool, margin: int) -> None:
    source = make_geobox(CRS, Affine(60, 0, 0, 0, 60 if south_up else -60, 0), (40, 40))
    for col in range(0, 240, 7):
        target = crop_geobox(
            make_geobox(CRS, Affine(10, 0, 0, 0, source.affine.e / 6, 0), (240, 240)),
            Window(3, col, 25, 10),
        )
        window = covering_window(source, target, margin=margin)
        assert window is not None
        rows, cols = nearest_pixels(source, target)
        assert window.row <= rows[rows >= 0].min()
        assert window.row_stop > rows.max()
        assert window.col <= cols[cols >= 0].min()
        assert window.col_stop > cols.max()
        assert window.height <= 6 + 2 * margin


def test_rotated_grids_say_so(shared_data: Path, storage: Storage) -> None:
    header = read_header(storage, str(shared_data / "odd/derived/u16_rotated20deg.tif"))
    assert header.geobox is not None
    assert not is_axis_aligned(header.geobox)
    straight = make_geobox(CRS, Affine(10, 0, 0, 0, -10, 0), (5, 5))
    assert is_axis_aligned(straight)
    with pytest.raises(UsageError, match="rotated"):
        nearest_pixels(header.geobox, straight)


def test_grids_of_two_crs_are_not_compared() -> None:
    one = make_geobox("EPSG:32629", Affine(10, 0, 0, 0, -10, 0), (5, 5))
    other = make_geobox("EPSG:32701", Affine(10, 0, 0, 0, -10, 0), (5, 5))
    with pytest.raises(UsageError, match=r"32629.*32701"):
        covering_window(one, other)


def test_crop_keeps_pixels_in_place() -> None:
    askew = turned((6e5, 4e6), 20, 10, -10)
    geobox = make_geobox(CRS, askew, (100, 100))
    cropped = crop_geobox(geobox, Window(30, 40, 8, 9))
    assert cropped.shape.yx == (8, 9)
    assert map_points(cropped.affine, 0, 0) == pytest.approx(map_points(geobox.affine, 40, 30))


# -- kept with an item -----------------------------------------------------------------------------

TURNED = turned((6e5, 4e6), 20, 0.1, -0.3)


@pytest.mark.parametrize(
    "crs",
    ["EPSG:32629", "OGC:CRS84", "ESRI:54008", "+proj=sinu +R=6371007.181 +units=m", "EPSG:7415"],
)
@pytest.mark.parametrize("transform", [Affine(10, 0, 600_000, 0, -10, 4e6), TURNED])
def test_a_grid_survives_json(crs, transform):
    geobox = make_geobox(crs, transform, (123, 456))
    item = {"id": "a", "properties": {"x": 1}}
    kept = json.loads(json.dumps(record_grid(item, RecordedGrid(geobox, "red"))))
    found = read_grid(kept)
    assert found is not None
    assert found.reference == "red"
    assert found.geobox.shape.yx == (123, 456)
    assert found.geobox.affine == transform
    assert same_crs(found.geobox.crs, crs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("transform", odd) for odd in (None, 1, [], [1] * 5, [{}, 0, 0, 0, -1, 0], [1e400] * 6)),
        *(("transform", odd) for odd in ([10**400, 0, 0, 0, -1, 0], [1, 0, 0, 0, 0, 0], "abcdef")),
        *(("shape", odd) for odd in (None, 5, [5], [5, 5, 5], [5, 0], [5, -1], [5, 2**31])),
        *(("shape", odd) for odd in ([5, 1.5], [5, "5"], [5, 10**400], {"5": 1})),
        *(("crs", odd) for odd in (None, 32629, [], {}, "", "EPSG:0", "\ud800", "x\0")),
        *(("reference", odd) for odd in (1, [], {})),
    ],
)
def test_a_kept_grid_that_is_none_is_refused(name, value):
    geobox = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (1, 1))
    kept = record_grid({"id": "a"}, RecordedGrid(geobox, "red"))
    member = kept["stacchip:grid"]
    without = {key: each for key, each in member.items() if key != name}
    for odd in ({**member, name: value}, without, value):
        if odd is not None:
            with pytest.raises(InvalidMetadata, match="grid of its chips") as caught:
                read_grid({"stacchip:grid": odd})
            assert caught.value.field == "stacchip:grid"


@pytest.mark.parametrize("place", ["crs", "transform", "shape", "stranger", None])
def test_the_error_for_a_kept_grid_tells_nothing_that_it_holds(place):
    geobox = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (1, 1))
    kept = record_grid({"id": "a"}, RecordedGrid(geobox, "red"))["stacchip:grid"]
    secret = "https://user:hidden@example.com/a?sig=hidden"
    odd = secret if place is None else {**kept, "crs": 1, place: secret}
    with pytest.raises(InvalidMetadata) as caught:
        read_grid({"stacchip:grid": odd})
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


def test_the_item_given_is_left_alone():
    item = {"id": "a"}
    geobox = make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (1, 1))
    kept = record_grid(item, RecordedGrid(geobox, "red"))
    assert item == {"id": "a"}
    assert set(kept) == {"id", "stacchip:grid"}


def test_an_item_without_a_grid_has_none():
    assert read_grid({"id": "a"}) is None
