"""Tables of indexes in memory put together, with the items of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacchip.errors import UsageError
from stacchip.index.editions import combine
from stacchip.index.embedded import (
    embed_items,
    embedded_items,
    indexes_and_editions,
    with_indexes,
)
from stacchip.index.further_columns import concat_rows
from stacchip.index.schema import SCHEMA, conform
from stacchip.items.keys import add_item

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from stacchip.index.editions import Known
    from stacchip.items.keys import ItemKey

__all__ = ["concat_indexes"]


def concat_indexes(tables: Sequence[Any]) -> pa.Table:
    """Return several chip indexes as one table with the items of all of them.

    (`pyarrow.concat_tables` keeps the items of the first only.) Items in the folders of indexes
    that tables were read from are found there. Rows of tables that lack a further column are null
    there.

    Raises:
        IndexFormatError: A table is not a chip index, or a further column has types that no type
            holds without loss.
        UsageError: Two tables have different items of one platform and id, or there is no table.

    Example:
        >>> one = embed_items(SCHEMA.empty_table(), {("naip", "a"): {"id": "a"}})
        >>> other = embed_items(SCHEMA.empty_table(), {("linz", "a"): {"id": "a"}})
        >>> [key.platform for key in embedded_items(concat_indexes([one, other]))]
        ['naip', 'linz']
    """
    parts = [conform(table) for table in tables]
    if not parts:
        raise UsageError("There is no table to put together: the list is empty.")
    table = concat_rows(parts, [f"table {number}" for number in range(len(parts))])
    items: dict[ItemKey, dict[str, Any]] = {}
    for part in parts:
        for key, item in embedded_items(part).items():
            add_item(items, key, item)
    table = embed_items(table.replace_schema_metadata(SCHEMA.metadata), items)
    known: dict[str, Known | None] = {}
    for part in parts:
        for href, editions in indexes_and_editions(part).items():
            known[href] = combine(known[href], editions) if href in known else editions
    return with_indexes(table, known) if known else table
