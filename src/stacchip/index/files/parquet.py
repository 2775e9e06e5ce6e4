"""Reading parquet files in parts, local or remote."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import (
    AssetChanged,
    IndexFormatError,
    IndexReplaced,
    ObjectNotFound,
    UsageError,
)
from stacchip.index.editions import from_metadata
from stacchip.index.files.file_columns import FileColumns
from stacchip.index.files.item_addresses import read_addresses
from stacchip.index.files.page_checks import PageChecks
from stacchip.index.files.row_ranges import NO_ROWS
from stacchip.index.table_rows import take_rows
from stacchip.parquet.damage import naming_damage
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import BinaryIO

    import pyarrow.compute as pc
    from numpy.typing import NDArray

    from stacchip.index.editions import Editions
    from stacchip.index.files.arrow_view import ArrowView
    from stacchip.index.files.page_checks import ReadAt
    from stacchip.index.files.row_ranges import RowRanges
    from stacchip.parquet.footer import Footer
    from stacchip.storage.limits import Limits
    from stacchip.storage.remote_file import ExactFile

__all__ = ["ROW", "ParquetFile"]

ROW: Final = "stacchip:row"
"""The column with the numbers of rows, if they are asked for."""
_ROUND_TRIP_BYTES: Final = 1 << 20  # a round trip costs as much as a megabyte
_STEP_BYTES: Final = 1 << 18  # and a step of a read as much as these, such as a few records
_GROUPS_AHEAD: Final = 8
_SHOWN: Final = 200  # characters of a condition


@dataclass(frozen=True)
class ParquetFile:
    """One version of a parquet file, local or remote; only the parts that are needed are read.

    A local file stays open, so that its pages are read even if another has taken its name. If a
    remote file is replaced, a read of another part raises `IndexReplaced`.

    Rows that satisfy a condition are read in two steps, row group by row group: first the columns
    that the condition names, and the others only where it found rows.

    Rows that were removed from the index are left out wherever rows are read (`_read_groups`). They
    do not count: the numbers of rows are those of the others.

    Attributes:
        href: Its address.
        view: What pyarrow sees of it.
        footer: Its footer, as it was checked before pyarrow read it.
        read_at: Returns bytes of it, from a start, of a length.
        limits: The limits of the place.
        local: The open file, which pyarrow itself reads; None if it is read in parts.
        remote: Reads parts of it; None if pyarrow itself can read the file.
        told: Columns that the file lacks, and the one value that its path gives to all its rows.
        removed: Rows that were removed from the index.
        further: The types of further columns in all files of its index; see `FileColumns`.
        has_threads: False to decode columns one after another, which leaves fewer gaps in memory.
    """

    href: str
    view: ArrowView
    footer: Footer
    read_at: ReadAt
    limits: Limits
    local: pa.NativeFile | None = None
    remote: ExactFile | None = None
    told: Mapping[str, pa.Scalar] = field(default_factory=dict)
    removed: RowRanges = NO_ROWS
    further: Mapping[str, pa.DataType] = field(default_factory=dict)
    has_threads: bool = True

    @cached_property
    def columns(self) -> FileColumns:
        """Its columns, and those that its rows get beside them."""
        return FileColumns(self.view.schema, self.told, self.further)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file and those that its path tells, with the file's metadata."""
        return self.columns.schema

    @property
    def editions(self) -> Editions | None:
        """The editions of its sources; None if it says none."""
        return from_metadata(self.view.metadata)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.starts[-1])

    @property
    def digest(self) -> str:
        """A digest of its footer, seal and removed rows, which no other version of it shares."""
        return self.content_digest + self.removed.digest.hex()

    @cached_property
    def content_digest(self) -> str:
        """A digest of its footer and seal: of all its rows, whether they were removed or not."""
        digest = hashlib.blake2b(self.footer.data, digest_size=12)
        if self.footer.seal is not None:
            digest.update(self.footer.seal.tobytes())
        return digest.hexdigest()

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each row group, and the number of all rows."""
        return self._stored_starts - self.removed.count_before(self._stored_starts)

    @cached_property
    def _stored_starts(self) -> NDArray[np.int64]:
        """What `starts` is of all rows in the file, also of those that were removed."""
        return np.append(0, np.cumsum(self.footer.groups.rows)).astype(np.int64)

    def stored_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places in the file of rows by their numbers."""
        return self.removed.find_left(rows)

    @cached_property
    def _pages(self) -> PageChecks:
        return PageChecks(self.href, self.footer, self.limits)

    # -- rows that satisfy a condition

    def read(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        *,
        among: Collection[int] | None = None,
        numbered: bool = False,
    ) -> pa.Table:
        """Return the rows that satisfy a condition; see `scan`."""
        if self.remote is None and where is None and among is None and not numbered:
            with self._naming_damage(where):
                names = self.columns.names(columns)
                every = range(len(self.footer.groups))
                return self._finish(self._read_groups(every, names).select(names))
        parts, size = [], 0
        for part in self.scan(columns, where, among=among, numbered=numbered):
            parts.append(part)
            size += part.nbytes
            self._pages.require_plausible(size)
        return pa.concat_tables(parts) if parts else self._nothing(columns, numbered=numbered)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
        *,
        among: Collection[int] | None = None,
        numbered: bool = False,
    ) -> Iterator[pa.Table]:
        """Yield the rows that satisfy a condition, one table for each row group that has some.

        Optional columns of `SCHEMA` that the file lacks are null. Addresses of items are absolute.

        Args:
            columns: Names of columns; all of the file's by default.
            where: The condition; row groups whose statistics rule it out are not read.
            among: Numbers of the row groups that may have such rows; all by default.
            numbered: Add a column `ROW` with the number of each row in the file, from 0.

        Raises:
            UsageError: The condition does not fit the columns.
            IndexFormatError: The file is damaged.
            IndexReplaced: A remote file was replaced since it was opened.
        """
        names = self.columns.names(columns)

        def load(group: int) -> pa.Table:
            with self._naming_damage(where), self._naming_replacement():
                return self._finish(self._load(group, names, where, numbered=numbered))

        with self._naming_damage(where):
            groups = self._choose(where, among)
        for part in self._each(load, groups):
            if part.num_rows or where is None:
                yield part

    def count(self, where: pc.Expression, *, among: Collection[int] | None = None) -> int:
        """Return how many rows satisfy a condition."""
        if self.remote is None and not self.removed and not self._is_ours_to_filter(where):
            with self._naming_damage(where):
                groups = self._choose(where, among)
                self._pages.look(self.read_at, groups, self._leaves(self.columns.needed([], where)))
                return self.view.count(where, groups, self.columns.whole)
        return sum(part.num_rows for part in self.scan([], where, among=among, numbered=True))

    def take(self, rows: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows by their numbers, in the order asked; other row groups are not read.

        Args:
            rows: Their numbers in the file, from 0.
            columns: Names of columns; all of the file's by default.

        Raises:
            IndexFormatError: The file is damaged.
            IndexReplaced: A remote file was replaced since it was opened.
        """
        names = self.columns.names(columns)
        wanted, places = np.unique(rows, return_inverse=True)
        of_group = np.searchsorted(self.starts, wanted, side="right") - 1

        def load(group: int) -> pa.Table:
            with self._naming_damage(None), self._naming_replacement():
                found = self._read_groups([group], names).select(names)
                inside = wanted[of_group == group] - self.starts[group]
                return self._finish(take_rows(found, inside))

        parts = list(self._each(load, np.unique(of_group).tolist()))
        table = pa.concat_tables(parts) if parts else self.columns.nothing(names)
        is_sorted = np.array_equal(places, np.arange(len(wanted)))
        return table if is_sorted else take_rows(table, places.ravel())

    def extremes(self, column: str) -> set[str]:
        """Return the first and last text of a column in each row group, as its statistics say.

        If rows were removed, the statistics may be of these, and all texts are returned.
        """
        if column in self.told:
            return {self.told[column].as_py()} - {None}
        if self.removed:
            return set(self.read([column])[column].unique().to_pylist()) - {None}
        return {end for ends in self.footer.ends(column) if ends is not None for end in ends}

    def nulls(self, column: str) -> int | None:
        """Return in how many rows a column is null; None if only the rows tell."""
        if column in self.columns.lacking:
            return self.rows
        count = self.footer.nulls(column)  # also in rows that were removed
        return count if count == 0 or not self.removed else None

    # -- row groups

    def _choose(
        self, where: pc.Expression | None, among: Collection[int] | None = None
    ) -> list[int]:
        """Return the numbers of the row groups that may have rows that satisfy a condition."""
        groups = list(range(len(self.footer.groups)) if among is None else sorted(among))
        if self.removed:
            groups = [each for each in groups if np.diff(self.starts)[each]]
        if where is None or len(groups) <= 1 or self._is_ours_to_filter(where):
            return groups
        return self.view.choose(where, groups, self.columns.whole)

    def _is_ours_to_filter(self, where: pc.Expression | None) -> bool:
        """Return True if a condition is on columns whose statistics pyarrow cannot use.

        Those of columns that are read in another type have the type of the file, so that it fails
        to compare them. At those that do not fit their column, it ends the process.
        """
        return any(
            name in self.columns.converted or not self.footer.has_fitting_statistics(name)
            for name in self.columns.needed([], where)
        )

    def _each(self, load: Callable[[int], pa.Table], groups: Sequence[int]) -> Iterator[pa.Table]:
        """Yield what is loaded of row groups, in their order; if they are far, others ahead."""
        if self.remote is None:
            return map(load, groups)
        return stream_concurrently(load, groups, ahead=_GROUPS_AHEAD)

    def _load(
        self, group: int, names: Sequence[str], where: pc.Expression | None, *, numbered: bool
    ) -> pa.Table:
        """Return the rows of a row group that satisfy a condition."""
        first = self.columns.needed([], where)
        rest = [name for name in self.columns.needed(names, where) if name not in first]
        rows = None
        if where is None or self._comes_along(group, rest):
            table = self._read_groups([group], [*first, *rest])
            rows = None if where is None else _matching(table, where)
        else:
            table = self._read_groups([group], first)
            rows = _matching(table, where)
            if not len(rows):
                return self._nothing(names, numbered=numbered)
            others = self._read_groups([group], rest)
            for name in rest:
                table = table.append_column(others.schema.field(name), others[name])
        wanted = table.select(names)
        if numbered:
            numbers = np.arange(self.starts[group], self.starts[group + 1])
            wanted = wanted.append_column(ROW, pa.array(numbers))
        if rows is not None and len(rows) < wanted.num_rows:
            wanted = take_rows(wanted, rows)
        return wanted

    def _comes_along(self, group: int, rest: Sequence[str]) -> bool:
        """Return True if further columns of a row group cost less than to ask for them apart."""
        groups = self.footer.groups
        cost = _STEP_BYTES if self.remote is None else _ROUND_TRIP_BYTES
        return sum(groups.chunk(group, leaf).length for leaf in self._leaves(rest)) <= cost

    def _read_groups(self, groups: Sequence[int], names: Sequence[str]) -> pa.Table:
        """Return columns of row groups, after checking their pages, and those that it lacks.

        All rows of index files come from here. Those that were removed end here.
        """
        if not len(groups):  # pyarrow 18 reads none by an error
            return self.columns.whole.empty_table()
        inside = [name for name in self.columns.inside.names if name in names]
        leaves = self._leaves(inside)
        source: pa.NativeFile | BinaryIO | None = self.local
        read_at = self.read_at
        if self.remote is not None:
            chunks = [self.footer.groups.chunk(group, leaf) for group in groups for leaf in leaves]
            held = self.remote.hold([(chunk.start, chunk.length) for chunk in chunks])
            source, read_at = held, held.pread
        size = self._pages.look(read_at, groups, leaves)
        # of many bytes one column after another: while a column is decoded, it takes them twice
        is_small = self.remote is None and 2 * size <= self.limits.table_bytes and self.has_threads
        found = self.view.read(
            source,
            groups,
            inside,
            pre_buffer=self.remote is None and self.has_threads,  # `held` has ranges one by one
            use_threads=is_small,
        )
        return self._leave_out_removed(groups, self.columns.complete(found))

    def _leave_out_removed(self, groups: Sequence[int], table: pa.Table) -> pa.Table:
        """Return the rows of row groups that were not removed."""
        ends = self._stored_starts
        if not self.removed or all(
            self.footer.groups.rows[group] == self.starts[group + 1] - self.starts[group]
            for group in groups
        ):
            return table
        left, before = [], 0
        for group in groups:
            start, stop = int(ends[group]), int(ends[group + 1])
            left.append(self.removed.rows_left(start, stop) - start + before)
            before += stop - start
        return take_rows(table, np.concatenate(left))

    def _leaves(self, names: Sequence[str]) -> list[int]:
        return [leaf for name in names for leaf in self.footer.names.get(name, ())]

    def _finish(self, rows: pa.Table) -> pa.Table:
        """Return rows with absolute addresses; those of other tools are checked."""
        if self.footer.seal is None:
            rows.validate(full=True)  # texts may be no UTF-8, for one
        return read_addresses(rows, self.href)

    def _nothing(self, columns: Sequence[str] | None, *, numbered: bool) -> pa.Table:
        nothing = self.columns.nothing(columns)
        return nothing.append_column(ROW, pa.array([], pa.int64())) if numbered else nothing

    # -- errors

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
            self.columns.whole.empty_table().filter(where)
        except pa.ArrowException as error:
            reason = str(error).partition("\n")[0]  # all columns follow
            raise UsageError(
                f"The condition {str(where)[:_SHOWN]} does not fit the columns of "
                f"{redact(self.href)}: {reason}. read_index(path).schema tells their types."
            ) from error

    @contextmanager
    def _naming_replacement(self) -> Iterator[None]:
        """Say that a remote file was replaced while it was read."""
        try:
            yield
        except (AssetChanged, ObjectNotFound) as error:
            if self.remote is None:
                raise
            name = redact(self.href)
            raise IndexReplaced(
                f"{name} was replaced while it was read. Read the index again.", href=name
            ) from error


def _matching(table: pa.Table, where: pc.Expression) -> NDArray[np.int64]:
    """Return the numbers of the rows that satisfy a condition, in their order."""
    numbers = pa.array(np.arange(table.num_rows))
    found = table.append_column(ROW, numbers).filter(where)[ROW].to_numpy()
    return np.sort(found)  # pyarrow promises no order
