"""`_contents.parquet`: which rows of an index are of which item, and what is known of them.

It has a row for each run of rows of one item and chip size: where they are, their bounds and time,
and their shares of cloud and nodata summed up. From it, items, places and times are found without a
look at the chips: sorted by region and time, an item of an index of 10^8 chips could be in a
quarter of its row groups, as far as their statistics tell.

It is written with the chips, and says of which files it is. Whatever else wrote these files later,
it is not believed of other rows. An index without it is read by its statistics.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import AccessDenied, ObjectNotFound, StacchipError
from stacchip.grid.footprints import BBOX
from stacchip.index.files.manifest import final_href
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.parts import find_part, part_name
from stacchip.index.schema import SCHEMA, SHARE_COLUMNS
from stacchip.index.table_rows import encode_texts, take_rows
from stacchip.parquet.sealed_writer import SealedWriter
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import child_href, parent_href

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.files.row_ranges import RowRanges
    from stacchip.storage import Storage

__all__ = [
    "CONTENTS",
    "CONTENTS_SCHEMA",
    "PLACES",
    "Contents",
    "FolderContents",
    "KnownRuns",
    "RunCounter",
    "count_on",
    "count_tenths",
    "join_contents",
    "read_contents",
    "write_contents",
]

CONTENTS: Final = "_contents.parquet"
PLACES: Final = ("file", "first", "rows")
"""The columns that say where a run is, the first of `CONTENTS_SCHEMA`."""
_FILES: Final = b"stacchip:files"  # metadata: the digest of each file, by name
_SHARES: Final = ("cloud", "nodata")
_TENTHS: Final = 10
_EDGES: Final = np.linspace(0, 1, _TENTHS + 1, dtype=np.float32)
_KEY: Final = ("platform", "item_id", "chip_size", "date", "datetime", "item_href")
# With more runs, such as in rows in random order, the chips themselves are looked up as fast.
_MOST_PARTS: Final = 64
_MANY: Final = 1000
_MOST_SHARE: Final = 1 / 8

CONTENTS_SCHEMA: Final = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field("first", pa.int64()),
        pa.field("rows", pa.int64()),
        *(SCHEMA.field(name) for name in _KEY),
        pa.field("bbox", BBOX),
        *(
            pa.field(f"{share}_{name}", kind)
            for share in _SHARES
            for name, kind in (
                ("min", pa.float32()),
                ("mean", pa.float64()),
                ("max", pa.float32()),
                ("unmeasured", pa.int64()),
                ("tenths", pa.list_(pa.int64(), _TENTHS)),
            )
        ),
    ]
)
"""The columns of `_contents.parquet`.

`file` is the name of a file with chips, and `first` the first of the run's `rows` there. `bbox`
holds the bounds of its chips: the smallest and the largest of each side. Of cloud and nodata there
are the smallest share, the mean and the largest, the number of chips without one, and the numbers
of chips by tenths from 0 to 1.
"""


def count_tenths(values: NDArray[np.floating], run: NDArray[np.int64], runs: int) -> NDArray[Any]:
    """Return how many shares are in each tenth from 0 to 1, (run, tenth); those of 1 in the last.

    Args:
        values: Shares; those outside of 0..1 are not counted.
        run: The run of each.
        runs: The number of runs.

    Example:
        >>> count_tenths(np.array([0.05, 1.0, 0.1], np.float32), np.zeros(3, int), 1).tolist()
        [[1, 1, 0, 0, 0, 0, 0, 0, 0, 1]]
    """
    values = np.asarray(values, np.float32)
    within = (values >= 0) & (values <= 1)
    tenth = np.searchsorted(_EDGES, values[within], side="right") - 1
    places = run[within] * _TENTHS + np.minimum(tenth, _TENTHS - 1)
    return np.bincount(places, minlength=runs * _TENTHS).reshape(runs, _TENTHS)


class RunCounter:
    """Counts the runs of a file's rows while these are written."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        """Count further rows of the file in."""
        if rows.num_rows:
            self._parts.append(_sum_up(rows, self._rows))
            self._rows += rows.num_rows
            if len(self._parts) == _MOST_PARTS:  # thousands of small tables would leave gaps
                self._parts = [pa.concat_tables(self._parts).combine_chunks()]

    def finish(self, name: str) -> pa.Table | None:
        """Return the runs of a file as rows of `CONTENTS_SCHEMA`; None if there are too many.

        Args:
            name: The name of the file.
        """
        runs = sum(part.num_rows for part in self._parts)
        if runs > _MANY and runs > self._rows * _MOST_SHARE:
            return None
        if not self._parts:
            return CONTENTS_SCHEMA.empty_table()
        found = pa.concat_tables(self._parts)
        return found.set_column(0, "file", pa.repeat(name, found.num_rows)).cast(CONTENTS_SCHEMA)


