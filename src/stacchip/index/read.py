"""Read an index: the wanted rows, and no row group without any of them."""

from __future__ import annotations

from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stacchip.errors import ObjectNotFound, UsageError
from stacchip.index.absent import NamesWanted
from stacchip.index.editions import join
from stacchip.index.embedded import embed_items, index_of, row_keys, with_indexes
from stacchip.index.files.chips_file import with_records
from stacchip.index.files.contents import CONTENTS_SCHEMA, count_on
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.index.files.layout import find_files, index_href, is_file
from stacchip.index.files.snapshot import open_index
from stacchip.index.filters import Filters, Selection
from stacchip.index.further_columns import concat_rows, names_further
from stacchip.index.recorded import read_records
from stacchip.index.table_rows import take_rows
from stacchip.items.copies import is_same_item
from stacchip.items.keys import differing_copies
from stacchip.items.reach import distant
from stacchip.runtime.open_files import most_open_files
from stacchip.storage import Storage, local_path, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from stacchip.index.editions import Editions, Known
    from stacchip.index.files.chips_file import ChipsFile
    from stacchip.items.archive import Archive
    from stacchip.items.keys import ItemKey

# pickles of earlier versions look for `read_records` here, where it was defined
__all__ = [
    "count_left_out",
    "index_of",
    "open_files",
    "read_index",
    "read_item_index",
    "read_records",
    "read_rows",
    "read_rows_at",
    "read_runs",
    "report_absent",
    "scan_index",
    "scan_numbered",
    "scan_rows",
    "with_origin",
]


def read_index(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    storage: Storage | None = None,
    explains_nothing: bool = False,
    **filters: Unpack[Filters],
) -> pa.Table:
    """Read the chips of an index, all or those chosen.

    Row groups whose statistics say that they hold no chosen chip are skipped, and so are columns
    that are not wanted. How many chips were left out because a share was not measured is logged
    (`unmeasured`), and so is a platform or item that the index lacks, with those that it has.

    Args:
        path: Folder or parquet file of an index: local, `s3://`, `http(s)://`, ...
        columns: Names of the columns wanted; all by default.
        storage: How to reach it.
        explains_nothing: True if the caller itself says why no chip was found; a platform or item
            that the index lacks is then logged only if other chips were found.
        **filters: The chips wanted; see `Selection`.

    Returns:
        A table of `SCHEMA`'s columns, and then of those that were added to the index. Rows of
        files that lack one of these are null there. Its metadata holds the address that it was read
        from (`index_of`), and the items of files that carry items.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        InvalidMetadata: Two files have different items of one platform and id.
        UsageError: A filter or a column is unknown.

    Example:
        >>> import pyarrow.parquet as pq, tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> path = tempfile.mkdtemp() + "/index.parquet"
        >>> pq.write_table(SCHEMA.empty_table(), path)
        >>> read_index(path, max_cloud=0.1, columns=["chipid", "datetime"]).column_names
        ['chipid', 'datetime']
    """
    selection = Selection.of(filters)
    names = _column_names(columns)
    left_out = 0

    def read(chips: ChipsFile) -> pa.Table:
        nonlocal left_out
        left_out += count_left_out(chips, selection)
        return chips.read(names, selection)

    storage = storage or Storage()
    table = _read(path, storage, read, shares=names_further(names, selection.further))
    selection.report_left_out(left_out)
    wanted = NamesWanted(selection)
    wanted.see(table)
    if table.num_rows or not explains_nothing:
        report_absent(wanted, path, storage)
    return table


def read_rows(path: str | os.PathLike[str], *, storage: Storage | None = None) -> pa.Table:
    """Read the chips of an index with the columns that its files tell; no item is read for others.

    A file of another tool, or of the original stacchip, may tell too little for `read_index`, and
    enough to cut chips. Rows of files that lack a column which others have are null there.

    Args:
        path: As in `read_index`.
        storage: As in `read_index`.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        InvalidMetadata: Two files have different items of one platform and id.
    """
    return _read(path, storage or Storage(), lambda chips: chips.read(chips.told_columns()))


