"""Merge any number of indexes into one, in bounded memory.

Every input is read once, in order, and its rows are put aside on disk, item by item. Then the items
of each source are sorted by place and time (`stacchip.index.files.item_order`), and their rows are
written in that order. Memory holds an entry for each item, and the rows of one row group.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import DuplicateChips, InvalidMetadata, NothingFound, UsageError
from stacchip.grid.footprints import BBOX
from stacchip.index.editions import select_editions
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
from stacchip.index.files.layout import ChipsEntry, find_files, index_href
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.snapshot import refusing_replaced
from stacchip.index.files.spill import Spill
from stacchip.index.made_footprints import fill_footprints, items_of_records
from stacchip.index.schema import SCHEMA, stored_rows
from stacchip.index.stored import require_form, store_columns, stored_schema
from stacchip.items.keys import ItemKey
from stacchip.items.reach import distant
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.index.files.chips_writer import ChipsWriter
    from stacchip.index.files.manifest import Seen
    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.stored import GeometryForm

    Duplicates: TypeAlias = Literal["error", "drop"]

__all__ = ["Merged", "merge_indexes"]

_log = logging.getLogger(__name__)
# Number and size of files that are read ahead. Larger files are read by row group, in their turn.
_AHEAD: Final = 16
_SMALL_BYTES: Final = 4 << 20
_GROUP_BYTES: Final = 128 << 20  # of a row group in memory; 50,000 usual rows take 20 MB


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        files: Files with chips that were read.
        items: Items in the merged index, counted once for each source and chip size.
        chips: Rows of the merged index.
        dropped: Rows that were left out because they repeat a chip.
        platforms: Names of the sources.
        records: Items that the merged index keeps a record of.
    """

    files: int
    items: int
    chips: int
    dropped: int
    platforms: tuple[str, ...]
    records: int


class _Item(NamedTuple):
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