@dataclass(frozen=True)
class KnownRuns:
    """The runs of a file, known before its rows are written.

    Attributes:
        table: Rows of `CONTENTS_SCHEMA`.
    """

    table: pa.Table

    def add(self, rows: pa.Table) -> None:
        """Count nothing."""

    def finish(self, name: str) -> pa.Table | None:
        """Return the runs, as `RunCounter` does."""
        return self.table.set_column(0, "file", pa.repeat(name, self.table.num_rows)).cast(
            CONTENTS_SCHEMA
        )


def _sum_up(rows: pa.Table, before: int) -> pa.Table:
    """Return the runs of rows, the first of which has this number."""
    starts = _starts(rows)
    run = np.zeros(rows.num_rows, np.int64)
    run[starts] = 1
    run = np.cumsum(run) - 1
    columns: dict[str, Any] = {
        "file": pa.nulls(len(starts), pa.string()),
        "first": starts + before,
        "rows": np.diff(np.append(starts, rows.num_rows)),
    }
    for name in _KEY:
        columns[name] = rows[name].take(pa.array(starts))
    columns["bbox"] = _bounds(rows["bbox"], run)
    for share in _SHARES:
        columns |= _shares(rows[SHARE_COLUMNS[share]], run, len(starts), share)
    return pa.table(columns)


def _starts(rows: pa.Table) -> NDArray[np.int64]:
    """Return the first row of each run."""
    is_new = np.zeros(rows.num_rows, bool)
    is_new[0] = True
    for name in _KEY:
        column = rows[name]
        if pa.types.is_string(column.type):
            numbers = encode_texts(column)[0]
        else:
            plain = pa.int32() if column.type.bit_width == 32 else pa.int64()
            numbers = column.cast(plain).fill_null(-1).to_numpy()
        is_new[1:] |= numbers[1:] != numbers[:-1]
    return np.flatnonzero(is_new)


def _bounds(bbox: pa.ChunkedArray, run: NDArray[np.int64]) -> pa.Array:
    """Return the bounds of each run; null if none of its chips has any."""
    ends = {"xmin": "min", "ymin": "min", "xmax": "max", "ymax": "max"}
    sides = {side: pc.struct_field(bbox, side) for side in ends}
    grouped = pa.table({"run": pa.array(run), **sides}).group_by("run", use_threads=False)
    (found,) = grouped.aggregate(list(ends.items())).combine_chunks().to_batches()
    values = [found[f"{side.name}_{ends[side.name]}"].cast(side.type) for side in BBOX]
    absent = pa.array(np.logical_or.reduce([_is_null(each) for each in values]))
    return pa.StructArray.from_arrays(values, fields=list(BBOX), mask=absent)


def _is_null(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)


def _shares(column: pa.ChunkedArray, run: NDArray[np.int64], runs: int, share: str) -> Any:
    """Return what is known of a share in each run."""
    values = column.to_numpy()
    known = ~np.isnan(values)
    counts = np.bincount(run[known], minlength=runs)
    sums = np.bincount(run[known], values[known].astype(np.float64), minlength=runs)
    low, high = np.full(runs, np.inf, np.float32), np.full(runs, -np.inf, np.float32)
    np.minimum.at(low, run[known], values[known])
    np.maximum.at(high, run[known], values[known])
    none = counts == 0
    tenths = count_tenths(values[known], run[known], runs)
    return {
        f"{share}_min": pa.array(low, mask=none),
        f"{share}_mean": pa.array(sums / np.maximum(counts, 1), mask=none),
        f"{share}_max": pa.array(high, mask=none),
        f"{share}_unmeasured": np.bincount(run, minlength=runs) - counts,
        f"{share}_tenths": pa.FixedSizeListArray.from_arrays(pa.array(tenths.ravel()), _TENTHS),
    }


