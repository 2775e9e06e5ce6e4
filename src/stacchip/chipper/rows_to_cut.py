"""Rows that say enough to cut chips, even if they are not a whole index.

Which item and which place in its grid is enough, and `chipid` says both. The rest is looked up when
it is needed, or does not matter to pixels.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError
from stacchip.index.foreign.item_columns import fill_from_items, size_classes
from stacchip.index.foreign.own_columns import fill_from_own_columns
from stacchip.index.foreign.tables import as_table
from stacchip.index.schema import KEY, OPTIONAL_COLUMNS, SCHEMA, conform
from stacchip.index.table_rows import encode_texts
from stacchip.items.archive import DEFAULT_CHIP_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    import pystac

    FindItem = Callable[[str | None, str, str | None], pystac.Item]

_log = logging.getLogger(__name__)

_NEEDED: Final = ("chipid", *KEY)


def rows_to_cut(table: Any, find_item: FindItem, chip_size: int | None = None) -> pa.Table:
    """Return a table with the columns that name chips, and whatever else it has, in our types.

    - `item_id`, `chip_index_x` and `chip_index_y` come from `chipid`, or it comes from them.
    - A `platform` that is absent is that of each item.
    - A `chip_size` that is absent is measured on the footprints: on one chip of each platform and
      of about one height. Without a footprint, or without its item, it is the `chip_size` given.
      Without that, it is taken to be 256, with a warning.

    Args:
        table: A table of any library.
        find_item: Returns the item of a platform (None if not known), id and address.
        chip_size: Pixels a side of the chips whose size nothing tells.

    Raises:
        IndexFormatError: The table does not name chips, or an item that would tell a platform was
            not found.
        UsageError: It is no table.
    """
    table = fill_from_own_columns(as_table(table), SCHEMA.names)
    if "platform" not in table.column_names:
        # two items of one collection and id differ in their dates; the items are read anyway
        names = ["platform", "datetime"] if _has_several_addresses(table) else ["platform"]
        lacking = [name for name in names if name not in table.column_names]
        table = fill_from_items(table, lacking, find_item)
    if "chip_size" not in table.column_names:
        table = table.append_column("chip_size", pa.nulls(len(table), pa.int32()))
    if table["chip_size"].null_count and {*KEY} <= {*table.column_names}:
        table = _fill_chip_sizes(table, find_item, chip_size)
    there = {*table.column_names, *OPTIONAL_COLUMNS, *_NEEDED}
    return conform(table, columns=[name for name in SCHEMA.names if name in there])


def _has_several_addresses(table: pa.Table) -> bool:
    """Return True if the rows of one item id have several values of `item_href`."""
    if not {"item_id", "item_href"} <= {*table.column_names}:
        return False
    ids = table.select(["item_id", "item_href"]).group_by(["item_id", "item_href"]).aggregate([])
    return len(pc.unique(ids["item_id"])) < len(ids)


def _fill_chip_sizes(table: pa.Table, find_item: FindItem, given: int | None) -> pa.Table:
    """Return the table with a chip size for each row that has none."""
    place = table.column_names.index("chip_size")
    sizes = np.array(table["chip_size"].fill_null(0).to_numpy(), np.int32)
    lacking = np.flatnonzero(sizes == 0)
    rows = table.remove_column(place)
    kinds = np.stack([encode_texts(rows["platform"])[0], size_classes(rows)])[:, lacking]
    _, first, inverse = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
    found = [_find_chip_size(rows.slice(int(lacking[row]), 1), find_item, given) for row in first]
    sizes[lacking] = np.array(found, np.int32)[inverse.ravel()]
    return table.set_column(place, SCHEMA.field("chip_size"), pa.array(sizes))


def _find_chip_size(row: pa.Table, find_item: FindItem, given: int | None) -> int:
    try:
        found = fill_from_items(row, ["chip_size"], find_item)["chip_size"][0].as_py()
    except IndexFormatError as error:
        if given is not None:
            return given
        _log.warning(
            "chips are taken to have %d pixels a side, since nothing says their size (give "
            "chip_size=): %s",
            DEFAULT_CHIP_SIZE,
            error,
        )
        return DEFAULT_CHIP_SIZE
    return int(found)
