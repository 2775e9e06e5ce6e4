"""Footprints in any encoding and CRS, read to what an index stores: WKB in OGC:CRS84, and bounds.

Other tools write a geometry in four forms: WKB, WKT, and the nested lists of GeoArrow's `polygon`
and `multipolygon` (GeoParquet 1.1.0, "Encoding"). Its CRS is named in the field's GeoArrow metadata
("Extension metadata", 0.2) or in the file's `geo` metadata, where none means OGC:CRS84.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from stacchip.errors import IndexFormatError, UsageError
from stacchip.grid.crs import lonlat_transformer, same_crs, why_not_on_earth
from stacchip.grid.footprints import BBOX
from stacchip.grid.geometry_bytes import read_wkb, read_wkt
from stacchip.grid.rounded_bounds import round_outwards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Shapes = NDArray[np.object_]

__all__ = [
    "LONGEST_VALUE",
    "bounds_of",
    "declares_bounds",
    "find_geometry",
    "in_parts",
    "is_plain",
    "read_geometry",
    "read_shapes",
    "without_extension",
]

_EXTENSION: Final = b"ARROW:extension:name"
_METADATA: Final = b"ARROW:extension:metadata"
_CRS84: Final = "OGC:CRS84"
_AT_ONCE: Final = 8 << 20  # bytes of footprints; as shapes, points take ten times as much
_TEXT_BYTES: Final = 4  # of WKT for a byte of WKB, at most
LONGEST_VALUE: Final = 1 << 16
"""The most bytes of a footprint, or of a text of an index: a polygon of 4,000 corners."""


def find_geometry(schema: pa.Schema) -> str | None:
    """Return the name of the column with footprints, or None if there is none.

    It is `geometry`, else the primary column of the `geo` metadata, else the one column of a
    GeoArrow type: a GeoDataFrame may call its geometry anything.
    """
    if "geometry" in schema.names:
        return "geometry"
    primary = _geo(schema).get("primary_column")
    if primary in schema.names:
        return str(primary)
    typed = [field.name for field in schema if _extension(field)[0] is not None]
    return typed[0] if len(typed) == 1 else None


def is_plain(schema: pa.Schema, name: str) -> bool:
    """Return True if a geometry column is WKB in OGC:CRS84 as it stands.

    Raises:
        IndexFormatError: Its CRS is unknown.
    """
    field = schema.field(name)
    kind = field.type.storage_type if _has_extension(field) else field.type
    return _is_binary(kind) and _foreign_crs(schema, field) is None


def declares_bounds(schema: pa.Schema, name: str) -> bool:
    """Return True if the `geo` metadata say that `bbox` has the bounds of a geometry column.

    (GeoParquet 1.1.0, "covering".)

    Example:
        >>> sides = ("xmin", "ymin", "xmax", "ymax")
        >>> geo = {"covering": {"bbox": {side: ["bbox", side] for side in sides}}}
        >>> text = json.dumps({"columns": {"geometry": geo}})
        >>> declares_bounds(pa.schema([], {"geo": text}), "geometry")
        True
        >>> declares_bounds(pa.schema([]), "geometry")
        False
    """
    described = _object(_object(_geo(schema).get("columns")).get(name))
    covering = _object(described.get("covering"))
    return covering.get("bbox") == {side.name: ["bbox", side.name] for side in BBOX}


def read_geometry(table: pa.Table, name: str, *, pieces: int = 1) -> tuple[pa.ChunkedArray, bool]:
    """Return a geometry column as WKB in OGC:CRS84.

    Args:
        table: The table.
        name: The column.
        pieces: Cut each side of a square into so many straight pieces before it is converted from
            another CRS, where sides are curved. Squares of one grid still share their points.

    Returns:
        The column, and True if its coordinates were converted from another CRS: what else the
        table says of the place, such as `bbox`, may then be in that CRS too.

    Raises:
        IndexFormatError: The column holds no geometry, or its CRS is unknown.
    """
    column = without_extension(table[name])
    if is_plain(table.schema, name):
        return column.cast(pa.binary()), False
    crs = _foreign_crs(table.schema, table.schema.field(name))
    chunks = []
    for part in in_parts(column):
        shapes = read_shapes(part, name)
        if crs is not None:
            project = lonlat_transformer(crs)
            shapes = _cut_sides(shapes, pieces) if pieces > 1 else shapes
            shapes = shapely.transform(shapes, project.transform, interleaved=False)
        wkb = shapely.to_wkb(shapes, byte_order=1, output_dimension=2)
        chunks.append(pa.array(wkb, pa.binary()))
    return pa.chunked_array(chunks, pa.binary()), crs is not None


def _cut_sides(shapes: Shapes, pieces: int) -> Shapes:
    longest = shapely.length(shapes) / (4 * pieces)
    has_sides = longest > 0
    cut = shapes.copy()
    cut[has_sides] = shapely.segmentize(shapes[has_sides], longest[has_sides])
    return cut


def bounds_of(wkb: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the bounds of footprints as the column `bbox`, rounded as an index stores them.

    They are null where there is no footprint.

    Example:
        >>> bounds_of(pa.chunked_array([[shapely.box(1, 2, 3, 4).wkb, None]])).to_pylist()
        [{'xmin': 1.0, 'ymin': 2.0, 'xmax': 3.0, 'ymax': 4.0}, None]
    """
    parts = [shapely.bounds(read_shapes(part, "geometry")) for part in in_parts(wkb)]
    bounds = np.concatenate(parts).reshape(-1, 4)
    absent = ~np.isfinite(bounds).all(axis=1)
    sides = [pa.array(side) for side in np.ascontiguousarray(bounds.T)]
    array = pa.StructArray.from_arrays(sides, fields=list(BBOX), mask=pa.array(absent))
    return round_outwards(pa.chunked_array([array]), BBOX)


