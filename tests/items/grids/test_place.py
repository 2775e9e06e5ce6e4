"""An item's boxes and footprints against its grid: what contradicts by far, and what may differ."""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import InvalidMetadata
from stacchip.grid.crs import lonlat_transformer
from stacchip.grid.geobox import GeoBox, make_geobox
from stacchip.items import parse_item, read_assets
from stacchip.items.grids.projection import read_geobox
from turned import turned

if TYPE_CHECKING:
    from pathlib import Path

UTM = "EPSG:32629"
TRANSFORM = [10, 0, 500000, 0, -10, 4200000]
SHAPE = [600, 1000]
DEGREES = [0.0001, 0, -9, 0, -0.0001, 38]
TURNED = turned((500000, 4200000), 20, 10, -10)


def footprint(code: str, transform: Any, shape: Any = SHAPE) -> dict[str, Any]:
    """Return `bbox` and `geometry` of a grid, as a catalogue computes them."""
    grid = GeoBox(tuple(shape), Affine(*transform[:6]), code)
    degrees = lonlat_transformer(grid.crs.to_wkt())
    corners = shapely.get_coordinates(grid.extent.geom)
    outline = shapely.Polygon(np.column_stack(degrees.transform(*corners.T)))
    return {"bbox": list(outline.bounds), "geometry": outline.__geo_interface__}


RIGHT = footprint(UTM, TRANSFORM)
RIGHT_IN_DEGREES = footprint("EPSG:4326", DEGREES)


def item(
    code: str = UTM, transform: Any = TRANSFORM, shape: Any = SHAPE, *, bbox: Any = None,
    geometry: Any = None, **more: Any,
) -> pystac.Item:  # fmt: skip
    fields = {"proj:code": code, "proj:transform": list(transform), "proj:shape": list(shape)}
    more = {f"proj:{name.removeprefix('proj_')}": value for name, value in more.items()}
    date = datetime(2024, 5, 1, tzinfo=UTC)
    return pystac.Item("scene", geometry, bbox, date, {**fields, **more})


def refusal(*args: Any, **fields: Any) -> InvalidMetadata:
    with pytest.raises(InvalidMetadata) as caught:
        read_geobox(item(*args, **fields))
    assert "open_files=True" in str(caught.value)
    assert "--open-files" in str(caught.value)
    return caught.value


# -- contradictions


@pytest.mark.parametrize("names", [("bbox",), ("geometry",), ("bbox", "geometry")])
@pytest.mark.parametrize(
    ("args", "claims"),
    [
        ((UTM, DEGREES), RIGHT_IN_DEGREES),
        (("EPSG:4326", TRANSFORM), RIGHT),
        (("EPSG:4326", [0.0001, 0, 38, 0, -0.0001, -9]), RIGHT_IN_DEGREES),
        (("EPSG:4326", [0, -0.0001, 38, 0.0001, 0, -9]), RIGHT_IN_DEGREES),
        (("EPSG:32630", TRANSFORM), RIGHT),
        (("EPSG:32729", TRANSFORM), RIGHT),
        (("EPSG:3857", TRANSFORM), RIGHT),
        ((UTM, [10, 0, 500000, 0, -10, 4194000]), RIGHT),  # from the lower left corner
        ((UTM, [10, 0, 500000, 0, 10, 4200000]), RIGHT),  # a sign forgotten
        ((UTM, [1, 0, 0, 0, 1, 0]), RIGHT),
    ],
)
def test_a_grid_elsewhere_is_refused_with_both_values(args, claims, names) -> None:
    error = refusal(*args, **{name: claims[name] for name in names})

    assert error.field == names[0]
    assert str(round(claims["bbox"][0], 4)) in str(error)
    assert "are not of one place" in str(error)


@pytest.mark.parametrize(
    ("args", "claims", "hint"),
    [
        ((UTM, DEGREES), RIGHT_IN_DEGREES, "would fit in degrees"),
        (
            ("EPSG:4326", [0, -0.0001, 38, 0.0001, 0, -9]),
            RIGHT_IN_DEGREES,
            "would fit with x and y exchanged",
        ),
    ],
)
def test_a_reading_that_would_fit_is_told(args, claims, hint) -> None:
    assert hint in str(refusal(*args, **claims))


@pytest.mark.parametrize("names", [("bbox",), ("geometry",), ("bbox", "geometry")])
def test_a_swapped_shape_is_told_by_a_footprint(names) -> None:
    error = refusal(shape=SHAPE[::-1], **{name: RIGHT[name] for name in names})

    assert error.field == "proj:shape"
    assert str(SHAPE) in str(error)
    assert str(SHAPE[::-1]) in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proj_bbox", [100000, 100000, 110000, 106000]),
        ("proj_geometry", {"type": "MultiPoint", "coordinates": [[1e5, 1e5], [1.1e5, 1.06e5]]}),
        ("centroid", {"lat": -37.9, "lon": -8.95}),
    ],
)
def test_without_a_footprint_other_fields_are_asked(field, value) -> None:
    assert refusal(**{field: value}).field == f"proj:{field.removeprefix('proj_')}"


