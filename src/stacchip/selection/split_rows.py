"""The rows of anything with footprints and a split column, a part at a time, as often as needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import shapely

from stacchip.errors import IndexFormatError, UsageError
from stacchip.grid.footprints import BBOX
from stacchip.grid.rounded_bounds import round_outwards
from stacchip.index.centres import find_known_centres
from stacchip.index.files.layout import index_href, is_file
from stacchip.index.files.parquet import ROW
from stacchip.index.foreign.geometry import (
    bounds_of,
    declares_bounds,
    find_geometry,
    in_parts,
    is_plain,
    read_geometry,
    read_shapes,
)
from stacchip.index.foreign.tables import as_table, is_table
from stacchip.index.read import open_files
from stacchip.index.schema import OPTIONAL_COLUMNS, SCHEMA
from stacchip.runtime.near_names import list_names
from stacchip.selection.ellipsoid import on_one_globe
from stacchip.selection.quads import find_plain_bounds
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.index.files.chips_file import ChipsFile

    Floats = NDArray[np.float64]
    Shapes = NDArray[np.object_]

__all__ = ["Bounds", "RowPart", "SplitRows"]

_TABLE_ROWS: Final = 1 << 16
_SIDES: Final = tuple(side.name for side in BBOX)
_OF_AN_INDEX: Final = {*SCHEMA.names} - {*OPTIONAL_COLUMNS, "geometry"}
# Straight pieces of an edge in another CRS, whose edges are curved in degrees. Neighbours of one
# grid get the same points.
_PIECES: Final = 8


@dataclass(frozen=True)
class Bounds:
    """Bounds of rows: one for most, and several for a row that crosses the antimeridian.

    Attributes:
        rows: The place of each one's row in its part, in rising order.
        sides: West, south, east, north in degrees, (bounds, 4).
    """

    rows: NDArray[np.int64]
    sides: Floats


@dataclass(frozen=True)
class RowPart:
    """Some rows.

    Attributes:
        numbers: Their numbers among all rows.
        table: Their columns: those asked for, and what tells their bounds.
        footprints: Reads the footprints of some rows, by their places here, as WKB in OGC:CRS84.
    """

    numbers: NDArray[np.int64]
    table: pa.Table
    footprints: Callable[[NDArray[np.int64]], pa.ChunkedArray]

    def bounds(self) -> Bounds:
        """Return the bounds of the rows that have a footprint."""
        sides = _sides_of(self.table["bbox"])
        west, _, east, _ = sides.T
        known = np.isfinite(sides).all(axis=1)
        is_plain = (
            known & (east >= west) & (east - west < 180) & (np.abs(sides[:, ::2]) <= 180).all(1)
        )
        rows = np.flatnonzero(is_plain)
        wide = np.flatnonzero(known & ~is_plain)
        if not len(wide):
            return Bounds(rows, sides[rows])
        shapes = self.shapes(wide)
        parts, owner = shapely.get_parts(shapes, return_index=True)
        order = np.argsort(np.concatenate([rows, wide[owner]]), kind="stable")
        both = np.concatenate([sides[rows], shapely.bounds(parts)])
        return Bounds(np.concatenate([rows, wide[owner]])[order], both[order])

    def shapes(self, rows: NDArray[np.int64]) -> Shapes:
        """Return the footprints of some rows, with longitudes in -180..180; None if there is none.

        Raises:
            IndexFormatError: A footprint cannot be read.
        """
        return shapes_of(self.footprints(rows))

    def centers(self) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes of the middles of rows; NaN where there is none."""
        sides = _sides_of(self.table["bbox"])
        width = sides[:, 2] - sides[:, 0]
        wide = np.flatnonzero((width >= 180) | (width < 0))
        lon, lat = (sides[:, 0] + sides[:, 2]) / 2, (sides[:, 1] + sides[:, 3]) / 2
        if len(wide):
            wkb = self.footprints(wide)
            places = pa.table({"bbox": bounds_of(wkb), "geometry": wkb})
            lon[wide], lat[wide] = find_known_centres(places)
        return np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon), lat


def shapes_of(wkb: pa.ChunkedArray) -> Shapes:
    """Return footprints with longitudes in -180..180, cut at the antimeridian; None for null.

    Raises:
        IndexFormatError: A footprint cannot be read.
    """
    parts = [read_shapes(part, "geometry") for part in in_parts(wkb)]
    return on_one_globe(np.concatenate(parts))