def without_extension(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column without an extension type, which `geometry` has if geoarrow is imported."""
    if _has_extension(column):
        chunks = [chunk.storage for chunk in column.chunks]
        return pa.chunked_array(chunks, type=column.type.storage_type)
    return column


# -- the CRS ---------------------------------------------------------------------------------------


def _foreign_crs(schema: pa.Schema, field: pa.Field) -> str | None:
    """Return the CRS of a geometry column, or None if it is OGC:CRS84 or not named."""
    named = _extension(field)[1].get("crs")
    if named is None:
        columns = _object(_geo(schema).get("columns"))
        named = _object(columns.get(field.name)).get("crs")
    if named is None:
        return None
    text = named if isinstance(named, str) else json.dumps(named)
    try:
        why = why_not_on_earth(text)
    except UsageError as error:
        why = f"PROJ cannot read: {error}"
    if why is not None:
        raise IndexFormatError(
            f"Column '{field.name}' is in a CRS that {why}. Write its footprints in OGC:CRS84.",
            column=field.name,
        )
    return None if same_crs(text, _CRS84) else text


def _extension(field: pa.Field) -> tuple[str | None, dict[str, Any]]:
    """Return the name and the metadata of a field's GeoArrow type; None if it has none."""
    if _has_extension(field):
        kind: Any = field.type
        name, text = str(kind.extension_name), _serialized(kind)
    else:
        metadata = field.metadata or {}
        name, text = (
            metadata.get(_EXTENSION, b"").decode(errors="replace"),
            metadata.get(_METADATA, b""),
        )
    if not name.startswith(("geoarrow.", "ogc.")):
        return None, {}
    return name, _parse(text)


def _has_extension(column: pa.ChunkedArray | pa.Field) -> bool:
    return isinstance(column.type, pa.BaseExtensionType)


def _serialized(kind: Any) -> bytes:
    serialize = getattr(kind, "__arrow_ext_serialize__", None)  # Python's types only
    return bytes(serialize()) if serialize is not None else b""


def _geo(schema: pa.Schema) -> dict[str, Any]:
    return _parse((schema.metadata or {}).get(b"geo", b""))


def _parse(text: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        parsed = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return _object(parsed)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# -- the encoding ----------------------------------------------------------------------------------


def in_parts(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """Yield a column of geometries in parts that take little memory as shapes; one at least.

    Example:
        >>> column = pa.chunked_array([[b"x" * 30_000] * 1000])
        >>> [len(part) for part in in_parts(column)]
        [279, 280, 279, 162]
    """
    if column.nbytes <= _AT_ONCE or not (_is_binary(column.type) or _is_text(column.type)):
        yield column
        return
    part = np.cumsum(_lengths(column), dtype=np.int64) // _AT_ONCE
    starts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(column)]
    for start, stop in itertools.pairwise(starts):
        yield column.slice(start, stop - start)


def read_shapes(column: pa.ChunkedArray, name: str) -> Shapes:
    """Return geometries in any encoding as shapely's, with None for null.

    Raises:
        IndexFormatError: The column holds something else, or a geometry of `LONGEST_VALUE` or more.
    """
    if _is_binary(column.type):
        _require_short(column, name, LONGEST_VALUE)
    elif _is_text(column.type):
        _require_short(column, name, _TEXT_BYTES * LONGEST_VALUE)
    try:
        if _is_binary(column.type):
            return read_wkb(_objects(column))
        if _is_text(column.type):
            return read_wkt(_objects(column))
        kind = _ragged_kind(column.type)
        if kind is not None:
            present = column.drop_null().combine_chunks()
            shapes = np.full(len(column), None, object)
            shapes[column.is_valid().to_numpy()] = _from_lists(present, kind)
            return shapes
    # numpy's and shapely's, for lists of odd lengths
    except (shapely.errors.ShapelyError, pa.ArrowException, TypeError, ValueError, IndexError,
            OverflowError, NotImplementedError) as error:  # fmt: skip
        raise _no_geometry(name, str(error)) from error
    raise _no_geometry(name, f"its type is {column.type}")


def _no_geometry(name: str, problem: str) -> IndexFormatError:
    return IndexFormatError(
        f"Not a chip index: column '{name}' holds no footprints: {problem}. Write polygons, as "
        "WKB, WKT, or GeoArrow's polygons.",
        column=name,
    )


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or kind in (pa.large_binary(), pa.binary_view())


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or kind in (pa.large_string(), pa.string_view())


def _require_short(column: pa.ChunkedArray, name: str, most: int) -> None:
    longest = _lengths(column).max(initial=0)
    if longest > most:
        raise _no_geometry(name, f"one takes {longest:,} bytes, of {most:,} at most")


def _lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the bytes of each value of a column of texts or binary, 0 for null."""
    kind = {pa.binary_view(): pa.large_binary(), pa.string_view(): pa.large_string()}
    lengths = pc.binary_length(column.cast(kind.get(column.type, column.type)))
    return np.asarray(lengths.fill_null(0).to_numpy(), np.int64)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), object)


def _ragged_kind(kind: pa.DataType) -> shapely.GeometryType | None:
    """Return the geometry that nested lists of points hold: by depth, a polygon or several."""
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind, depth = kind.value_type, depth + 1
    is_point = pa.types.is_fixed_size_list(kind) or (
        pa.types.is_struct(kind) and {"x", "y"} <= {field.name for field in kind}
    )
    kinds = {2: shapely.GeometryType.POLYGON, 3: shapely.GeometryType.MULTIPOLYGON}
    return kinds.get(depth) if is_point else None


def _from_lists(lists: pa.Array, kind: shapely.GeometryType) -> Shapes:
    """Return the polygons of GeoArrow's nested lists, none of which is null."""
    offsets = []
    while pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type):
        starts = lists.offsets.to_numpy()
        offsets.append(starts - starts[0])
        lists = lists.flatten()
    if pa.types.is_struct(lists.type):
        points = np.stack([lists.field(axis).to_numpy() for axis in "xy"], axis=1)
    else:
        values = lists.flatten().to_numpy()
        points = values.reshape(len(lists), lists.type.list_size)[:, :2]
    made = shapely.from_ragged_array(kind, points.astype(np.float64), tuple(reversed(offsets)))
    return np.asarray(made)