def test_pixels_of_absurd_sides_are_refused() -> None:
    error = refusal(UTM, [10, 0, 0, -10, 500005, 4199995])  # the order of a world file

    assert error.field == "proj:transform"


# -- orders of the numbers


@pytest.mark.parametrize("claims", [{}, RIGHT])
@pytest.mark.parametrize("end", [[], [0, 0, 1]])
def test_gdals_order_is_read_and_said_with_six_or_nine_numbers(claims, end, caplog) -> None:
    numbers = [500000, 10, 0, 4200000, 0, -10, *end]
    with caplog.at_level(logging.WARNING):
        found = read_geobox(item(UTM, numbers, **claims))

    assert found.affine == Affine(*TRANSFORM)
    assert "GDAL's order" in caplog.text


@pytest.mark.parametrize("claims", [{}, footprint(UTM, TURNED)])
@pytest.mark.parametrize("end", [[], [0, 0, 1]])
def test_gdals_order_of_a_turned_grid_is_read(claims, end) -> None:
    assert read_geobox(item(UTM, [*TURNED.to_gdal(), *end], **claims)).affine == TURNED
    assert read_geobox(item(UTM, [*TURNED[:6], *end], **claims)).affine == TURNED


def test_a_footprint_tells_a_quarter_turn_from_gdals_order() -> None:
    # pixels 10 wide and 9 high, turned; or 10 wide and 9 high at (0, 9)
    numbers = [0, 10, 0, 9, 0, -9]
    gdal = Affine(10, 0, 0, 0, -9, 9)

    assert read_geobox(item(UTM, numbers)).affine == Affine(*numbers)
    claims = footprint(UTM, gdal, [10, 3000])
    assert read_geobox(item(UTM, numbers, [10, 3000], **claims)).affine == gdal


# -- what may differ


@pytest.mark.parametrize(
    "claims",
    [
        {},
        RIGHT,
        {"bbox": [-9.0, 37.93, -8.95, 37.947]},  # of the valid pixels
        {"bbox": [-10.2, 37.0, -8.8, 38.1]},  # of a scene that the asset is a tile of
        {"bbox": [-9.0, 37.9, -8.9, 37.9]},  # rounded
        {"bbox": [-9, 37, -8, 38]},
        {"bbox": [4.4, 51.4, 4.4, 51.4]},  # a point
        {"geometry": {"type": "Point", "coordinates": [0, 0]}, "bbox": [0, 0, 0, 0]},
        {"bbox": [-180, -90, 180, 90]},
        {"bbox": [-9.0, 37.89, 0, -8.89, 37.95, 812]},
        {"geometry": {"type": "Point", "coordinates": [-8.95, 37.92]}},
        {"geometry": {"type": "GeometryCollection", "geometries": [RIGHT["geometry"]]}},
        {"geometry": RIGHT["geometry"], "bbox": [37.89, -9.0, 37.95, -8.89]},
        {"bbox": RIGHT["bbox"], "geometry": {"type": "Point", "coordinates": [37.92, -8.95]}},
        {"centroid": {"lat": 37.92, "lon": -8.95}},
        {**RIGHT, "centroid": {"lat": -8.95, "lon": 37.92}},
        {"geometry": RIGHT["geometry"], "bbox": None},
    ],
)
def test_a_sound_item_is_read_whatever_else_it_says(claims) -> None:
    assert read_geobox(item(**claims)).affine == Affine(*TRANSFORM)


