"""A file of chips, read as rows of an index, whatever tool wrote it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import ItemNotFound
from stacchip.index.embedded import give_platforms, parse_items, row_keys
from stacchip.index.files.contents import CONTENTS_SCHEMA, FolderContents
from stacchip.index.files.item_addresses import HREF, drop_local_addresses
from stacchip.index.files.manifest import final_href
from stacchip.index.files.opening import open_entry
from stacchip.index.files.parquet import ROW, ParquetFile
from stacchip.index.filters import SPLIT, Selection
from stacchip.index.foreign.geometry import find_geometry
from stacchip.index.foreign.item_lookup import ItemLookup
from stacchip.index.foreign.own_columns import columns_to_derive, fill_from_own_columns
from stacchip.index.foreign.tables import as_table
from stacchip.index.further_columns import FurtherColumns, further_types, unknown_name
from stacchip.index.made_footprints import (
    PLACE_COLUMNS,
    fill_footprints,
    in_area,
    items_of_records,
)
from stacchip.index.recorded_splits import read_splits
from stacchip.index.schema import (
    OPTIONAL_COLUMNS,
    SCHEMA,
    conform,
    naming_table,
    select_columns,
)
from stacchip.items.reach import distant, keep_origin
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import pyarrow.compute as pc
    import pystac
    from numpy.typing import NDArray

    from stacchip.index.files.contents import Contents
    from stacchip.index.files.layout import FileEntry
    from stacchip.index.foreign.item_columns import FindItem
    from stacchip.index.made_footprints import FindRecord
    from stacchip.items.keys import ItemKey
    from stacchip.storage import Storage

__all__ = ["ChipsFile", "open_chips", "share_columns", "share_with", "with_records"]

_ALL: Final = Selection()


@dataclass(frozen=True)
class ChipsFile:
    """A parquet file of chips, whose rows come with the columns of `SCHEMA`.

    Columns that the file lacks are derived (`stacchip.index.conform`). A condition on them is put
    to the derived rows. Any other is put to the file, so that no row group without a chosen row is
    read.

    Footprints that the file does not store are made from the items, if they are asked for by name,
    or where bounds alone do not tell whether a chip meets an area.

    Attributes:
        file: The file, with the columns that its path tells.
        find_item: Finds items, for columns that only they tell (`conform`).
        find_kept: Finds the items that the index itself keeps, for footprints.
        origin: Its address if it is of a remote place: its items come as items of that place, and
            its rows without addresses that it may not name. None to read both as they are kept.
        read_contents: Returns the runs of its folder, with some columns.
        further: The further columns of all files of its index; None if others were not looked at.
    """

    file: ParquetFile
    find_item: FindItem | None = None
    find_kept: FindItem | None = None
    origin: str | None = None
    read_contents: Callable[[Sequence[str]], Contents | None] = lambda _: None
    further: FurtherColumns | None = None

    @property
    def href(self) -> str:
        """Its address."""
        return self.file.href

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return self.file.rows

    @property
    def lacks_footprints(self) -> bool:
        """True if the file stores no footprints."""
        return find_geometry(self.file.schema) is None

    def read(self, columns: Sequence[str] | None = None, chosen: Selection = _ALL) -> pa.Table:
        """Return the chosen rows; see `scan`."""
        raw, pushed = self._plan(columns, chosen)
        found = self.file.read(raw, pushed, among=self._among(chosen))
        return self._finish(found, columns, chosen, pushed)

    def scan(
        self, columns: Sequence[str] | None = None, chosen: Selection = _ALL
    ) -> Iterator[pa.Table]:
        """Yield the chosen rows, one table for each row group that may have some.

        Args:
            columns: Names of columns; by default those of `SCHEMA`, and then the file's others.
            chosen: The chips wanted.

        Raises:
            IndexFormatError: The file has no chips.
        """
        raw, pushed = self._plan(columns, chosen)
        for part in self.file.scan(raw, pushed, among=self._among(chosen)):
            yield self._finish(part, columns, chosen, pushed)

    def scan_numbered(
        self, columns: Sequence[str] | None = None, chosen: Selection = _ALL
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield what `scan` does, and with each table the numbers of its rows in the file."""
        raw, pushed = self._plan(columns, chosen)
        wanted = None if columns is None else [*columns, ROW]
        for part in self.file.scan(raw, pushed, among=self._among(chosen), numbered=True):
            rows = self._finish(part, wanted, chosen, pushed)
            yield rows[ROW].to_numpy(), rows.drop_columns(ROW)

    def take(self, rows: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows by their numbers in the file, in the order asked.

        Raises:
            IndexFormatError: The file has no chips.
        """
        raw, _ = self._plan(columns, _ALL)
        return self._finish(self.file.take(rows, raw), columns, _ALL, None)

    def count(self, chosen: Selection) -> int:
        """Return how many rows are chosen; their footprints are compared by their bounds only."""
        where = chosen.expression
        if where is None:
            return self.rows
        if self._pushed(chosen) is where:
            return self.file.count(where, among=self._among(chosen))
        return sum(part.num_rows for part in self.scan(["chip_index_x"], chosen))

    def nulls(self, column: str) -> int | None:
        """Return in how many rows a column is null; None if only the rows tell."""
        if column in self.file.told:
            return 0
        if column in SCHEMA.names and self._derived([column]):
            return None
        is_float = column in SCHEMA.names and pa.types.is_floating(SCHEMA.field(column).type)
        # other tools write NaN for what was not measured
        return None if is_float else self.file.nulls(column)

    def runs(self, columns: Sequence[str] = ()) -> pa.Table | None:
        """Return its runs of rows of one item; None if nothing tells.

        Args:
            columns: Names of columns of `CONTENTS_SCHEMA`; its `PLACES` always come first. Ask for
                all that are needed at once: each call with further ones opens a file.
        """
        contents = self.read_contents(columns)
        name = (final_href(self.href) or self.href).rpartition("/")[2]
        runs = None if contents is None else contents.of(name, self.file, columns)
        return None if runs is None else drop_local_addresses(runs, self.origin)

    def _among(self, chosen: Selection) -> list[int] | None:
        """Return the row groups that have chips of the items chosen; None if nothing tells."""
        where = chosen.of_items
        if where is None or len(self.file.footer.groups) <= 1:
            return None
        named = _named(where)
        runs = self.runs([name for name in CONTENTS_SCHEMA.names if name in named])
        if runs is None:
            return None
        chosen_runs = runs.filter(where)
        first, rows = (chosen_runs[name].to_numpy() for name in ("first", "rows"))
        starts = self.file.starts
        begun = np.searchsorted(starts, first, side="right") - 1
        ended = np.searchsorted(starts, first + rows, side="left")
        steps = [np.bincount(ends, minlength=len(starts)) for ends in (begun, ended)]
        found: list[int] = np.flatnonzero(np.cumsum(steps[0] - steps[1])).tolist()
        return found

    def told_columns(self) -> list[str]:
        """Return the columns that the file tells without its items, those of `SCHEMA` first."""
        there = as_table(self.file.schema.empty_table())
        told = fill_from_own_columns(there, SCHEMA.names).column_names
        ours = [name for name in SCHEMA.names if name in told or name in OPTIONAL_COLUMNS]
        return [*ours, *(name for name in told if name not in SCHEMA.names)]

    def items(self) -> dict[ItemKey, dict[str, Any]]:
        """Return the STAC items in the file's metadata, as `stacchip.index.embedded_items` does."""
        keyed, by_id = parse_items(self.file.schema)

        def find_keys() -> set[ItemKey]:
            return row_keys(self.read(["platform", "item_id"], Selection(item_id=list(by_id))))

        items = keyed | give_platforms(by_id, find_keys)
        return {key: dict(keep_origin(item, self.origin)) for key, item in items.items()}

    def require_chips(self, columns: Sequence[str] | None = None) -> None:
        """Refuse a file that has not the columns of an index.

        Raises:
            IndexFormatError: A column is absent, and cannot be derived.
        """
        self._conform(self.file.schema.empty_table(), columns)

    def _plan(
        self, columns: Sequence[str] | None, chosen: Selection
    ) -> tuple[list[str] | None, pc.Expression | None]:
        """Return the columns to read from the file (None for all), and the condition put to it."""
        names = SCHEMA.names if columns is None else [*columns, *chosen.columns]
        self._require_columns(columns, chosen)
        self.require_chips(columns)
        if "geometry" in names and self.lacks_footprints:
            names = [name for name in (*names, *PLACE_COLUMNS) if name != "geometry"]
        pushed = self._pushed(chosen)
        needs_all = columns is None or self._derived(names) or pushed is not chosen.expression
        return None if needs_all else list(dict.fromkeys(names)), pushed

    def _require_columns(self, columns: Sequence[str] | None, chosen: Selection) -> None:
        """Refuse further columns that the index lacks, or that are of other types in other files.

        Raises:
            UsageError: No file of the index has one.
            IndexFormatError: One has types that no type holds without loss.
        """
        further = self.further
        if further is None:
            further = FurtherColumns()
            further.add(self.file.schema, redact(self.href))
        chosen.require_split(further.types, redact(self.href))
        if chosen.split is not None:
            recorded = read_splits(self.file.view.metadata, self.href).get(SPLIT)
            if recorded is not None:
                chosen.require_known_split(recorded.splits, redact(self.href))
        further.require(columns, chosen.further)
        names = [name for name in columns or () if name != ROW]
        if chosen.further is not None:
            known = {each.name: each for each in (*self.file.columns.whole, *SCHEMA)}
            unknown = unknown_name(chosen.further, pa.schema(known.values()))
            names += [] if unknown is None else [unknown]
        further.require_known(names, redact(self.href))

    def _finish(
        self,
        table: pa.Table,
        columns: Sequence[str] | None,
        chosen: Selection,
        pushed: pc.Expression | None,
    ) -> pa.Table:
        """Return the chosen rows of those read, with the columns wanted."""
        where = chosen.expression
        names = None
        if columns is not None:
            names = {*columns, *chosen.columns}
            names |= set() if pushed is where else _named(where)
            if "geometry" in names and self.lacks_footprints:
                names |= {*PLACE_COLUMNS}
        rows = self._conform(table, names)
        if where is not None and pushed is not where:
            rows = rows.filter(where)
        with naming_table(redact(self.href)):
            rows = self._refine(rows, chosen)
            if columns is not None and "geometry" in columns and self.lacks_footprints:
                rows = fill_footprints(rows, self._find_for_footprint)
        return rows if columns is None else select_columns(rows, columns)

    def _refine(self, rows: pa.Table, chosen: Selection) -> pa.Table:
        """Return the rows whose footprints meet the chosen area."""
        if chosen.area is None or not rows.num_rows or not self.lacks_footprints:
            return chosen.refine(rows)
        return in_area(rows, chosen, self.find_kept)

    def _find_for_footprint(
        self, platform: str | None, item_id: str, item_href: str | None
    ) -> pystac.Item:
        """Return an item that the index keeps, else the one at its address."""
        for find in (self.find_kept, self.find_item):
            if find is not None:
                with contextlib.suppress(ItemNotFound):
                    return find(platform, item_id, item_href)
        raise ItemNotFound(
            f"The index stores no footprints, and keeps no record of item {item_id!r}.",
            item_id=item_id,
        )

    def _conform(self, table: pa.Table, columns: Collection[str] | None) -> pa.Table:
        href = redact(self.href)
        rows = conform(table, columns=columns, href=href, find_item=self.find_item)
        return drop_local_addresses(rows, self.origin)

    def _pushed(self, chosen: Selection) -> pc.Expression | None:
        """Return the condition that is put to the file itself; None if there is none."""
        where = chosen.prunable
        return where if where is not None and self._is_pushed(where) else None

    def _is_pushed(self, where: pc.Expression) -> bool:
        """Return True if the file itself has what a condition names, in a type that compares."""
        named = _named(where)
        schema = self.file.schema
        if HREF in named:  # the file may hold relative ones
            return False
        return not self._derived(named) and all(
            _compares(schema.field(name).type, SCHEMA.field(name).type)
            for name in named & set(schema.names)
        )

    def _derived(self, names: Sequence[str] | set[str]) -> set[str]:
        return columns_to_derive(self.file.schema, set(names)) - {*OPTIONAL_COLUMNS}


def open_chips(
    entry: FileEntry, storage: Storage, contents: FolderContents | None = None
) -> ChipsFile:
    """Open a file of chips, and read its footer.

    Columns that the rows lack come from the items in the file's metadata, or at `item_href`.

    Args:
        entry: The file.
        storage: How to reach it.
        contents: The runs of folders that were read already.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: It is not a parquet file.
    """
    file = open_entry(entry, storage)

    def parse() -> Iterator[dict[str, Any]]:
        for items in parse_items(file.schema):
            yield from items.values()

    lookup = ItemLookup(parse, storage, entry.href)

    def find_kept(platform: str | None, item_id: str, _: str | None) -> pystac.Item:
        return lookup.find(platform, item_id, None)

    contents = contents or FolderContents(storage)

    def read_contents(columns: Sequence[str]) -> Contents | None:
        return contents.of(entry.href, columns)

    origin = distant(entry.href, storage)
    return ChipsFile(file, lookup.find, find_kept, origin, read_contents)


def with_records(chips: ChipsFile, find_record: FindRecord, origin: str | None) -> ChipsFile:
    """Return a file of chips that also finds items among the records of its index.

    Args:
        chips: The file.
        find_record: Returns the record of a platform and an item id, or None.
        origin: Result of `stacchip.items.reach.distant` for the index.
    """
    in_records, in_file = items_of_records(find_record, origin), chips.find_kept

    def find_kept(platform: str | None, item_id: str, item_href: str | None) -> pystac.Item:
        try:
            return in_records(platform, item_id, item_href)
        except ItemNotFound:
            if in_file is None:
                raise
            return in_file(platform, item_id, item_href)

    return replace(chips, find_kept=find_kept)


def share_columns(files: Sequence[ChipsFile]) -> list[ChipsFile]:
    """Return the files of an index, each with the further columns of all.

    Args:
        files: All of its files.
    """
    further = FurtherColumns()
    for chips in files:
        further.add(chips.file.schema, redact(chips.href))
    return [share_with(chips, further) for chips in files] if further.types else list(files)


def share_with(chips: ChipsFile, further: FurtherColumns) -> ChipsFile:
    """Return a file of an index with the further columns of all of its files."""
    file = chips.file
    if further_types(file.schema) != further.shared:
        file = replace(file, further=further.shared)
    return replace(chips, file=file, further=further)


def _named(where: pc.Expression | None) -> set[str]:
    """Return the columns of `SCHEMA` that a condition names, and perhaps others.

    pyarrow does not say which columns an expression names, but its text holds them all.
    """
    said = "" if where is None else str(where)
    return {name for name in SCHEMA.names if name in said}


def _compares(there: pa.DataType, ours: pa.DataType) -> bool:
    """Return True if pyarrow compares a column with a value of our type."""
    if pa.types.is_dictionary(there):
        there = there.value_type
    families = (
        (pa.string(), pa.large_string()),
        (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()),
        (pa.float16(), pa.float32(), pa.float64()),
    )
    is_kin = any(there in family and ours in family for family in families)
    if pa.types.is_timestamp(there) and pa.types.is_timestamp(ours):
        is_kin = there.tz is not None
    return is_kin or there == ours or (pa.types.is_struct(there) and pa.types.is_struct(ours))
