"""Facts of assets, from items that say anything at all."""

from __future__ import annotations

import math
import pickle
import threading
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import ItemError
from stacchip.items import (
    AssetInfo,
    BandInfo,
    find_band,
    load_items,
    read_assets,
    reference_asset,
)
from stacchip.items.api.pace import Pace, pace_of

FIELDS = (
    *("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson", "proj:shape", "proj:transform"),
    *("proj:bbox", "gsd", "eo:gsd", "nodata", "data_type", "raster:bands", "eo:bands", "bands"),
    *("raster:spatial_resolution", "spatial_resolution", "raster:nodata", "raster:data_type"),
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 0, 1e308])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=6)
    | st.sampled_from(["EPSG:32629", "nan", "inf", "uint16", "cint16", "other", "f4,,", "red"]),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            st.sampled_from(
                ["name", "nodata", "data_type", "gsd", "common_name", "spatial_resolution"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6)


def make_item(properties: dict[str, Any], *assets: dict[str, Any]) -> pystac.Item:
    item = pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), properties)
    for number, fields in enumerate(assets):
        item.assets[f"b{number}"] = pystac.Asset(f"b{number}.tif", extra_fields=fields)
    return item


@settings(deadline=None, max_examples=100)
@given(MEMBERS, MEMBERS, MEMBERS)
def test_no_metadata_makes_reading_assets_raise(properties, one, other):
    item = make_item(properties, one, other)
    infos = read_assets(item)
    assert list(infos) == ["b0", "b1"]
    for info in infos.values():
        assert (info.geobox is None) != (info.problem is None)
        assert info.dtype is None or np.dtype(info.dtype)
        assert info.nodata is None or isinstance(info.nodata, float)
        assert info.gsd is None or info.gsd > 0
    try:
        reference = reference_asset(item, infos)
    except ItemError:
        return
    assert reference.geobox is not None


@pytest.mark.parametrize(
    ("fields", "nodata"),
    [
        ({"nodata": "nan"}, math.nan),
        ({"nodata": "-inf"}, -math.inf),
        ({"nodata": 0}, 0.0),
        ({"raster:bands": [{"nodata": 0}, {"nodata": 0.0}]}, 0.0),
        ({"raster:bands": [{"nodata": 0}, {"nodata": 1}]}, None),
        ({"bands": [{"nodata": "nan"}, {"nodata": "nan"}]}, math.nan),
        ({"nodata": 10**400}, None),
        ({"bands": [{"nodata": 10**400}, {"nodata": 10**400}]}, None),
        ({"nodata": "none"}, None),
        ({"nodata": []}, None),
    ],
)
def test_nodata_is_a_number_if_all_bands_agree(fields, nodata):
    found = read_assets(make_item({}, fields))["b0"].nodata
    assert found == nodata or (found != found and nodata != nodata)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint16", "uint16"),
        ("cfloat32", "complex64"),
        ("other", None),
        ("cint16", None),
        ([], None),
        ("f4,,", None),
    ],
)
def test_a_data_type_has_numpys_name_or_none(dtype, expected):
    assert read_assets(make_item({}, {"data_type": dtype}))["b0"].dtype == expected


# -- bands by name ---------------------------------------------------------------------------------


def info(key: str, *names: str, role: str | None = None) -> AssetInfo:
    bands = tuple(BandInfo(f"{key}-{name}", name) for name in names)
    return AssetInfo(key, f"{key}.tif", bands=bands, why_left_out=role)


@pytest.mark.parametrize(
    ("assets", "name", "expected"),
    [
        ([info("B04", "red"), info("B03", "green")], "red", ("B04", 0)),
        ([info("B04", "red"), info("B03", "green")], "b03", ("B03", 0)),
        ([info("visual", "red", "green"), info("B04", "red")], "red", ("B04", 0)),
        ([info("visual", "red", "green")], "green", ("visual", 1)),
        ([info("visual", "red", "green")], "visual-green", ("visual", 1)),
        ([info("thumbnail", "red", role="a picture")], "red", None),
        ([info("image")], "nir", ("image", 3)),
        ([info("image"), info("other")], "nir", None),
        ([info("image")], "swir16", None),
        ([], "red", None),
    ],
)
def test_a_band_is_found_by_key_then_by_name(assets, name, expected):
    assert find_band({asset.key: asset for asset in assets}, name) == expected


# -- pace ------------------------------------------------------------------------------------------


def test_threads_share_one_pace():
    pace = Pace(per_second=100)
    moments: list[float] = []

    def request() -> None:
        pace.wait()
        moments.append(time.monotonic())

    threads = [threading.Thread(target=request) for _ in range(20)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moments) == 20
    assert max(moments) - started >= 19 / 100


def test_a_pause_gives_no_right_to_a_burst():
    pace = Pace(per_second=50)
    pace.wait()
    time.sleep(0.2)
    started = time.monotonic()
    for _ in range(4):
        pace.wait()
    assert time.monotonic() - started >= 3 / 50


def test_without_a_limit_nothing_waits():
    pace = Pace(None)
    started = time.monotonic()
    for _ in range(10_000):
        pace.wait()
    assert time.monotonic() - started < 20  # 200 s at fifty a second


def test_a_pace_goes_to_a_worker_with_its_limit():
    pace = pickle.loads(pickle.dumps(Pace(7.5)))
    assert pace.per_second == 7.5
    pace.wait()


def test_each_catalogue_has_one_pace_in_a_process():
    assert pace_of("https://a", 5) is pace_of("https://a", 5)
    assert pace_of("https://a", 5) is not pace_of("https://b", 5)
    assert pace_of("https://a", 5) is not pace_of("https://a", None)


@pytest.mark.parametrize("item_id", ["\ud800", "", None, 5, ["a"], {"a": 1}, "../a"])
def test_an_item_of_pystac_whose_id_is_no_name_is_refused(item_id: Any) -> None:
    item = pystac.Item("a", None, None, datetime(2024, 5, 1, tzinfo=UTC), {})
    item.id = item_id
    with pytest.raises(ItemError, match="id"):
        list(load_items([item]))


@pytest.mark.parametrize(
    ("item_id", "shown"), [(None, "none"), ("", "''"), (5, "5"), (["a"], "['a']")]
)
def test_what_an_item_has_instead_of_an_id_is_shown_as_it_is(item_id: Any, shown: str) -> None:
    item = pystac.Item("a", None, None, datetime(2024, 5, 1, tzinfo=UTC), {})
    record = {**item.to_dict(), "id": item_id}
    item.id = item_id
    for source in (item, record):
        with pytest.raises(ItemError) as caught:
            list(load_items([source]))
        assert f"needs an id, a string; this one has {shown}. Add an id." in str(caught.value)


def test_nor_may_its_collection_be_half_a_character() -> None:
    item = pystac.Item("a", None, None, datetime(2024, 5, 1, tzinfo=UTC), {}, collection="\ud800")
    with pytest.raises(ItemError, match="collection"):
        list(load_items([item]))
