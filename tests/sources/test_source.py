"""A source is a value that refuses to contradict itself, and knows its items."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stacchip.errors import SourceError
from stacchip.sources import (
    LANDSAT,
    LANDSAT_L1,
    MODIS,
    NAIP,
    SENTINEL_2,
    Source,
    clouds_of,
    list_sources,
)


def item(item_id: str = "a", **fields: Any) -> Any:
    return SimpleNamespace(
        **{"id": item_id, "collection_id": None, "properties": {}, "assets": {}} | fields
    )


def test_classes_of_an_unknown_share_are_refused_by_name() -> None:
    with pytest.raises(SourceError, match=r"haze.*cloud, nodata, shadow"):
        Source(name="mine", title="Mine", qa_assets=("qa",), classes={"haze": (1,)})


def test_classes_without_a_qa_band_are_refused() -> None:
    with pytest.raises(SourceError, match="qa_assets"):
        Source(name="mine", title="Mine", classes={"cloud": (1,)})


def test_a_source_declares_what_it_knows_of_clouds() -> None:
    assert Source(name="mine", title="Mine").clouds == "measured"
    with pytest.raises(SourceError, match="clouds is 'few'"):
        Source(name="mine", title="Mine", clouds="few")  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="classes for cloud, but says clouds='none'"):
        replace(SENTINEL_2, clouds="none")


@pytest.mark.parametrize("source", list_sources(), ids=lambda source: source.name)
def test_a_source_pickled_by_an_earlier_version_declares_what_held_there(source: Source) -> None:
    state = {name: value for name, value in vars(source).items() if name != "clouds"}
    del state["is_complete"]
    before = Source.__new__(Source)
    before.__setstate__(state)
    assert before == source


def test_what_a_platform_declares_of_clouds_is_found_by_its_name() -> None:
    names = ("linz", "naip", "sentinel-1-rtc", "sentinel-2-l2a", "somebody-elses")
    assert [clouds_of(name) for name in names] == [
        "none", "none", "not applicable", "measured", "measured",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\\b"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="folder"):
        Source(name=name, title="Mine")


@pytest.mark.parametrize("source", list_sources(), ids=lambda source: source.name)
def test_sources_go_to_worker_processes(source: Source) -> None:
    assert pickle.loads(pickle.dumps(source)) == source
    assert hash(source) == hash(replace(source))


def test_what_counts_as_cloud_is_changed_by_replace() -> None:
    strict = replace(SENTINEL_2, classes={**SENTINEL_2.classes, "cloud": (9,)})

    assert strict.classes["cloud"] == (9,)
    assert SENTINEL_2.classes["cloud"] == (1, 3, 8, 9, 10)


@pytest.mark.parametrize("key", ["scl", "SCL", "SCL_20m", "scl-jp2"])
def test_the_qa_band_is_found_in_each_catalogues_spelling(key: str) -> None:
    assert SENTINEL_2.qa_asset(item(assets={"red": None, key: None})) == key


def test_the_tiff_of_a_qa_band_goes_before_its_jpeg_2000_copy() -> None:
    assert SENTINEL_2.qa_asset(item(assets={"scl-jp2": None, "scl": None})) == "scl"


def test_an_item_without_qa_band_has_none() -> None:
    assert SENTINEL_2.qa_asset(item(assets={"red": None})) is None
    assert NAIP.qa_asset(item(assets={"image": None})) is None


@pytest.mark.parametrize(
    ("item_id", "told"),
    [
        (
            "LC08_L2SP_047027_20201204_02_T1",
            {"cloud", "nodata", "shadow", "cirrus", "snow", "water"},
        ),
        (
            "LE07_L2SP_044033_20210329_20210424_02_T1_SR",
            {"cloud", "nodata", "shadow", "snow", "water"},
        ),
        (
            "LT05_L2SP_010067_19860424_20200918_02_T2_SR",
            {"cloud", "nodata", "shadow", "snow", "water"},
        ),
        ("LM01_L1GS_001010_19720908_02_T2", {"cloud", "nodata"}),
    ],
)
def test_landsat_tells_only_the_shares_whose_bits_its_sensor_sets(
    item_id: str, told: set[str]
) -> None:
    assert set(LANDSAT.for_item(item(item_id)).classes) == told
    assert set(LANDSAT_L1.for_item(item(item_id)).classes) == told


@pytest.mark.parametrize(
    ("keys", "used"),
    [
        (("sur_refl_b01", "sur_refl_qc_500m", "sur_refl_state_500m"), "sur_refl_state_500m"),
        (("sur_refl_b01", "QC_500m_1", "state_1km_1"), "state_1km_1"),
        (("sur_refl_b01", "sur_refl_qc_500m"), "sur_refl_qc_500m"),
    ],
)
def test_modis_takes_its_shares_from_the_state_band_if_there_is_one(
    keys: tuple[str, ...], used: str
) -> None:
    modis = item("MOD09A1.A2022033.h19v10.061", assets=dict.fromkeys(keys))
    fitted = MODIS.for_item(modis)
    assert fitted.qa_asset(modis) == used
    assert ("water" in fitted.classes) == ("state" in used)
    assert set(fitted.qa_assets) >= set(keys[1:])  # neither is taken for a band of data


def test_a_modis_source_that_a_user_changed_keeps_its_qa_band() -> None:
    modis = item("MOD09A1.A1", assets=dict.fromkeys(["sur_refl_qc_500m", "sur_refl_state_500m"]))
    for mine in (
        replace(MODIS, classes={"cloud": (1, 2), "nodata": (3,)}),
        replace(MODIS, adapt=None),
    ):
        assert mine.for_item(modis) == mine
        assert mine.for_item(modis).qa_asset(modis) == "sur_refl_qc_500m"


def test_classes_that_a_user_chose_stay_when_a_source_is_fitted_to_an_item() -> None:
    mine = replace(LANDSAT, classes={"cloud": (3,), "cirrus": (2,)})

    fitted = mine.for_item(item("LT05_L2SP_010067_19860424_20200918_02_T2_SR"))

    assert fitted.classes == {"cloud": (3,)}
