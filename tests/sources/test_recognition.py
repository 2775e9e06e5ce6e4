"""Which of the sources recognises an item, whatever is in it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import SourceError
from stacchip.sources import Source, find_source
from stacchip.sources.registry import BUILT_IN, Registry

IDS = {
    "sentinel-2-l2a": ["S2B_33SVB_20210221_0_L2A", "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE"],
    "landsat-c2l2-sr": ["LC08_L2SP_047027_20201204_02_T1", "LT05_L2SP_010067_19860424_02_T2_SR"],
    "landsat-c2l2-st": ["LT04_L2SP_002026_19830110_20200918_02_T1_ST"],
    "landsat-c2l1": [
        "LM01_L1GS_001010_19720908_20200909_02_T2", "LO08_L1TP_153025_20140602_02_T1"
    ],
    "naip": ["m_4709963_se_14_1_20120731", "fl_m_2808060_sw_17_060_20191215_20200114"],
    "sentinel-1-rtc": ["S1A_IW_GRDH_1SDV_0378DC_rtc", "OPERA_L2_RTC-S1_T137-292318-IW1_2025"],
    "modis": ["MOD09A1.A2022033.h19v10.061", "MYD09GA.A2022025.h09v08.061.2022035070021"],
}  # fmt: skip
ALMOST = [
    "S2A_MSIL1C_20200717T221941_R029",
    "LC08_L1TP_107018_20181001_20181001_01_RT",
    "LC08_L3XX_047027_20201204_02_T1",
    "LC08_L2SP_047027_20201204_02_T1 ",
    "xLC08_L2SP_047027_20201204_02_T1",
    "m_470996_se_14_1_20120731",
    "m_4709963_xx_14_1_20120731",
    "MOD09Q1.A2022033.h19v10.061",
    "MOD13A1.A2022033.h19v10.061",
    "S1A_IW_GRDH_1SDV_0378DC",
    "",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["platform", "s2:product_type", "odc:product", "processing:software", "other"]
)


def item(item_id: Any = "a", **fields: Any) -> Any:
    return SimpleNamespace(
        **{"id": item_id, "collection_id": None, "properties": {}, "assets": {}} | fields
    )


@pytest.mark.parametrize(
    ("name", "item_id"), [(name, item_id) for name, ids in IDS.items() for item_id in ids]
)
def test_exactly_one_source_recognises_an_id(name: str, item_id: str) -> None:
    assert [source.name for source in BUILT_IN if source.matches(item(item_id))] == [name]


@pytest.mark.parametrize("item_id", ALMOST)
def test_an_id_that_is_almost_one_is_not_recognised(item_id: str) -> None:
    assert [source.name for source in BUILT_IN if source.matches(item(item_id))] == []


@pytest.mark.parametrize("source", BUILT_IN, ids=lambda source: source.name)
def test_a_collection_decides_against_the_id(source: Source) -> None:
    for collection in source.collections:
        found = find_source(item("m_4709963_se_14_1_20120731", collection_id=collection))
        assert found is not None
        assert found.name == source.name


@settings(deadline=None)
@given(JSON, JSON, st.dictionaries(FIELDS, JSON), st.dictionaries(st.text(max_size=5), JSON))
def test_no_item_makes_the_search_for_its_source_raise(
    item_id: Any, collection: Any, properties: dict[str, Any], assets: dict[str, Any]
) -> None:
    hrefs = {key: SimpleNamespace(href=value) for key, value in assets.items()}
    found = find_source(
        item(item_id, collection_id=collection, properties=properties, assets=hrefs)
    )
    assert found is None or isinstance(found, Source)


def test_an_item_without_any_field_is_of_no_source() -> None:
    assert find_source(SimpleNamespace(id="a")) is None


def made(name: str, *collections: str, **fields: Any) -> Source:
    return Source(name=name, title=name, collections=collections, **fields)


def test_the_latest_of_two_sources_of_one_collection_is_found() -> None:
    registry = Registry([made("first", "c"), made("second", "c")])
    assert registry.find(item(collection_id="c")).name == "second"
    registry.register(made("first", "c", rgb=None), replace=True)
    assert registry.find(item(collection_id="c")).name == "first"
    assert [source.name for source in registry.all()] == ["first", "second"]


def test_a_source_that_names_the_collection_goes_before_one_that_recognises_the_item() -> None:
    registry = Registry([made("named", "c"), made("greedy", recognises=lambda _: True)])
    assert registry.find(item(collection_id="c")).name == "named"
    assert registry.find(item(collection_id="d")).name == "greedy"


def test_a_source_is_fitted_to_the_item_that_it_is_found_for() -> None:
    def adapt(source: Source, of: Any) -> Source:
        return made(f"{source.name}-{of.id}")

    registry = Registry([made("mine", "c", adapt=adapt)])
    assert registry.find(item("scene", collection_id="c")).name == "mine-scene"


def test_another_source_of_a_name_is_refused_and_the_same_one_is_not() -> None:
    registry = Registry([made("mine", "c")])
    registry.register(made("mine", "c"))
    with pytest.raises(SourceError, match="'mine'"):
        registry.register(made("mine", "d"))
    assert registry.find(item(collection_id="d")) is None


def test_sources_can_be_registered_from_many_threads() -> None:
    registry = Registry([])
    threads = [
        threading.Thread(target=registry.register, args=(made(f"s{number}", f"c{number}"),))
        for number in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.all()) == 50
    assert registry.find(item(collection_id="c31")).name == "s31"
