"""The offset of Sentinel-2's baseline 04.00, as each catalogue says it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest

from stacchip.errors import InvalidMetadata, MissingMetadata, UsageError
from stacchip.sources import boa_offset
from stacchip.sources.harmonize import add_offset, find_adjustment, require_harmonize


def read_item(folder: Path, name: str) -> pystac.Item:
    """Return an item of the shared data; the first one of a collection."""
    record = json.loads((folder / "items" / "sentinel2" / name).read_text())
    records = record if isinstance(record, list) else record.get("features", [record])
    return pystac.Item.from_dict(records[0], migrate=False)


def make_item(
    item_id: str = "S2B_MSIL2A_20230609T104629_R051_T31UDQ_20230609T121643",
    properties: dict[str, Any] | None = None,
    **asset: Any,
) -> pystac.Item:
    """An item with a red band and a scene classification."""
    item = pystac.Item(
        item_id, None, None, datetime(2023, 6, 9, tzinfo=UTC), properties or {},
        collection="sentinel-2-l2a",
    )  # fmt: skip
    item.add_asset("red", pystac.Asset("https://a.org/B04.tif", extra_fields=asset))
    item.add_asset("scl", pystac.Asset("https://a.org/SCL.tif"))
    return item


STATED = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}


@pytest.mark.parametrize(
    ("name", "asset", "expected"),
    [
        # Planetary Computer
        ("odc-stac__S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json", "B04", 0),
        ("stac-geoparquet__sentinel-2-l2a-pc.json", "B04", -1000),
        ("stac-geoparquet__sentinel-2-l2a-pc.json", "B8A", -1000),
        ("stac-geoparquet__sentinel-2-l2a-pc.json", "SCL", 0),
        ("stac-geoparquet__sentinel-2-l2a-pc.json", "AOT", 0),
        ("stac-geoparquet__sentinel-2-l2a-pc.json", "visual", 0),
        # Earth Search v1, applied although raster:bands states an offset; and ESA's own file
        ("raster-vision__item_collection.json", "red", 0),
        ("raster-vision__item_collection.json", "red-jp2", -1000),
        ("raster-vision__item_collection.json", "scl-jp2", 0),
        # Earth Search v0, before 04.00
        ("rio-tiler-pds__S2A_31NBJ_20190524_0_L2A.json", "B02", 0),
        ("pystac__raster-sentinel2-example.json", "B12", 0),
        # as the metadata of the product say
        ("stactools-sentinel2__S2A_OPER_MSI_L2A_TL_SGS__20181231T210250_A018414_T10SDG.json",
         "blue", 0),
        ("stactools-sentinel2__S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658.json",
         "blue", -1000),
        ("stactools-sentinel2__S2A_OPER_MSI_L2A_TL_VGS1_20220401T110010_A035382_T34LBQ.json",
         "nir08", -7000),
        ("stactools-sentinel2__S2A_MSIL1C_20200717T221941_R029_T01LAC_20200717T234135.SAFE.json",
         "red", 0),
    ],
)  # fmt: skip
def test_items_of_each_catalogue(name: str, asset: str, expected: int, shared_data: Path) -> None:
    assert boa_offset(read_item(shared_data, name), asset) == expected


def test_an_item_of_earth_search_that_lost_its_property_is_refused(shared_data: Path) -> None:
    item = read_item(shared_data, "terrakit__items.json")
    with pytest.raises(MissingMetadata, match="earthsearch:boa_offset_applied") as caught:
        boa_offset(item, "red")
    assert (caught.value.item_id, caught.value.asset) == (item.id, "red")
    assert boa_offset(item, "scl") == 0


@pytest.mark.parametrize(
    ("applied", "baseline", "expected"),
    [(True, "05.09", 0), (False, "05.09", -1000), (False, "02.14", 0), (None, "02.14", 0)],
)
@pytest.mark.parametrize("stated", [{}, STATED, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}])
@pytest.mark.parametrize("prefix", ["earthsearch", "sentinel"])
def test_on_earth_search_the_property_decides(
    applied: bool | None, baseline: str, expected: int, stated: dict[str, Any], prefix: str
) -> None:
    properties: dict[str, Any] = {"s2:processing_baseline": baseline}
    if applied is not None:
        properties[f"{prefix}:boa_offset_applied"] = applied
    item = make_item("S2B_31UDQ_20230609_0_L2A", properties, **stated)
    assert boa_offset(item, "red") == expected


def test_a_property_that_is_null_says_nothing() -> None:
    properties = {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": None}
    with pytest.raises(MissingMetadata, match="still have the offset"):
        boa_offset(make_item("S2B_31UDQ_20230609_0_L2A", properties), "red")


@pytest.mark.parametrize("applied", ["true", "false", 0, 1])
@pytest.mark.parametrize("item_id", ["S2B_31UDQ_20230609_0_L2A", "any"])
def test_a_property_that_is_no_boolean_is_refused(applied: Any, item_id: str) -> None:
    properties = {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": applied}
    with pytest.raises(InvalidMetadata, match="neither true nor false"):
        boa_offset(make_item(item_id, properties), "red")


@pytest.mark.parametrize(
    ("collection", "href"),
    [
        ("sentinel-2-l2a", "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x/B04.tif"),
        ("sentinel-2-l2a", "s3://deafrica-sentinel-2/sentinel-s2-l2a-cogs/36/R/VU/B04.tif"),
        ("s2_l2a", "/archive/B04.tif"),
        ("sentinel-s2-l2a-cogs", "/archive/B04.tif"),
    ],
)
def test_the_files_of_earth_search_need_its_property_under_any_id(
    collection: str, href: str
) -> None:
    item = make_item("ec16dbf6-9729", {"s2:processing_baseline": "04.00"}, **STATED)
    item.collection_id, item.assets["red"].href = collection, href
    with pytest.raises(MissingMetadata, match="boa_offset_applied"):
        boa_offset(item, "red")
    for applied, expected in ((True, 0), (False, -1000)):
        item.properties["sentinel:boa_offset_applied"] = applied
        assert boa_offset(item, "red") == expected


@pytest.mark.parametrize(
    ("item_id", "properties", "expected"),
    [
        ("S2B_T43QDB_20200110T053549_L2A", {"s2:processing_baseline": "05.00"}, -1000),
        ("S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753",
         {"processing:version": "05.11"}, -1000),
        ("S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753", {}, -1000),
        ("S2B_MSIL2A_20210302T095029_N0214_R079_T33UXP_20210302T104753", {}, 0),
        ("any", {"s2:processing_baseline": "04.00"}, -1000),
        ("any", {"s2:processing_baseline": "03.01"}, 0),
        ("any", {"s2:processing_baseline": "0400"}, -1000),
        ("any", {"s2:product_uri": "S2A_MSIL2A_20220401T083601_N0400_R064_T34LBQ_X.SAFE"}, -1000),
    ],
)  # fmt: skip
def test_elsewhere_the_baseline_decides(
    item_id: str, properties: dict[str, Any], expected: int
) -> None:
    assert boa_offset(make_item(item_id, properties), "red") == expected


@pytest.mark.parametrize(
    "stated",
    [STATED, {"raster:offset": -0.1, "raster:scale": 0.0001},
     {"bands": [{"name": "B04", "raster:offset": -0.1, "raster:scale": 0.0001}]}],
)  # fmt: skip
def test_without_a_baseline_the_stated_offset_decides(stated: dict[str, Any]) -> None:
    assert boa_offset(make_item("any", **stated), "red") == -1000


@pytest.mark.parametrize("baseline", [None, "", "unknown", 5, float("nan")])
@pytest.mark.parametrize("stated", [{}, {"raster:bands": [{"offset": float("-inf"), "scale": 1}]}])
def test_an_item_that_does_not_say_is_refused(baseline: Any, stated: dict[str, Any]) -> None:
    item = make_item("any", {"s2:processing_baseline": baseline}, **stated)
    with pytest.raises(MissingMetadata, match="still have the offset") as caught:
        boa_offset(item, "red")
    assert caught.value.field == "s2:processing_baseline"


def test_an_item_that_contradicts_itself_is_refused() -> None:
    stated = {"raster:bands": [{"scale": 0.0001, "offset": 0}]}
    with pytest.raises(InvalidMetadata, match=r"baseline 05\.09, .* states none"):
        boa_offset(make_item("any", {"s2:processing_baseline": "05.09"}, **stated), "red")


def test_a_stated_offset_of_0_alone_is_no_sign_that_there_is_none() -> None:
    stated = {"raster:bands": [{"scale": 0.0001, "offset": 0}]}
    with pytest.raises(MissingMetadata, match="s2:processing_baseline"):
        boa_offset(make_item("any", **stated), "red")


@pytest.mark.parametrize(("stated", "named"), [("02.06", "N0500"), ("05.09", "N0214")])
def test_a_baseline_that_contradicts_the_name_of_the_product_is_refused(
    stated: str, named: str
) -> None:
    item = make_item(f"S2A_MSIL2A_20180105T105431_{named}_R051_T31UDQ_20230105T105431")
    item.properties["s2:processing_baseline"] = stated
    with pytest.raises(InvalidMetadata, match=f"states processing baseline {stated}"):
        boa_offset(item, "red")


@pytest.mark.parametrize(
    ("item_id", "properties"),
    [
        ("scene-1", {"platform": "sentinel-2b"}),
        ("scene-1", {"constellation": "Sentinel-2"}),
        ("scene-1", {"earthsearch:boa_offset_applied": False}),
        ("scene-1", {"s2:processing_baseline": "05.09"}),
        ("S2A_MSIL1C_20230609T105631_N0509_R094_T31UDQ_20230609T121643", {}),
    ],
)
def test_sentinel_2_of_an_unknown_level_is_refused(
    item_id: str, properties: dict[str, Any]
) -> None:
    item = make_item(item_id, properties)
    item.collection_id = "own"
    with pytest.raises(MissingMetadata, match="nothing says that it is Level-2A"):
        boa_offset(item, "red")
    assert boa_offset(item, "scl") == 0
    item.id = "scene-1"
    item.properties["s2:processing_baseline"] = "02.14"
    assert boa_offset(item, "red") == 0


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("B8A", -1000), ("b01", -1000), ("B11_20m", -1000), ("rededge071", -1000), ("nir09", -1000),
        ("swir22-jp2", -1000), ("SCL_20m", 0), ("AOT_10m", 0), ("WVP", 0), ("TCI_10m", 0),
        ("scl-jp2", 0), ("preview", 0), ("CLD_20m", 0), ("product_metadata", 0),
    ],
)  # fmt: skip
def test_only_reflectance_has_an_offset(key: str, expected: int) -> None:
    item = make_item("any", {"s2:processing_baseline": "05.09"})
    item.add_asset(key, pystac.Asset("a.tif"))
    assert boa_offset(item, key) == expected


def test_a_role_or_the_name_of_a_band_tells_reflectance_else_it_is_refused() -> None:
    item = make_item("any", {"s2:processing_baseline": "05.09"})
    item.add_asset("r", pystac.Asset("a.tif", roles=["data", "reflectance"]))
    bands = [{"name": "B04"}, {"name": "x", "common_name": "nir"}, {"name": "mask"}]
    item.add_asset("stack", pystac.Asset("a.tif", extra_fields={"eo:bands": bands}))
    assert boa_offset(item, "r") == boa_offset(item, "stack", 1) == -1000
    # the name that Digital Earth Africa gives both B09 and WVP
    item.add_asset("water_vapour", pystac.Asset("a.tif"))
    for asset, band in (("stack", 2), ("stack", 3), ("water_vapour", 0)):
        with pytest.raises(MissingMetadata, match="is reflectance"):
            boa_offset(item, asset, band)


def test_other_imagery_has_no_offset() -> None:
    item = make_item("ga_s2am_ard_3-2-1_31UDQ", {"platform": "sentinel-2a"})
    item.collection_id = "ga_s2am_ard_3"
    assert boa_offset(item, "red") == 0


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_nodata_and_saturation_stay_and_nothing_valid_becomes_nodata(dtype: str) -> None:
    pixels = np.array([[0, 1, 999, 1000, 1001, 1002, 11000, 65534, 65535, 7]], dtype)
    found = add_offset(pixels, -1000, nodata=7)
    assert found.tolist() == [[0, 1, 1, 1, 1, 2, 10000, 64534, 65535, 7]]
    assert found.dtype == dtype
    assert pixels[0, 2] == 999


def test_each_band_of_a_file_has_its_own_offset() -> None:
    item = make_item("any", {"s2:processing_baseline": "05.09"})
    bands = [{"name": name} for name in ("B04", "B08")]
    raster = [{"scale": 0.0001, "offset": offset} for offset in (-0.1, -0.2)]
    fields = {"eo:bands": bands, "raster:bands": raster}
    item.add_asset("stack", pystac.Asset("a.tif", extra_fields=fields))
    adjust = find_adjustment(item, "stack", 2, np.dtype("uint16"), 0)
    assert adjust is not None
    assert adjust(np.full((2, 1, 1), 5000, "uint16")).tolist() == [[[4000]], [[3000]]]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_that_are_no_digital_numbers_are_refused(dtype: str) -> None:
    item = make_item("any", {"s2:processing_baseline": "05.09"})
    with pytest.raises(InvalidMetadata, match="digital numbers"):
        find_adjustment(item, "red", 1, np.dtype(dtype), None)
    assert find_adjustment(item, "scl", 1, np.dtype("uint8"), None) is None


def test_anything_else_cannot_be_harmonised() -> None:
    require_harmonize(None)
    require_harmonize("boa_offset")
    with pytest.raises(UsageError, match="harmonize= is 'boa_offset'"):
        require_harmonize("toa")  # type: ignore[arg-type]