# -- the file --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """The runs of an index folder, and the files that they are of.

    Attributes:
        table: Rows of `CONTENTS_SCHEMA`; of those read, `PLACES` and the columns asked for.
        digests: The digest of each file with chips whose runs are here, by name.
        digest: That of the file that they were read from.
    """

    table: pa.Table
    digests: Mapping[str, str]
    digest: str | None = None

    def of(
        self, name: str, file: ParquetFile, columns: Iterable[str] = CONTENTS_SCHEMA.names
    ) -> pa.Table | None:
        """Return the runs of a file; None if they are not here, or are those of another version.

        Neither are they believed if they do not follow one another from its first row to its last.
        Runs that were removed are left out, and do not count in `first`.

        Args:
            name: The name of the file in its folder.
            file: The file, open.
            columns: The columns wanted beside `PLACES`.
        """
        if self.digests.get(name) != file.content_digest:
            return None
        found = self._rows_of(name).select(_with_places(columns))
        first, rows = (found[each].to_numpy() for each in ("first", "rows"))
        ends = np.append(0, np.cumsum(rows))
        is_whole = ends[-1] == file.footer.rows and (ends[1:] > ends[:-1]).all()
        if not is_whole or not np.array_equal(first, ends[:-1]):
            return None
        return _leave_out(found, file.removed)

    @cached_property
    def _files(self) -> tuple[NDArray[np.int64], list[str | None]]:
        """A number for the file of each run, and the names that the numbers stand for."""
        numbers, names = encode_texts(self.table["file"])
        return numbers, names.to_pylist()

    def _rows_of(self, name: str) -> pa.Table:
        numbers, names = self._files
        rows = np.flatnonzero(numbers == names.index(name)) if name in names else numbers[:0]
        if not len(rows):
            return self.table.slice(0, 0)
        count = int(rows[-1] - rows[0]) + 1
        if count == len(rows):  # one after another, as this library writes them
            return self.table.slice(int(rows[0]), count)
        return take_rows(self.table, rows)


def _leave_out(runs: pa.Table, removed: RowRanges) -> pa.Table | None:
    """Return runs without those that were removed; None if a part of one was."""
    if not removed:
        return runs
    first, rows = (runs[name].to_numpy() for name in ("first", "rows"))
    before = removed.count_before(first)
    left = rows - (removed.count_before(first + rows) - before)
    if ((left != 0) & (left != rows)).any():  # its bounds and shares are not known
        return None
    return count_on(runs, -before).filter(pa.array(left > 0))


def count_on(runs: pa.Table, before: int | NDArray[np.int64]) -> pa.Table:
    """Return runs of a file that are counted on after some rows of other files."""
    place = runs.schema.get_field_index("first")
    first = pa.array(runs["first"].to_numpy() + before, pa.int64())
    return runs.set_column(place, CONTENTS_SCHEMA.field("first"), first)


class FolderContents:
    """The runs of files with chips; a column is read once, when it is asked for.

    Args:
        storage: Reads them.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, Contents | None] = {}

    def of(self, file: str, columns: Sequence[str]) -> Contents | None:
        """Return the runs of a file's folder, or of the part that it is of; None if it has none.

        Args:
            file: Address of a file with chips.
            columns: The columns wanted beside `PLACES`; those read earlier come along.

        Raises:
            IndexFormatError: The file is damaged.
        """
        part = find_part(final_href(file) or file)
        name = CONTENTS if part is None else part_name(CONTENTS, part)
        place = child_href(parent_href(file), name)
        if place not in self._known:
            self._known[place] = read_contents(place, self._storage, columns)
        known = self._known[place]
        if known is not None and not set(columns) <= set(known.table.column_names):
            known = self._known[place] = read_contents(place, self._storage, columns, known)
        return known


def join_contents(parts: Iterable[Contents]) -> Contents:
    """Return the runs of several files together, in the order of their names."""
    several = list(parts)
    digests = {name: each for part in several for name, each in part.digests.items()}
    runs = pa.concat_tables([CONTENTS_SCHEMA.empty_table(), *(part.table for part in several)])
    names = np.array(runs["file"].to_pylist(), str)
    return Contents(take_rows(runs, np.lexsort((runs["first"].to_numpy(), names))), digests)


def write_contents(path: Path, contents: Contents) -> None:
    """Write the runs of an index's files, in the order given."""
    files = json.dumps(dict(sorted(contents.digests.items())))
    schema = CONTENTS_SCHEMA.with_metadata({_FILES: files.encode()})
    texts = ["file", "platform", "item_id", "item_href"]
    with SealedWriter(path, schema, compression="zstd", use_dictionary=texts) as writer:
        writer.write_table(contents.table.replace_schema_metadata(schema.metadata), 1 << 18)


def read_contents(
    href: str,
    storage: Storage,
    columns: Iterable[str] = CONTENTS_SCHEMA.names,
    known: Contents | None = None,
) -> Contents | None:
    """Read the runs of a folder or part; None if there are none that this version understands.

    Args:
        href: Address of the file.
        storage: How to reach it.
        columns: The columns wanted beside `PLACES`. The tenths take longer to read than all others.
        known: What was read of it earlier, whose columns come along. If the file is another by now,
            they are read again.

    Raises:
        IndexFormatError: The file is damaged.
    """
    try:
        file = open_parquet(href, storage)
    except (ObjectNotFound, AccessDenied):  # some stores deny what is not there
        return None
    if not set(CONTENTS_SCHEMA.names) <= set(file.schema.names):
        return None
    wanted = _with_places([*columns, *(known.table.column_names if known else ())])
    there = known.table if known and known.digest == file.digest else pa.table({})
    further = [name for name in wanted if name not in there.column_names]
    try:
        digests = json.loads((file.schema.metadata or {}).get(_FILES, b"null"))
        read = file.read(further).cast(pa.schema([CONTENTS_SCHEMA.field(each) for each in further]))
    except StacchipError:
        raise
    except (*ODD_VALUES, pa.ArrowException):
        return None
    parts = {name: (read if name in further else there)[name] for name in wanted}
    table = pa.table(parts, pa.schema([CONTENTS_SCHEMA.field(name) for name in wanted]))
    return Contents(table, digests, file.digest) if isinstance(digests, dict) else None


def _with_places(columns: Iterable[str]) -> list[str]:
    """Return names of columns and `PLACES`, in the order of the schema."""
    wanted = {*PLACES, *columns}
    return [name for name in CONTENTS_SCHEMA.names if name in wanted]
