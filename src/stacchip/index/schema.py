"""The columns of a chip index, stated once, and the check that a table has them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError, StacchipError
from stacchip.grid.footprints import BBOX
from stacchip.index.embedded import embed_items, embedded_items
from stacchip.index.foreign.geometry import without_extension
from stacchip.index.foreign.item_columns import ITEM_COLUMNS, fill_from_items
from stacchip.index.foreign.own_columns import fill_from_own_columns
from stacchip.index.foreign.tables import as_table
from stacchip.runtime.odd_values import ODD_VALUES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from stacchip.index.foreign.item_columns import FindItem

__all__ = [
    "GEO_METADATA",
    "KEY",
    "OPTIONAL_COLUMNS",
    "SCHEMA",
    "SHARE_COLUMNS",
    "conform",
    "embed_items",
    "embedded_items",
    "naming_table",
    "select_columns",
    "validate",
    "wrong_column",
]

KEY: Final = ("platform", "item_id", "chip_size", "chip_index_x", "chip_index_y")
"""The columns that identify a chip. A chipid does not: two chip sizes of one item share chipids."""

_GEOARROW_WKB: Final = {
    "ARROW:extension:name": "geoarrow.wkb",
    "ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84", "crs_type": "authority_code"}),
}

# These facts stay true when files are merged by tools that keep the first file's metadata only:
# hence both geometry types, and no `bbox`. A missing `crs` means OGC:CRS84.
GEO_METADATA: Final[dict[str, Any]] = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": ["MultiPolygon", "Polygon"],
            "orientation": "counterclockwise",
            "edges": "planar",
            "covering": {"bbox": {field.name: ["bbox", field.name] for field in BBOX}},
        }
    },
}
"""The `geo` metadata of every index file (GeoParquet 1.1.0, "File metadata")."""

SCHEMA: Final = pa.schema(
    [
        pa.field("chipid", pa.string()),
        pa.field("platform", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("date", pa.date32()),
        pa.field("datetime", pa.timestamp("us", tz="UTC")),
        pa.field("chip_index_x", pa.int32()),
        pa.field("chip_index_y", pa.int32()),
        pa.field("cloud_cover_percentage", pa.float32()),
        pa.field("nodata_percentage", pa.float32()),
        pa.field("shadow_percentage", pa.float32()),
        pa.field("cirrus_percentage", pa.float32()),
        pa.field("snow_percentage", pa.float32()),
        pa.field("water_percentage", pa.float32()),
        pa.field("chip_size", pa.int32()),
        pa.field("crs", pa.string()),
        pa.field("item_href", pa.string()),
        pa.field("geometry", pa.binary(), metadata=_GEOARROW_WKB),
        pa.field("bbox", BBOX),
    ],
    metadata={"geo": json.dumps(GEO_METADATA)},
)
"""The columns of an index, in their order.

