"""Splits by regions, by time and by columns, and two of them together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import shapely

from splits.test_by_cell import rule, squares, table_of
from stacchip.errors import UsageError
from stacchip.splits.by_column import ColumnRule
from stacchip.splits.by_region import RegionRule
from stacchip.splits.by_time import TimeRule
from stacchip.splits.rules import BothRules, rule_from_dict
from stacchip.splits.shares import BORDER, make_shares, name_splits

ALPS, PACIFIC = shapely.box(6, 45, 14, 48), shapely.MultiPolygon(
    [shapely.box(170, -20, 180, 0), shapely.box(-180, -20, -170, 0)]
)  # fmt: skip
DAY = timedelta(days=1)


def at(*moments: datetime) -> pa.Table:
    return pa.table({"datetime": pa.array(moments, pa.timestamp("us", "UTC"))})


def test_a_chip_is_in_the_split_of_the_region_that_holds_it():
    split = RegionRule((("test", ALPS), ("val", PACIFIC)), "train", 10)
    assert split.splits == ("test", "val", "train")
    chips = table_of(
        # inside; over the edge; 5 km within it; 15 km within it; outside; 5 km outside; 15 km
        [10, 5.99, 6.06, 6.2, 20, 14.06, 14.2, 179.99, -179, 175, -169.95],
        [46, 46, 46, 46, 46, 46, 46, -10, -10, -19.95, -10],
        [10.02, 6.01, 6.08, 6.22, 20.02, 14.08, 14.22, -179.99, -178.98, 175.02, -169.93],
        [46.02, 46.02, 46.02, 46.02, 46.02, 46.02, 46.02, -9.98, -9.98, -19.93, -9.98],
    )
    assert split.codes(chips).tolist() == [
        0, BORDER, BORDER, 0, 2, BORDER, 2, 1, 1, BORDER, BORDER,
    ]  # fmt: skip
    alone = RegionRule((("test", ALPS),), None, 0)
    assert alone.codes(chips).tolist() == [0, BORDER, 0, 0, *[BORDER] * 7]


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ({}, "a split of its own"),
        ({"train": ALPS}, "a split of its own"),
        ({"a": ALPS, "b": shapely.box(7, 46, 8, 60)}, "The regions of 'a' and 'b' overlap"),
    ],
)
def test_regions_that_leave_it_open_are_refused(regions, message):
    with pytest.raises(UsageError, match=message):
        RegionRule(tuple(regions.items()), "train", 1)


def test_regions_may_touch():
    both = (("a", shapely.box(0, 0, 1, 1)), ("b", shapely.box(1, 0, 2, 1)))
    chips = table_of([0.1, 0.95, 1.5], [0.1] * 3, [0.2, 1.05, 1.6], [0.2] * 3)
    assert RegionRule(both, None, 0).codes(chips).tolist() == [0, BORDER, 1]


def test_chips_near_a_boundary_in_time_are_in_no_split():
    first, second = datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)
    split = TimeRule(("train", "val", "test"), (first, second), gap_days=10)
    moments = [first - 6 * DAY, first - 4 * DAY, first, first + 5 * DAY, second + 6 * DAY, None]
    assert split.codes(at(*moments)).tolist() == [0, BORDER, BORDER, 1, 2, BORDER]
    exact = TimeRule(("train", "test"), (first,), 0)
    assert exact.codes(at(first - timedelta(microseconds=1), first)).tolist() == [0, 1]


def test_a_split_may_have_two_periods():
    ends = tuple(datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021))
    split = TimeRule(("train", "test", "train"), ends, 0)
    assert split.splits == ("train", "test")
    chips = at(*(datetime(year, 6, 1, tzinfo=UTC) for year in (2019, 2020, 2021)))
    assert split.codes(chips).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("names", "years", "gap", "message"),
    [
        (("train", "test"), (2021, 2022), 0, "2 boundaries make 3 periods; there are 2 names"),
        (("a", "b", "c"), (2022, 2021), 0, "in the order of time"),
        (("a",), (), 0, "at least one"),
        (("a", "b"), (2021,), -1, "gap_days must be 0 or more"),
    ],
)
def test_odd_periods_are_refused(names, years, gap, message):
    with pytest.raises(UsageError, match=message):
        TimeRule(names, tuple(datetime(year, 1, 1, tzinfo=UTC) for year in years), gap)


def test_each_value_of_a_column_is_in_one_split():
    shares = make_shares({"train": 0.5, "test": 0.5})
    split = ColumnRule(shares, "country", "v1", {"CH": "test"})
    countries = ["CH", "FR", None, "DE", "FR", "CH"] * 3
    codes = split.codes(pa.table({"country": countries}))
    assert codes[[0, 5]].tolist() == [1, 1]
    assert codes[1] == codes[4] != BORDER
    assert codes[2] == BORDER
    encoded = pa.table({"country": pa.array(countries).dictionary_encode()})
    chunked = pa.concat_tables(
        [pa.table({"country": countries[:4]}), pa.table({"country": countries[4:]})]
    )
    for table in (encoded, chunked):
        assert split.codes(table).tolist() == codes.tolist()
    many = ColumnRule(shares, "n", "v1").codes(pa.table({"n": range(2000)}))
    assert (many == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_both_rules_must_say_the_same():
    chips = squares(np.random.default_rng(0), 500)
    moments = [datetime(2019 + number % 4, 1, 1, tzinfo=UTC) for number in range(500)]
    rows = chips.append_column("datetime", at(*moments)["datetime"])
    ends = (datetime(2020, 6, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC))
    space, time = rule(), TimeRule(("train", "test", "val"), ends, 0)
    both = BothRules(space, time)
    assert both.splits == ("train", "val", "test")
    assert both.columns == ("bbox", "datetime")
    named = [name_splits(each.codes(rows), each.splits).to_pylist() for each in (space, time, both)]
    assert named[2] == [
        one if one == other else None for one, other in zip(*named[:2], strict=True)
    ]
    assert set(named[2]) == {"train", "val", "test", None}


@pytest.mark.parametrize(
    "made",
    [
        rule(cells={"0U_0R": "test"}),
        RegionRule((("test", ALPS), ("val", PACIFIC)), None, 2.5),
        TimeRule(("train", "test"), (datetime(2021, 5, 6, 7, tzinfo=UTC),), 3),
        ColumnRule(make_shares({"train": 1}), "country", "x", {"CH": "test"}),
        BothRules(rule(), TimeRule(("train", "test"), (datetime(2021, 1, 1, tzinfo=UTC),), 0)),
    ],
    ids=lambda made: type(made).__name__,
)
def test_rules_come_back_from_json(made):
    again = rule_from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again.to_dict() == made.to_dict()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"by": "magic"}, "recorded by another version"),
        ({}, "recorded by another version"),
        ({"by": "cell", "shares": {"train": 1}}, "A recorded split is broken"),
        ({"by": "cell", "shares": 3, "cell_km": 1, "buffer_km": 1, "salt": "a"}, "is broken"),
        (
            {"by": "region", "regions": {"a": {"type": "Point"}}, "rest": None, "buffer_km": 1},
            "is broken",
        ),
        ({"by": "both", "rules": [1, 2]}, "is broken"),
        ({"by": "time", "names": ["a", "b"], "boundaries": ["x"], "gap_days": 0}, "is broken"),
    ],
)
def test_broken_records_of_rules_are_refused(facts, message):
    with pytest.raises(UsageError, match=message):
        rule_from_dict(facts)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.8, "val": 0.3}, "must add up to 1; they are 1.1"),
        ({"train": 1.2, "val": -0.2}, "The share of 'train' must be 0 to 1, not 1.2"),
        ({"train": "all"}, "not 'all'"),
    ],
)
def test_odd_shares_are_refused(shares, message):
    with pytest.raises(UsageError, match=message):
        make_shares(shares)


def test_a_value_is_in_one_split_whatever_the_type_of_its_column():
    split = ColumnRule(make_shares({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}), "x", "v1")
    day = datetime(2021, 1, 2, tzinfo=UTC)
    several = [
        [pa.array([14, 0]), pa.array([14.0, -0.0]), pa.array([14, 0], pa.float16()),
         pa.array([14, 0], pa.uint8()), pa.array([14, 0]).cast(pa.decimal128(30, 4))],
        [pa.array(["CH"]), pa.array([b"CH"]), pa.array(["CH"], pa.large_string()),
         pa.array(["CH"]).dictionary_encode()],
        [pa.array([day.date()]), pa.array([day.replace(tzinfo=None)], pa.timestamp("s")),
         pa.array([day], pa.timestamp("us", "UTC")),
         pa.array([day], pa.timestamp("ms", "Asia/Tokyo"))],
        [pa.array([1.5]), pa.array([1.5], pa.float32()),
         pa.array([1.5]).cast(pa.decimal128(10, 3))],
    ]  # fmt: skip
    for same in several:
        codes = {tuple(split.codes(pa.table({"x": column})).tolist()) for column in same}
        assert len(codes) == 1
    nothing = [pa.array([None, float("nan")]), pa.nulls(2), pa.array([None, None], pa.int8())]
    assert all(split.codes(pa.table({"x": each})).tolist() == [BORDER, BORDER] for each in nothing)


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([{"a": 1}])])
def test_a_split_is_by_single_values(column):
    split = ColumnRule(make_shares({"train": 1}), "x", "v1")
    with pytest.raises(UsageError, match=r"Column 'x' has type .*: a split is by single values"):
        split.codes(pa.table({"x": column}))


def test_rules_that_are_joined_again_and_again_are_refused_at_once():
    facts = rule().to_dict()
    for _ in range(3):
        facts = {"by": "both", "rules": [rule().to_dict(), facts]}
    assert rule_from_dict(facts).splits == ("train", "val", "test")
    for _ in range(60):
        facts = {"by": "both", "rules": [facts, facts]}
    with pytest.raises(UsageError, match="joined too often"):
        rule_from_dict(facts)


@pytest.mark.parametrize(
    "facts",
    [
        {**rule().to_dict(), "shares": {f"s{n}": 1 / 200 for n in range(200)}},
        {"by": "time", "names": ["a", "b"], "boundaries": ["2021-01-01T00:00:00"], "gap_days": 0},
        {"by": "column", "shares": {"a": 1}, "column": "x", "salt": "", "values": {"b": ["l"]}},
        {"by": "region", "regions": {}, "rest": ["x"], "buffer_km": 1},
        {"by": "region", "rest": None, "buffer_km": 1, "regions": {
            "a": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 200], [0, 0]]]}}},
        {**rule().to_dict(), "cell_km": "100"} | {"cell_km": None},
        {**rule().to_dict(), "buffer_km": 1e9},
    ],
)  # fmt: skip
def test_rules_of_a_hostile_file_are_refused(facts):
    with pytest.raises(UsageError):
        rule_from_dict(json.loads(json.dumps(facts)))


def test_a_chip_that_touches_a_region_across_the_antimeridian_is_in_no_split():
    east = RegionRule((("test", shapely.box(-180, -10, -170, 10)),), "train", 0)
    chips = table_of([179.9, 179.8, -180], [0] * 3, [180, 179.9, -179.9], [0.1] * 3)
    assert east.codes(chips).tolist() == [BORDER, 1, 0]


@pytest.mark.parametrize(
    "bbox",
    [
        pa.nulls(1), pa.array([[1.0]]), pa.array([{"xmin": 1.0}]),
        pa.array([{"xmin": "a", "ymin": "b", "xmax": "c", "ymax": "d"}]),
    ],
)  # fmt: skip
def test_bounds_of_another_type_are_refused(bbox):
    with pytest.raises(UsageError, match="The column 'bbox' has type"):
        rule().codes(pa.table({"bbox": bbox}))


def test_bounds_beyond_the_earth_are_not_known():
    chips = table_of([1e30, 0, 0, 0], [0, 80, 5, 0], [1e30, 1, 1, 1], [1, 95, 1, 1])
    assert rule(buffer_km=0, cell_km=5000).codes(chips).tolist()[:3] == [BORDER] * 3


def test_times_finer_than_a_microsecond_are_cut():
    end = datetime(2021, 1, 1, tzinfo=UTC)
    split = TimeRule(("train", "test"), (end,), 0)
    nanoseconds = pa.array(
        [1_609_459_200_000_000_001, 1_609_459_199_999_999_999], pa.timestamp("ns", "UTC")
    )
    assert split.codes(pa.table({"datetime": nanoseconds})).tolist() == [1, 0]
    with pytest.raises(UsageError, match="has type string, and no times"):
        split.codes(pa.table({"datetime": ["2021-01-01"]}))
