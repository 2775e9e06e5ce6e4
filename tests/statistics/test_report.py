"""The report: numbers of all platforms in the form of Clay's metadata."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import yaml

from stacchip.errors import UsageError
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import PERCENTILES, PlatformStatistics, make_report, write_yaml


def measured(platform: str = "naip", dtype: str = "uint8", **named) -> PlatformStatistics:
    statistics = PlatformStatistics(get_platform(platform, **named), dtype)
    count = len(statistics.bands)
    values = np.arange(2 * count * 4).reshape(2, count, 2, 2)
    statistics.add(values.astype(dtype), np.ones(values.shape, bool))
    return statistics


def test_a_report_keeps_the_order_of_its_platforms():
    report = make_report([measured("naip"), measured("linz")])
    assert list(report) == ["naip", "linz"]
    assert list(yaml.safe_load(write_yaml(report))) == ["naip", "linz"]


def test_yaml_gives_back_the_numbers_exactly():
    report = make_report([measured(), measured("sentinel-1-rtc", "float32")], [0.1, 50, 99.99])
    assert yaml.safe_load(write_yaml(report)) == report


def test_every_number_of_a_band_is_numpys():
    statistics = measured()
    bands = make_report([statistics], [50])["naip"]["bands"]
    values = np.arange(32).reshape(2, 4, 2, 2)[:, 2].astype(float)
    assert bands["mean"]["blue"] == values.mean()
    assert bands["std"]["blue"] == pytest.approx(values.std())
    assert (bands["min"]["blue"], bands["max"]["blue"]) == (values.min(), values.max())
    assert bands["count"]["blue"] == 8
    assert bands["percentiles"]["blue"] == {50: np.median(values)}


def test_whole_percentiles_are_written_as_whole_numbers():
    (known,) = make_report([measured()], [1.0, 2.5]).values()
    assert [repr(each) for each in known["bands"]["percentiles"]["red"]] == ["1", "2.5"]
    (usual,) = make_report([measured()]).values()
    assert tuple(usual["bands"]["percentiles"]["red"]) == PERCENTILES


@pytest.mark.parametrize(
    ("bands", "places"), [(["red", "green", "blue"], [0, 1, 2]), (["blue", "nir"], None)]
)
def test_red_green_and_blue_have_their_places_if_all_are_there(bands, places):
    (known,) = make_report([measured(bands=bands)]).values()
    assert known["band_order"] == bands
    assert known.get("rgb_indices") == places


def test_a_report_says_how_its_percentiles_were_found():
    counted, sketched = make_report([measured(), measured("sentinel-1-rtc", "float32")]).values()
    assert counted["percentile_method"] == "histogram (exact)"
    assert "KLL" in sketched["percentile_method"]
    assert counted["percentile_rank_error"] == sketched["percentile_rank_error"] == 0


def test_numbers_that_are_not_known_are_null_and_never_nan():
    empty = PlatformStatistics(get_platform("naip"), "uint8")
    (known,) = make_report([empty]).values()
    for name in ("mean", "std", "min", "max"):
        assert set(known["bands"][name].values()) == {None}
    text = write_yaml({"naip": known})
    assert "nan" not in text
    assert "inf" not in text
    assert not any(
        isinstance(value, float) and math.isnan(value)
        for value in known["bands"]["percentiles"]["red"].values()
    )


@pytest.mark.parametrize("wrong", [-1, 100.5])
def test_percentiles_are_in_0_to_100(wrong):
    with pytest.raises(UsageError, match=str(wrong)):
        make_report([measured()], [50, wrong])


def test_a_missing_yaml_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match="pip install"):
        write_yaml({})
