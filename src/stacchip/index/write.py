"""Write an index, and add headers to one."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import AssetChanged, DuplicateChips, StorageError, UsageError
from stacchip.index.dates import refuse_strangers, refuse_two_dates
from stacchip.index.editions import select_editions
from stacchip.index.embedded import (
    embedded_items,
    indexes_and_editions,
    remote_index_of,
    row_keys,
    with_items,
)
from stacchip.index.files.header_spill import HeaderSpill
from stacchip.index.files.item_addresses import store_item
from stacchip.index.files.item_records import (
    ItemRecord,
    RecordFile,
    from_table,
    one_record,
    to_table,
)
from stacchip.index.files.layout import CHIPS, RECORDS, find_files
from stacchip.index.files.opening import open_entry, open_parquet
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.row_ranges import NO_ROWS
from stacchip.index.filters import Selection
from stacchip.index.foreign.item_lookup import ItemLookup
from stacchip.index.foreign.tables import as_table
from stacchip.index.made_footprints import fill_footprints, items_of_records
from stacchip.index.recorded import records_of
from stacchip.index.recorded_splits import splits_that_hold, write_splits
from stacchip.index.schema import KEY, SCHEMA
from stacchip.index.stored import require_form, store_columns, stored_rows
from stacchip.index.table_rows import encode_texts
from stacchip.items.copies import to_dict
from stacchip.items.keys import ItemKey, add_item, by_key, match_keys, resolve_ids
from stacchip.runtime.whole_file import temporary_folder
from stacchip.storage import Storage, child_href, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    import pystac

    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.stored import GeometryForm
    from stacchip.raster.header import Header

    Item = pystac.Item | Mapping[str, Any]
    Items = Mapping[ItemKey, Item] | Mapping[str, Item] | Iterable[Item]
    Headers = Mapping[ItemKey, Mapping[str, Header]] | Mapping[str, Mapping[str, Header]]

T = TypeVar("T")

__all__ = ["refuse_duplicates", "write_headers", "write_index"]

_log = logging.getLogger(__name__)


def write_index(
    table: Any,
    path: str | os.PathLike[str],
    *,
    items: Items | None = None,
    headers: Headers | None = None,
    name: str | None = None,
    geometry: GeometryForm = "wkb",
    storage: Storage | None = None,
) -> None:
    """Write a chip index to a folder, or to a single parquet file; what was there is replaced.

    A folder holds the chips, one file for each source, and a record of each item: the STAC item
    and, if given, the headers of its assets' files. A single file has the items in its metadata.
    Readers see the old index or the new one, even if the writer is killed; with several sources,
    `stacchip.index.files.replacing` says more. The same arguments give the same bytes.

    Args:
        table: The chips: the result of `create_index`, or several of these put together; as a table
            of any library that `stacchip.index.conform` takes. Columns that are not of `SCHEMA`,
            such as a label, are kept.
        path: A folder, or a parquet file if it ends in `.parquet`: local, `s3://`, ...
        items: STAC items, a collection of them or a mapping from (platform, item id) or from ids;
            by default those in the table's metadata and in the indexes that it was read from, with
            the headers there. Items without chips are left out.
        headers: Headers of the items' files, by (platform, item id) and asset key. An item id alone
            will do where one platform has it.
        name: Name of the file with the chips in the folder, if they are of one source; by default
            `chips.parquet`, or `chips-{source}.parquet` for each of several sources.
        geometry: `"wkb"` stores footprints, which makes the files GeoParquet; `"none"` leaves them
            out, so that a chip takes half of the space. `read_index(path, columns=["geometry"])`
            then makes them from the items.
        storage: How to reach the place.

    Raises:
        IndexFormatError: The table is not a chip index, or no index keeps a column of such a name
            or type (such as a map).
        DuplicateChips: Two rows are the same chip.
        InvalidMetadata: Two indexes that the table was read from have different items of one key.
        IndexReplaced: The index that the table was read from has other items by now.
        UsageError: The place holds other parquet files, headers are given for a single file, or a
            name for several sources; two items have one key, or its rows several dates; it cannot
            be told which of several platforms an item or header is of; `geometry` is unknown.

    Example:
        >>> import tempfile
        >>> from stacchip.index.read import read_index
        >>> from stacchip.index.schema import SCHEMA
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> read_index(folder).num_rows
        0
    """
    require_form(geometry)
    new = Replacement(path, storage or Storage())
    table = as_table(table)
    given = None if items is None else _by_key(items)
    at_hand = (embedded_items(table) if given is None else given).values
    known = ItemLookup(at_hand, new.storage, remote_index_of(table, new.storage))
    rows = stored_rows(table, find_item=known.find)
    splits = write_splits(splits_that_hold(rows, "The table"))
    chips = rows.replace_schema_metadata({**SCHEMA.metadata, **splits})
    refuse_duplicates(chips)
    refuse_two_dates(chips)
    there = row_keys(chips)
    if new.is_file and (headers or name):
        raise UsageError(
            "A single parquet file cannot keep headers of files, and has its own name. "
            "Write to a folder: leave '.parquet' off."
        )
    if given is None:
        records = _find_records(rows, there, new.storage)
    else:
        records = _match_items(rows, there, given, new.storage)
    their_items = {key: record.item for key, record in records.items()}
    given_headers = resolve_ids(there, headers or {}, known=their_items.get, what="headers=")
    if geometry == "wkb":
        find_item = items_of_records(lambda *key: records.get(ItemKey(*key)))
        chips = fill_footprints(chips, find_item, errors="skip")
    chips = store_columns(chips, geometry)
    with new:
        if new.is_file:
            kept = {key: store_item(item, new.folder) for key, item in their_items.items()}
            new.write_chips(CHIPS, with_items(chips, kept))
        else:
            platforms = pc.unique(chips["platform"]).to_pylist()
            names = new.name_chips(platforms, name=name)
            new.records.add(to_table(_make_records(chips, records, given_headers)), "items")
            editions = new.write_records()
            for platform, file in names.items():
                own = select_editions(editions, platforms and [platform])
                new.write_chips(file, chips.filter(pc.field("platform") == platform), own)
        new.replace()


def _find_records(
    rows: pa.Table, keys: Collection[ItemKey], storage: Storage
) -> dict[ItemKey, ItemRecord]:
    """Return the records of a table's items, from its metadata and the indexes it was read from."""
    found = {key: ItemRecord(*key, item) for key, item in embedded_items(rows).items()}
    recorded: dict[ItemKey, list[tuple[ItemRecord, str]]] = defaultdict(list)
    ids = list({key.item_id for key in keys if key not in found})
    for index, known in indexes_and_editions(rows).items() if ids else ():
        try:
            for record in records_of(index, known, item_ids=ids, storage=storage):
                recorded[record.key].append((record, redact(index)))
        except AssetChanged:
            raise
        except StorageError as error:
            _log.warning("the index is no longer where it was read from: %s", error)
    found |= {key: one_record(key, several) for key, several in recorded.items()}
    return {key: record for key, record in found.items() if key in keys}