def _sides_of(bbox: pa.ChunkedArray) -> Floats:
    """Return bounds as (row, 4); NaN where a row has none."""
    parts = [np.empty((0, 4))]
    for chunk in bbox.chunks:
        sides = [np.asarray(chunk.field(name), np.float64) for name in _SIDES]
        absent = chunk.is_null().to_numpy(zero_copy_only=False)
        parts.append(np.where(absent[:, None], np.nan, np.stack(sides, axis=1)))
    return np.concatenate(parts)


class SplitRows:
    """The rows of an index, a GeoParquet file or folder, or a table.

    Args:
        given: A path, or a table of any library.
        storage: How to reach the path.

    Raises:
        UsageError: It is neither.
    """

    def __init__(self, given: Any, storage: Storage | None = None) -> None:
        self._storage = storage or Storage()
        self._table = as_table(given) if is_table(given) else None
        self._path: str | os.PathLike[str] = "" if self._table is not None else given
        if self._table is None and not isinstance(given, str) and not hasattr(given, "__fspath__"):
            raise UsageError(
                f"check_leakage takes a path or a table, not a {type(given).__name__}."
            )

    @property
    def href(self) -> str | None:
        """The address of the rows; None for a table."""
        return None if self._table is not None else index_href(self._path)

    @property
    def folder(self) -> str | None:
        """The address, if it is a folder, which may have records of items."""
        href = self.href
        return None if href is None or is_file(href) else href

    @property
    def storage(self) -> Storage:
        """How to reach the rows."""
        return self._storage

    @property
    def name(self) -> str:
        """The rows as an error names them."""
        return "The table" if self.href is None else redact(self.href)

    def scan(self, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[RowPart]:
        """Yield all rows, with their bounds.

        Args:
            columns: Names of columns that they must have.
            optional: Names of columns that come where the rows have them.

        Raises:
            UsageError: There is no column of a name.
            IndexFormatError: There are no footprints, or they cannot be read.
            ObjectNotFound: Nothing is there.
        """
        if self._table is not None:
            yield from self._scan_table(self._table, columns, optional)
            return
        before = 0
        for chips in open_files(index_href(self._path), self._storage):
            for part in self._scan_file(chips, columns, optional):
                yield RowPart(part.numbers + before, part.table, part.footprints)
            before += chips.rows

    def values_at(self, rows: Sequence[int], column: str) -> list[Any] | None:
        """Return values of a column by the numbers of rows; None if there is no such column."""
        wanted = np.asarray(rows, np.int64)
        if self._table is not None:
            there = column in self._table.column_names
            return self._table[column].take(wanted).to_pylist() if there else None
        found: dict[int, Any] = {}
        before = 0
        for chips in open_files(index_href(self._path), self._storage):
            here = wanted[(before <= wanted) & (wanted < before + chips.rows)]
            if len(here) and column not in chips.file.schema.names:
                return None
            if len(here):
                values = chips.file.take(here - before, [column])[column].to_pylist()
                found.update(zip(here.tolist(), values, strict=True))
            before += chips.rows
        return [found[row] for row in wanted.tolist()]

    def _require(self, names: Sequence[str], columns: Sequence[str]) -> None:
        for column in columns:
            if column not in names:
                raise UsageError(
                    f"{self.name} has no column {column!r}; it has: "
                    f"{list_names(names, near=[column])}."
                )

    def _scan_table(
        self, table: pa.Table, columns: Sequence[str], optional: Sequence[str]
    ) -> Iterator[RowPart]:
        self._require(table.column_names, columns)
        geometry = self._geometry_of(table.schema)
        has_bounds = _has_bounds(table.schema, geometry)
        names = list(
            dict.fromkeys([*columns, *(each for each in optional if each in table.column_names)])
        )
        for start in range(0, table.num_rows, _TABLE_ROWS):
            rows = table.slice(start, _TABLE_ROWS)

            def footprints(places: NDArray[np.int64], rows: pa.Table = rows) -> pa.ChunkedArray:
                return _plain_footprints(rows.select([geometry]).take(places), geometry)

            shown = _with_bounds(rows, names, geometry, footprints, has_bounds=has_bounds)
            yield RowPart(start + np.arange(rows.num_rows), shown, footprints)

    def _scan_file(
        self, chips: ChipsFile, columns: Sequence[str], optional: Sequence[str]
    ) -> Iterator[RowPart]:
        schema = chips.file.schema
        self._require(schema.names, columns)
        made = chips.lacks_footprints and "bbox" in schema.names and "item_id" in schema.names
        geometry = None if made else self._geometry_of(schema)
        names = list(
            dict.fromkeys([*columns, *(each for each in optional if each in schema.names)])
        )
        has_bounds = _has_bounds(schema, geometry)
        first = [*names, "bbox" if has_bounds or geometry is None else geometry]
        for rows in chips.file.scan(list(dict.fromkeys(first)), numbered=True):
            numbers = rows[ROW].to_numpy()

            def footprints(
                places: NDArray[np.int64], numbers: NDArray[np.int64] = numbers
            ) -> pa.ChunkedArray:
                if geometry is None:
                    return chips.take(numbers[places], ["geometry"])["geometry"]
                return _plain_footprints(chips.file.take(numbers[places], [geometry]), geometry)

            shown = _with_bounds(rows, names, geometry, footprints, has_bounds=has_bounds)
            yield RowPart(numbers, shown, footprints)

    def _geometry_of(self, schema: pa.Schema) -> str:
        """Return the column with footprints.

        Raises:
            IndexFormatError: There is none, or its CRS is not one of the Earth.
        """
        name = find_geometry(schema)
        if name is None:
            raise IndexFormatError(
                f"{self.name} has no geometry; it has: {', '.join(schema.names)}. Give footprints "
                "in a column 'geometry', or write GeoParquet."
            )
        is_plain(schema, name)
        return name


def _with_bounds(
    rows: pa.Table,
    names: Sequence[str],
    geometry: str | None,
    footprints: Callable[[NDArray[np.int64]], pa.ChunkedArray],
    *,
    has_bounds: bool,
) -> pa.Table:
    """Return columns and the bounds of rows, from their footprints if need be."""
    if has_bounds:
        bbox = _complete(rows["bbox"], footprints)
    elif geometry is not None:
        bbox = _bounds_of(_plain_footprints(rows, geometry))
    else:
        bbox = _bounds_of(footprints(np.arange(rows.num_rows)))
    shown = rows.select(names)
    if "bbox" in names:
        shown = shown.drop_columns("bbox")
    return shown.append_column("bbox", bbox)


def _complete(
    bbox: pa.ChunkedArray, footprints: Callable[[NDArray[np.int64]], pa.ChunkedArray]
) -> pa.ChunkedArray:
    """Return bounds, with those of their footprints for the rows that have none."""
    sides = _sides_of(bbox)
    lacking = np.flatnonzero(~np.isfinite(sides).all(axis=1))
    if not len(lacking):
        return bbox
    sides[lacking] = _sides_of(_bounds_of(footprints(lacking)))
    columns = [pa.array(side) for side in np.ascontiguousarray(sides.T)]
    return pa.chunked_array([pa.StructArray.from_arrays(columns, fields=list(BBOX))])


def _bounds_of(wkb: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the bounds of footprints that may jump over the antimeridian, as an index has them."""
    sides, known = find_plain_bounds(wkb)
    if len(others := np.flatnonzero(~known)):
        whole = shapely.to_wkb(shapes_of(wkb.take(others)))
        sides[others] = _sides_of(bounds_of(pa.chunked_array([pa.array(whole, pa.binary())])))
    absent = pa.array(np.isnan(sides[:, 0]))
    columns = [pa.array(side) for side in np.ascontiguousarray(sides.T)]
    found = pa.StructArray.from_arrays(columns, fields=list(BBOX), mask=absent)
    return round_outwards(pa.chunked_array([found]), BBOX)


def _has_bounds(schema: pa.Schema, geometry: str | None) -> bool:
    """Return True if a column `bbox` is known to have the bounds of footprints, in degrees.

    Those of an index do, and those that GeoParquet's metadata name. Any other may be of an item,
    in pixels, or older than the footprints.
    """
    if "bbox" not in schema.names or not (geometry is None or is_plain(schema, geometry)):
        return False
    is_of_an_index = {*schema.names} >= _OF_AN_INDEX
    if not is_of_an_index and (geometry is None or not declares_bounds(schema, geometry)):
        return False
    kind = schema.field("bbox").type
    sides = kind if pa.types.is_struct(kind) else ()
    return {*_SIDES} <= {side.name for side in sides if pa.types.is_floating(side.type)}


def _plain_footprints(rows: pa.Table, geometry: str) -> pa.ChunkedArray:
    return read_geometry(rows, geometry, pieces=_PIECES)[0]
