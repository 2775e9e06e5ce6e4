"""Chips of many indexes on their way into one: put aside on disk, item by item.

Every input is read once, in order. Memory holds an entry for each item, and the rows of one row
group. The items of each source are then sorted by place and time
(`stacchip.index.files.item_order`), and their rows are written in that order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import DuplicateChips, InvalidMetadata, UsageError
from stacchip.grid.footprints import BBOX
from stacchip.index.files.chips_file import ChipsFile, open_chips
from stacchip.index.files.chips_writer import ROWS_PER_GROUP
from stacchip.index.files.item_order import order_items
from stacchip.index.files.item_records import (
    ItemRecord,
    RecordFile,
    from_table,
    of_origin,
    to_table,
)
from stacchip.index.files.layout import FileEntry, find_files
from stacchip.index.files.opening import open_entry
from stacchip.index.files.snapshot import refusing_replaced
from stacchip.index.further_columns import FurtherColumns, fit_columns, further_types, is_text
from stacchip.index.joint_types import holds_values
from stacchip.index.made_footprints import fill_footprints, items_of_records
from stacchip.index.recorded_splits import fill_splits, read_splits, write_splits
from stacchip.index.stored import store_columns, stored_rows
from stacchip.index.table_rows import take_rows
from stacchip.items.keys import ItemKey
from stacchip.items.reach import distant
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.index.files.chips_writer import ChipsWriter
    from stacchip.index.files.manifest import Seen
    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.files.spill import Spill
    from stacchip.index.stored import GeometryForm
    from stacchip.splits.rules import Rule

    Places = NDArray[np.int64]

__all__ = [
    "ChipsOfItem",
    "Gathered",
    "by_source",
    "number_places",
    "refuse_duplicates",
    "split_by_item",
    "write_source",
]

# Number and size of files that are read ahead. Larger files are read by row group, in their turn.
# Rows count, since what a file compresses to a megabyte may take a hundred in memory.
_AHEAD: Final = 16
_SMALL_BYTES: Final = 4 << 20
_SMALL_ROWS: Final = 12_500
_GROUP_BYTES: Final = 128 << 20  # of a row group in memory; 50,000 usual rows take 20 MB


class ChipsOfItem(NamedTuple):
    """The key of an item's rows of one chip size."""

    platform: str
    item_id: str
    chip_size: int


class _Part(NamedTuple):
    """Rows of an item, put aside."""

    number: int
    rows: int
    lon: float
    lat: float
    time: int
    origin: str
    has_repeats: bool


def _find_inputs(
    hrefs: Sequence[str], target: str, storage: Storage, seen: Mapping[str, Seen], verb: str
) -> tuple[list[FileEntry], list[FileEntry]]:
    """Return the inputs' files with chips and with records, without those of a former merge."""
    chips: list[FileEntry] = []
    records: list[FileEntry] = []
    for href in hrefs:
        files = find_files(href, storage, seen.get(href))
        inside = f"{target}/" if href != target else "\0"
        chips += [entry for entry in files.chips if not entry.href.startswith(inside)]
        records += [record for record in files.records if not record.href.startswith(inside)]
    if not chips:
        raise UsageError(f"There is nothing to {verb}: give at least one index with chips.")
    return chips, records


def _read_records(files: Sequence[FileEntry], storage: Storage) -> Iterator[tuple[str, pa.Table]]:
    """Yield the records of the inputs, in parts."""

    def start(entry: FileEntry) -> ParquetFile:
        return open_entry(entry, storage)

    for file in stream_concurrently(start, files, ahead=_AHEAD):
        origin = distant(file.href, storage)
        for table in file.scan():
            yield file.href, table if origin is None else _of_origin(table, file.href, origin)


def _of_origin(table: pa.Table, href: str, origin: str) -> pa.Table:
    """Return records of a remote index as records that are kept elsewhere."""
    return to_table(of_origin(each, origin) for each in from_table(table, href=redact(href)))


