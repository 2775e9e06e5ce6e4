"""Grids from `proj:*` fields, in every form that catalogues write, and their contradictions."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pystac
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from stacchip.errors import AssetNotFound, InvalidMetadata, ItemError, MissingMetadata
from stacchip.grid.geobox import make_geobox
from stacchip.items import read_assets, read_geobox
from turned import turned

UTM = "EPSG:32629"
# 200 x 100 px of 10 m
TRANSFORM = [10, 0, 600000, 0, -10, 3200000]
SHAPE = [100, 200]
BBOX = [600000, 3199000, 602000, 3200000]
GRID = make_geobox(UTM, Affine(*TRANSFORM), (100, 200))


def item(properties: dict[str, Any], asset: dict[str, Any] | None = None) -> pystac.Item:
    made = pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), properties)
    made.add_asset("red", pystac.Asset("red.tif", extra_fields=asset or {}))
    return made


def proj(**fields: Any) -> dict[str, Any]:
    return {f"proj:{name}": value for name, value in fields.items()}


def full(**changes: Any) -> dict[str, Any]:
    fields = {"code": UTM, "transform": TRANSFORM, "shape": SHAPE} | changes
    return proj(**{name: value for name, value in fields.items() if value is not None})


def refusal(kind: type[ItemError], properties: dict[str, Any], asset: Any = None) -> ItemError:
    with pytest.raises(kind) as caught:
        read_geobox(item(properties, asset), "red")
    assert caught.value.item_id == "scene"
    assert caught.value.asset == "red"
    assert "'scene'" in str(caught.value)
    return caught.value


# -- forms of the CRS


@pytest.mark.parametrize(
    "fields",
    [
        {"code": UTM},
        {"epsg": 32629},
        {"epsg": "32629"},
        {"epsg": 32629.0},
        {"code": UTM, "epsg": 32629},
        {"code": None, "epsg": None, "wkt2": CRS(UTM).to_wkt()},
        {"epsg": None, "wkt2": CRS(UTM).to_wkt("WKT1_GDAL")},
        {"epsg": None, "projjson": CRS(UTM).to_json_dict()},
        {"code": UTM, "wkt2": CRS(UTM).to_wkt(), "projjson": CRS(UTM).to_json_dict()},
    ],
    ids="+".join,
)
@pytest.mark.parametrize("level", ["item", "asset"])
def test_the_crs_is_read_in_every_form_at_both_levels(fields: dict[str, Any], level: str) -> None:
    grid, crs = proj(transform=TRANSFORM, shape=SHAPE), proj(**fields)
    made = item(grid | crs) if level == "item" else item(grid, crs)

    geobox = read_geobox(made, "red")

    assert geobox.crs.epsg == 32629
    assert geobox.affine == GRID.affine
    assert geobox.shape == GRID.shape


def test_the_assets_crs_goes_before_the_items() -> None:
    geobox = read_geobox(item(full(), proj(epsg=32630)), "red")

    assert geobox.crs.epsg == 32630


def test_a_code_that_proj_does_not_know_is_told_by_the_text_beside_it() -> None:
    geobox = read_geobox(item(full(code="EPSG:999999", wkt2=CRS(UTM).to_wkt())), "red")

    assert geobox.crs.epsg == 32629


@pytest.mark.parametrize("code", ["OGC:CRS84", "ESRI:54008", "EPSG:2193", "EPSG:3031", "EPSG:2263"])
def test_any_authority_and_unit_will_do(code: str) -> None:
    geobox = read_geobox(item(full(code=code)), "red")

    assert geobox.crs is not None
    assert CRS(geobox.crs.to_wkt()).equals(CRS(code), ignore_axis_order=True)


@pytest.mark.parametrize(
    ("fields", "field", "named"),
    [
        ({"code": "EPSG:32613", "epsg": 32614}, "proj:code", ["32613", "32614"]),
        ({"code": UTM, "wkt2": CRS(32630).to_wkt()}, "proj:code", ["32629", "zone 30N"]),
        ({"code": UTM, "projjson": CRS(4326).to_json_dict()}, "proj:code", ["32629", "WGS 84"]),
        ({"code": "EPSG:999999"}, "proj:code", ["EPSG:999999"]),
        ({"code": "nonsense"}, "proj:code", ["nonsense"]),
        ({"code": None, "epsg": "utm"}, "proj:epsg", ["utm"]),
        ({"code": None, "wkt2": "PROJCS[what]"}, "proj:wkt2", ["PROJCS[what]"]),
        ({"code": None, "projjson": {"type": "what"}}, "proj:projjson", ["what"]),
    ],
)
def test_a_crs_that_cannot_be_right_is_refused(
    fields: dict[str, Any], field: str, named: list[str]
) -> None:
    error = refusal(InvalidMetadata, full(**fields))

    assert error.field == field
    assert all(name in str(error) for name in named)


def test_levels_do_not_contradict_each_other() -> None:
    assert read_geobox(item(full(epsg=32629), proj(code="EPSG:3031")), "red").crs.epsg == 3031


# -- forms of the grid


@pytest.mark.parametrize(
    "transform",
    [
        TRANSFORM,
        [*TRANSFORM, 0, 0, 1],
        [*map(float, TRANSFORM), 0.0, 0.0, 1.0],
        tuple(Affine(*TRANSFORM)),
        [600000, 10, 0, 3200000, 0, -10],  # GDAL's order
    ],
)
def test_transforms_of_6_and_9_numbers_and_gdals_order(transform: Any) -> None:
    assert read_geobox(item(full(transform=transform, bbox=BBOX)), "red") == GRID
    assert read_geobox(item(full(transform=transform)), "red") == GRID


@pytest.mark.parametrize("origin", [(0, 3200000), (600000, 0), (0, 0)])
def test_gdals_order_is_known_also_on_an_axis(origin: tuple[int, int]) -> None:
    x, y = origin

    assert read_geobox(item(full(transform=[x, 10, 0, y, 0, -10])), "red").affine == Affine(
        10, 0, x, 0, -10, y
    )


@pytest.mark.parametrize(
    "transform",
    [
        [10, 0, 0, 0, -10, 0],
        [0, 10, 0, 10, 0, -7],  # turned by 90 degrees, its x origin 0
        [0, 10, 600000, -10, 0, 3200000],
        [8, 6, 600000, 6, -8, 3200000],  # turned, square
        [10, 0, 600000, 0, 10, 3200000],  # south up
        [1.9e-06, -2.1e-06, -79.58, -2.1e-06, -1.9e-06, 9.0],
    ],
)
def test_turned_and_south_up_grids_are_as_the_specification_says(transform: list[float]) -> None:
    assert read_geobox(item(full(transform=transform)), "red").affine == Affine(*transform)


@pytest.mark.parametrize("bbox", [BBOX, [600000, 3199000, -50, 602000, 3200000, 900]])
def test_a_missing_transform_follows_from_bbox_and_shape(bbox: list[float]) -> None:
    assert read_geobox(item(full(transform=None, bbox=bbox)), "red") == GRID


def test_a_missing_shape_follows_from_bbox_and_transform() -> None:
    assert read_geobox(item(full(shape=None, bbox=BBOX)), "red") == GRID


def test_an_items_bbox_gives_each_asset_its_own_pixel_size() -> None:
    made = item(proj(code=UTM, bbox=BBOX), proj(shape=[50, 100]))

    assert read_geobox(made, "red").affine == Affine(20, 0, 600000, 0, -20, 3200000)


def test_an_assets_shape_does_not_go_with_the_transform_of_another_grid() -> None:
    # at 20 m, where the item tells of 10 m: half the picture would be missed
    error = refusal(MissingMetadata, full(), proj(shape=[50, 100]))

    assert error.missing == ("proj:transform",)


def test_an_assets_transform_does_not_go_with_the_shape_of_another_grid() -> None:
    error = refusal(MissingMetadata, full(), proj(transform=[20, 0, 600000, 0, -20, 3200000]))

    assert error.missing == ("proj:shape",)


def test_an_asset_that_repeats_the_item_in_part_is_of_its_grid() -> None:
    assert read_geobox(item(full(), proj(shape=tuple(SHAPE))), "red") == GRID


@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        (("proj:code", "proj:shape", "proj:transform"), {}),
        (("proj:shape", "proj:transform"), {"code": UTM}),
        (("proj:shape", "proj:transform"), {"code": UTM, "bbox": BBOX}),
        (("proj:transform",), {"code": UTM, "shape": SHAPE}),
        (("proj:shape",), {"code": UTM, "transform": TRANSFORM}),
        (("proj:code",), {"transform": TRANSFORM, "shape": SHAPE, "epsg": None}),
        # a bbox of the valid data only, whose corner is not the grid's
        (
            ("proj:shape",),
            {"code": UTM, "transform": TRANSFORM, "bbox": [600040, 3199000, 602000, 3200000]},
        ),
        (
            ("proj:shape",),
            {"code": UTM, "transform": TRANSFORM, "bbox": [600000, 3199000, 602004, 3200000]},
        ),
        # across the antimeridian: xmin > xmax
        (("proj:transform",), {"code": "EPSG:4326", "shape": SHAPE, "bbox": [179, -1, -179, 1]}),
    ],
)
def test_what_is_missing_is_listed(missing: tuple[str, ...], fields: dict[str, Any]) -> None:
    error = refusal(MissingMetadata, proj(**fields))

    assert error.missing == missing
    assert error.field == missing[0]
    assert all(field in str(error) for field in missing)
    assert "open_files=True" in str(error)


@pytest.mark.parametrize(
    "fields", [{"code": "EPSG:32629+5773"}, {"code": "EPSG:32629+5773", "epsg": 32629}]
)
def test_a_code_with_a_height_part_gives_its_horizontal_part(fields: dict[str, Any]) -> None:
    found = read_geobox(item(full(**fields)), "red")

    assert str(found.crs) == "EPSG:32629"


# -- contradictions


def test_a_swapped_shape_is_refused_with_both_values() -> None:
    error = refusal(InvalidMetadata, full(shape=SHAPE[::-1], bbox=BBOX))

    assert error.field == "proj:shape"
    assert "[200, 100]" in str(error)
    assert "[100, 200]" in str(error)


def test_a_swapped_shape_is_seen_by_pixels_that_would_not_be_square() -> None:
    error = refusal(InvalidMetadata, full(transform=None, shape=SHAPE[::-1], bbox=BBOX))

    assert error.field == "proj:shape"


def test_pixels_need_not_be_square() -> None:
    fields = full(transform=None, bbox=[0, 0, 444.8 * 200, 453.6 * 100])

    assert read_geobox(item(fields), "red").resolution.xy == pytest.approx((444.8, -453.6))


def test_a_bbox_elsewhere_is_refused_with_both_values() -> None:
    error = refusal(InvalidMetadata, full(bbox=[169200, 3712800, 403200, 3951000]))

    assert error.field == "proj:bbox"
    assert "169200" in str(error)
    assert "3199000" in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "IAU_2015:30100"},
        {"code": "ESRI:104905"},
        {"code": "EPSG:5773"},
        {"code": None, "wkt2": "+proj=sinu +R=1737400"},
    ],
)
def test_a_crs_that_is_not_on_earth_is_refused(fields: dict[str, Any]) -> None:
    error = refusal(InvalidMetadata, full(**fields))

    assert error.field in ("proj:code", "proj:wkt2")
    assert "another body" in str(error) or "no horizontal coordinates" in str(error)


@pytest.mark.parametrize(
    "bbox",
    [
        [600005, 3199005, 601995, 3199995],  # pixel centres
        [599995, 3198995, 602005, 3200005],
        [600700, 3199300, 601100, 3199900],  # of the valid pixels
    ],
)
def test_a_bbox_may_be_rounded_or_of_the_valid_pixels(bbox: list[float]) -> None:
    assert read_geobox(item(full(bbox=bbox)), "red") == GRID


def test_an_items_bbox_may_be_larger_than_an_asset() -> None:
    made = item(proj(code=UTM, bbox=[500000, 3000000, 700000, 3300000]), full())

    assert read_geobox(made, "red") == GRID


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"transform": [10, 0, 600000]}, "proj:transform"),
        ({"transform": "10 0 600000 0 -10 3200000"}, "proj:transform"),
        ({"transform": [10, 0, 600000, 0, -10, None]}, "proj:transform"),
        ({"transform": [10, 0, math.nan, 0, -10, 0]}, "proj:transform"),
        ({"transform": 10}, "proj:transform"),
        ({"transform": [0, 0, 600000, 0, 0, 3200000]}, "proj:transform"),
        ({"transform": [10, 5, 0, 20, 10, 0]}, "proj:transform"),  # no area
        ({"transform": [10, 0, 600000, 0, -10, 3200000, 0, 0, 0]}, "proj:transform"),
        ({"shape": [100]}, "proj:shape"),
        ({"shape": [0, 100]}, "proj:shape"),
        ({"shape": [-100, 100]}, "proj:shape"),
        ({"shape": [100.5, 100]}, "proj:shape"),
        ({"shape": "100x200"}, "proj:shape"),
        ({"bbox": [1, 2, 3]}, "proj:bbox"),
        ({"bbox": {"xmin": 1}}, "proj:bbox"),
    ],
)
def test_fields_that_cannot_be_right_are_refused(fields: dict[str, Any], field: str) -> None:
    assert refusal(InvalidMetadata, full(**fields)).field == field


@pytest.mark.parametrize(
    ("field", "product"),
    [
        ("sar:product_type", "GRD"),
        ("sar:product_type", "SLC"),
        ("sar:product_type", "grdh"),
        ("product:type", "GRD"),
        ("product:type", "IW_GRDH_1S"),
        ("product:type", "IW_SLC__1S"),
        ("s1:product_type", "Ground Range Detected"),
    ],
)
def test_a_radar_image_stretched_over_its_bbox_is_refused(field: str, product: str) -> None:
    stretched = proj(code="EPSG:4326", shape=[16676, 26144], bbox=[1.512, 44.536, 5.189, 46.437])

    assert read_geobox(item(stretched), "red").shape.yx == (16676, 26144)
    error = refusal(InvalidMetadata, stretched | {field: product})
    assert error.field == "proj:transform"
    assert "radar geometry" in str(error)


def test_a_terrain_corrected_radar_image_is_no_stretched_one() -> None:
    # Planetary Computer's RTC items keep the product type of what they were made from
    assert read_geobox(item(full() | {"sar:product_type": "GRD"}), "red") == GRID


@pytest.mark.parametrize("product", ["GRD", "RTC of GRD", 5, None])
def test_a_radar_image_on_a_grid_of_degrees_is_no_stretched_one(product: Any) -> None:
    degrees = proj(code="EPSG:4326", shape=SHAPE, transform=[0.0001, 0, 5, 0, -0.0001, 46])
    assert read_geobox(item(degrees | {"product:type": product}), "red").shape.yx == tuple(SHAPE)
    turned = proj(code="EPSG:4326", shape=SHAPE, transform=[0, 0.0001, 5, 0.0001, 0, 46])
    assert read_geobox(item(turned | {"product:type": product}), "red").shape.yx == tuple(SHAPE)


def test_errors_go_to_other_processes_whole() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(refusal(MissingMetadata, proj(code=UTM))))

    assert error.missing == ("proj:shape", "proj:transform")
    assert (error.item_id, error.asset, error.field) == ("scene", "red", "proj:shape")


# -- properties of all grids

SIZES = st.integers(1, 20000)
PIXELS = st.floats(1e-6, 1e4).filter(lambda size: size > 0)


@settings(deadline=None)
@given(SIZES, SIZES, PIXELS, st.floats(-1e7, 1e7), st.floats(-1e7, 1e7))
def test_bbox_gives_the_transform_and_the_shape_back(
    height: int, width: int, pixel: float, left: float, top: float
) -> None:
    bbox = [left, top - height * pixel, left + width * pixel, top]
    # pixels far below the precision of the corner do not make a grid
    assume(pixel > 1e-8 * max(abs(corner) for corner in bbox))
    fields = full(shape=[height, width], transform=[pixel, 0, left, 0, -pixel, top], bbox=bbox)
    whole = read_geobox(item(fields), "red")

    from_bbox = read_geobox(item({**fields, "proj:transform": None}), "red")
    shapeless = read_geobox(item({**fields, "proj:shape": None}), "red")

    assert from_bbox.shape == whole.shape
    assert shapeless == whole
    # the far corner is where it was, to a hundredth of a pixel
    assert from_bbox.boundingbox.right == pytest.approx(whole.boundingbox.right, abs=pixel / 100)
    assert from_bbox.boundingbox.bottom == pytest.approx(whole.boundingbox.bottom, abs=pixel / 100)


@settings(deadline=None)
@given(SIZES, SIZES, PIXELS, st.floats(0, 359), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_turned_grids_agree_with_their_own_bbox(
    height: int, width: int, pixel: float, angle: float, left: float, top: float
) -> None:
    transform = turned((left, top), angle, pixel, -pixel)
    box = tuple(make_geobox(UTM, transform, (height, width)).boundingbox)
    assume(transform.c != 0)

    made = item(full(transform=list(transform), shape=[height, width], bbox=list(box)))

    assert read_geobox(made, "red").affine == transform


@settings(deadline=None)  # loading PROJ takes its time
@given(
    st.dictionaries(
        st.sampled_from(["code", "epsg", "wkt2", "projjson", "transform", "shape", "bbox"]),
        st.one_of(
            st.none(),
            st.text(max_size=5),
            st.integers(),
            st.floats(),
            st.lists(st.floats(), max_size=9),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        ),
    )
)
def test_no_value_raises_anything_but_an_item_error(fields: dict[str, Any]) -> None:
    for made in (item(proj(**fields)), item(full(), proj(**fields))):
        asset = read_assets(made)["red"]
        assert (asset.geobox is None) == (asset.problem is not None)


def test_the_grid_of_an_asset_that_is_not_there_is_refused():
    with pytest.raises(AssetNotFound, match="'scene' has no asset 'nir'; it has: red"):
        read_geobox(item(full()), "nir")
