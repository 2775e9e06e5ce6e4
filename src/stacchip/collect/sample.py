"""The rows of a run: places of a sample layer, or lines of a list.

A row is one job of an AWS Batch array (`AWS_BATCH_JOB_ARRAY_INDEX`) or one task of a Dask run.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError

import shapely

from stacchip.errors import UsageError
from stacchip.runtime.presence import is_folder, is_there
from stacchip.storage import redact, redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stacchip.storage import Storage

# the drivers of GDAL that read other files or run commands know their texts by these words
_POINTER: Final = re.compile(rb"<OGR\w+DataSource|<GDAL|gdal_streamed_alg", re.IGNORECASE)
_LOOKED_AT: Final = 64 << 10
_MOST_MEMBERS: Final = 1000

TILE_COLUMNS = ("grid:code", "grid_code", "mgrs", "mgrs_tile", "tile", "name")
"""Columns of a layer that may name a row's tile; the case of their names does not matter."""


def row_title(number: int, name: str) -> str:
    """Return a row's number and name, as reports and logs show them.

    Example:
        >>> row_title(7, "29RKH"), row_title(8, "row 8")
        ('row 7 (29RKH)', 'row 8')
    """
    numbered = f"row {number}"
    return numbered if name == numbered else f"{numbered} ({name})"


@dataclass(frozen=True)
class Row:
    """One unit of work.

    Attributes:
        number: Its position in its layer or list, from 0.
        name: Its name in reports: a tile, a prefix, or `row 7`.
        geometry: Its place in longitude and latitude (OGC:CRS84); `None` for a line of a list.
        attributes: The layer's other columns.
    """

    number: int
    name: str
    geometry: shapely.Geometry | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The row's number and name, as reports and logs show them."""
        return row_title(self.number, self.name)

    def require_geometry(self) -> shapely.Geometry:
        """Return the row's geometry.

        Raises:
            UsageError: The row has no geometry, or an empty one.
        """
        if self.geometry is None or shapely.is_empty(self.geometry):
            raise UsageError(f"Row {self.number} ({self.name}) has no geometry to search by.")
        return self.geometry

    def require(self, *columns: str) -> str:
        """Return the first text in these columns; the case of column names does not matter.

        Raises:
            UsageError: The row has text in none of them.
        """
        value = _first_text(self.attributes, columns)
        if value is not None:
            return value
        raise UsageError(
            f"Row {self.number} has none of the columns {', '.join(columns)}; "
            f"it has: {', '.join(self.attributes) or 'none'}."
        )


def _first_text(attributes: Mapping[str, Any], columns: Sequence[str]) -> str | None:
    """Return the first text in these columns, or None."""
    lower = {key.lower(): value for key, value in attributes.items()}
    values = (lower.get(column.lower()) for column in columns)
    return next((value for value in values if isinstance(value, str) and value), None)


def read_layer(path: str) -> list[Row]:
    """Read the rows of a vector layer that geopandas opens (FlatGeobuf, GeoPackage, ...).

    Geometries are transformed to longitude and latitude. A row is named after its tile if the
    layer names tiles.

    Raises:
        UsageError: The file is not a layer, has no CRS, or geopandas is not installed.
    """
    frame = _open_layer(path)
    shown = redact(path)
    if not hasattr(frame, "geometry"):
        raise UsageError(f"{shown} is a table without geometries, not a layer of places.")
    if frame.crs is None:
        raise UsageError(f"The layer {shown} has no CRS: its place on Earth is unknown.")
    frame = frame.to_crs("OGC:CRS84").reset_index(drop=True)
    columns = [name for name in frame.columns if name != frame.geometry.name]
    records = frame[columns].to_dict("records")
    return [
        Row(number, _name_of(record) or f"row {number}", geometry, record)
        for number, (geometry, record) in enumerate(zip(frame.geometry, records, strict=True))
    ]


def _name_of(record: Mapping[str, Any]) -> str:
    """Return the name of a row as one line: a plan has a line for each file."""
    return " ".join((_first_text(record, TILE_COLUMNS) or "").split())


def _open_layer(path: str) -> Any:
    try:
        import geopandas  # an extra: only sample layers need it
    except ImportError as error:
        raise UsageError(
            "Sample layers need geopandas: pip install 'stacchip[processors]'."
        ) from error
    _refuse_pointers(path)
    is_parquet = path.partition("?")[0].endswith((".parquet", ".geoparquet"))
    try:
        return (geopandas.read_parquet if is_parquet else geopandas.read_file)(path)
    except Exception as error:  # noqa: BLE001 - every format's driver has its own errors
        reason = redact_text(" ".join(str(error).split()))
        if isinstance(error, HTTPError):
            error.close()  # it holds a connection
    # not chained, since the driver's error may have a signature in its text
    raise UsageError(
        f"{redact(path)} cannot be read as a layer of places: {reason}. Name one "
        "with --sample (STACCHIP_MGRS_SOURCE or STACCHIP_SAMPLE_SOURCE)."
    )


