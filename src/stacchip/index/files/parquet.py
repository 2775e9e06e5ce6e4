"""Reading parquet files in parts, local or remote."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from stacchip.errors import IndexFormatError, StacchipError
from stacchip.index.files.damage import naming_damage
from stacchip.index.files.item_addresses import read_addresses
from stacchip.index.schema import OPTIONAL_COLUMNS, SCHEMA
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import local_path, redact
from stacchip.storage.content import LOOKED_AT, describe_content
from stacchip.storage.remote_file import ExactFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from stacchip.storage import Storage

    _MakeFragment = Callable[[pc.Expression | None], ds.ParquetFileFragment]

__all__ = ["ParquetFile", "open_parquet"]

# A round trip costs as much as a megabyte: smaller remote files are fetched whole.
_SMALL_BYTES: Final = 1 << 20
_GROUPS_AHEAD: Final = 8
_FORMAT: Final = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


@dataclass(frozen=True)
class ParquetFile:
    """One version of a parquet file, local or remote; only the parts that are needed are read.

    A local file stays open, so that its pages are read even if another has taken its name. If a
    remote file is replaced, a read of another part raises `AssetChanged`.

    Attributes:
        href: Its address.
        fragment: Its footer, as a fragment of a pyarrow dataset.
        remote: Reads parts of it; None if pyarrow itself can read the file.
        told: Columns that the file lacks, and the one value that its path gives to all its rows.
    """

    href: str
    fragment: ds.ParquetFileFragment
    remote: ExactFile | None = None
    told: Mapping[str, pa.Scalar] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file and those that its path tells, with the file's metadata."""
        schema = self.fragment.physical_schema
        for name, value in self.told.items():
            schema = schema.append(pa.field(name, value.type))
        return schema

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.fragment.metadata.num_rows)

    def read(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Read the rows that satisfy a condition; see `scan`."""
        if self.remote is not None:
            parts = list(self.scan(columns, where))
            return pa.concat_tables(parts) if parts else self._nothing(columns)
        names = self._names(columns)
        with naming_damage(self.href):
            table = self._choose(where).to_table(schema=self._schema, columns=names, filter=where)
            return read_addresses(table, self.href)

    def scan(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows that satisfy a condition, one table for each row group that may have some.

        Optional columns of `SCHEMA` that the file lacks are null. Addresses of items are absolute.

        Args:
            columns: Names of columns; all of the file's by default.
            where: The condition; row groups whose statistics rule it out are not read.
        """
        names = self._names(columns)
        with naming_damage(self.href):
            chosen = self._choose(where)
        if self.remote is None:
            for group in chosen.split_by_row_group():
                with naming_damage(self.href):
                    table = group.to_table(schema=self._schema, columns=names, filter=where)
                    part = read_addresses(table, self.href)
                yield part
            return
        remote, metadata, schema = self.remote, self.fragment.metadata, self._schema
        # pyarrow does not say which columns an expression names, but its text holds them all
        said = "" if where is None else str(where)
        inside = self.fragment.physical_schema.names
        needed = [name for name in inside if name in names or name in said]

        def load(group: int) -> pa.Table:
            with naming_damage(self.href):
                return load_group(group)

        def load_group(group: int) -> pa.Table:
            file = pq.ParquetFile(
                remote.reopen(),
                metadata=metadata,
                pre_buffer=True,
                page_checksum_verification=True,
            )
            table = file.read_row_group(group, columns=needed, use_threads=False)
            for added in schema:
                if added.name not in inside:
                    value = self.told.get(added.name, pa.scalar(None, added.type))
                    table = table.append_column(added.name, pa.repeat(value, table.num_rows))
            rows = (table if where is None else table.filter(where)).select(names)
            return read_addresses(rows, self.href)

        groups = [group.id for group in chosen.row_groups]
        yield from stream_concurrently(load, groups, ahead=_GROUPS_AHEAD)

    def count(self, where: pc.Expression) -> int:
        """Return how many rows satisfy a condition."""
        if self.remote is None:
            with naming_damage(self.href):
                return int(self.fragment.scanner(schema=self._schema, filter=where).count_rows())
        return sum(part.num_rows for part in self.scan([self.schema.names[0]], where))

    def extremes(self, column: str) -> set[str]:
        """Return the first and last text of a column in each row group, as its statistics say."""
        if column in self.told:
            return {self.told[column].as_py()} - {None}
        metadata = self.fragment.metadata
        names = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
        if column not in names:
            return set()
        number = names.index(column)
        groups = (
            metadata.row_group(group).column(number) for group in range(metadata.num_row_groups)
        )
        known = [group.statistics for group in groups if group.is_stats_set]
        return {end for each in known if each.has_min_max for end in (each.min, each.max)}

    @property
    def _schema(self) -> pa.Schema:
        """The columns of the file, and the optional ones that it lacks."""
        schema = self.schema
        if {"chipid", "chip_index_x"} & set(schema.names):
            for name in OPTIONAL_COLUMNS:
                if name not in schema.names:
                    schema = schema.append(SCHEMA.field(name))
        return schema

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        return list(self._schema.names if columns is None else columns)

    def _choose(self, where: pc.Expression | None) -> ds.ParquetFileFragment:
        return self.fragment if where is None else self.fragment.subset(where, schema=self._schema)

    def _nothing(self, columns: Sequence[str] | None) -> pa.Table:
        return self._schema.empty_table().select(self._names(columns))


def open_parquet(
    href: str,
    storage: Storage,
    *,
    size_bytes: int = -1,
    told: Mapping[str, pa.Scalar] | None = None,
) -> ParquetFile:
    """Open the parquet file at an href, and read its footer.

    Args:
        href: The file.
        storage: How to reach it.
        size_bytes: Its size if a listing gave it, which saves a request; else -1.
        told: Values that its path gives to all its rows, by column. The file's own columns win.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: It is not a parquet file.
    """
    try:
        make, remote = _find_maker(href, storage, size_bytes)
        fragment = make(None)
        fragment.ensure_complete_metadata()
        inside = fragment.physical_schema.names if told else ()
        told = {name: value for name, value in (told or {}).items() if name not in inside}
        if told:  # pyarrow gives these values to all rows, and skips files that they rule out
            fragment = make(reduce(and_, (_is(name, value) for name, value in told.items())))
            fragment.ensure_complete_metadata()
    except StacchipError:
        raise
    except (pa.ArrowInvalid, OSError) as error:  # pyarrow's errors for broken footers
        start = storage.read_range(href, 0, LOOKED_AT)
        came = describe_content(href, start.data, start.media_type, certainly=True)
        raise IndexFormatError(
            f"{redact(href)} is not a parquet file: {came or f'{error}. Write the index again.'}",
            href=redact(href),
        ) from error
    return ParquetFile(href, fragment, remote, told)


def _find_maker(
    href: str, storage: Storage, size_bytes: int
) -> tuple[_MakeFragment, ExactFile | None]:
    """Return what makes fragments of a file, from what is true of all its rows; and its reader."""
    local = local_path(href)
    if local is not None:
        storage.stat(href)  # raises if there is no file
        # opened once: by its path, pyarrow opens it again for the pages, which may be another file
        file = pa.OSFile(str(local), "rb")
        return lambda same: _FORMAT.make_fragment(file, None, same), None
    if 0 <= size_bytes <= _SMALL_BYTES:
        content = storage.read(href)
        return lambda same: _FORMAT.make_fragment(pa.BufferReader(content), None, same), None
    remote = ExactFile.open(storage, href)
    return lambda same: _FORMAT.make_fragment(remote.reopen(), None, same), remote


def _is(name: str, value: pa.Scalar) -> pc.Expression:
    """Return the condition that a column has a value, which pyarrow then knows of all rows."""
    return pc.field(name) == value if value.is_valid else pc.field(name).is_null()
