"""The rows of a table in memory that a selection wants, as those of an index on disk are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stacchip.errors import IndexFormatError, UsageError
from stacchip.index.absent import report_absent_of_table
from stacchip.index.made_footprints import PLACE_COLUMNS, in_area
from stacchip.index.schema import SCHEMA, conform

if TYPE_CHECKING:
    import pyarrow.compute as pc
    from numpy.typing import NDArray

    from stacchip.index.filters import Selection
    from stacchip.index.foreign.item_columns import FindItem

__all__ = ["choose_rows"]

_ROW = "stacchip:row"


def choose_rows(
    table: pa.Table, chosen: Selection, find_item: FindItem | None = None
) -> NDArray[np.int64]:
    """Return the numbers of the rows that a selection wants, in their order.

    What `read_index` logs is logged: how many chips were left out because a share was not measured,
    and platforms and items that the table lacks.

    Args:
        table: Rows of an index; it may lack columns that the selection does not name.
        chosen: The chips wanted.
        find_item: Returns the item of a platform, id and address, for what the table lacks.

    Raises:
        UsageError: A condition is on a column that the table lacks.

    Example:
        >>> from stacchip.index.filters import Selection
        >>> choose_rows(pa.table({"chip_size": [64, 32]}), Selection(chip_size=32)).tolist()
        [1]
    """
    where = chosen.expression
    if chosen.wants_all:
        return np.arange(table.num_rows)
    rows = _with_named(table, chosen, find_item)
    chosen.require_split(rows.column_names, "The table")
    report_absent_of_table(chosen, rows)
    try:
        found = rows if where is None else rows.filter(where)
        unmeasured = None if chosen.left_out is None else rows.filter(chosen.left_out)
    except pa.ArrowException as error:
        raise UsageError(
            f"The condition {str(where)[:200]} does not fit the columns of the table: "
            f"{str(error).partition(chr(10))[0]}."
        ) from error
    if unmeasured is not None:
        chosen.report_left_out(in_area(unmeasured, chosen, find_item).num_rows)
    return np.sort(in_area(found, chosen, find_item)[_ROW].to_numpy())


def _with_named(table: pa.Table, chosen: Selection, find_item: FindItem | None) -> pa.Table:
    """Return the columns that a selection names, and the numbers of rows."""
    said = _text(chosen.expression) + _text(chosen.left_out)
    named = {name for name in SCHEMA.names if name in said}
    if chosen.area is not None:
        named |= {"geometry", *PLACE_COLUMNS}
    own = [name for name in table.column_names if name not in SCHEMA.names and name in said]
    needed = [name for name in table.column_names if name in SCHEMA.names or name in own]
    if not (named or own):  # Arrow forgets how many rows a table without columns has
        return pa.table({_ROW: np.arange(table.num_rows)})
    try:
        rows = conform(table.select(needed), columns=named, find_item=find_item)
    except IndexFormatError as error:
        raise UsageError(
            f"The table lacks what a filter compares: {error} Read the index with all of its "
            "columns, or filter it before."
        ) from error
    numbered = rows.append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    return numbered.select([*(name for name in SCHEMA.names if name in named), *own, _ROW])


def _text(where: pc.Expression | None) -> str:
    """Return the text of a condition, which holds the names of all its columns."""
    return "" if where is None else str(where)