def _read_chips(
    files: Sequence[FileEntry], storage: Storage
) -> Iterator[tuple[pa.Table, Mapping[ItemKey, Mapping[str, Any]], ChipsFile]]:
    """Yield the chips of the inputs, in parts, with the items in their file, and the file.

    Small files are read ahead, whole.
    """

    def start(entry: FileEntry) -> tuple[ChipsFile, list[pa.Table] | None]:
        chips = open_chips(entry, storage)
        chips = replace(chips, file=replace(chips.file, has_threads=False))
        is_small = 0 <= entry.size_bytes <= _SMALL_BYTES and chips.rows <= _SMALL_ROWS
        is_small &= chips.file.remote is None
        return chips, list(chips.scan()) if is_small else None

    for chips, tables in stream_concurrently(start, files, ahead=_AHEAD):
        items = chips.items()
        for table in chips.scan() if tables is None else tables:
            yield stored_rows(table, href=redact(chips.href)), items, chips


class Gathered:
    """Everything read so far: rows on disk, and an entry for each item in memory.

    Args:
        spill: For the rows.
        records: For the records of items.
        schema: The columns of `SCHEMA` in the files that will be written.

    Attributes:
        further: The further columns of what was read.
        types: The further columns of the files that will be written; by default those read.
        splits: The splits that files which were read record, by the address of the file.
        rules: The splits of the files that will be written: their columns are worked out anew.
        parts: The rows of each item that were put aside.
        dates: The `datetime` of each item, and where it was read.
        left_out: Chips that are not wanted; see `number_places`.
    """

    def __init__(self, spill: Spill, records: RecordFile, schema: pa.Schema) -> None:
        self.spill = spill
        self.records = records
        self.further = FurtherColumns()
        self.types = self.further.types
        self.splits: dict[str, dict[str, Rule]] = {}
        self.rules: dict[str, Rule] = {}
        self._ours = schema
        self.parts: dict[ChipsOfItem, list[_Part]] = defaultdict(list)
        self.dates: dict[ItemKey, tuple[Any, str]] = {}
        self.left_out: dict[ChipsOfItem, Places] = {}

    def read(
        self,
        hrefs: Sequence[str],
        target: str,
        storage: Storage,
        progress: Callable[[str, int], None] | None = None,
        *,
        verb: Literal["add", "merge"] = "add",
    ) -> list[str]:
        """Read indexes; return the addresses of their files with chips.

        Args:
            hrefs: The indexes. What lies below the target is left out.
            target: Address of the index that will have their chips.
            storage: How to reach them.
            progress: Called with the address of each file that is read and the number of all files.
            verb: What the caller does with them, for errors.

        Raises:
            IndexReplaced: One was replaced meanwhile.
            UsageError: There are no files with chips.
        """
        with refusing_replaced(hrefs, storage) as seen:
            # if the target is among them, no other process writes to it from here on
            chips, records = _find_inputs(hrefs, target, storage, seen, verb)
            for href, table in _read_records(records, storage):
                self.records.add(table, redact(href))
            read: set[str] = set()
            for part, items, file in _read_chips(chips, storage):
                self.add(part, items, redact(file.href))
                if file.href in read:
                    continue
                read.add(file.href)
                self._note_splits(file)
                if progress is not None:
                    progress(redact(file.href), len(chips))
        return [each.href for each in chips]

    def split_by(self, rules: Mapping[str, Rule]) -> None:
        """Let rules decide of the splits of all rows, where there are columns for them."""
        texts = {name for name, kind in self.types.items() if is_text(kind)}
        self.rules = {name: rule for name, rule in rules.items() if name in texts}

    def _note_splits(self, file: ChipsFile) -> None:
        splits = read_splits(file.file.view.metadata, file.href)
        if splits:
            self.splits[redact(file.href)] = splits

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files that will be written, once everything was read."""
        further = [pa.field(name, kind) for name, kind in self.types.items()]
        return pa.schema([*self._ours, *further], self._ours.metadata)

    def add(self, table: pa.Table, items: Mapping[ItemKey, Mapping[str, Any]], origin: str) -> None:
        """Put aside the rows of a table, item by item, and those of `items` that have rows.

        Raises:
            IndexFormatError: A further column has another type than before, and none holds both.
        """
        self.further.add(table.schema, origin)
        self.further.require()
        named: dict[ItemKey, ItemRecord] = {}
        geometry: GeometryForm = "wkb" if "geometry" in self._ours.names else "none"
        own = (table.schema.field(name) for name in further_types(table.schema))
        plain = pa.schema([*self._ours, *own])
        for item, rows in split_by_item(store_columns(table, geometry)):
            lon, lat = _centre(rows)
            key = ItemKey(item.platform, item.item_id)
            self._refuse_two_dates(key, rows["datetime"], origin)
            time = rows["datetime"][0].cast(pa.int64()).as_py()
            batch = rows.cast(plain).combine_chunks().to_batches()[0]
            number = self.spill.append(batch)
            repeats = len(np.unique(number_places(batch))) < batch.num_rows
            part = _Part(number, rows.num_rows, lon, lat, time, origin, repeats)
            self.parts[item].append(part)
            if key in items:
                named[key] = ItemRecord(
                    platform=item.platform,
                    item_id=item.item_id,
                    item=items[key],
                    item_href=batch["item_href"][0].as_py(),
                )
        self.records.add(to_table(named.values()), origin)

    @property
    def chips(self) -> int:
        """The number of rows that were read."""
        return sum(part.rows for parts in self.parts.values() for part in parts)

    def places(self, item: ChipsOfItem) -> Places:
        """Return the places of an item's chips, as `number_places` does."""
        batches = [self.spill.read(part.number) for part in self.parts[item]]
        return np.concatenate([number_places(batch) for batch in batches])

    def fits(self, name: str, kind: pa.DataType) -> bool:
        """Return True if all values of a further column fit a type exactly."""
        parts = chain.from_iterable(self.parts.values())
        batches = (self.spill.read(part.number) for part in parts)
        own = (batch[name] for batch in batches if name in batch.schema.names)
        return all(holds_values(kind, column) for column in own)

    def rows(self, item: ChipsOfItem) -> pa.Table:
        """Return the rows of one item, with the footprints that its index did not store."""
        rows = _unique_rows(self.parts[item], self.spill, self.types)
        if item in self.left_out:
            is_there = np.isin(number_places(rows), self.left_out[item])
            rows = take_rows(rows, np.flatnonzero(~is_there))
        if "geometry" not in self._ours.names:
            return rows
        return fill_footprints(rows, items_of_records(self.records.find), errors="skip")

    def refuse_repeats(self) -> None:
        """Check that no chip was read twice.

        Raises:
            DuplicateChips: One was; the error names the chip, and the files it is in.
        """
        for item, parts in sorted(self.parts.items()):
            if len(parts) > 1 or parts[0].has_repeats:
                places = (
                    (number_places(self.spill.read(each.number)), each.origin) for each in parts
                )
                refuse_duplicates(item, places)

    def _refuse_two_dates(self, key: ItemKey, dates: pa.ChunkedArray, origin: str) -> None:
        """Refuse rows that are of two items of one key: an item has one date.

        Raises:
            InvalidMetadata: They are.
        """
        for date in pc.unique(dates).to_pylist():
            there, other = self.dates.setdefault(key, (date, origin))
            if date != there:
                raise InvalidMetadata(
                    f"Rows of item {key} have datetime {there} in {other}, and {date} in {origin}: "
                    "they are of two items. Merge an index of each apart, or give one of them "
                    "another platform.",
                    item_id=key.item_id,
                )


