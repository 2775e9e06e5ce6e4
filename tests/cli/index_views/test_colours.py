"""Which bands of an item a picture shows, by what the item says of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from stacchip.cli.index_views.colours import find_shown_bands
from stacchip.errors import GridMismatch
from stacchip.items import parse_item


def make_item(
    assets: dict[str, dict[str, Any]], item_id: str = "scene", **properties: Any
) -> pystac.Item:
    item = pystac.Item(item_id, None, None, datetime(2024, 5, 1, tzinfo=UTC), properties)
    for key, fields in assets.items():
        roles = fields.pop("roles", None)
        item.add_asset(key, pystac.Asset(f"{key}.tif", roles=roles, extra_fields=fields))
    return item


def described(*names: str) -> dict[str, Any]:
    return {"eo:bands": [{"name": name, "common_name": name} for name in names]}


def shown(item: pystac.Item, **counts: int) -> tuple[str, str]:
    """Return the bands shown, as `key:number`, and the note."""
    found = find_shown_bands(item, lambda key: counts.get(key, 1))
    return " ".join(f"{key}:{number + 1}" for key, number in found.bands), found.note


@pytest.mark.parametrize(
    ("item_id", "properties", "expected"),
    [
        ("scene", {}, "4 3 2"),  # it names no sensor
        ("LC08_L2SP_047027_20201204_02_T1", {}, "4 3 2"),
        ("mine", {"platform": "landsat-9"}, "4 3 2"),
        ("mine", {"platform": "sentinel-2a"}, "4 3 2"),
        ("LE07_L2SP_044033_20210329_02_T1", {}, "3 2 1"),
        ("LT50100671986", {}, "3 2 1"),
        ("mine", {"platform": "LANDSAT_5"}, "3 2 1"),
        ("mine", {"instruments": ["etm+"]}, "3 2 1"),
        ("LM05_L1GS_001010", {"platform": "landsat-5"}, "4"),  # MSS has no blue
        ("mine", {"platform": "terra", "instruments": ["aster"]}, "1"),
    ],
)
@pytest.mark.parametrize("name", ["B{}", "B0{}", "SR_B{}.TIF", "sr_b{}", "band{}"])
def test_numbered_bands_are_shown_in_the_colours_of_their_sensor(
    item_id: str, properties: dict[str, Any], expected: str, name: str
):
    keys = [name.format(number) for number in range(1, 8)]
    found = find_shown_bands(
        make_item({key: {} for key in keys}, item_id, **properties), lambda _: 1
    )
    numbers = [name.format(number) for number in expected.split()]
    if len(numbers) == 3:
        assert [key for key, _ in found.bands] == numbers
        assert found.note == f"bands {', '.join(numbers).replace('.TIF', '')}"
    else:
        assert found.note.startswith("band ")


def test_numbered_bands_may_lie_in_one_asset():
    stack = {"bands": [{"name": f"B{number:02}"} for number in range(1, 13)]}
    assert shown(make_item({"stack": stack})) == ("stack:4 stack:3 stack:2", "bands B04, B03, B02")


def test_measured_bands_are_shown_rather_than_a_picture_made_of_them():
    bands = {name: described(name) for name in ("red", "green", "blue")}
    picture = {"visual": described("red", "green", "blue") | {"roles": ["visual"]}}
    assert shown(make_item(picture | bands)) == ("red:1 green:1 blue:1", "")
    # two of the three are not mixed with the picture's third
    del bands["blue"]
    assert shown(make_item(bands | picture)) == ("visual:1 visual:2 visual:3", "")


@pytest.mark.parametrize("key", ["visual", "TCI", "tci_10m", "true-color", "RGB"])
@pytest.mark.parametrize("count", [3, 4])
def test_a_picture_in_colour_is_known_by_its_key(key: str, count: int):
    item = make_item({"scl": {}, key: {}, "swir": {}})
    assert shown(item, **{key: count}) == (f"{key}:1 {key}:2 {key}:3", "")
    assert shown(item)[1] == "band scl", "its file has one band"


def test_a_picture_in_colour_is_known_by_its_role_and_by_its_common_names():
    asset = {"roles": ["visual"]}
    assert shown(make_item({"swir": {}, "image": asset}), image=4)[0] == "image:1 image:2 image:3"
    asset = described("Blue", "Green", "Red")
    assert shown(make_item({"swir": {}, "pan": {}, "ortho": asset}))[0] == "ortho:3 ortho:2 ortho:1"
    # as in the first version of Earth Search
    asset = described("red", "green", "blue") | {"roles": ["overview"]}
    assert shown(make_item({"scl": {}, "visual": asset}))[0] == "visual:1 visual:2 visual:3"


def test_an_asset_without_a_description_is_in_colour_if_it_has_three_or_four_bands():
    assert shown(make_item({"image": {}}), image=4) == ("image:1 image:2 image:3", "")
    beside = make_item({"image": {}, "udm": {}})
    assert shown(beside, image=3) == ("image:1 image:2 image:3", "bands 1, 2, 3 of image")
    assert shown(make_item({"image": {}}), image=2)[1] == "band 1 of image"
    assert shown(make_item({"stack": {}}), stack=13)[1] == "band 1 of stack"
    nameless = {"raster:bands": 4 * [{"data_type": "uint8"}]}
    assert shown(make_item({"image": nameless}))[0] == "image:1 image:2 image:3"


def test_a_band_in_grey_is_named():
    assert shown(make_item({"vv": {}, "vh": {}})) == ("vv:1 vv:1 vv:1", "band vv")
    assert shown(make_item({"red": {}})) == ("red:1 red:1 red:1", "band red")
    pair = make_item({"radar": {"bands": [{"name": "HH"}, {"name": "HV"}]}})
    assert shown(pair) == ("radar:1 radar:1 radar:1", "band HH of radar")


def test_a_picture_on_another_grid_is_passed_over():
    def count_bands(key: str) -> int:
        if key == "visual":
            raise GridMismatch("It is in EPSG:3857.")
        return 1

    found = find_shown_bands(make_item({"visual": {}, "swir": {}}), count_bands)
    assert found.note == "band swir"


def test_names_of_colours_may_have_a_prefix():
    keys = ("sr_blue", "sr_red", "sr_green", "infra_red")
    assert shown(make_item({key: {} for key in keys}))[0] == "sr_red:1 sr_green:1 sr_blue:1"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("landsat/odc-stac__ga_ls8c_ard_3-1-0_088080_2020-05-25_final.stac-item", "nbart_red"),
        ("landsat/landsat__LC08_L2SP_047027_20201204_20210313_02_T1_SR_stac", "SR_B4.TIF"),
        ("landsat/landsat__LT05_L2SP_010067_19860424_20200918_02_T2_SR_stac", "red"),
        ("modis/modis__MOD09A1.A2022033.h19v10.061", "sur_refl_b01"),
        ("naip/planetary-computer-tasks__naip1", "image"),
        ("sentinel2/pystac__item", "B04"),
        ("sentinel2/pystac__raster-sentinel2-example", "B04"),
    ],
)
def test_items_of_catalogues_are_shown_in_colour(shared_data: Path, path: str, expected: str):
    item = parse_item(json.loads((shared_data / "items" / f"{path}.json").read_text()))
    found = find_shown_bands(item, lambda _: 1)
    assert found.bands[0] == (expected, 0)
    assert len(set(found.bands)) == 3