def scan_index(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    storage: Storage | None = None,
    explains_nothing: bool = False,
    **filters: Unpack[Filters],
) -> Iterator[pa.Table]:
    """Yield the chosen chips of an index in parts, for indexes that do not fit into memory.

    Arguments are those of `read_index`.

    Yields:
        The rows of one row group, in the order of the files.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        UsageError: A filter or a column is unknown.
    """
    numbered = scan_numbered(
        path, columns=columns, storage=storage, explains_nothing=explains_nothing, **filters
    )
    return (part for _, part in numbered)


def scan_numbered(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    storage: Storage | None = None,
    explains_nothing: bool = False,
    **filters: Unpack[Filters],
) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
    """Yield the chosen chips of an index as `scan_index` does, with the numbers of their rows.

    Arguments are those of `read_index`.

    Yields:
        The numbers of rows of one row group, and the rows. All rows of the index count, from 0, in
        the order of its files; `read_rows_at` finds rows by these numbers.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        UsageError: A filter or a column is unknown.
    """
    storage = storage or Storage()
    selection = Selection.of(filters)
    names = _column_names(columns)
    left_out = found = 0

    def count(chips: ChipsFile) -> None:
        nonlocal left_out
        left_out += count_left_out(chips, selection)

    wanted = NamesWanted(selection)
    for rows, part in scan_rows(path, names, selection, storage, count):
        wanted.see(part)
        found += part.num_rows
        yield rows, part
    selection.report_left_out(left_out)
    if found or not explains_nothing:
        report_absent(wanted, path, storage)


def scan_rows(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None,
    selection: Selection,
    storage: Storage,
    on_file: Callable[[ChipsFile], None] = lambda _: None,
) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
    """Yield the chosen chips of an index as `scan_numbered` does, but log nothing.

    Args:
        path: As in `read_index`.
        columns: Names of the columns wanted; None for all.
        selection: The chips wanted.
        storage: How to reach the index.
        on_file: Called with each file after its rows.
    """
    before = 0
    shares = names_further(columns, selection.further)
    for chips in open_files(index_href(path), storage, shares=shares):
        for rows, part in chips.scan_numbered(columns, selection):
            if part.num_rows:
                yield rows + before, part
        before += chips.rows
        on_file(chips)


def read_runs(path: str | os.PathLike[str], *, storage: Storage | None = None) -> pa.Table | None:
    """Read which rows of an index are of which item, and what is known of them together.

    Args:
        path: As in `read_index`.
        storage: How to reach it.

    Returns:
        Rows of `stacchip.index.files.contents.CONTENTS_SCHEMA`, with `first` counted over the whole
        index, as `scan_numbered` counts. None if a file does not tell: it is small, or another tool
        or an earlier version wrote it.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
    """
    parts: list[pa.Table] = []
    before = 0
    for chips in open_index(index_href(path), storage or Storage()):
        runs = chips.runs(CONTENTS_SCHEMA.names)
        if runs is None:
            return None
        parts.append(count_on(runs, before))
        before += chips.rows
    return pa.concat_tables(parts)


def read_rows_at(
    path: str | os.PathLike[str],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    columns: Sequence[str] | None = None,
    storage: Storage | None = None,
) -> pa.Table:
    """Read chips of an index by the numbers of their rows, in the order asked.

    Only the row groups that have them are read. As of `read_index`, the metadata of the result
    holds the address of the index, and the items of files that carry items.

    Args:
        path: As in `read_index`.
        rows: Numbers of rows, as `scan_numbered` counts them; one may come several times.
        columns: Names of the columns wanted; all by default.
        storage: How to reach it.

    Raises:
        IndexError: The index has no such row.
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        UsageError: A column is unknown.

    Example:
        >>> import pyarrow.parquet as pq, tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> path = tempfile.mkdtemp() + "/index.parquet"
        >>> pq.write_table(SCHEMA.empty_table(), path)
        >>> read_rows_at(path, [], columns=["chipid"]).num_rows
        0
    """
    names = _column_names(columns)
    wanted = np.asarray(rows, np.int64)
    places: list[NDArray[np.intp]] = []
    before = 0

    def read(chips: ChipsFile) -> pa.Table:
        nonlocal before
        here = np.flatnonzero((before <= wanted) & (wanted < before + chips.rows))
        places.append(here)
        inside = wanted[here] - before
        before += chips.rows
        return chips.take(inside, names)

    table = _read(path, storage or Storage(), read, shares=names_further(names, None))
    if sum(map(len, places)) < len(wanted):
        raise IndexError(f"{redact(index_href(path))} has rows 0 to {before - 1} only")
    return take_rows(table, np.argsort(np.concatenate(places)))