def split_by_item(table: pa.Table) -> Iterator[tuple[ChipsOfItem, pa.Table]]:
    """Yield the rows of each item, one table for each chip size."""
    if not table.num_rows:
        return
    names = ("platform", "item_id", "chip_size")
    encoded = [table[name].combine_chunks().dictionary_encode() for name in names]
    codes = np.stack([column.indices.to_numpy() for column in encoded])
    starts = np.flatnonzero((np.diff(codes, axis=1, prepend=-1) != 0).any(axis=0))
    if len(np.unique(codes[:, starts], axis=1).T) < len(starts):
        # the rows of some item are not contiguous
        order = np.lexsort(codes)
        yield from split_by_item(table.take(pa.array(order)))
        return
    stops = np.append(starts[1:], table.num_rows)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        rows = table.slice(start, stop - start)
        platform, item_id, chip_size = (rows[name][0].as_py() for name in names)
        yield ChipsOfItem(intern(platform), intern(item_id), chip_size), rows


def _centre(rows: pa.Table) -> tuple[float, float]:
    """Return longitude and latitude of the middle of some chips, also across the antimeridian."""
    box = rows["bbox"].combine_chunks()
    sides = [pc.struct_field(box, side).to_numpy(zero_copy_only=False) for side in BBOX.names]
    # bounds are null where a chip is not on Earth; those of others may be wrong in part
    is_there = (np.abs(sides) <= 360).all(axis=0)
    if not is_there.any():
        return 0.0, 0.0
    west, south, east, north = (side[is_there] for side in sides)
    lat = float((south + north).mean()) / 2
    lon = np.radians((west + east)[east - west < 180] / 2)
    if not len(lon):  # every chip crosses the antimeridian
        return 180.0, lat
    return float(np.degrees(np.arctan2(np.sin(lon).mean(), np.cos(lon).mean()))), lat


