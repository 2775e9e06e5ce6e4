"""Add columns to an index on disk: its files are written again, row group by row group."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from stacchip.errors import UsageError
from stacchip.index.added_values import find_values
from stacchip.index.editions import EDITIONS
from stacchip.index.files.chips_file import ChipsFile, open_chips
from stacchip.index.files.chips_writer import ROWS_PER_GROUP
from stacchip.index.files.contents import CONTENTS_SCHEMA
from stacchip.index.files.layout import CHIPS, find_files
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.snapshot import at_one_moment
from stacchip.index.foreign.tables import is_unnamed
from stacchip.index.further_columns import fit_column, further_types, keep_columns
from stacchip.index.recorded_splits import change_splits, fill_again
from stacchip.index.schema import SCHEMA
from stacchip.index.stored import require_short_values, store_columns, stored_rows, stored_schema
from stacchip.runtime.concurrently import read_ahead
from stacchip.storage import Storage, parent_href, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from stacchip.index.added_values import AddedValues, Matched
    from stacchip.index.files.layout import FileEntry
    from stacchip.index.stored import GeometryForm

    Metadata: TypeAlias = Mapping[bytes, bytes]
    Missing: TypeAlias = Literal["error", "null"]
    Unknown: TypeAlias = Literal["error", "ignore"]

__all__ = ["AddedColumns", "add_column"]

_log = logging.getLogger(__name__)
# metadata that says what columns a file had, or that its writer adds
_STALE: Final = (b"pandas", b"geo", b"ARROW:schema", EDITIONS)


@dataclass(frozen=True)
class AddedColumns:
    """The result of `add_column`.

    Attributes:
        names: The columns that were added.
        chips: The number of chips of the index.
        missing: How many of these got no value, and are null.
        unknown: How many values were of no chip, and were left out.
    """

    names: tuple[str, ...]
    chips: int
    missing: int
    unknown: int


def add_column(
    index: str | os.PathLike[str],
    values: Any,
    name: str | Sequence[str] | None = None,
    *,
    on: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    missing: Missing = "error",
    unknown: Unknown = "error",
    replace: bool = False,
    storage: Storage | None = None,
    progress: Callable[[str, int], None] | None = None,
    metadata: Callable[[Metadata], Metadata] | None = None,
) -> AddedColumns:
    """Add a column to an index on disk, or several: such as a weight, a split or a label.

    The files with chips are written again in one pass, in little memory. Rows keep their order and
    numbers, and records of items stay as they are; rows that were removed are gone from the files.
    Readers see the index before or after. To add a column to a table in memory, use its own library
    (`pyarrow.Table.append_column`).

    Args:
        index: A folder or parquet file of an index.
        values: The values, as one of these:

            - A table of any library in which each row has the key of a chip: `chipid`, or
              `item_id`, `chip_index_x` and `chip_index_y`; with `platform` and `chip_size` if the
              index has several of them.
            - A function that takes rows of the index as a table, and returns an array, or a table
              of several columns, with a value for each row. It is called for one row group after
              another, and its values have the type of those that it returned first.
            - An array with a value for each chip, in the order of `read_index`.
        name: The column's name. Of a table, the columns to add; by default all that are neither of
            its key nor of `SCHEMA`.
        on: Columns of the index that are the key of a table. Chips that share a key get the same
            value: `on="item_id"` gives all chips of an item that of the item.
        columns: The columns that a function needs; by default all.
        missing: `"null"` leaves chips without a value null; `"error"` raises.
        unknown: `"ignore"` leaves out values whose key no chip has; `"error"` raises.
        replace: True to replace columns of these names that are there. If one was a split, its rule
            is no longer recorded.
        storage: How to reach the index.
        progress: Called with the address of each file that is written and the number of all files.
        metadata: Takes the metadata of each file, and returns what to add to it, such as the rule
            behind the values.

    Returns:
        Counts of what was added.

    Raises:
        IndexFormatError: No index keeps a column of such a name or type.
        IndexReplaced: Others changed an index in a store meanwhile; it is as they left it.
        ObjectNotFound: There is no index.
        UsageError: Chips have no value, or values no chip; a key is there twice, or is of several
            chips; the index has such a column; the numbers of values and chips differ; the index
            has indexes in subfolders.

    Example:
        >>> import pyarrow as pa, tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> from stacchip.index.write import write_index
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> add_column(folder, lambda rows: pa.nulls(len(rows), pa.int8()), "label").names
        ('label',)
    """
    _require_choice("missing", missing, ("error", "null"))
    _require_choice("unknown", unknown, ("error", "ignore"))
    if not isinstance(index, str | os.PathLike):
        raise UsageError(
            "add_column adds to an index on disk: give its path. To a table in memory, its own "
            "library adds columns, and write_index keeps them."
        )
    found = find_values(values, name, on, columns)
    new = Replacement(index, storage or Storage())
    find_files(new.href, new.storage)  # there is one, before anything is made
    with new:
        adding = _Adding(new, found, replace, progress, metadata)
        matched = adding.match()
        _refuse_unmatched(matched, missing, unknown)
        names = adding.write()
    result = AddedColumns(tuple(names), matched.chips, matched.missing, matched.unknown)
    _log.info("%s: %s", redact(new.href), result)
    return result


def _require_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UsageError(f"{option} must be {' or '.join(map(repr, choices))}, not {value!r}.")


def _refuse_unmatched(matched: Matched, missing: Missing, unknown: Unknown) -> None:
    """Refuse values that leave open whose they are, or chips without one."""
    if matched.shared:
        raise UsageError(
            f"Keys of the values are of several chips, such as {'; '.join(matched.shared)}. Give "
            "the table the columns platform and chip_size, too."
        )
    if matched.missing and missing == "error":
        raise UsageError(
            f"{matched.missing:,} of {matched.chips:,} chips have no value, such as "
            f"{'; '.join(matched.lacking)}. Pass missing='null' to leave them null."
        )
    if matched.unknown and unknown == "error":
        raise UsageError(
            f"{matched.unknown:,} values are of no chip of the index, such as "
            f"{'; '.join(matched.strange)}. Pass unknown='ignore' to leave them out."
        )


class _Adding:
    """Columns on their way into the files of an index.

    Args:
        new: The index, within its `with` statement.
        values: The values.
        replaces: Whether columns of their names may be there.
        progress: As of `add_column`.
        metadata: As of `add_column`.
    """

    def __init__(
        self,
        new: Replacement,
        values: AddedValues,
        replaces: bool,
        progress: Callable[[str, int], None] | None,
        metadata: Callable[[Metadata], Metadata] | None,
    ) -> None:
        self._new = new
        self._values = values
        self._replaces = replaces
        self._progress = progress
        self._metadata = metadata
        self._types: dict[str, pa.DataType] | None = None
        self._row = 0
        self._seen = new.see()
        self._files = at_one_moment(new.href, new.storage, lambda files: files)
        if any(parent_href(entry.href) != new.folder for entry in self._files.chips):
            raise UsageError(
                f"The index at {redact(new.href)} has indexes in subfolders: add the column to "
                "these, or merge all into one with merge_indexes (stacchip merge)."
            )

    def match(self) -> Matched:
        """Look whose the values are."""
        key = self._values.key
        chips = sum(self._open(entry).rows for entry in self._files.chips)
        parts = (part for entry in self._files.chips for part in self._open(entry).scan(key))
        return self._values.match(chips, parts)

    def write(self) -> list[str]:
        """Write the files again, and put them into their places; return the names of columns."""
        for entry in self._files.chips:
            self._write_file(entry)
            if self._progress is not None:
                self._progress(redact(entry.href), len(self._files.chips))
        if self._new.is_file:
            self._new.replace()
        else:
            kept = {each.name: each.removed for each in self._files.records if each.removed}
            self._new.replace_chips(self._seen, kept)
        return list(self._types or ())

    def _open(self, entry: FileEntry) -> ChipsFile:
        """Open a file with chips that stay at their place, and as they are."""
        chips = replace(open_chips(entry, self._new.storage), origin=None)
        return replace(chips, file=replace(chips.file, has_threads=False))

    def _write_file(self, entry: FileEntry) -> None:
        chips = self._open(entry)
        geometry: GeometryForm = "none" if chips.lacks_footprints else "wkb"
        parts = self._parts(chips)
        first = store_columns(self._with_values(next(parts), chips), geometry)
        schema = self._schema(chips, first.schema)
        name = CHIPS if self._new.is_file else entry.name
        rest = (store_columns(self._with_values(part, chips), geometry) for part in parts)
        runs = chips.runs(CONTENTS_SCHEMA.names)
        with self._new.open_chips(name, chips.file.editions, schema, runs) as writer:
            for rows in chain([first], rest):
                plain = rows.replace_schema_metadata(schema.metadata)
                writer.write_table(plain, row_group_size=2 * ROWS_PER_GROUP)

    def _parts(self, chips: ChipsFile) -> Iterator[pa.Table]:
        """Yield the rows of a file, row group by row group; at least one table."""
        href = redact(chips.href)

        def read() -> Iterator[pa.Table]:
            some = False
            for part in chips.scan():
                if part.num_rows:
                    some = True
                    yield stored_rows(part, href=href)
            if not some:
                yield stored_rows(chips.file.columns.nothing(None), href=href)

        # of a remote file, others are read ahead anyway
        return read() if chips.file.remote is not None else read_ahead(read())

    def _with_values(self, rows: pa.Table, chips: ChipsFile) -> pa.Table:
        """Return rows with their new columns last."""
        added = self._values.of(rows, self._row)
        self._row += rows.num_rows
        if self._types is None:
            self._types = self._require_new(added)
        there = [name for name in self._types if name in rows.column_names]
        if there and not self._replaces:
            raise UsageError(
                f"{redact(chips.href)} has a column {there[0]!r} already: pass replace=True to "
                "replace it, or choose another name."
            )
        rows = rows.drop_columns(there)
        plain = keep_columns(added)
        for name, kind in self._types.items():
            rows = rows.append_column(name, fit_column(plain[name], kind, name))
        require_short_values(rows.select(list(self._types)), None)
        if not there:
            return rows
        return fill_again(rows, chips.file.view.metadata, there, chips.href)

    def _require_new(self, added: pa.Table) -> dict[str, pa.DataType]:
        ours = [name for name in added.column_names if name in SCHEMA.names]
        if ours:
            raise UsageError(
                f"{ours[0]!r} is a column of every index, and cannot be added: choose another name."
            )
        for name in added.column_names:
            if not name or is_unnamed(name):
                raise UsageError(
                    f"No column can have the name {name!r}, which stands for none: choose another."
                )
        return further_types(keep_columns(added).schema)

    def _schema(self, chips: ChipsFile, schema: pa.Schema) -> pa.Schema:
        """Return the schema of a new file, with the metadata that the old one has."""
        # also what was added to the file after its schema, which pyarrow does not count to that
        kept = {**chips.file.view.metadata, **(chips.file.schema.metadata or {})}
        kept = {key: value for key, value in kept.items() if key not in _STALE}
        kept = change_splits(kept, self._types or ())
        if self._metadata is not None:
            kept |= self._metadata(kept)
        geometry: GeometryForm = "none" if chips.lacks_footprints else "wkb"
        return schema.with_metadata(kept | (stored_schema(SCHEMA, geometry).metadata or {}))
