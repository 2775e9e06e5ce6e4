"""Which source an item is of, and how more sources come in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stacchip.errors import SourceError, SourceNotFound
from stacchip.sources import NAIP, SENTINEL_2, Source, find_source, get_source, register_source
from stacchip.sources.registry import Registry, list_sources


def item(**fields: Any) -> Any:
    return SimpleNamespace(
        **{"id": "a", "collection_id": None, "properties": {}, "assets": {}} | fields
    )


def explode(_: Any) -> bool:
    raise RuntimeError("a third party's error")


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("sentinel-2-l2a", "sentinel-2-l2a"),
        ("sentinel-2-c1-l2a", "sentinel-2-l2a"),
        ("sentinel-s2-l2a-cogs", "sentinel-2-l2a"),
        ("landsat-c2l2-sr", "landsat-c2l2-sr"),
        ("landsat-c2-l2", "landsat-c2l2-sr"),
        ("landsat-c2l2-st", "landsat-c2l2-st"),
        ("landsat-c2l1", "landsat-c2l1"),
        ("landsat-c2-l1", "landsat-c2l1"),
        ("naip", "naip"),
        ("sentinel-1-rtc", "sentinel-1-rtc"),
        ("modis-09A1-061", "modis"),
        ("ga_ls9c_ard_3", "ga_ls_ard_3"),
    ],
)
def test_collections_of_all_catalogues_are_known(collection: str, name: str) -> None:
    source = find_source(item(collection_id=collection))

    assert source is not None
    assert source.name == name


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"id": "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE"}, "sentinel-2-l2a"),
        ({"id": "x", "properties": {"s2:product_type": "S2MSI2A"}}, "sentinel-2-l2a"),
        ({"id": "LC09_L2SP_010065_20220129_20220131_02_T1"}, "landsat-c2l2-sr"),
        ({"id": "LC09_L1TP_010065_20220129_20220131_02_RT"}, "landsat-c2l1"),
        ({"id": "MYD09GA.A2022025.h09v08.061.2022035070021"}, "modis"),
        ({"id": "m_4709963_se_14_1_20120731"}, "naip"),
        ({"id": "OPERA_L2_RTC-S1_T137-292318-IW1_20250102T015857Z"}, "sentinel-1-rtc"),
        (
            {"assets": {"visual": SimpleNamespace(href="s3://nz-imagery/tasman/BQ26.tiff")}},
            "linz",
        ),
        (
            {"assets": {"visual": SimpleNamespace(href="https://nz-imagery.s3.amazonaws.com/a")}},
            "linz",
        ),
    ],
)
def test_items_without_a_known_collection_are_recognised(fields: dict[str, Any], name: str) -> None:
    source = find_source(item(collection_id="01GYCH6QEXWZ91WES95VE6QP87", **fields))

    assert source is not None
    assert source.name == name


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "S2A_MSIL1C_20200717T221941_R029", "properties": {"platform": "sentinel-2a"}},
        {"id": "x", "properties": {"platform": "sentinel-2a", "s2:product_type": "S2MSI1C"}},
        {"id": "S1A_IW_GRDH_1SDV_20210809T173953", "collection_id": "sentinel1-grd"},
        {"id": "LC81530252014153LGN00", "collection_id": "landsat-8-l1"},  # not Collection 2
        {"id": "LC08_L1TP_107018_20181001_20181001_01_RT"},  # Collection 1
        {"id": "MOD10A2.A2022033.h09v05.061"},
        {"id": "anything"},
    ],
)
def test_products_whose_qa_is_another_are_of_no_source(fields: dict[str, Any]) -> None:
    assert find_source(item(**fields)) is None


@pytest.mark.parametrize(
    "odd",
    [
        item(id=None),
        item(id=7, properties=None, assets=None),
        item(properties={"s2:product_type": ["S2MSI2A"], "platform": 8}),
        item(properties={"processing:software": None, "platform": None}),
        item(assets={"a": None}),
        item(collection_id={"not": "hashable"}),
        SimpleNamespace(),
    ],
)
def test_odd_items_raise_nothing(odd: Any) -> None:
    assert find_source(odd) is None


def test_an_own_collection_goes_before_other_marks() -> None:
    greedy = Source(name="greedy", title="Greedy", recognises=lambda _: True)
    registry = Registry([SENTINEL_2, greedy])

    assert registry.find(item(collection_id="sentinel-2-l2a")) is SENTINEL_2
    assert registry.find(item(collection_id="other")) is greedy


def test_of_two_sources_with_one_collection_the_latest_goes_first() -> None:
    mine = Source(name="mine", title="Mine", collections=("naip",))
    registry = Registry([NAIP])
    assert registry.find(item(collection_id="naip")) is NAIP

    registry.register(mine)

    assert registry.find(item(collection_id="naip")) is mine


def test_a_source_that_fails_to_judge_an_item_is_passed_over() -> None:
    broken = Source(name="broken", title="Broken", recognises=explode)
    registry = Registry([NAIP, broken])

    found = registry.find(item(id="m_4709963_se_14_1_20120731"))

    assert found is NAIP


def test_another_source_of_the_same_name_is_refused_unless_it_replaces() -> None:
    registry = Registry([NAIP])
    other = Source(name="naip", title="Another")

    with pytest.raises(SourceError, match=r"'naip'.*replace=True"):
        registry.register(other)
    registry.register(other, replace=True)

    assert registry.all() == (other,)


def test_the_same_source_may_be_registered_twice() -> None:
    before = list_sources()

    register_source(get_source("naip"))

    assert sorted(s.name for s in list_sources()) == sorted(s.name for s in before)


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(SourceError, match="not a Source"):
        Registry([]).register("naip")  # type: ignore[arg-type]


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(SourceNotFound, match=r"'sentinel-3'.*landsat-c2l1.*register_source"):
        get_source("sentinel-3")