def by_source(items: Iterable[ChipsOfItem]) -> dict[str, list[ChipsOfItem]]:
    """Return the items of each source, both sorted."""
    sources: dict[str, list[ChipsOfItem]] = defaultdict(list)
    for item in sorted(items):
        sources[item.platform].append(item)
    return dict(sources)


def refuse_duplicates(item: ChipsOfItem, places: Iterable[tuple[Places, str]]) -> None:
    """Check that no chip of an item is there twice.

    Args:
        item: The item.
        places: The places of chips, as `number_places` returns them, and their file.

    Raises:
        DuplicateChips: One is; the error names the chip, and the files it is in.
    """
    seen: dict[int, str] = {}
    for several, origin in places:
        for place in several.tolist():
            if place not in seen:
                seen[place] = origin
                continue
            y, x = divmod(place, 1 << 32)
            raise DuplicateChips(
                f"Chip ({x}, {y}) of item '{item.item_id}' ({item.platform}, {item.chip_size} px) "
                f"is in {seen[place]} and again in {origin}. Pass duplicates='drop' "
                "(--drop-duplicates) to keep the first.",
                **item._asdict(),
                chip_index_x=x,
                chip_index_y=y,
            )


def number_places(rows: pa.Table | pa.RecordBatch) -> Places:
    """Return a number for the place of each chip in its grid, rising along the grid's rows."""
    x, y = (rows[f"chip_index_{axis}"].to_numpy().astype(np.int64) for axis in "xy")
    places: Places = (y << 32) + x
    return places


def write_source(gathered: Gathered, items: Sequence[ChipsOfItem], writer: ChipsWriter) -> int:
    """Write the chips of one source, region by region; return their number."""
    parts = [gathered.parts[item] for item in items]
    rows = np.array([sum(part.rows for part in several) for several in parts], np.int64)
    regions = order_items(
        np.array([several[0].lon for several in parts]),
        np.array([several[0].lat for several in parts]),
        np.array([min(part.time for part in several) for several in parts], np.int64),
        rows,
        ROWS_PER_GROUP,
    )
    written = 0
    schema = gathered.schema
    writer.file.add_metadata(write_splits(gathered.rules))
    for region in regions:
        groups = max(1, round(int(rows[region].sum()) / ROWS_PER_GROUP))
        wanted = -(-int(rows[region].sum()) // groups)
        tables = (gathered.rows(items[place]) for place in region.tolist())
        for group in _gather(tables, wanted, schema):
            writer.write_table(
                fill_splits(group, gathered.rules), row_group_size=2 * ROWS_PER_GROUP
            )
            written += group.num_rows
    if not regions:
        writer.write_table(schema.empty_table())
    return written


def _unique_rows(
    parts: Sequence[_Part], spill: Spill, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """Return the rows of one item, each chip once, along the rows of its grid."""
    batches = [spill.read(part.number) for part in parts]
    places = np.concatenate([number_places(batch) for batch in batches])
    tables = (fit_columns(pa.Table.from_batches([batch]), types) for batch in batches)
    table = pa.concat_tables(tables)
    if len(places) > 1 and (np.diff(places) <= 0).any():
        _, first = np.unique(places, return_index=True)  # the first of equal ones, in order
        table = table.take(pa.array(first))
    return table


def _gather(tables: Iterable[pa.Table], wanted: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """Join tables until they have the rows wanted, or somewhat more, since items stay whole.

    Rows of long texts are written earlier.
    """
    gathered: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        gathered.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= wanted or size >= _GROUP_BYTES:
            yield pa.concat_tables(gathered).cast(schema)
            gathered, rows, size = [], 0, 0
    if gathered:
        yield pa.concat_tables(gathered).cast(schema)