def _refuse_pointers(path: str) -> None:
    """Refuse a local file that is no layer, but names one elsewhere, or commands for GDAL."""
    file = Path(path)
    if not is_there(file) or is_folder(file):
        return  # an address, or the folder of a shapefile or a geodatabase
    if not file.is_file():
        raise UsageError(f"{path} is not a regular file, and no layer of places.")
    starts: list[bytes] = []
    try:
        with file.open("rb") as stream:
            starts.append(stream.read(_LOOKED_AT))
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist()[:_MOST_MEMBERS]:
                    with archive.open(name) as member:
                        starts.append(member.read(_LOOKED_AT))
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        pass  # whoever reads the layer says why it cannot be read
    if any(_POINTER.search(start) for start in starts):
        raise UsageError(
            f"{path} is no layer of places, but a text that names layers elsewhere, which are not "
            "read. Write the layer itself to a file: ogr2ogr layer.fgb ..."
        )


def parse_lines(text: str) -> list[str]:
    r"""Return the lines of a list without blank ones and without comments (from `#` on).

    Example:
        >>> parse_lines("# tiles\nh18v04\n\n h19v04  # Italy\n")
        ['h18v04', 'h19v04']
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_list(path: str | None, *, default: str, storage: Storage | None = None) -> list[Row]:
    """Return the rows of a text file, one a line.

    Args:
        path: The file; None for the list that comes with the source.
        default: That list: a file in `stacchip/collect/data`, or `package:file` for one that
            another package brings along.
        storage: Reads `path`.

    Raises:
        UsageError: The file is not text.

    Example:
        >>> read_list(None, default="modis_tiles.txt")[0].name
        'h16v00'
    """
    if path is None:
        package, _, name = default.rpartition(":")
        folder = resources.files(package) if package else resources.files(__package__) / "data"
        text = (folder / name).read_text(encoding="utf-8")
    elif storage is None:
        raise UsageError(f"Reading {redact(path)} needs a storage: pass storage=.")
    else:
        text = _read_text(path, storage)
    return [Row(number, line) for number, line in enumerate(parse_lines(text))]


def _read_text(path: str, storage: Storage) -> str:
    data = bytes(storage.read(path, limit="document_bytes"))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{redact(path)} is not a text file with a name on each line: it begins with "
            f"{data[:16]!r}. "
            "This source has its own list. To use yours, name a text file with --sample; if "
            "STACCHIP_MGRS_SOURCE or STACCHIP_SAMPLE_SOURCE is meant for another source, unset it."
        ) from error


def select_rows(rows: Sequence[Row], wanted: str | None) -> list[Row]:
    """Return some rows, in their order, each once.

    Args:
        rows: The rows.
        wanted: The number of a row, a range `A:B` (B excluded; either may be left out), or several
            of these between commas; None for all rows.

    Raises:
        UsageError: `wanted` is none of these, or names rows that do not exist.

    Example:
        >>> rows = [Row(n, "") for n in range(9)]
        >>> [row.number for row in select_rows(rows, "1:3")]
        [1, 2]
        >>> [row.number for row in select_rows(rows, "7,1,4:6")]
        [1, 4, 5, 7]
    """
    if wanted is None:
        return list(rows)
    if not wanted.strip():
        raise UsageError("Rows are numbers and ranges A:B, such as 3,7,12:15; the value is empty.")
    numbers: set[int] = set()
    for part in wanted.split(","):
        numbers.update(_parse_range(part.strip(), len(rows), wanted))
    return [rows[number] for number in sorted(numbers)]


def _parse_range(part: str, count: int, wanted: str) -> range:
    first, colon, last = part.partition(":")
    try:
        start = int(first) if first or not colon else 0
        stop = (int(last) if last else count) if colon else start + 1
    except ValueError as error:
        raise UsageError(
            f"Rows are numbers and ranges A:B, such as 3,7,12:15, not {wanted!r}."
        ) from error
    if not 0 <= start < stop <= count:
        raise UsageError(f"There are rows 0 to {count - 1}; {part!r} is not among them.")
    return range(start, stop)


def join_rows(numbers: Iterable[int]) -> str:
    """Return rows as `select_rows` takes them.

    Example:
        >>> join_rows([7, 3, 12, 13, 14, 20, 21])
        '3,7,12:15,20,21'
    """
    parts: list[range] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1].stop == number:
            parts[-1] = range(parts[-1].start, number + 1)
        else:
            parts.append(range(number, number + 1))
    texts = (
        [f"{part.start}:{part.stop}"] if len(part) > 2 else [str(number) for number in part]
        for part in parts
    )
    return ",".join(text for several in texts for text in several)


def parse_rows_file(text: str) -> str:
    r"""Return the rows in a file, which may be on several lines, as `select_rows` takes them.

    Example:
        >>> parse_rows_file("3,7 # the north\n12:15\n")
        '3,7,12:15'
    """
    return ",".join(parse_lines(text))
