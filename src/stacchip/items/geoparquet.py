"""Items in an Arrow table, as stac-geoparquet lays them out: an item in each row.

The properties are columns beside `id` and `assets`; geometries are WKB, dates are timestamps, and
`bbox` is a struct (the specification of stac-geoparquet, 1.0). A table has one type for all of its
rows, so it says null where an item says nothing: an asset that only other items have is null, or a
struct of nulls, and a column that no item uses has the type null. Here null means absent.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stacchip.errors import InvalidMetadata, StacchipError
from stacchip.grid.geometry_bytes import read_wkb
from stacchip.items.record import Unreadable
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from stacchip.storage import Limits

# the members of an item's JSON that are columns of the same name; others are properties
_MEMBERS = (
    *("type", "stac_version", "stac_extensions", "id", "collection"),
    *("geometry", "bbox", "links", "assets"),
)
_CORNERS = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
_GEOMETRIES = ("geometry", "proj:geometry")
_POSITION_BYTES = 48  # of WKB: a point of four coordinates, with its own head


def read_rows(
    table: pa.Table, name: str, limits: Limits = DEFAULT_LIMITS
) -> Iterator[dict[str, Any] | Unreadable]:
    """Yield the JSON object of the item in each row, or why a row cannot be read.

    Args:
        table: A table, or a part of one.
        name: What the table is called in errors.
        limits: The most that an item may hold.

    Raises:
        InvalidMetadata: The table lacks the columns of items, or has two of one name.

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
    twice = [each for each, count in Counter(table.schema.names).items() if count > 1]
    if twice:
        raise InvalidMetadata(
            f"{name} has several columns of the name {twice[0]!r}. Keep one of them.",
            field=twice[0],
        )
    # geometries have an extension type if geoarrow is imported, and come as bytes without it
    for batch in table.to_batches():
        stored = [getattr(column, "storage", column) for column in batch.columns]
        rows = batch.from_arrays(stored, names=batch.schema.names).to_struct_array()
        is_small = _is_small(rows, limits)
        for place in range(len(rows)):
            row = rows.slice(place, 1)
            try:
                if not is_small:
                    _require_small(row, limits)
                item: dict[str, Any] | Unreadable = _to_record(row[0].as_py(), limits)
            except Exception as error:  # noqa: BLE001 - pyarrow and shapely raise any for odd values
                item = _unreadable(row[0], name, error)
            yield item


def _unreadable(row: Any, name: str, error: Exception) -> Unreadable:
    try:
        item_id = str(row["id"])[:80]
    except ValueError:  # it is no text
        item_id = "an item without an id"
    if isinstance(error, StacchipError):
        return Unreadable(item_id, error)
    said = InvalidMetadata(
        f"Item {item_id!r} of {name} cannot be read: {type(error).__name__}: {error}. "
        "Mend its row, or write the file again.",
        item_id=item_id,
        field="type",
    )
    said.__cause__ = error
    return Unreadable(item_id, said)


# -- what a row takes as Python objects ------------------------------------------------------------


def _is_small(rows: pa.StructArray, limits: Limits) -> bool:
    """Return True if all rows together are within the limits of one item."""
    return rows.nbytes <= limits.document_bytes and _count(rows) <= limits.item_parts


def _require_small(row: pa.StructArray, limits: Limits) -> None:
    """Refuse a row that would take far more memory as Python objects than as a table.

    Raises:
        LimitExceeded: It is above a limit.
    """
    if row.nbytes > limits.document_bytes:
        raise limits.exceeded("document_bytes", f"An item takes {row.nbytes:,} bytes")
    parts = _count(row)
    if parts > limits.item_parts:
        raise limits.exceeded("item_parts", f"The lists of an item have {parts:,} values")


def _count(array: pa.Array) -> int:
    """Return the number of values in the lists of an array, at any depth."""
    import pyarrow as pa  # slow to import, seldom used

    if isinstance(array, pa.ExtensionArray):
        return _count(array.storage)
    if isinstance(array, pa.StructArray):
        return sum(_count(each) for each in array.flatten())
    if isinstance(array, pa.MapArray):  # it cannot be flattened
        first, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return int(end - first) + _count(array.items.slice(first, end - first))
    if not hasattr(array, "flatten"):
        return 0
    values = array.flatten()
    return len(values) + _count(values)


def _to_record(row: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Return the item of a row as its JSON object."""
    for key in _GEOMETRIES:
        size = len(row[key]) if isinstance(row.get(key), bytes) else 0
        if size > _POSITION_BYTES * limits.item_parts:
            raise limits.exceeded("item_parts", f"The {key} of an item has {size:,} bytes")
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
        return _to_lists(read_wkb([value])[0].__geo_interface__)
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