The shares (`*_percentage`) are 0..1 of all pixels of the chip, fill included. Null means
that a share was not measured. `datetime` is in UTC, `crs` is that of the item's grid. `geometry` is
the chip's footprint and `bbox` its bounds, both in OGC:CRS84. Both are null for a chip that lies
wholly beyond the Earth's edge in its projection (the corners of a global sinusoidal grid).
"""

SHARE_COLUMNS: Final = {
    "cloud": "cloud_cover_percentage",
    "nodata": "nodata_percentage",
    "shadow": "shadow_percentage",
    "cirrus": "cirrus_percentage",
    "snow": "snow_percentage",
    "water": "water_percentage",
}
"""The column of each share, by the name that sources use."""

# Files of earlier versions and of other writers may lack these; they are filled with nulls.
OPTIONAL_COLUMNS: Final = (
    "cloud_cover_percentage",
    "nodata_percentage",
    "shadow_percentage",
    "cirrus_percentage",
    "snow_percentage",
    "water_percentage",
    "item_href",
)
# The schema's nullability does not state this, because tables made by pandas or DuckDB, in which
# every column is nullable, must concatenate with ours.
_NEVER_NULL: Final = frozenset((*KEY, "chipid", "date", "datetime", "crs"))


def validate(table: Any) -> None:
    """Check that a table is a chip index: columns, types, and no null where none is allowed.

    A table that `conform` can complete is one. Further columns are allowed.

    Args:
        table: A table of any library, as `conform` takes it.

    Raises:
        IndexFormatError: It is not one; `column` names the first column that is absent or wrong.

    Example:
        >>> validate(SCHEMA.empty_table())
        >>> validate(SCHEMA.empty_table().drop_columns("platform"))
        Traceback (most recent call last):
            ...
        stacchip.errors.IndexFormatError: Not a chip index: column 'platform' is absent. ...
    """
    conform(table)


def conform(
    table: Any,
    *,
    columns: Collection[str] | None = None,
    href: str | None = None,
    find_item: FindItem | None = None,
) -> pa.Table:
    """Return the table with the columns of `SCHEMA` first, in its types and order, then others.

    Columns that other tools drop follow from those that are there: `bbox` from a geometry in any
    encoding and CRS, `chipid` from `item_id`, `chip_index_x` and `chip_index_y`, these from
    `chipid`, and `date` from `datetime`. Shares that are NaN or not there are null (not measured),
    and so are an absent `item_href` and `geometry`. Dictionary-encoded and large strings count as
    strings, and so on, since other libraries read files that way.

    Args:
        table: Rows of a chip index as any tool may have written or read them: a pyarrow table, a
            DataFrame or GeoDataFrame, a DuckDB relation, or what else exports itself to Arrow.
        columns: The columns of `SCHEMA` that it must have; all by default.
        href: Address of the table, for the error.
        find_item: Returns an item by platform (None if the table lacks it), id and address. It is
            asked if the table itself does not tell a column that items do: `platform`, `datetime`,
            `chip_size`, `crs`, or footprints.

    Returns:
        A table that shares buffers with the one given if the types agree already. Its metadata is
        that of the table given, with `geo` set.

    Raises:
        IndexFormatError: `table` is not a chip index; `column` names the first wrong column.
        UsageError: `table` is no table.
    """
    table = as_table(table)
    with naming_table(href):
        try:
            return _conform(table, SCHEMA.names if columns is None else columns, find_item)
        except StacchipError:
            raise
        except (*ODD_VALUES, pa.ArrowException) as error:
            raise IndexFormatError(
                f"Not a chip index: {type(error).__name__}: {str(error)[:200]}. Write the table "
                "again; its columns are stacchip.index.SCHEMA."
            ) from error


@contextlib.contextmanager
def naming_table(href: str | None) -> Iterator[None]:
    """Add the table's address to errors that lack it.

    Args:
        href: Its address, without secrets; None if it has none.

    Raises:
        IndexFormatError: The table is wrong.
    """
    try:
        yield
    except IndexFormatError as error:
        if href is None or error.href is not None:
            raise
        raise IndexFormatError(f"{href}: {error}", **{**error.facts, "href": href}) from error


def _conform(table: pa.Table, names: Collection[str], find_item: FindItem | None) -> pa.Table:
    table = fill_from_own_columns(table, names)
    lacking = {name for name in names if name not in table.column_names}
    if find_item is not None and lacking & {*ITEM_COLUMNS} - {"geometry"}:
        place = {*names, "item_id", "chip_index_x", "chip_index_y", "bbox"}
        table = fill_from_items(fill_from_own_columns(table, place), lacking, find_item)
        table = fill_from_own_columns(table, names)
    ours = [SCHEMA.field(name) for name in SCHEMA.names if name in names]
    conformed = [_conform_column(table, field) for field in ours]
    others = [name for name in table.column_names if name not in SCHEMA.names]
    if len(set(others)) < len(others):
        twice = next(name for name in others if others.count(name) > 1)
        raise wrong_column(twice, "is there twice")
    metadata = {**(table.schema.metadata or {}), **(SCHEMA.metadata or {})}
    schema = pa.schema([*ours, *(table.schema.field(name) for name in others)], metadata=metadata)
    rows = pa.Table.from_arrays([*conformed, *(table[name] for name in others)], schema=schema)
    return select_columns(rows, rows.column_names)


def select_columns(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return some columns of rows, without `geo` if it would describe columns that are not there.

    Example:
        >>> b"geo" in select_columns(SCHEMA.empty_table(), ["chipid"]).schema.metadata
        False
    """
    rows = rows.select(columns)
    if {"geometry", "bbox"} <= {*columns}:
        return rows
    metadata = {**(rows.schema.metadata or {})}
    metadata.pop(b"geo", None)
    return rows.replace_schema_metadata(metadata)


# microseconds and days from 1970 to the first and last time and date that Python knows
_FIRST_DATETIME_US, _LAST_DATETIME_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_FIRST_DATE_DAYS, _LAST_DATE_DAYS = -719_162, 2_932_896


def _conform_column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    found = table.schema.get_all_field_indices(field.name)
    if not found and (field.name in OPTIONAL_COLUMNS or field.name == "geometry"):
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    if len(found) != 1:
        raise wrong_column(field.name, "is there twice" if found else "is absent")
    column = without_extension(table.column(found[0]))
    if column.type != field.type:
        try:
            column = column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            problem = f"has type {column.type}, not {field.type}"
            raise wrong_column(field.name, problem) from error
    if column.null_count and field.name in _NEVER_NULL:
        raise wrong_column(field.name, f"is null in {column.null_count} rows")
    if not _is_in_calendar(column):
        raise wrong_column(field.name, "has dates beyond the years 1 to 9999")
    return _nan_as_null(column) if pa.types.is_floating(field.type) else column


def _is_in_calendar(column: pa.ChunkedArray) -> bool:
    """Return False if some times or dates of a column are none that Python knows."""
    if pa.types.is_timestamp(column.type):
        first, last = _FIRST_DATETIME_US, _LAST_DATETIME_US
    elif pa.types.is_date(column.type):
        first, last = _FIRST_DATE_DAYS, _LAST_DATE_DAYS
    else:
        return True
    ends = pc.min_max(column).values()
    return all(first <= end.value <= last for end in ends if end.is_valid)


def _nan_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return shares with null for NaN, which other tools write for "not measured"."""
    is_nan = pc.is_nan(column)
    return pc.if_else(is_nan, None, column) if pc.any(is_nan).as_py() else column


def wrong_column(column: str, problem: str) -> IndexFormatError:
    """Return the error for a column that an index cannot have so."""
    return IndexFormatError(
        f"Not a chip index: column '{column}' {problem}. "
        "An index is made by stacchip's create_index(); its columns are stacchip.index.SCHEMA.",
        column=column,
    )


def __getattr__(name: str) -> Any:
    """Return what was defined here, where pickles of earlier versions look for it."""
    if name == "concat_indexes":
        from stacchip.index.concat import concat_indexes

        return concat_indexes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