def merge_indexes(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    duplicates: Duplicates = "error",
    geometry: GeometryForm = "wkb",
    allow_empty: bool = True,
    storage: Storage | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Merged:
    """Merge indexes of any sources and chip sizes into one folder, sorted by place and time.

    The order of the inputs only decides which of two duplicates is kept; the same inputs give the
    same bytes. Meanwhile, the merge needs local disk of about the size of the merged index: beside
    `out` if that is local, else in the folder for temporary files (`TMPDIR`).

    Args:
        paths: Folders of indexes (with everything below them) and parquet files, including those
            that `pyarrow.parquet.write_table` made. An `out` below one of the folders is not read.
        out: Folder of the merged index. An index there is replaced at the end, and may be among the
            inputs.
        duplicates: What to do with rows of the same key (`stacchip.index.KEY`): `"drop"` keeps the
            first, in the order of the inputs; `"error"` raises.
        geometry: Whether the merged index stores footprints, as for `write_index`. Where an input
            stores none and the merged index does, they are made from the items.
        allow_empty: False to raise if the inputs have no chips, and leave `out` as it is.
        storage: How to reach all of them.
        progress: Called with the address of each file that is read and the number of all files.

    Returns:
        Counts of what was merged.

    Raises:
        DuplicateChips: A chip is there twice, and `duplicates="error"`.
        InvalidMetadata: Two inputs have different items of one id and source, or rows with one of
            these have several dates.
        IndexFormatError: An input is not an index.
        IndexReplaced: An input was replaced while it was read.
        NothingFound: The inputs have no chips, and `allow_empty` is False.
        ObjectNotFound: Nothing is at one of the paths.
        UsageError: There is nothing to merge, `out` is a file or holds other parquet files, or
            `duplicates` or `geometry` is unknown.
    """
    require_form(geometry)
    storage = storage or Storage()
    new = Replacement(out, storage)
    if duplicates not in ("error", "drop"):
        raise UsageError(f"duplicates must be 'error' or 'drop', not {duplicates!r}.")
    if new.is_file:
        name = redact(new.href)
        raise UsageError(f"A merged index is a folder, but {name} is the name of a file.")
    several = [paths] if isinstance(paths, str) or hasattr(paths, "__fspath__") else list(paths)
    hrefs = [index_href(path) for path in several]
    schema = stored_schema(SCHEMA, geometry)
    with new, Spill(new.stage / "chips.spill", pa.schema(list(schema))) as spill:
        collected = _Collected(spill, new.records, schema)
        with refusing_replaced(hrefs, storage) as seen:
            # if `out` is among them, no other process writes to it from here on
            chips, records = _find_inputs(hrefs, new.href, storage, seen)
            for href, table in _read_records(records, storage):
                collected.records.add(table, redact(href))
            read: set[str] = set()
            for part, items, href in _read_chips(chips, storage):
                collected.add(part, items, redact(href))
                if progress is not None and href not in read:
                    read.add(href)
                    progress(redact(href), len(chips))
        if not collected.parts and not allow_empty:
            raise NothingFound(
                f"The indexes have no chips: {', '.join(redact(each.href) for each in chips)}. "
                f"Nothing was written to {redact(new.href)}."
            )
        return _write(collected, new, duplicates, files=len(chips))


def _find_inputs(
    hrefs: Sequence[str], target: str, storage: Storage, seen: Mapping[str, Seen]
) -> tuple[list[ChipsEntry], list[str]]:
    """Return the inputs' files with chips and with records, without those of a former merge."""
    chips: list[ChipsEntry] = []
    records: list[str] = []
    for href in hrefs:
        files = find_files(href, storage, seen.get(href))
        inside = f"{target}/" if href != target else "\0"
        chips += [entry for entry in files.chips if not entry.href.startswith(inside)]
        records += [record for record in files.records if not record.startswith(inside)]
    if not chips:
        raise UsageError("There is nothing to merge: give at least one index with chips.")
    return chips, records


def _read_records(hrefs: Sequence[str], storage: Storage) -> Iterator[tuple[str, pa.Table]]:
    """Yield the records of the inputs, in parts."""

    def start(href: str) -> ParquetFile:
        return open_parquet(href, storage)

    for file in stream_concurrently(start, hrefs, ahead=_AHEAD):
        origin = distant(file.href, storage)
        for table in file.scan():
            yield file.href, table if origin is None else _of_origin(table, file.href, origin)


def _of_origin(table: pa.Table, href: str, origin: str) -> pa.Table:
    """Return records of a remote index as records that are kept elsewhere."""
    return to_table(of_origin(each, origin) for each in from_table(table, href=redact(href)))


def _read_chips(
    files: Sequence[ChipsEntry], storage: Storage
) -> Iterator[tuple[pa.Table, Mapping[ItemKey, Mapping[str, Any]], str]]:
    """Yield the chips of the inputs, in parts, with the items and the address of their file.

    Small files are read ahead, whole.
    """

    def start(entry: ChipsEntry) -> tuple[ChipsFile, list[pa.Table] | None]:
        chips = open_chips(entry, storage)
        is_small = chips.file.remote is None and 0 <= entry.size_bytes <= _SMALL_BYTES
        return chips, list(chips.scan()) if is_small else None

    for chips, tables in stream_concurrently(start, files, ahead=_AHEAD):
        items = chips.items()
        for table in chips.scan() if tables is None else tables:
            yield stored_rows(table, href=redact(chips.href)), items, chips.href


class _Collected:
    """Everything read so far: rows on disk, and an entry for each item in memory."""

    def __init__(self, spill: Spill, records: RecordFile, schema: pa.Schema) -> None:
        self.spill = spill
        self.records = records
        self.schema = schema
        self.parts: dict[_Item, list[_Part]] = defaultdict(list)
        self._dates: dict[ItemKey, tuple[Any, str]] = {}

    def add(self, table: pa.Table, items: Mapping[ItemKey, Mapping[str, Any]], origin: str) -> None:
        """Put aside the rows of a table, item by item, and those of `items` that have rows."""
        named: dict[ItemKey, ItemRecord] = {}
        geometry: GeometryForm = "wkb" if "geometry" in self.schema.names else "none"
        for item, rows in _split_by_item(store_columns(table, geometry)):
            lon, lat = _centre(rows)
            key = ItemKey(item.platform, item.item_id)
            self._refuse_two_dates(key, rows["datetime"], origin)
            time = rows["datetime"][0].cast(pa.int64()).as_py()
            batch = rows.cast(self.spill.schema).combine_chunks().to_batches()[0]
            number = self.spill.append(batch)
            repeats = len(np.unique(_places(batch))) < batch.num_rows
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

    def rows(self, parts: Sequence[_Part]) -> pa.Table:
        """Return the rows of one item, with the footprints that its index did not store."""
        rows = _unique_rows(parts, self.spill)
        if "geometry" not in self.schema.names:
            return rows
        return fill_footprints(rows, items_of_records(self.records.find), errors="skip")

    def _refuse_two_dates(self, key: ItemKey, dates: pa.ChunkedArray, origin: str) -> None:
        """Refuse rows that are of two items of one key: an item has one date.

        Raises:
            InvalidMetadata: They are.
        """
        for date in pc.unique(dates).to_pylist():
            there, other = self._dates.setdefault(key, (date, origin))
            if date != there:
                raise InvalidMetadata(
                    f"Rows of item {key} have datetime {there} in {other}, and {date} in {origin}: "
                    "they are of two items. Merge an index of each apart, or give one of them "
                    "another platform.",
                    item_id=key.item_id,
                )


def _split_by_item(table: pa.Table) -> Iterator[tuple[_Item, pa.Table]]:
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
        yield from _split_by_item(table.take(pa.array(order)))
        return
    stops = np.append(starts[1:], table.num_rows)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        rows = table.slice(start, stop - start)
        yield _Item(*(rows[name][0].as_py() for name in names)), rows


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


def _write(
    collected: _Collected, new: Replacement, duplicates: Duplicates, *, files: int
) -> Merged:
    """Write the collected rows, and put the files into the target folder."""
    if duplicates == "error":
        for item, parts in sorted(collected.parts.items()):
            if len(parts) > 1 or parts[0].has_repeats:
                _refuse_duplicates(item, parts, collected.spill)
    sources: dict[str, list[_Item]] = defaultdict(list)
    for item in sorted(collected.parts):
        sources[item.platform].append(item)
    written = 0
    names = new.name_chips(list(sources))
    editions = new.write_records()
    for platform, name in names.items():
        own = select_editions(editions, sources and [platform])
        with new.open_chips(name, own, collected.schema) as writer:
            written += _write_source(collected, sources.get(platform, []), writer)
    total = sum(part.rows for parts in collected.parts.values() for part in parts)
    merged = Merged(
        files=files,
        items=len(collected.parts),
        chips=written,
        dropped=total - written,
        platforms=tuple(sources),
        records=len(collected.records),
    )
    new.replace()
    _log.info("%s: %s", redact(new.href), merged)
    return merged


def _refuse_duplicates(item: _Item, parts: Sequence[_Part], spill: Spill) -> None:
    """Check that no chip of an item is there twice.

    Raises:
        DuplicateChips: One is; the error names the chip, and the files it is in.
    """
    seen: dict[int, str] = {}
    for part in parts:
        for place in _places(spill.read(part.number)).tolist():
            if place not in seen:
                seen[place] = part.origin
                continue
            y, x = divmod(place, 1 << 32)
            raise DuplicateChips(
                f"Chip ({x}, {y}) of item '{item.item_id}' ({item.platform}, {item.chip_size} px) "
                f"is in {seen[place]} and again in {part.origin}. Merge with duplicates='drop' "
                "(--drop-duplicates) to keep the first.",
                **item._asdict(),
                chip_index_x=x,
                chip_index_y=y,
            )


def _places(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return a number for each place in the grid, rising along its rows."""
    x, y = (batch[f"chip_index_{axis}"].to_numpy().astype(np.int64) for axis in "xy")
    places: NDArray[np.int64] = (y << 32) + x
    return places


def _write_source(collected: _Collected, items: Sequence[_Item], writer: ChipsWriter) -> int:
    """Write the chips of one source, region by region; return their number."""
    parts = [collected.parts[item] for item in items]
    rows = np.array([sum(part.rows for part in several) for several in parts], np.int64)
    regions = order_items(
        np.array([several[0].lon for several in parts]),
        np.array([several[0].lat for several in parts]),
        np.array([min(part.time for part in several) for several in parts], np.int64),
        rows,
        ROWS_PER_GROUP,
    )
    written = 0
    for region in regions:
        groups = max(1, round(int(rows[region].sum()) / ROWS_PER_GROUP))
        wanted = -(-int(rows[region].sum()) // groups)
        tables = (collected.rows(parts[place]) for place in region.tolist())
        for group in _gather(tables, wanted, collected.schema):
            writer.write_table(group, row_group_size=2 * ROWS_PER_GROUP)
            written += group.num_rows
    if not regions:
        writer.write_table(collected.schema.empty_table())
    return written


def _unique_rows(parts: Sequence[_Part], spill: Spill) -> pa.Table:
    """Return the rows of one item, each chip once, along the rows of its grid."""
    batches = [spill.read(part.number) for part in parts]
    places = np.concatenate([_places(batch) for batch in batches])
    table = pa.Table.from_batches(batches, spill.schema)
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
