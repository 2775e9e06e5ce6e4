"""Footprints of chips whose index stores none, made from the grids of their items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import ItemNotFound
from stacchip.index.foreign.item_columns import fill_from_items
from stacchip.items import parse_item

if TYPE_CHECKING:
    from collections.abc import Callable

    import pystac

    from stacchip.errors import Errors
    from stacchip.index.files.item_records import ItemRecord
    from stacchip.index.filters import Selection
    from stacchip.index.foreign.item_columns import FindItem

    FindRecord = Callable[[str, str], ItemRecord | None]

__all__ = ["PLACE_COLUMNS", "fill_footprints", "in_area", "items_of_records"]

PLACE_COLUMNS: Final = (
    *("platform", "item_id", "item_href", "chip_index_x", "chip_index_y", "chip_size", "bbox"),
)
"""The columns of which the footprint of a chip follows, with its item."""
_ROWS_AT_ONCE: Final = 50_000


def items_of_records(find_record: FindRecord, origin: str | None = None) -> FindItem:
    """Return what finds the items of an index's records, and no others.

    Args:
        find_record: Returns the record of a platform and an item id, or None.
        origin: Result of `stacchip.items.reach.distant` for the index.
    """

    def find_item(platform: str | None, item_id: str, _: str | None) -> pystac.Item:
        record = find_record(platform or "", item_id)
        if record is None:
            raise ItemNotFound(f"The index keeps no record of item {item_id!r}.", item_id=item_id)
        return parse_item(record.item, base=record.item_href, origin=origin)

    return find_item


def fill_footprints(rows: pa.Table, find_item: FindItem, errors: Errors = "raise") -> pa.Table:
    """Return rows with a footprint for each chip that has bounds and no footprint.

    Args:
        rows: Rows with `geometry` and `PLACE_COLUMNS`.
        find_item: Returns the item of a platform, id and address.
        errors: `"skip"` leaves the footprints null whose items are not found, or tell no grid.

    Raises:
        IndexFormatError: A footprint cannot be made.
    """
    lacking = pc.and_(pc.is_null(rows["geometry"]), pc.is_valid(rows["bbox"]))
    if not pc.any(lacking).as_py():
        return rows
    parts = []
    for start in range(0, rows.num_rows, _ROWS_AT_ONCE):  # texts of many rows do not fit together
        mask = lacking.slice(start, _ROWS_AT_ONCE).combine_chunks()
        part = rows.slice(start, _ROWS_AT_ONCE)
        there = part["geometry"].combine_chunks()
        places = part.select(PLACE_COLUMNS).filter(mask)
        made = fill_from_items(places, ["geometry"], find_item, errors=errors)["geometry"]
        parts.append(pc.replace_with_mask(there, mask, made.combine_chunks()))
    position = rows.schema.get_field_index("geometry")
    field = rows.schema.field(position)
    return rows.set_column(position, field, pa.chunked_array(parts, field.type))


def in_area(rows: pa.Table, chosen: Selection, find_item: FindItem | None) -> pa.Table:
    """Return the rows whose footprints meet the area of a selection.

    A footprint that is not kept is made only where the bounds of a chip leave it open. If its item
    is not found, the bounds stand in for it.

    Args:
        rows: Rows with `geometry` and `PLACE_COLUMNS`.
        chosen: The selection.
        find_item: Returns the item of a platform, id and address, if any can be found.
    """
    if chosen.area is None or not rows.num_rows:
        return rows
    met = chosen.holds_bounds(rows)
    border = rows.filter(pa.array(~met))
    if find_item is not None:
        border = fill_footprints(border, find_item, errors="skip")
    if border.num_rows:
        met[~met] = chosen.meets(border)
    return rows.filter(pa.array(met))
