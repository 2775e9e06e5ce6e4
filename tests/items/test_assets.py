"""What an item tells of its assets: addresses, types, nodata, bands."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from stacchip.items import BandInfo, find_band, read_assets


def item(self_href: str | None = None, properties: Any = None, **assets: Any) -> pystac.Item:
    made = pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), properties or {})
    for key, asset in assets.items():
        fields = {"extra_fields": asset} if isinstance(asset, dict) else {}
        made.add_asset(key, pystac.Asset(f"{key}.tif" if fields else asset, **fields))
    if self_href is not None:
        made.set_self_href(self_href)
    return made


@pytest.mark.parametrize(
    ("self_href", "href", "expected"),
    [
        ("s3://bucket/scene/item.json", "./B04.tif", "s3://bucket/scene/B04.tif"),
        ("https://a.org/c/items/x", "../B04.tif", "https://a.org/c/B04.tif"),
        ("/data/scene/item.json", "bands/B04.tif", "/data/scene/bands/B04.tif"),
        ("/data/scene/item.json", "s3://bucket/B04.tif", "s3://bucket/B04.tif"),
        ("/data/scene/item.json", "/other/B04.tif", None),
        ("s3://bucket/scene/item.json", "/data/B04.tif", None),
        ("https://a.org/c/items/x", "/data/B04.tif?v=2", "https://a.org/data/B04.tif?v=2"),
        ("https://a.org/c/items/x", "//b.org/B04.tif", "https://b.org/B04.tif"),
        ("https://a.org/c/items/x", "/data/B04.tif?sig=abc", "https://a.org/data/B04.tif"),
        ("https://a.org/c/items/x", "/vsis3/bucket/B04.tif", None),
        (None, "/data/B04.tif", None),
        (None, "./B04.tif", "./B04.tif"),
        (None, "https://a.org/B04.tif?sv=2024&sig=abc", "https://a.org/B04.tif"),
        (None, "https://a.org/B04.tif?X-Amz-Signature=abc&X-Amz-Date=1", "https://a.org/B04.tif"),
        (None, "https://a.org/B04.tif;jsessionid=abc", "https://a.org/B04.tif"),
        (None, "https://user:secret@a.org/B04.tif", "https://a.org/B04.tif"),
        (None, "https://a.org/B04.tif?versionId=7", "https://a.org/B04.tif?versionId=7"),
    ],
)
def test_hrefs_are_absolute_where_that_can_be_known_and_unsigned(
    self_href: str | None, href: str, expected: str | None
) -> None:
    made = item(self_href)
    made.assets["red"] = pystac.Asset(href)

    found = read_assets(made)["red"].href

    assert found == (href if expected is None else expected)
    assert made.assets["red"].href == href


@pytest.mark.parametrize(
    ("fields", "dtype", "nodata"),
    [
        ({"raster:bands": [{"data_type": "uint16", "nodata": 0}]}, "uint16", 0),
        ({"raster:bands": [{"data_type": "float32", "nodata": "nan"}]}, "float32", math.nan),
        ({"raster:bands": [{"data_type": "float32", "nodata": math.nan}]}, "float32", math.nan),
        ({"raster:bands": [{"nodata": "-inf"}]}, None, -math.inf),
        ({"raster:bands": [{"nodata": -32768}, {"nodata": -32768.0}]}, None, -32768),
        ({"raster:bands": [{"nodata": 0}, {"nodata": 255}]}, None, None),
        ({"raster:bands": [{"data_type": "uint8"}, {"data_type": "int16"}]}, None, None),
        ({"bands": [{"data_type": "int8", "nodata": -1}]}, "int8", -1),
        ({"data_type": "uint8", "nodata": 255, "bands": [{"name": "B1"}]}, "uint8", 255),
        ({"raster:bands": [{"data_type": "cfloat32"}]}, "complex64", None),
        ({"raster:bands": [{"data_type": "other", "nodata": "none"}]}, None, None),
        ({"raster:bands": None, "bands": "B04"}, None, None),
        ({}, None, None),
    ],
)
def test_type_and_nodata_in_stac_1_0_and_1_1(
    fields: dict[str, Any], dtype: str | None, nodata: float | None
) -> None:
    red = read_assets(item(red=fields))["red"]

    assert red.dtype == dtype
    assert red.nodata == nodata or (math.isnan(nodata) and math.isnan(red.nodata))


@pytest.mark.parametrize(
    ("fields", "properties", "gsd"),
    [
        ({"gsd": 20}, {"gsd": 10}, 20),
        ({"eo:gsd": 60}, {}, 60),
        ({"raster:bands": [{"spatial_resolution": 30}]}, {"gsd": 10}, 30),
        ({}, {"gsd": 0.6}, 0.6),
        ({"gsd": "ten"}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_ground_sample_distance_of_asset_bands_or_item(
    fields: dict[str, Any], properties: dict[str, Any], gsd: float | None
) -> None:
    assert read_assets(item(properties=properties, red=fields))["red"].gsd == gsd


def test_band_names_are_merged_from_the_extensions() -> None:
    fields = {
        "eo:bands": [{"name": "B04", "common_name": "red"}],
        "raster:bands": [{"data_type": "uint16"}],
    }
    made = item(old=fields, new={"bands": [{"name": "B04", "eo:common_name": "red"}]})

    assets = read_assets(made)

    assert assets["old"].bands == assets["new"].bands == (BandInfo("B04", "red"),)


def bands(*names: str) -> dict[str, Any]:
    return {"eo:bands": [{"name": name.upper(), "common_name": name} for name in names]}


def test_a_band_is_found_by_key_then_alone_then_among_others() -> None:
    assets = read_assets(item(visual=bands("red", "green"), B04=bands("red"), nir={}))

    assert find_band(assets, "nir") == ("nir", 0)
    assert find_band(assets, "NIR") == ("nir", 0)
    assert find_band(assets, "red") == ("B04", 0)
    assert find_band(assets, "green") == ("visual", 1)
    assert find_band(assets, "blue") is None


def test_the_only_asset_without_band_names_is_red_green_blue_and_nir() -> None:
    assets = read_assets(item(visual={}))

    assert [find_band(assets, name) for name in ("red", "green", "blue", "nir")] == [
        ("visual", number) for number in range(4)
    ]
    assert find_band(read_assets(item(a={}, b={})), "red") is None
