"""Reading parquet files in parts, local or remote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from stacchip.errors import IndexFormatError, StacchipError
from stacchip.index.schema import OPTIONAL_COLUMNS, SCHEMA
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import local_path, redact
from stacchip.storage.remote_file import ExactFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.compute as pc

    from stacchip.storage import Storage

__all__ = ["ParquetFile", "open_parquet"]

# A round trip costs as much as a megabyte: smaller remote files are fetched whole.
_SMALL_BYTES: Final = 1 << 20
_GROUPS_AHEAD: Final = 8
_FORMAT: Final = ds.ParquetFileFormat()


@dataclass(frozen=True)
class ParquetFile:
    """A parquet file, local or remote; only the parts that are needed are read.

    Attributes:
        href: Its address.
        fragment: Its footer, as a fragment of a pyarrow dataset.
        remote: Reads parts of it; None if pyarrow itself can read the file.
    """

    href: str
    fragment: ds.ParquetFileFragment
    remote: ExactFile | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file, with its metadata."""
        return self.fragment.physical_schema

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
        chosen = self._choose(where)
        return chosen.to_table(schema=self._schema, columns=self._names(columns), filter=where)

    def scan(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows that satisfy a condition, one table for each row group that may have some.

        Optional columns of `SCHEMA` that the file lacks are null.

        Args:
            columns: Names of columns; all of the file's by default.
            where: The condition; row groups whose statistics rule it out are not read.
        """
        names = self._names(columns)
        chosen = self._choose(where)
        if self.remote is None:
            for group in chosen.split_by_row_group():
                yield group.to_table(schema=self._schema, columns=names, filter=where)
            return
        remote, metadata, schema = self.remote, self.fragment.metadata, self._schema
        # pyarrow does not say which columns an expression names, but its text holds them all
        said = "" if where is None else str(where)
        needed = [name for name in self.schema.names if name in names or name in said]

        def load(group: int) -> pa.Table:
            file = pq.ParquetFile(remote.reopen(), metadata=metadata, pre_buffer=True)
            table = file.read_row_group(group, columns=needed, use_threads=False)
            for name in set(schema.names) - set(self.schema.names):
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
            return (table if where is None else table.filter(where)).select(names)

        groups = [group.id for group in chosen.row_groups]
        yield from stream_concurrently(load, groups, ahead=_GROUPS_AHEAD)

    def count(self, where: pc.Expression) -> int:
        """Return how many rows satisfy a condition."""
        if self.remote is None:
            return int(self.fragment.scanner(schema=self._schema, filter=where).count_rows())
        return sum(part.num_rows for part in self.scan([self.schema.names[0]], where))

    @property
    def _schema(self) -> pa.Schema:
        """The columns of the file, and the optional ones that it lacks."""
        schema = self.schema
        if "chipid" in schema.names:
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


def open_parquet(href: str, storage: Storage, *, size_bytes: int = -1) -> ParquetFile:
    """Open the parquet file at an href, and read its footer.

    Args:
        href: The file.
        storage: How to reach it.
        size_bytes: Its size if a listing gave it, which saves a request; else -1.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: It is not a parquet file.
    """
    local = local_path(href)
    remote = None
    try:
        if local is not None:
            size_bytes = storage.stat(href).size_bytes or 0  # raises if there is no file
            fragment = _FORMAT.make_fragment(str(local), filesystem=pafs.LocalFileSystem())
        elif 0 <= size_bytes <= _SMALL_BYTES:
            fragment = _FORMAT.make_fragment(pa.BufferReader(storage.read(href)))
        else:
            remote = ExactFile.open(storage, href)
            fragment = _FORMAT.make_fragment(remote.reopen())
        fragment.ensure_complete_metadata()
    except StacchipError:
        raise
    except (pa.ArrowInvalid, OSError) as error:  # pyarrow's errors for broken footers
        raise IndexFormatError(
            f"{redact(href)} is not a parquet file: {error}. Write the index again.",
            href=redact(href),
        ) from error
    return ParquetFile(href, fragment, remote)
