"""When an item was taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pystac
import pytest

from stacchip.errors import InvalidMetadata, MissingMetadata
from stacchip.items import item_datetime
from stacchip.items.dates import parse_datetime


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