def _match_items(
    rows: pa.Table, keys: Collection[ItemKey], given: Mapping[ItemKey, Item], storage: Storage
) -> dict[ItemKey, ItemRecord]:
    """Return records of the items that a caller gives for a table."""

    def find_item(key: ItemKey) -> Mapping[str, Any] | None:
        known = _find_records(rows, {key}, storage)
        return known[key].item if known else None

    found = match_keys(keys, given, known=find_item)
    refuse_strangers(rows, {key: item for key, item in found.items() if key not in given})
    return {key: ItemRecord(*key, to_dict(item)) for key, item in found.items()}


def _by_key(items: Items) -> dict[ItemKey, Item]:
    """Return the items that a caller gives, by key."""
    keyed: dict[ItemKey, Item] = {}
    if isinstance(items, Mapping):
        keyed = {ItemKey(*key): item for key, item in items.items() if not isinstance(key, str)}
        items = [item for key, item in items.items() if isinstance(key, str)]
    for key, item in by_key(items).items():
        add_item(keyed, key, item)
    return keyed


def _make_records(
    chips: pa.Table,
    records: Mapping[ItemKey, ItemRecord],
    headers: Mapping[ItemKey, Mapping[str, Header]],
) -> Iterator[ItemRecord]:
    """Yield the record of each item that is known, with its address and headers."""
    pairs = chips.group_by(list(ItemKey._fields)).aggregate([("item_href", "min")])
    for row in pairs.to_pylist():
        key = ItemKey(row["platform"], row["item_id"])
        if key not in records:
            _log.info("item %s was not given: the index keeps no record of it", key)
            continue
        record = records[key]
        yield replace(
            record,
            item_href=row["item_href_min"] or record.item_href,
            headers={**record.headers, **headers.get(key, {})},
        )


