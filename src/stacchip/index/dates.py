"""The dates of rows tell whether the rows of one key are of one item, and of the item given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.items import item_datetime, parse_item
from stacchip.items.keys import ItemKey, item_key, stranger

if TYPE_CHECKING:
    from typing import Any

    import pystac

__all__ = ["refuse_strangers", "refuse_two_dates"]

_COLUMNS = list(ItemKey._fields)
_ROUNDED: Final = timedelta(seconds=1)  # some tools keep whole seconds
_MANY: Final = 1 << 20  # rows


def refuse_two_dates(table: pa.Table) -> None:
    """Refuse rows of two items of one key, which tools that join tables let through.

    An item has one `datetime`, and so have its rows. Two addresses do not make two items: an item
    may be indexed from an API and from a file.

    Args:
        table: Rows with `platform` and `item_id`; without `datetime`, nothing is checked.

    Raises:
        UsageError: The rows of one key have several values of `datetime`.

    Example:
        >>> import pyarrow as pa
        >>> rows = {"platform": ["naip"] * 2, "item_id": ["a"] * 2, "datetime": [0, 1]}
        >>> refuse_two_dates(pa.table(rows))
        Traceback (most recent call last):
            ...
        stacchip.errors.UsageError: The index has rows of two different items with the key 'a' ...
    """
    if "datetime" not in table.column_names or _has_each_once(table["item_id"]):
        return
    # of few rows, threads take longer than the work, and memory each
    ends = table.select([*_COLUMNS, "datetime"]).group_by(
        _COLUMNS, use_threads=table.num_rows > _MANY
    )
    ends = ends.aggregate([("datetime", "min"), ("datetime", "max")])
    found = ends.filter(pc.not_equal(ends["datetime_min"], ends["datetime_max"]))
    if found.num_rows:
        key = ItemKey(*(found[name][0].as_py() for name in _COLUMNS))
        dates = (found[f"datetime_{end}"][0] for end in ("min", "max"))
        raise UsageError(
            f"The index has rows of two different items with the key {key}: their datetime is "
            f"{' and '.join(map(str, dates))}. Cut their chips from an index of each, or give one "
            "of them another platform."
        )


def _has_each_once(texts: pa.ChunkedArray) -> bool:
    """Return True if no text comes twice, which takes less time and memory to tell than to group.

    The rows that a large index holds in memory have most items once.
    """
    is_plain = pa.types.is_string(texts.type)
    return is_plain and bool(pc.count_distinct(texts, mode="all").as_py() == len(texts))


def refuse_strangers(
    table: pa.Table, items: Mapping[ItemKey, pystac.Item | Mapping[str, Any]]
) -> None:
    """Refuse items that only their id matches with rows of another date.

    Args:
        table: Rows with `platform` and `item_id`; without `datetime`, nothing is checked.
        items: What the caller gives for their keys.

    Raises:
        UsageError: An item of another platform has another date than its rows.
    """
    doubted = {key: item for key, item in items.items() if item_key(item) != key}
    if not doubted or "datetime" not in table.column_names:
        return
    dated = table.select([*_COLUMNS, "datetime"]).group_by(_COLUMNS)
    for row in dated.aggregate([("datetime", "min")]).to_pylist():
        key, date = ItemKey(*(row[name] for name in _COLUMNS)), row["datetime_min"]
        if key not in doubted or date is None:
            continue
        item = doubted[key]
        own = item_datetime(parse_item(item) if isinstance(item, Mapping) else item)
        if abs(own - date) >= _ROUNDED:
            raise stranger(key, [item_key(item)], key)
