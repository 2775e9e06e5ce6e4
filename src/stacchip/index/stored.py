"""Rows as the files of an index store them: with slim bounds, and with footprints or without.

96 % of an index would be footprints and their bounds, which both follow from the item's grid. The
bounds are stored in float32, rounded outwards, which takes half of the space and finds the same
chips. Footprints are for other tools; an index that only stacchip reads can do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa

from stacchip.errors import UsageError
from stacchip.grid.rounded_bounds import ROUNDED_BBOX, round_outwards
from stacchip.index.foreign.geometry import LONGEST_VALUE
from stacchip.index.further_columns import keep_columns, longest_value
from stacchip.index.schema import SCHEMA, conform, naming_table, select_columns, wrong_column
from stacchip.index.table_rows import change_texts
from stacchip.storage import unsign

if TYPE_CHECKING:
    from stacchip.index.foreign.item_columns import FindItem

__all__ = [
    "GeometryForm",
    "require_form",
    "require_short_values",
    "store_columns",
    "stored_rows",
    "stored_schema",
]

GeometryForm: TypeAlias = Literal["wkb", "none"]
"""How an index stores footprints: as WKB, or not at all."""
_FORMS: Final = ("wkb", "none")


def require_form(geometry: str) -> None:
    """Refuse an unknown form of footprints.

    Raises:
        UsageError: It is neither `"wkb"` nor `"none"`.
    """
    if geometry not in _FORMS:
        raise UsageError(f'geometry must be "wkb" or "none", not {geometry!r}.')


def stored_schema(schema: pa.Schema = SCHEMA, geometry: GeometryForm = "wkb") -> pa.Schema:
    """Return the schema of a file for rows of a schema.

    Without footprints, the file is no GeoParquet, and does not say that it is.

    Example:
        >>> slim = stored_schema(geometry="none")
        >>> "geometry" in slim.names, b"geo" in slim.metadata, str(slim.field("bbox").type)[:18]
        (False, False, 'struct<xmin: float')
    """
    place = schema.get_field_index("bbox")
    schema = schema.set(place, schema.field(place).with_type(ROUNDED_BBOX))
    if geometry == "wkb":
        return schema
    names = [name for name in schema.names if name != "geometry"]
    return select_columns(schema.empty_table(), names).schema


def store_columns(rows: pa.Table, geometry: GeometryForm = "wkb") -> pa.Table:
    """Return rows with the columns that a file stores, and bounds as it stores them.

    Args:
        rows: Rows with the columns of `SCHEMA`, and perhaps others; or the result of this function.
        geometry: How the file stores footprints.
    """
    schema = stored_schema(rows.schema, geometry)
    columns = [
        round_outwards(rows[name]) if name == "bbox" else rows[name] for name in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def stored_rows(
    table: Any, *, href: str | None = None, find_item: FindItem | None = None
) -> pa.Table:
    """Return rows with the columns that an index keeps, those of `SCHEMA` first.

    Addresses of items are unsigned.

    Args:
        table: Rows of a chip index; its metadata is kept.
        href: Address of the table, for the error.
        find_item: As in `conform`.

    Raises:
        IndexFormatError: `table` is not a chip index, a value is longer than `LONGEST_VALUE`, or no
            index keeps a column (`stacchip.index.further_columns`).
    """
    rows = conform(table, href=href, find_item=find_item)
    with naming_table(href):
        rows = keep_columns(rows)
    require_short_values(rows, href)
    unsigned = change_texts(rows["item_href"], lambda href: href and unsign(href))
    if unsigned is None:
        return rows
    position = SCHEMA.get_field_index("item_href")
    return rows.set_column(position, rows.schema.field(position), unsigned)


def require_short_values(rows: pa.Table, href: str | None) -> None:
    """Refuse long texts, lists and footprints: to write them takes memory without bounds.

    Raises:
        IndexFormatError: A value is longer than `LONGEST_VALUE`.
    """
    with naming_table(href):
        for name in rows.column_names:
            longest = longest_value(rows[name])
            if longest > LONGEST_VALUE:
                problem = f"has a value of {longest:,} bytes, of {LONGEST_VALUE:,} at most"
                raise wrong_column(name, problem)
