"""The dates of rows tell whether the rows of one key are of one item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.items.keys import ItemKey

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["refuse_two_dates"]

_COLUMNS = list(ItemKey._fields)


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
    if "datetime" not in table.column_names:
        return
    ends = table.select([*_COLUMNS, "datetime"]).group_by(_COLUMNS)
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
