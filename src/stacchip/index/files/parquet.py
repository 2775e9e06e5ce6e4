"""Reading parquet files in parts, local or remote."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stacchip.errors import (
    AssetChanged,
    IndexFormatError,
    IndexReplaced,
    ObjectNotFound,
    StacchipError,
    UsageError,
)
from stacchip.index.editions import from_metadata
from stacchip.index.files.item_addresses import read_addresses
from stacchip.index.files.manifest import final_href
from stacchip.index.foreign.tables import without_views
from stacchip.index.schema import OPTIONAL_COLUMNS, SCHEMA
from stacchip.parquet.damage import damaged, naming_damage, unreadable
from stacchip.parquet.footer import Footer, read_footer
from stacchip.parquet.pages import decoded_bytes
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import local_path, redact
from stacchip.storage.content import LOOKED_AT, describe_content
from stacchip.storage.documents import require_growth
from stacchip.storage.remote_file import ExactFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    import pyarrow.dataset as ds

    from stacchip.index.editions import Editions
    from stacchip.storage import Storage
    from stacchip.storage.limits import Limits

    _ReadAt = Callable[[int, int], bytes]
    _MakeFragment = Callable[[pc.Expression | None], ds.ParquetFileFragment]

__all__ = ["ParquetFile", "open_parquet"]

# A round trip costs as much as a megabyte: smaller remote files are fetched whole.
_SMALL_BYTES: Final = 1 << 20
_GROUPS_AHEAD: Final = 8
_FEW_BYTES: Final = 4 << 20  # of rows, such as a row group of records
_SHOWN: Final = 200  # characters of a condition
# Bytes that a byte of a whole file may stand for; in an index, it stands for seven.
_MOST_EXPANSION: Final = 200


@dataclass(frozen=True)
class ParquetFile:
    """One version of a parquet file, local or remote; only the parts that are needed are read.

    A local file stays open, so that its pages are read even if another has taken its name. If a
    remote file is replaced, a read of another part raises `IndexReplaced`.

    Attributes:
        href: Its address.
        fragment: Its footer, as a fragment of a pyarrow dataset.
        footer: The same, as it was checked before pyarrow read it.
        read_at: Returns bytes of it, from a start, of a length.
        limits: The limits of the place.
        local: The open file, which pyarrow itself reads; None if it is read in parts.
        remote: Reads parts of it; None if pyarrow itself can read the file.
        told: Columns that the file lacks, and the one value that its path gives to all its rows.
    """

    href: str
    fragment: ds.ParquetFileFragment
    footer: Footer
    read_at: _ReadAt
    limits: Limits
    local: pa.NativeFile | None = None
    remote: ExactFile | None = None
    told: Mapping[str, pa.Scalar] = field(default_factory=dict)
    # of each row group and leaf whose pages were looked at: the bytes that its values take
    _looked_at: dict[tuple[int, int], int] = field(init=False, default_factory=dict)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the file and those that its path tells, with the file's metadata."""
        schema = self.fragment.physical_schema
        for place, each in enumerate(schema):
            if each.name in self._converted:
                schema = schema.set(place, each.with_type(_type_to_read(each)))
        for name, value in self.told.items():
            schema = schema.append(pa.field(name, value.type))
        return schema

    @property
    def editions(self) -> Editions | None:
        """The editions of its sources; None if it says none."""
        return from_metadata(self.fragment.metadata.metadata)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.footer.rows

    def read(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Read the rows that satisfy a condition; see `scan`."""
        if self.remote is not None or self._is_ours_to_filter(where):
            parts = list(self.scan(columns, where))
            return pa.concat_tables(parts) if parts else self._nothing(columns)
        names = self._names(columns)
        with self._naming_damage(where):
            chosen = self._choose(where)
            groups = [group.id for group in chosen.row_groups]
            size = self._look_at_pages(self.read_at, groups, self._needed(names, where))
            return self._finish(self._load(chosen, names, where, size))

    def scan(
        self, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows that satisfy a condition, one table for each row group that may have some.

        Optional columns of `SCHEMA` that the file lacks are null. Addresses of items are absolute.

        Args:
            columns: Names of columns; all of the file's by default.
            where: The condition; row groups whose statistics rule it out are not read.

        Raises:
            UsageError: The condition does not fit the columns.
            IndexFormatError: The file is damaged.
            IndexReplaced: A remote file was replaced since it was opened.
        """
        names = self._names(columns)
        with self._naming_damage(where):
            chosen = self._choose(where)
            groups = [group.id for group in chosen.row_groups]
        needed = self._needed(names, where)
        if self.remote is None:
            for number, group in zip(groups, chosen.split_by_row_group(), strict=True):
                with self._naming_damage(where):
                    size = self._look_at_pages(self.read_at, [number], needed)
                    part = self._finish(self._load(group, names, where, size))
                yield part
            return
        remote = self.remote

        def load(group: int) -> pa.Table:
            try:
                with self._naming_damage(where):
                    return load_group(group)
            except (AssetChanged, ObjectNotFound) as error:
                name = redact(self.href)
                raise IndexReplaced(
                    f"{name} was replaced while it was read. Read the index again.", href=name
                ) from error

        def load_group(group: int) -> pa.Table:
            chunks = (self.footer.groups[group].chunks[leaf] for leaf in self._leaves(needed))
            held = remote.hold([(chunk.start, chunk.length) for chunk in chunks])
            self._look_at_pages(held.pread, [group], needed)
            table = self._read_groups(held, [group], needed, use_threads=False)
            rows = (table if where is None else table.filter(where)).select(names)
            return self._finish(rows)

        yield from stream_concurrently(load, groups, ahead=_GROUPS_AHEAD)

    @contextmanager
    def _naming_damage(self, where: pc.Expression | None) -> Iterator[None]:
        """Name the file in the error for its damage, unless a condition on its rows is to blame."""
        try:
            with naming_damage(self.href):
                yield
        except IndexFormatError:
            self._require_fitting(where)  # now, since it takes a millisecond
            raise

    def _require_fitting(self, where: pc.Expression | None) -> None:
        """Refuse a condition on columns of other names or types."""
        if where is None:
            return
        try:
            self._schema.empty_table().filter(where)
        except pa.ArrowException as error:
            reason = str(error).partition("\n")[0]  # all columns follow
            raise UsageError(
                f"The condition {str(where)[:_SHOWN]} does not fit the columns of "
                f"{redact(self.href)}: {reason}. read_index(path).schema tells their types."
            ) from error

    def _finish(self, rows: pa.Table) -> pa.Table:
        """Return rows with absolute addresses; those of other tools are checked."""
        if self.footer.seal is None:
            rows.validate(full=True)  # texts may be no UTF-8, for one
        return read_addresses(rows, self.href)

    def count(self, where: pc.Expression) -> int:
        """Return how many rows satisfy a condition."""
        if self.remote is None and not self._is_ours_to_filter(where):
            with self._naming_damage(where):
                chosen = self._choose(where)
                groups = [group.id for group in chosen.row_groups]
                self._look_at_pages(self.read_at, groups, self._needed([], where))
                return int(chosen.scanner(schema=self._schema, filter=where).count_rows())
        return sum(part.num_rows for part in self.scan([self.schema.names[0]], where))

    def extremes(self, column: str) -> set[str]:
        """Return the first and last text of a column in each row group, as its statistics say."""
        if column in self.told:
            return {self.told[column].as_py()} - {None}
        return {end for ends in self.footer.ends(column) if ends is not None for end in ends}

    def _needed(self, names: Sequence[str], where: pc.Expression | None) -> list[str]:
        """Return the columns of the file that a read needs.

        pyarrow does not say which columns an expression names, but its text holds them all: by
        name, or by number among all columns.
        """
        said = "" if where is None else str(where)
        inside = self.fragment.physical_schema.names
        if "FieldPath(" in said:
            return list(inside)
        return [name for name in inside if name in names or name in said]

    @cached_property
    def _converted(self) -> frozenset[str]:
        """The columns that are read in another type than the file has."""
        inside = self.fragment.physical_schema
        return frozenset(each.name for each in inside if _type_to_read(each) != each.type)

    def _is_ours_to_filter(self, where: pc.Expression | None) -> bool:
        """Return True if a condition is on columns whose statistics pyarrow cannot use.

        Those of columns that are read in another type have the type of the file, so that it fails
        to compare them. At those that do not fit their column, it ends the process.
        """
        return any(
            name in self._converted or not self.footer.has_fitting_statistics(name)
            for name in self._needed([], where)
        )

    def _leaves(self, names: Sequence[str]) -> list[int]:
        return [leaf for name in names for leaf in self.footer.names.get(name, ())]

    def _load(
        self,
        chosen: ds.ParquetFileFragment,
        names: Sequence[str],
        where: pc.Expression | None,
        size: int,
    ) -> pa.Table:
        """Return rows of a local file that take so many bytes; of many, column after column."""
        is_small = 2 * size <= self.limits.table_bytes
        # A dataset takes a fifth longer; but of many rows it holds those alone that are chosen.
        # The file is read, not `chosen.open()`, which ends the process in pyarrow 18.
        is_quick = is_small and (where is None or size <= _FEW_BYTES)
        if self.local is not None and (is_quick or self._is_ours_to_filter(where)):
            groups = [group.id for group in chosen.row_groups]
            if not groups:  # pyarrow 18 reads none by an error
                return self._nothing(names)
            needed = self._needed(names, where)
            table = self._read_groups(self.local, groups, needed, use_threads=True)
            return (table if where is None else table.filter(where)).select(names)
        return chosen.to_table(
            schema=self._schema, columns=names, filter=where, use_threads=is_small
        )

    def _read_groups(
        self,
        source: pa.NativeFile | BinaryIO,
        groups: Sequence[int],
        names: Sequence[str],
        *,
        use_threads: bool,
    ) -> pa.Table:
        """Return columns of row groups, and those that the file lacks: from its path, or null."""
        metadata = self.fragment.metadata
        file = pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True)
        table = file.read_row_groups(groups, columns=names, use_threads=use_threads)
        wanted = pa.schema([self.schema.field(name) for name in table.column_names])
        if wanted.types != table.schema.types:
            table = table.cast(wanted)
        inside = self.fragment.physical_schema.names
        for added in self._schema:
            if added.name not in inside:
                value = self.told.get(added.name, pa.scalar(None, added.type))
                table = table.append_column(added, pa.repeat(value, table.num_rows))
        return table.replace_schema_metadata(self.schema.metadata)  # as a dataset does

    def _look_at_pages(self, read_at: _ReadAt, groups: Sequence[int], names: Sequence[str]) -> int:
        """Check the headers of pages, and how much memory they take, before pyarrow reads them.

        Returns:
            The bytes that the rows take.

        Raises:
            IndexFormatError: A header is not the one that was written.
            ValueError: A header is broken.
            LimitExceeded: A row group takes too much memory, or the file far more than its size.
        """
        leaves = self._leaves(names)
        most = max(self.limits.table_bytes, _MOST_EXPANSION * self.footer.size)
        total = 0
        for group in groups:
            taken = longest = 0
            for leaf in leaves:
                size = self._size_of(read_at, group, leaf)
                taken += size
                # memory for texts grows twofold: while a column is decoded, it takes it twice
                longest = max(longest, 0 if self.footer.columns[leaf].width else size)
                # at once, since it takes time to look at more
                self._require_few(taken + longest, f"Row group {group}", self.limits.table_bytes)
            total += taken
            self._require_few(total, "What is read", most)
        return total

    def _require_few(self, size: int, what: str, most: int) -> None:
        if size > most:
            name = redact(self.href)
            raise self.limits.exceeded(
                "table_bytes", f"{what} of {name} takes {size} bytes", href=name
            )

    def _size_of(self, read_at: _ReadAt, group: int, leaf: int) -> int:
        """Return how many bytes a column of a row group takes."""
        known = self._looked_at.get((group, leaf))
        if known is None:
            footer = self.footer
            chunk = footer.groups[group].chunks[leaf]
            known, checksum = decoded_bytes(read_at, chunk, footer.columns[leaf])
            told = footer.seal
            if told is not None and checksum != told[group * len(footer.columns) + leaf]:
                raise damaged(self.href, "the header of a page is not the one that was written")
            self._looked_at[group, leaf] = known
        return known

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
        if where is None:
            return self.fragment
        if self._is_ours_to_filter(where):
            return self.fragment
        return self.fragment.subset(where, schema=self._schema)

    def _nothing(self, columns: Sequence[str] | None) -> pa.Table:
        return self._schema.empty_table().select(self._names(columns))