def refuse_duplicates(chips: pa.Table) -> None:
    """Check that no two rows are the same chip.

    Raises:
        DuplicateChips: Some are; the error names the first of these chips.
    """
    numbers = {name: chips[name] for name in KEY}
    texts: dict[str, pa.Array] = {}
    for name in ItemKey._fields:  # as numbers: millions of texts would not fit into one array
        codes, texts[name] = encode_texts(chips[name])
        numbers[name] = pa.chunked_array([codes])
    counted = pa.table(numbers).group_by(list(KEY)).aggregate([([], "count_all")])
    if counted.num_rows == chips.num_rows:
        return
    twice = counted.filter(pc.field("count_all") > 1).slice(0, 1).to_pylist()[0]
    twice |= {name: texts[name][twice[name]].as_py() for name in texts}
    times = twice.pop("count_all")
    raise DuplicateChips(
        f"{chips.num_rows - counted.num_rows} rows repeat a chip, such as {twice}, which is there "
        f"{times} times. Leave them out, or merge with duplicates='drop'.",
        **twice,
    )


def write_headers(
    path: str | os.PathLike[str],
    headers: Headers | Iterator[tuple[ItemKey, Mapping[str, Header]]],
    *,
    storage: Storage | None = None,
) -> None:
    """Add headers of files to the records of an index, or replace them; its chips stay as they are.

    Args:
        path: Folder of an index.
        headers: Headers by (platform, item id) and asset key; an item id alone will do where one
            platform has it. Other headers in the index are kept. An iterator of keys and headers,
            such as `stream_headers` returns, is put aside on disk as it comes.
        storage: How to reach it.

    Raises:
        ObjectNotFound: The folder has no records of items.
        UsageError: The index is a single file, several platforms share an item id, or records were
            removed from a file of another tool, which are to be compacted first.
    """
    new = Replacement(path, storage or Storage())
    if new.is_file:
        raise UsageError("A single parquet file cannot keep headers of files: write a folder.")
    if isinstance(headers, Mapping):
        _write_headers(new, headers, lambda each: each)
        return
    with temporary_folder("stacchip-headers-") as folder, HeaderSpill(folder / "spill") as spill:
        for key, each in headers:
            spill.add(key, each)
        _write_headers(new, spill.numbers, spill.read)


def _write_headers(
    new: Replacement,
    headers: Mapping[ItemKey, T] | Mapping[str, T],
    load: Callable[[T], Mapping[str, Header]],
) -> None:
    """Write the records of an index again, with headers that are loaded in their turn."""
    with new:
        files = find_files(new.href, new.storage).records
        own = [each for each in files if parent_href(each.href) == new.href]
        opened = [open_entry(each, new.storage) for each in own]
        _refuse_unordered(opened)
        if not opened:  # the error says what is missing
            opened = [open_parquet(child_href(new.href, RECORDS), new.storage)]
        keys = [row_keys(file.read(["platform", "item_id"])) for file in opened]

        def find_item(key: ItemKey) -> Mapping[str, Any] | None:
            where = Selection(platform=key.platform, item_id=key.item_id).expression
            for file in opened:
                for record in from_table(file.read(where=where), href=file.href):
                    return record.item
            return None

        given = resolve_ids(set().union(*keys), headers, known=find_item, what="headers=")
        for file, there in zip(opened, keys, strict=True):
            if len(opened) == 1 or not there.isdisjoint(given):
                _write_file_with_headers(new, file, given, load)


def _refuse_unordered(files: Iterable[ParquetFile]) -> None:
    """Refuse a file whose records would change their places, by which removed ones are known.

    Ours say their editions, and are in the order in which they would be written.
    """
    for file in files:
        if file.removed and file.editions is None:
            raise UsageError(
                f"{redact(file.href)} has records that were removed, and another tool or an "
                "earlier version wrote it: compact the index first (compact_index, stacchip "
                "compact)."
            )


def _write_file_with_headers(
    new: Replacement,
    file: ParquetFile,
    given: Mapping[ItemKey, T],
    load: Callable[[T], Mapping[str, Header]],
) -> None:
    """Write a file of records again.

    Records that were removed stay in it, so that the others keep their places, which are marked.
    """
    whole = replace(file, removed=NO_ROWS)
    with RecordFile(new.stage, new.folder) as records:
        for table in whole.scan():
            changed = [
                replace(record, headers={**record.headers, **load(given[record.key])})
                if record.key in given
                else record
                for record in from_table(table, href=file.href)
            ]
            records.add(to_table(changed), file.href)
        new.put_records(records, file.href, file.editions)