def test_a_proj_bbox_in_degrees_is_said_and_not_used(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        for claims in ({}, RIGHT):
            found = read_geobox(item(**claims, proj_bbox=RIGHT["bbox"]))
            assert found.affine == Affine(*TRANSFORM)

    assert "in degrees" in caplog.text


@pytest.mark.parametrize(
    ("code", "transform", "shape", "bbox"),
    [
        ("EPSG:32601", [10, 0, 300000, 0, -10, 7000000], [10980, 10980], [178, 62, -178, 63.2]),
        ("EPSG:32601", [10, 0, 300000, 0, -10, 7000000], [10980, 10980], [-180, 62, 180, 63.2]),
        ("EPSG:3031", [1000, 0, -500000, 0, -1000, 500000], [1000, 1000], [-180, -90, 180, -83]),
        ("EPSG:3031", [100, 0, -50000, 0, -100, -1000000], [1000, 1000], [-180, -81, 180, -79]),
        ("EPSG:3413", [500, 0, -1e6, 0, -500, 1e6], [4000, 4000], [-180, 76, 180, 90]),
        ("EPSG:4326", [0.25, 0, 0, 0, -0.25, 90.125], [721, 1440], [-180, -90, 180, 90]),
        ("EPSG:4326", [0.01, 0, 350, 0, -0.01, 50], [500, 500], [-10, 45, -5, 50]),
        (
            "+proj=geos +h=35786023 +lon_0=-75 +sweep=x +ellps=GRS80",
            [2004, 0, -5434894, 0, -2004, 5434894],
            [5424, 5424],
            [-156, -81, 6, 81],
        ),
        (
            "+proj=sinu +R=6371007.181",
            [463.3, 0, -20015109, 0, -463.3, 1111950],
            [2400, 2400],
            [-180, 0, -169.9, 10],
        ),
        (
            "+proj=sinu +R=6371007.181",
            [463.3, 0, -6671703, 0, -463.3, 8895604],
            [2400, 2400],
            [-180, 70, -117, 80],
        ),
    ],
)
def test_grids_at_the_ends_of_the_earth_are_read(code, transform, shape, bbox) -> None:
    made = item(code, transform, shape, bbox=bbox)

    assert read_geobox(made).shape.yx == tuple(shape)


@pytest.mark.parametrize(
    ("code", "x", "y", "pixel"),
    [
        pytest.param("EPSG:3069", 533960, 471159, 0.05, id="NAD27"),
        pytest.param("EPSG:26703", 573442, 7969190, 10, id="NAD27, pixels of 10 m"),
        pytest.param("EPSG:26758", 139682, 495806, 0.05, id="NAD27 in feet"),
        pytest.param("EPSG:22317", 541639, 8856330, 1, id="NAD83(CSRS)"),
    ],
)
def test_fine_pixels_are_read_in_datums_that_proj_shifts_in_several_ways(code, x, y, pixel) -> None:
    transform = [pixel, 0, x, 0, -pixel, y]
    said = item(code, transform, **footprint(code, transform))
    assert tuple(read_geobox(said).affine)[:6] == tuple(transform)


@pytest.mark.parametrize(
    "value",
    [
        [], [1, 2, 3], "x", [None] * 4, {"a": 1}, [math.nan] * 4, 5, {"type": "Polygon"},
        {"coordinates": [[["a", "b"]]]}, {"coordinates": 5}, {"coordinates": [[[1]]]},
        {"geometries": None}, {"lat": "x"}, [[0, 0], [1, 1]], [200, 91, 300, 99],
    ],
)  # fmt: skip
def test_what_is_no_box_says_nothing(value) -> None:
    made = item(bbox=value, geometry=value, centroid=value, proj_geometry=value)

    assert read_geobox(made).affine == Affine(*TRANSFORM)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60),
    st.booleans(),
    st.floats(2e5, 7e5),
    st.floats(1e6, 8e6),
    st.integers(2, 3000),
    st.integers(2, 3000),
    st.sampled_from([0.3, 10.0, 30.0]),
    st.floats(0, 360),
    st.integers(1, 6),
)
def test_a_footprint_of_the_grid_itself_is_never_refused(
    zone, is_south, x, y, height, width, pixel, angle, digits
) -> None:
    code = f"EPSG:{(32700 if is_south else 32600) + zone}"
    affine = turned((x, y), angle, pixel, -pixel)
    claims = footprint(code, affine, (height, width))
    claims["bbox"] = [round(number, digits) for number in claims["bbox"]]
    for names in (("bbox",), ("geometry",), ("bbox", "geometry")):
        made = item(code, affine[:6], (height, width), **{name: claims[name] for name in names})
        assert read_geobox(made) == make_geobox(code, affine, (height, width))


def test_no_grid_of_a_real_catalogue_is_refused_for_its_place(shared_data: Path) -> None:
    """Without its boxes and footprints, each item gives the same grids."""
    grids = 0
    for path in sorted(shared_data.glob("items/**/*.json")):
        record = json.loads(path.read_text())
        records = record if isinstance(record, list) else record.get("features", [record])
        for each in (each for each in records if each.get("type") == "Feature"):
            bare = {name: value for name, value in each.items() if name != "bbox"}
            before, after = (read_assets(parse_item(r)) for r in ({**bare, "geometry": None}, each))
            assert {k: a.geobox for k, a in after.items()} == {
                k: a.geobox for k, a in before.items()
            }, path
            grids += sum(a.geobox is not None for a in after.values())
    assert grids > 500