def _type_to_read(column: pa.Field) -> pa.DataType:
    """Return the type to read a column as, which pyarrow can filter."""
    if pa.types.is_float16(column.type) and column.name in SCHEMA.names:
        return SCHEMA.field(column.name).type  # pyarrow compares no halves
    return without_views(column.type)


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
        StorageError: The system or a server could not read it.
    """
    try:
        return _open(href, storage, size_bytes, told)
    except ObjectNotFound:
        place = final_href(href)
        if place is None:
            raise
        return _open(place, storage, -1, told)  # it took its place meanwhile


def _open(
    href: str, storage: Storage, size_bytes: int, told: Mapping[str, pa.Scalar] | None
) -> ParquetFile:
    """Open a file where it is now."""
    limits = storage.options_for(href).limits
    try:
        make, read_at, size, local, remote = _find_maker(href, storage, size_bytes)
        footer = read_footer(read_at, size, href, limits)
        fragment = make(None)
        fragment.ensure_complete_metadata()
        for key, value in (fragment.physical_schema.metadata or {}).items():  # items, places
            what = f"The metadata {key.decode(errors='backslashreplace')!r} of {redact(href)}"
            require_growth(value, what, limits, href=redact(href))
        inside = fragment.physical_schema.names
        twice = sorted(name for name, count in Counter(inside).items() if count > 1)
        if twice:  # no column of theirs could be asked for by its name
            raise IndexFormatError(
                f"{redact(href)} has several columns of the name {twice[0]!r}. Write it again with "
                "one of them.",
                href=redact(href),
            )
        told = {name: value for name, value in (told or {}).items() if name not in inside}
        if told:  # pyarrow gives these values to all rows, and skips files that they rule out
            fragment = make(reduce(and_, (_is(name, value) for name, value in told.items())))
            fragment.ensure_complete_metadata()
    except StacchipError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        start = storage.read_range(href, 0, LOOKED_AT)
        if isinstance(error, OSError) and error.errno is not None:  # it passed meanwhile
            raise unreadable(href, error) from error
        came = describe_content(href, start.data, start.media_type, certainly=True)
        raise IndexFormatError(
            f"{redact(href)} is not a parquet file: {came or f'{error}. Write the index again.'}",
            href=redact(href),
        ) from error
    return ParquetFile(href, fragment, footer, read_at, limits, local, remote, told)


def _find_maker(
    href: str, storage: Storage, size_bytes: int
) -> tuple[_MakeFragment, _ReadAt, int, pa.NativeFile | None, ExactFile | None]:
    """Return what makes fragments of a file, from what is true of all its rows; and its readers."""
    local = local_path(href)
    if local is None and not 0 <= size_bytes <= _SMALL_BYTES:
        remote = ExactFile.open(storage, href)
        make = lambda same: _format().make_fragment(remote.reopen(), None, same)  # noqa: E731
        return make, remote.pread, remote.size, None, remote
    if local is None:
        file = pa.BufferReader(storage.read(href))
    else:
        storage.stat(href)  # raises if there is no file
        # opened once: by its path, pyarrow opens it again for the pages, which may be another file
        file = pa.OSFile(str(local), "rb")

    def read_at(start: int, length: int) -> bytes:
        return bytes(file.read_at(length, start))

    make = lambda same: _format().make_fragment(file, None, same)  # noqa: E731
    return make, read_at, file.size(), file, None


@cache
def _format() -> ds.ParquetFileFormat:
    """How pyarrow reads the files.

    It is made by the first read: `pyarrow.dataset` imports pandas, which takes 0.2 s.
    """
    import pyarrow.dataset as ds

    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.ParquetFileFormat(default_fragment_scan_options=checked)


def _is(name: str, value: pa.Scalar) -> pc.Expression:
    """Return the condition that a column has a value, which pyarrow then knows of all rows."""
    return pc.field(name) == value if value.is_valid else pc.field(name).is_null()
