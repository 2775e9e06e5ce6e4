"""The date of an item, and periods of time."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.errors import InvalidMetadata, MissingMetadata, UsageError
from stacchip.items import item_datetime
from stacchip.items.dates import Period, parse_datetime


def item(moment: datetime | None, **properties: Any) -> pystac.Item:
    dates = {"start_datetime": "2020-01-01", "end_datetime": "2020-12-31"}
    made = pystac.Item("scene", None, None, datetime(2020, 2, 19), {})
    made.datetime = moment
    made.properties = dates | properties
    return made


def test_the_datetime_goes_before_start_and_end() -> None:
    assert item_datetime(item(datetime(2020, 2, 19, 11, tzinfo=UTC))).hour == 11


def test_a_datetime_without_zone_is_in_utc() -> None:
    assert item_datetime(item(datetime(2020, 2, 19, 11))) == datetime(2020, 2, 19, 11, tzinfo=UTC)


def test_a_datetime_of_another_zone_is_turned_to_utc() -> None:
    moment = item_datetime(item(datetime(2020, 2, 19, 1, tzinfo=timezone(timedelta(hours=13)))))

    assert moment.isoformat() == "2020-02-18T12:00:00+00:00"


def test_a_null_datetime_is_told_by_the_start() -> None:
    assert item_datetime(item(None)).isoformat() == "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-05-05T23:53:14.124313Z", "2022-05-05T23:53:14.124313+00:00"),
        ("2022-05-05 23:53:14.124313+00:00", "2022-05-05T23:53:14.124313+00:00"),
        ("2022-10-03 16:02:35Z", "2022-10-03T16:02:35+00:00"),
        ("2020-11-12T19:34:47.8741569+00:00", "2020-11-12T19:34:47.874156+00:00"),
        ("2016-01-11", "2016-01-11T00:00:00+00:00"),
    ],
)
def test_dates_that_leave_no_doubt_are_read(text: str, expected: str) -> None:
    assert parse_datetime("scene", "datetime", text).isoformat() == expected


@pytest.mark.parametrize(
    "value", ["yesterday", "", "2020-13-01", 2020, ["2020-01-01"], "19/02/2020"]
)
def test_what_is_no_date_is_refused_with_item_and_field(value: Any) -> None:
    with pytest.raises(InvalidMetadata, match=r"'scene'.*start_datetime.*RFC 3339") as caught:
        item_datetime(item(None, start_datetime=value))

    assert (caught.value.item_id, caught.value.field) == ("scene", "start_datetime")


def test_no_date_at_all_is_an_error() -> None:
    with pytest.raises(MissingMetadata, match="'scene'") as caught:
        item_datetime(item(None, start_datetime=None))

    assert caught.value.field == "datetime"


# -- periods ---------------------------------------------------------------------------------------

MOMENTS = st.datetimes(timezones=st.just(UTC)) | st.dates()
TICK = timedelta(microseconds=1)


def first_and_last(moment: date) -> tuple[datetime, datetime]:
    """The first and last microsecond that a moment stands for."""
    if isinstance(moment, datetime):
        return moment, moment
    start = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return start, start.replace(hour=23, minute=59, second=59, microsecond=999_999)


@settings(deadline=None)
@given(MOMENTS | st.none(), MOMENTS | st.none())
def test_a_period_holds_its_ends_and_no_more(start, end):
    first = None if start is None else first_and_last(start)[0]
    last = None if end is None else first_and_last(end)[1]
    if first is not None and last is not None and last < first:
        with pytest.raises(UsageError, match="ends before it starts"):
            Period.parse((start, end))
        return
    period = Period.parse((start, end))
    assert period.start == first
    if first is not None:
        assert first in period
        assert first == datetime.min.replace(tzinfo=UTC) or first - TICK not in period
    if last is not None:
        assert last in period
        if last != datetime.max.replace(tzinfo=UTC):
            assert (period.last, period.end) == (last, last + TICK)
            assert last + TICK not in period


@settings(deadline=None)
@given(st.dates(), st.dates())
def test_text_and_dates_say_the_same(one, other):
    start, end = sorted((one, other))
    as_text = Period.parse(f"{start.isoformat()}/{end.isoformat()}")
    assert as_text == Period.parse((start, end))
    assert as_text == Period.parse((start.isoformat(), end.isoformat()))


@settings(deadline=None)
@given(st.dates(date(1, 1, 1), date(9998, 12, 31)))
def test_a_year_and_a_month_are_all_of_their_days(day):
    for text in (day.isoformat()[:length] for length in (4, 7, 10)):
        period = Period.parse(text)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert midnight in period
        before, after = period.start, period.end
        assert f"{before.date().isoformat()}"[: len(text)] == text
        assert f"{(after - TICK).date().isoformat()}"[: len(text)] == text
        assert f"{after.date().isoformat()}"[: len(text)] != text


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12", "9999", "2024/9999-12-31", "2024/.."])
def test_a_period_until_the_end_of_the_calendar_is_open(text):
    period = Period.parse(text)
    assert (period.end, period.last) == (None, None)
    assert datetime.max.replace(tzinfo=UTC) in period
    assert period.interval.endswith("/..")


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+02:00", datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=2)))],
)
def test_a_moment_that_its_zone_takes_out_of_the_calendar_is_refused(moment):
    with pytest.raises(UsageError, match="calendar"):
        Period.parse(moment)


@pytest.mark.parametrize(
    ("period", "interval"),
    [
        ("2020-02", "2020-02-01T00:00:00Z/2020-02-29T23:59:59Z"),
        ("2020-02-19T11:04:56Z", "2020-02-19T11:04:56Z/2020-02-19T11:04:56Z"),
        ("2020-02-19T11:04:56.5+01:00", "2020-02-19T10:04:56Z/2020-02-19T10:04:56Z"),
        ("../2020-02-19", "../2020-02-19T23:59:59Z"),
        ((None, None), "../.."),
    ],
)
def test_an_interval_is_what_a_stac_api_takes(period, interval):
    assert Period.parse(period).interval == interval


@pytest.mark.parametrize("period", ["", "..", "../..", None])
def test_a_period_open_at_both_ends_holds_every_moment(period):
    found = Period.parse(period)
    assert datetime(1, 1, 1, tzinfo=UTC) in found
    assert datetime.max.replace(tzinfo=UTC) in found


@pytest.mark.parametrize("period", ["yesterday", "2024-13", "2024-1", "1/2/3", [], "2025/2024"])
def test_a_period_that_cannot_be_is_refused(period):
    with pytest.raises(UsageError):
        Period.parse(period)


def test_a_period_is_found_and_unpickled_at_its_old_address():
    from stacchip.processors.choice import Period as Old

    assert Old is Period
    period = Period.parse("2024-02")
    assert pickle.loads(pickle.dumps(period)) == period
