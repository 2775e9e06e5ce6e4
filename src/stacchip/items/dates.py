"""The date of an item, and periods of time."""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from stacchip.errors import InvalidMetadata, MissingMetadata, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pystac

Moment: TypeAlias = str | date | None
"""A date, an aware datetime, or either as ISO 8601 text; None for the open end of a period."""

_TICK: Final = timedelta(microseconds=1)


def item_datetime(item: pystac.Item) -> datetime:
    """Return the time of an item: its `datetime`, or else its `start_datetime`; aware, in UTC.

    Raises:
        MissingMetadata: It has neither.
        InvalidMetadata: It is not a date.

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> item = pystac.Item("a", None, None, None, {}, start_datetime=datetime(2020, 2, 19),
        ...                    end_datetime=datetime(2020, 2, 20))
        >>> item_datetime(item).isoformat()
        '2020-02-19T00:00:00+00:00'
    """
    if item.datetime is not None:
        return parse_datetime(item.id, "datetime", item.datetime)
    for field in ("datetime", "start_datetime"):
        value = item.properties.get(field)
        if value is not None:
            return parse_datetime(item.id, field, value)
    raise MissingMetadata(
        f"Item {item.id!r} has neither datetime nor start_datetime. Set item.datetime.",
        item_id=item.id,
        field="datetime",
    )


def parse_datetime(item_id: str, field: str, value: Any) -> datetime:
    """Return an aware datetime in UTC from ISO 8601; without a zone, it is taken as UTC.

    STAC requires RFC 3339. A space in place of the "T" (Planetary Computer's `start_datetime`), a
    bare date (USGS, STAC 0.7.0) and seven decimals occur, and are unambiguous.

    Raises:
        InvalidMetadata: It is not a date.

    Example:
        >>> parse_datetime("a", "start_datetime", "2022-05-05 23:53:14.124313+00:00").isoformat()
        '2022-05-05T23:53:14.124313+00:00'
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidMetadata(
            f"Item {item_id!r}: {field} is {value!r}, which is not a date. "
            "Write it as RFC 3339, such as 2020-02-19T11:04:56Z.",
            item_id=item_id,
            field=field,
        ) from error


@dataclass(frozen=True)
class Period:
    """A span of time, `start` <= t < `end`, both aware and in UTC; None leaves an end open.

    Example:
        >>> period = Period.parse("2024-02/2024-03-05T12:00:00Z")
        >>> period.start.isoformat(), period.last.isoformat()
        ('2024-02-01T00:00:00+00:00', '2024-03-05T12:00:00+00:00')
    """

    name: str
    start: datetime | None
    end: datetime | None

    @classmethod
    def parse(cls, period: str | date | Sequence[Moment] | None) -> Period:
        """Return the period that a user wrote.

        Args:
            period: A moment, a pair of them, or text as STAC APIs take it: `"2023-05"`,
                `"2023-05-01/2023-08-31"`, `"2023-05-01/.."`. A date, month or year stands for all
                of its days, in UTC. A datetime without a zone is in UTC.

        Raises:
            UsageError: It cannot be understood, or ends before it starts.
        """
        if isinstance(period, str):
            moments: Sequence[Moment] = period.split("/")
        else:
            moments = [period] if period is None or isinstance(period, date) else list(period)
        if len(moments) not in (1, 2):
            raise UsageError(f"A period has a start and an end, not {period!r}.")
        try:
            spans = [_span(moment) for moment in moments]
        except OverflowError as error:  # a zone takes it out of the calendar
            raise UsageError(f"The period {period!r} is beyond the calendar.") from error
        start, end = spans[0][0], spans[-1][1]
        if start is not None and end is not None and end <= start:
            raise UsageError(f"The period {period!r} ends before it starts.")
        return cls("/".join(map(str, moments)), start, end)

    def __contains__(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (
            self.end is None or moment < self.end
        )

    @property
    def last(self) -> datetime | None:
        """The last microsecond inside; None if the end is open."""
        return None if self.end is None else self.end - _TICK

    @property
    def interval(self) -> str:
        """The span as a STAC search takes it; its end is the last whole second inside.

        Example:
            >>> Period.parse("2020-02").interval
            '2020-02-01T00:00:00Z/2020-02-29T23:59:59Z'
            >>> Period.parse("2020/..").interval
            '2020-01-01T00:00:00Z/..'
        """
        ends = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ".." for moment in self._ends())
        return "/".join(ends)

    def _ends(self) -> tuple[datetime | None, datetime | None]:
        return self.start, self.last


def _span(moment: Moment) -> tuple[datetime | None, datetime | None]:
    """Return the start and the excluded end of a moment's span; that of a date is its day."""
    if moment is None or moment in ("", ".."):
        return None, None
    if isinstance(moment, datetime):
        utc = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        return utc, _later(utc, _TICK)
    if isinstance(moment, date):
        return _days(moment, 1)
    return _parse_span(moment)


def _parse_span(text: str) -> tuple[datetime | None, datetime | None]:
    match = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", text)
    try:
        if match is None:
            return _span(datetime.fromisoformat(text))
        year, month, day = (int(part) if part else None for part in match.groups())
        first = date(year or 0, month or 1, day or 1)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a date: write 2023-05-01 or 2023-05-01T10:30:00Z."
        ) from error
    if day is not None:
        return _days(first, 1)
    if month is not None:
        return _days(first, monthrange(first.year, month)[1])
    return _days(first, 366 if isleap(first.year) else 365)


def _days(first: date, number: int) -> tuple[datetime, datetime | None]:
    start = datetime.combine(first, time(), UTC)
    return start, _later(start, timedelta(days=number))


def _later(moment: datetime, by: timedelta) -> datetime | None:
    """Return a later moment; None (an open end) if it is after the last day, 9999-12-31."""
    try:
        return moment + by
    except OverflowError:
        return None
