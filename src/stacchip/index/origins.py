"""What thin rows lack, from the indexes that they were read from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa

from stacchip.errors import AssetChanged, IndexFormatError, StorageError
from stacchip.index.editions import is_part, replaced
from stacchip.index.embedded import indexes_and_editions
from stacchip.index.foreign.own_columns import fill_from_own_columns
from stacchip.index.read import read_index
from stacchip.index.schema import SCHEMA

if TYPE_CHECKING:
    from stacchip.index.editions import Known
    from stacchip.storage import Storage

__all__ = ["fill_from_indexes"]

_log = logging.getLogger(__name__)


def fill_from_indexes(table: pa.Table, storage: Storage) -> pa.Table:
    """Return a table with the `platform` and `chip_size` that it lacks, if its indexes tell them.

    An index tells them if it has one value for each item id of the rows.

    Args:
        table: Rows whose metadata may name the indexes that they were read from.
        storage: Reads the indexes.

    Raises:
        IndexReplaced: An index has other items by now.
    """
    lacking = [name for name in ("platform", "chip_size") if name not in table.column_names]
    indexes = indexes_and_editions(table) if lacking else {}
    named = fill_from_own_columns(table, ["item_id"]) if indexes else table
    if not indexes or "item_id" not in named.column_names:
        return table
    try:
        rows = pa.concat_tables(
            _read(href, known, ["item_id", *lacking], storage) for href, known in indexes.items()
        )
    except AssetChanged:
        raise
    except IndexFormatError:  # the index lacks them, too
        return table
    except StorageError as error:
        _log.warning("the index is no longer where it was read from: %s", error)
        return table
    ids = named["item_id"].to_pylist()
    for name in lacking:
        pairs = rows.select(["item_id", name]).group_by(["item_id", name]).aggregate([])
        values = dict(zip(*(pairs[each].to_pylist() for each in ("item_id", name)), strict=True))
        if len(values) == len(pairs) and values.keys() >= set(ids):
            column = pa.array([values[item_id] for item_id in ids], SCHEMA.field(name).type)
            table = table.append_column(SCHEMA.field(name), column)
    return table


def _read(href: str, known: Known | None, columns: list[str], storage: Storage) -> pa.Table:
    table = read_index(href, columns=columns, storage=storage)
    (now,) = indexes_and_editions(table).values()
    if not is_part(known, now):
        raise replaced(href)
    return table.replace_schema_metadata()
