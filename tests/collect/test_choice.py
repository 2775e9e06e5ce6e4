"""The rules that choose items."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collect.memory_catalogue import make_item
from stacchip.collect.choice import (
    all_of,
    cloud_cover,
    has_assets,
    has_at_most,
    latest_and_random,
    months,
    pick_of_period,
    quarters,
    random_years,
    row_generator,
    sample_by_share,
)
from stacchip.errors import UsageError

if TYPE_CHECKING:
    import pystac


def taken(*_: object) -> None:
    """Take every item."""


def item_of(moment: str, cloud: float | None = None, name: str = "i") -> pystac.Item:
    extra = {} if cloud is None else {"eo__cloud_cover": cloud}
    return make_item(name, moment, collection="c", assets=("red",), **extra)


@given(st.integers(1990, 2100), st.sampled_from([quarters, months]))
def test_periods_cover_a_year_without_gap_or_overlap(year, divide):
    periods = divide(year)
    assert periods[0].start == dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    assert periods[-1].end == dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)
    assert all(a.end == b.start for a, b in itertools.pairwise(periods))


def test_the_last_second_of_a_quarter_is_inside_and_the_next_is_not():
    first, second, *_ = quarters(2020)
    moment = dt.datetime(2020, 3, 31, 23, 59, 59, 500_000, tzinfo=dt.UTC)
    assert moment in first
    assert moment not in second
    assert dt.datetime(2020, 4, 1, tzinfo=dt.UTC) in second


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.integers(1, 6))
def test_years_are_different_inside_the_span_and_the_same_for_a_seed(seed, row, count):
    drawn = random_years((2018, 2023), count, row_generator(seed, row))
    assert len(set(drawn)) == count
    assert all(2018 <= year <= 2023 for year in drawn)
    assert drawn == random_years((2018, 2023), count, row_generator(seed, row))


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="from 0 on"):
        row_generator(-1, 0)


def test_rows_draw_different_years():
    assert len({random_years((2018, 2023), 2, row_generator(0, row)) for row in range(50)}) > 10


@pytest.mark.parametrize(
    ("span", "count"),
    [
        ((2020, 2018), 1),
        ((2018, 2019), 3),
        ((2018, 2019), 0),
        ((-5, -3), 1),
        ((0, 1), 1),
        ((9999, 9999), 1),
        ((10**22, 10**22), 1),
    ],
)
def test_years_that_are_not_there_cannot_be_drawn(span, count):
    with pytest.raises(UsageError):
        random_years(span, count, row_generator(0, 0))


def test_years_partly_out_of_range_are_an_error_that_says_which_to_use():
    with pytest.raises(UsageError, match=r"Years 0 to 5 are out of range: use 1 to 9998\."):
        random_years((0, 5), 1, row_generator(0, 0))


@pytest.mark.parametrize(
    ("population", "expected"),
    [
        (0, 0),
        (3, 3),
        (10, 10),
        (15, 10),
        (20, 10),
        (30, 15),
        (1001, 500),
        (4000, 2000),
        (9000, 2000),
    ],
)
def test_half_of_a_survey_is_taken_at_least_10_and_at_most_2000(population, expected):
    drawn = sample_by_share(
        range(population), share=0.5, minimum=10, maximum=2000, dice=row_generator(3, 1)
    )
    assert len(drawn) == expected
    assert list(drawn) == sorted(set(drawn))


def test_another_seed_draws_another_sample():
    options = {"share": 0.5, "minimum": 10, "maximum": 2000}
    one, same, other = (
        sample_by_share(range(100), dice=row_generator(seed, 0), **options) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_the_least_cloudy_item_of_a_quarter_is_picked():
    items = [
        item_of("2020-01-05", 30, "a"),
        item_of("2020-02-05", 3, "b"),
        item_of("2020-05-01", 0, "c"),
    ]
    choice = pick_of_period(quarters(2020)[0], items, accept=taken, rank=cloud_cover)
    assert [item.id for item in choice.items] == ["b"]
    assert choice.notes == ()


def test_ties_go_to_the_earlier_item_whatever_order_the_catalogue_has():
    items = [
        item_of("2020-02-05", 3, "b"),
        item_of("2020-01-05", 3, "z"),
        item_of("2020-02-05", 3, "a"),
    ]
    for offered in (items, items[::-1]):
        choice = pick_of_period(quarters(2020)[0], offered, accept=taken, rank=cloud_cover, count=3)
        assert [item.id for item in choice.items] == ["z", "a", "b"]


def test_a_quarter_without_an_item_is_skipped_and_noted():
    choice = pick_of_period(quarters(2020)[2], [], accept=taken, rank=cloud_cover)
    assert choice.items == ()
    assert choice.notes == ("2020 Q3: no item; skipped.",)


def test_items_that_do_not_fit_are_counted_and_one_is_named_with_its_reason():
    rule = all_of(has_assets(["red", "scl"]), has_at_most("eo:cloud_cover", 50))
    items = [item_of("2020-01-05", 30, "a"), item_of("2020-02-05", 60, "b")]
    choice = pick_of_period(quarters(2020)[0], items, accept=rule, rank=cloud_cover)
    assert choice.notes == ("2020 Q1: no item fits of 2 offered (a has no asset scl); skipped.",)


def test_an_item_offered_twice_is_taken_once():
    items = [item_of("2020-01-05", 1, "a"), item_of("2020-01-05", 1, "a")]
    choice = pick_of_period(quarters(2020)[0], items, accept=taken, rank=cloud_cover, count=2)
    assert len(choice.items) == 1
    assert choice.notes == ("2020 Q1: only 1 of 2 items.",)


def test_an_item_without_cloud_cover_comes_last():
    items = [
        item_of("2020-01-05", None, "a"),
        item_of("2020-01-06", -1, "b"),
        item_of("2020-01-07", 99, "c"),
    ]
    choice = pick_of_period(quarters(2020)[0], items, accept=taken, rank=cloud_cover)
    assert choice.items[0].id == "c"


@pytest.mark.parametrize("value", [None, "12", 75.1])
def test_a_limit_refuses_what_is_over_it_or_no_number(value):
    item = item_of("2020-01-05", value)
    assert has_at_most("eo:cloud_cover", 75)(item) is not None
    assert has_at_most("eo:cloud_cover", None)(item) is None


def test_the_latest_and_one_other_are_taken():
    items = [item_of(f"20{year}-06-01", name=f"y{year}") for year in (12, 18, 22, 16)]
    others = set()
    for row in range(40):
        choice = latest_and_random(items, accept=taken, dice=row_generator(0, row))
        latest, other = choice.items
        assert latest.id == "y22"
        others.add(other.id)
    assert others == {"y12", "y16", "y18"}


def test_one_item_alone_is_taken_and_the_missing_other_noted():
    choice = latest_and_random([item_of("2020-01-01")], accept=taken, dice=row_generator(0, 0))
    assert len(choice.items) == 1
    assert "no other" in choice.notes[0]


def test_an_empty_search_is_noted():
    choice = latest_and_random([], accept=taken, dice=row_generator(0, 0))
    assert choice.items == ()
    assert choice.notes == ("no item; skipped.",)
