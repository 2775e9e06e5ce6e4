"""Columns that a table lacks, but that follow from its other columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError
from stacchip.grid.footprints import BBOX
from stacchip.index.foreign.geometry import bounds_of, find_geometry, is_plain, read_geometry
from stacchip.index.foreign.names import cast_column, join_chipid, split_chipid

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["columns_to_derive", "fill_from_own_columns"]

_PLACE: Final = ("item_id", "chip_index_x", "chip_index_y")


def fill_from_own_columns(table: pa.Table, wanted: Collection[str]) -> pa.Table:
    """Return a table with those wanted columns that its others tell.

    - `geometry` in WKB and OGC:CRS84, from a geometry of another name, encoding or CRS.
    - `bbox` from `geometry`; also if the geometry was in another CRS, where `bbox` may be, too.
    - `chipid` from `item_id`, `chip_index_x` and `chip_index_y`, and each of these from `chipid`.
    - `date` from `datetime`.

    Raises:
        IndexFormatError: A column that could tell has wrong values, or is there twice.

    Example:
        >>> thin = pa.table({"chipid": ["a-1-2"]})
        >>> fill_from_own_columns(thin, ["item_id", "chip_index_y"]).to_pylist()
        [{'chipid': 'a-1-2', 'item_id': 'a', 'chip_index_y': 2}]
    """
    for name in wanted:
        if table.column_names.count(name) > 1:
            raise IndexFormatError(
                f"Not a chip index: column '{name}' is there twice. Keep one of them.", column=name
            )
    if {"geometry", "bbox"} & set(wanted):
        table = _fill_footprints(table, wanted)
    there = set(table.column_names)
    lacking = [name for name in _PLACE if name in wanted and name not in there]
    if lacking and "chipid" in there:
        told = split_chipid(_plain(table["chipid"]))
        for name in lacking:
            table = table.append_column(name, told[name])
    if "chipid" in wanted and "chipid" not in there and {*_PLACE} <= there:
        parts = (_plain(table[name]) for name in _PLACE)
        table = table.append_column("chipid", join_chipid(*parts))
    if "date" in wanted and "date" not in there and "datetime" in there:
        table = table.append_column("date", _days(table["datetime"]))
    return table


def columns_to_derive(schema: pa.Schema, wanted: Collection[str]) -> set[str]:
    """Return the wanted columns that cannot be read as they are.

    Example:
        >>> sorted(columns_to_derive(pa.schema({"chipid": pa.string()}), ["chipid", "item_id"]))
        ['item_id']
    """
    derived = {name for name in wanted if name not in schema.names}
    geometry = find_geometry(schema)
    if geometry is not None and not is_plain(schema, geometry):
        derived |= {"geometry", "bbox"} & set(wanted)
    return derived


def _fill_footprints(table: pa.Table, wanted: Collection[str]) -> pa.Table:
    name = find_geometry(table.schema)
    if name is not None:
        geometry, is_converted = read_geometry(table, name)
        has_bbox = "bbox" in table.column_names
        if has_bbox and (is_converted or not _has_sides(table.schema.field("bbox").type)):
            table = table.drop_columns("bbox")
        place = table.column_names.index(name)
        field = table.schema.field(name).with_type(pa.binary())
        table = table.set_column(place, field.with_name("geometry").remove_metadata(), geometry)
        if "bbox" in wanted and "bbox" not in table.column_names:
            return table.append_column("bbox", bounds_of(geometry))
    if "bbox" in table.column_names:
        return _in_order(table)
    return table


def _has_sides(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {side.name for side in BBOX} <= {
        field.name for field in kind
    }


def _in_order(table: pa.Table) -> pa.Table:
    """Return the table with the sides of `bbox` in the order and type that an index has."""
    place = table.column_names.index("bbox")
    kind = table.schema.field(place).type
    sides = [side.name for side in BBOX]
    if kind == BBOX or pa.types.is_null(kind):
        return table
    if not _has_sides(kind):
        raise IndexFormatError(
            f"Not a chip index: column 'bbox' has type {kind}, not a struct of {', '.join(sides)}. "
            "Give it those names, or leave it out.",
            column="bbox",
        )
    column = table.column(place)
    chunks = []
    for chunk in column.chunks:
        values = [chunk.field(side).cast(pa.float64()) for side in sides]
        chunks.append(pa.StructArray.from_arrays(values, fields=list(BBOX), mask=chunk.is_null()))
    return table.set_column(place, "bbox", pa.chunked_array(chunks, BBOX))


def _days(datetime: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the days of times, in UTC."""
    kind = datetime.type
    if pa.types.is_timestamp(kind) and kind.tz not in (None, "UTC"):
        datetime = datetime.cast(pa.timestamp(kind.unit, "UTC"))
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):  # such as ISO 8601 text
        if not pa.types.is_string(kind):
            raise IndexFormatError(
                f"Not a chip index: column 'datetime' has type {kind}, not a time. Give times.",
                column="datetime",
            )
        datetime = cast_column(datetime, pa.timestamp("us", "UTC"), "datetime")
    return pc.cast(datetime, pa.date32(), safe=False)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without a dictionary."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column
