"""Items in an Arrow table, as stac-geoparquet lays them out: an item in each row.

The properties are columns beside `id` and `assets`; geometries are WKB, dates are timestamps, and
`bbox` is a struct (the specification of stac-geoparquet, 1.0). A table has one type for all of its
rows, so it says null where an item says nothing: an asset that only other items have is null, or a
struct of nulls, and a column that no item uses has the type null. Here null means absent.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import shapely

from stacchip.errors import InvalidMetadata
from stacchip.items.record import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

# the members of an item's JSON that are columns of the same name; others are properties
_MEMBERS = (
    *("type", "stac_version", "stac_extensions", "id", "collection"),
    *("geometry", "bbox", "links", "assets"),
)
_CORNERS = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
_GEOMETRIES = ("geometry", "proj:geometry")


def read_rows(table: pa.Table, name: str) -> Iterator[dict[str, Any] | Unreadable]:
    """Yield the JSON object of the item in each row, or why a row cannot be read.

    Args:
        table: A table, or a part of one.
        name: What the table is called in errors.

    Raises:
        InvalidMetadata: The table lacks the columns of items.

    Example:
        >>> import pyarrow as pa
        >>> columns = {"id": ["a"], "geometry": [None], "gsd": [10.0], "assets": [{"red": None}]}
        >>> (item,) = read_rows(pa.table(columns), "the table")
        >>> item["id"], item["properties"], item["assets"]
        ('a', {'gsd': 10.0}, {})
    """
    names = set(table.schema.names)
    if not {"id", "geometry", "assets"} <= names:
        raise InvalidMetadata(
            f"{name} is not stac-geoparquet: it has the columns {', '.join(sorted(names))}, and "
            "needs id, geometry and assets.",
            field="assets",
        )
    # geometries have an extension type if geoarrow is imported, and come as bytes without it
    for batch in table.to_batches():
        stored = [getattr(column, "storage", column) for column in batch.columns]
        for row in batch.from_arrays(stored, names=batch.schema.names).to_struct_array():
            yield _read_row(row, name)


def _read_row(row: Any, name: str) -> dict[str, Any] | Unreadable:
    try:
        return _to_record(row.as_py())
    except Exception as error:  # noqa: BLE001 - pyarrow and shapely raise any error for odd values
        item_id = str(row["id"])
        said = InvalidMetadata(
            f"Item {item_id!r} of {name} cannot be read: {type(error).__name__}: {error}. "
            "Mend its row, or write the file again.",
            item_id=item_id,
            field="type",
        )
        said.__cause__ = error
        return Unreadable(item_id, said)


def _to_record(row: dict[str, Any]) -> dict[str, Any]:
    """Return the item of a row as its JSON object."""
    plain = _to_json("", row) or {}
    members = {key: plain.pop(key) for key in _MEMBERS if key in plain}
    record: dict[str, Any] = {"type": "Feature", "geometry": None, "assets": {}, **members}
    bbox, assets = record.get("bbox"), record["assets"]
    if isinstance(bbox, dict):
        record["bbox"] = [bbox[side] for side in _CORNERS if side in bbox]
    if isinstance(assets, dict):
        record["assets"] = {key: asset for key, asset in assets.items() if asset != {}}
    return {**record, "properties": plain}


def _to_json(key: str, value: Any) -> Any:
    """Return a value of a table as JSON has it, without members that are null or have only such."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        value = dict(value)  # pyarrow's form of a map
    if isinstance(value, dict):
        members = {name: _to_json(name, each) for name, each in value.items()}
        there = {name: each for name, each in members.items() if each is not None}
        return there if there or not value else None
    if isinstance(value, list):
        return [_to_json("", each) for each in value]
    if isinstance(value, bytes) and key in _GEOMETRIES:
        return _to_lists(shapely.from_wkb(value).__geo_interface__)
    return _to_scalar(value)


def _to_scalar(value: Any) -> Any:
    """Return a number, text or date as JSON has it."""
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return float(value) if isinstance(value, Decimal) else value


def _to_lists(geometry: Any) -> Any:
    """Return a GeoJSON geometry with lists in place of tuples."""
    if isinstance(geometry, dict):
        return {key: _to_lists(value) for key, value in geometry.items()}
    return [_to_lists(each) for each in geometry] if isinstance(geometry, tuple) else geometry
