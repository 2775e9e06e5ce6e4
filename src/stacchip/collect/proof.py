"""Proof that an item of the archive can be used: one of its chips, cut from what was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from stacchip.chipper import Chipper
from stacchip.index import read_index
from stacchip.items import load_items

if TYPE_CHECKING:
    import pyarrow as pa

    from stacchip.items.archive import ItemPlace
    from stacchip.storage import Storage


def cut_one_chip(place: ItemPlace, storage: Storage) -> None:
    """Cut a chip with all bands of an item, by the stored item and index.

    Does nothing for an item that is too small for a chip.

    Args:
        place: The item's place in the archive.
        storage: Reads the archive.

    Raises:
        StacchipError: The chip cannot be cut.
    """
    table = read_index(place.index_folder, storage=storage)
    if not table.num_rows:
        return
    items = load_items(place.item_href, storage=storage)
    Chipper(_fullest(table), items=list(items), storage=storage)[0]


def _fullest(table: pa.Table) -> pa.Table:
    """Return the row with the least nodata, whose blocks are the least likely to be left out."""
    least = pc.fill_null(table["nodata_percentage"], 0).to_numpy().argmin()
    return table.slice(int(least), 1)