def read_item_index(
    archive: Archive, platform: str, item_id: str, storage: Storage
) -> pa.Table | None:
    """Read the index that an archive keeps of one item; None if there is none.

    Raises:
        IndexFormatError: A file is not a chip index.
    """
    try:
        return read_index(archive.place(platform, item_id).index_href, storage=storage)
    except ObjectNotFound:
        return None


def _column_names(columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    names = [] if isinstance(columns, str) else list(columns)
    if isinstance(columns, str) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"columns must be a list of names of columns; {columns!r} is not.")
    return names


def _read(
    path: str | os.PathLike[str],
    storage: Storage,
    read: Callable[[ChipsFile], pa.Table],
    *,
    shares: bool = False,
) -> pa.Table:
    """Return what `read` reads of each file, with the index's address and items as metadata.

    Args:
        path: As in `read_index`.
        storage: As in `read_index`.
        read: Reads a file.
        shares: As in `open_index`.
    """
    href = index_href(path)
    tables: list[pa.Table] = []
    origins: list[str] = []
    items: dict[ItemKey, tuple[Mapping[str, Any], str]] = {}
    editions: list[Editions | None] = []
    for chips in open_files(href, storage, shares=shares):
        editions.append(chips.file.editions)
        for key, item in chips.items().items():
            there, origin = items.setdefault(key, (item, redact(chips.href)))
            if not is_same_item(there, item):
                raise differing_copies(key, there, item, (origin, redact(chips.href)))
        tables.append(read(chips))
        origins.append(redact(chips.href))
    table = concat_rows(tables, origins) if len(tables) > 1 else tables[0]
    plain = {key: item for key, (item, _) in items.items()}
    return with_origin(table, href, plain, None if is_file(href) else join(editions))


def open_files(href: str, storage: Storage, *, shares: bool = False) -> Iterator[ChipsFile]:
    """Yield the files with chips of an index; those without footprints find its records, too.

    Arguments are those of `open_index`.
    """
    opened = open_index(href, storage, shares=shares)
    if is_file(href):
        yield from opened
        return
    for folder, files in groupby(opened, lambda chips: parent_href(chips.href)):
        # an item of one file may have its record in the part of another
        most = most_open_files()
        some = list(islice(files, most))
        known = join(chips.file.editions for chips in some)
        lookup = RecordLookup(folder, storage, known if len(some) < most else None)
        for chips in chain(some, files):
            if chips.lacks_footprints:
                yield with_records(chips, lookup.find, distant(folder, storage))
            else:
                yield chips


def report_absent(wanted: NamesWanted, path: str | os.PathLike[str], storage: Storage) -> None:
    """Log the platforms and items that a selection names and an index has not at all."""
    if wanted.is_any_missing:
        files = find_files(index_href(path), storage)
        wanted.report(files, open_index(files.href, storage), storage)


def count_left_out(chips: ChipsFile, selection: Selection) -> int:
    """Return the number of chips in a file that only lack a share; see `Selection.left_out`.

    Row groups without nulls in the limited columns are not read.
    """
    if selection.left_out is None:
        return 0
    rest = Selection(
        where=selection.left_out,
        geometry=selection.area,
        datetime=selection.datetime,
        platform=selection.platform,
        item_id=selection.item_id,
        chip_size=selection.chip_size,
    )
    if selection.area is None:
        return chips.count(rest)
    return sum(part.num_rows for part in chips.scan(["chip_index_x"], rest))


def with_origin(
    table: pa.Table, href: str, items: dict[ItemKey, Any], known: Known | None
) -> pa.Table:
    """Return the table with its address, editions, and the items of its chips in the metadata."""
    local = local_path(href)
    origin = href if local is None else str(local.absolute())
    table = with_indexes(table, {origin: known})
    if items and {"platform", "item_id"} <= set(table.column_names):
        there = row_keys(table)
        items = {key: item for key, item in items.items() if key in there}
        return embed_items(table, items)  # none may be left: those of the first file go
    return embed_items(table, items) if items else table
