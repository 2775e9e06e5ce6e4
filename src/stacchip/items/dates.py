"""When an item was taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stacchip.errors import InvalidMetadata, MissingMetadata

if TYPE_CHECKING:
    import pystac


def item_datetime(item: pystac.Item) -> datetime:
    """When an item was taken: its `datetime`, or else its `start_datetime`; aware, in UTC.

    Raises:
        MissingMetadata: It has neither.
        InvalidMetadata: It is no date.

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
    """An aware datetime in UTC, from ISO 8601; what has no zone is in UTC.

    STAC asks for RFC 3339. A space in place of the "T" (Planetary Computer's `start_datetime`), a
    bare date (USGS, STAC 0.7.0) and seven decimals occur, and leave no doubt.

    Raises:
        InvalidMetadata: It is no date.

    Example:
        >>> parse_datetime("a", "start_datetime", "2022-05-05 23:53:14.124313+00:00").isoformat()
        '2022-05-05T23:53:14.124313+00:00'
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidMetadata(
            f"Item {item_id!r}: {field} is {value!r}, which is no date. "
            "Write it as RFC 3339, such as 2020-02-19T11:04:56Z.",
            item_id=item_id,
            field=field,
        ) from error
