"""Settings may be values of other libraries; they are kept as plain ones, or refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import PlanSettings
from stacchip.errors import UsageError
from stacchip.index import Selection


@pytest.mark.parametrize(
    ("name", "given", "plain"),
    [
        ("max_nodata", np.float64(0.25), 0.25),
        ("max_cloud", np.float32(0.5), 0.5),
        ("max_cloud", 1, 1.0),
        ("chip_size", np.int64(64), 64),
        ("item_id", ["b", "a"], ("b", "a")),
        ("item_id", {"b", "a", "c"}, ("a", "b", "c")),
        ("item_id", "a", ("a",)),
        ("item_id", np.array(["b", "a"]), ("b", "a")),
        ("item_id", pa.array(["b", "a"]), ("b", "a")),
        ("datetime", "2024-05/..", "2024-05/.."),
        ("datetime", date(2024, 5, 1), "2024-05-01"),
        ("datetime", (date(2024, 5, 1), None), "2024-05-01/.."),
        ("datetime", [np.datetime64("2024-05"), "2024-07"], "2024-05/2024-07"),
        ("datetime", datetime(2024, 5, 1, 10, tzinfo=UTC), "2024-05-01T10:00:00+00:00"),
        ("bbox", np.array([1, 2, 3, 4]), (1.0, 2.0, 3.0, 4.0)),
        ("bands", ["red", np.str_("nir")], ("red", "nir")),
    ],
)
def test_values_of_other_libraries_are_kept_as_plain_ones(name, given, plain) -> None:
    kept = getattr(Imagery("index", "naip", **{name: given}), name)
    assert kept == plain
    assert type(kept) is type(plain)
    assert json.loads(json.dumps(kept)) == (list(plain) if isinstance(plain, tuple) else plain)


@pytest.mark.parametrize(
    "period", [date(2024, 5, 1), (date(2024, 5, 1), datetime(2024, 6, 1, 5, tzinfo=UTC)), "2024"]
)
def test_a_period_kept_as_text_chooses_what_it_did(period: Any) -> None:
    kept = Imagery("index", "naip", datetime=period).datetime
    assert str(Selection(datetime=kept).expression) == str(Selection(datetime=period).expression)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("max_nodata", "5%"),
        ("max_cloud", object()),
        ("chip_size", 1.5),
        ("chip_size", [64]),
        ("item_id", 7),
        ("item_id", [7]),
        ("datetime", 2024),
        ("datetime", (date(2024, 5, 1),) * 3),
        ("datetime", (date(2024, 5, 2), date(2024, 5, 1))),
        ("bbox", [1, "2", 3, 4]),
        ("bbox", 5),
        ("harmonize", object()),
        ("unmeasured", object()),
    ],
)
def test_what_is_of_no_use_is_refused_at_once(name, given) -> None:
    with pytest.raises(UsageError):
        Imagery("index", "naip", **{name: given})


def test_settings_of_a_plan_are_plain_numbers() -> None:
    settings = PlanSettings(np.int64(3), np.int32(10), np.uint8(2), mixing_bytes=np.float64(1e6))
    assert settings == PlanSettings(3, 10, 2, mixing_bytes=1_000_000)
    kept = (settings.seed, settings.cube_size, settings.cubes_per_job, settings.mixing_bytes)
    assert {type(number) for number in kept} == {int}


@pytest.mark.parametrize("wrong", [{"seed": "a"}, {"seed": -1}, {"cube_size": date(2024, 1, 1)}])
def test_settings_of_a_plan_that_are_no_whole_numbers_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be a whole number"):
        PlanSettings(**wrong)
