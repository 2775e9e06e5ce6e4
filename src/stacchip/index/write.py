"""Write an index, and add headers to one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import DuplicateChips, UsageError
from stacchip.index.files.item_records import ItemRecord, from_table, to_table
from stacchip.index.files.item_records_writer import RecordFile
from stacchip.index.files.layout import RECORDS, index_href, is_file
from stacchip.index.files.parquet import ROWS_PER_GROUP, chips_writer, open_parquet
from stacchip.index.files.replacing import (
    name_files,
    put_file,
    refuse_strangers,
    replace_index,
    staging,
)
from stacchip.index.schema import KEY, SCHEMA, embed_items, embedded_items, stored_rows
from stacchip.items.copies import by_id, to_dict
from stacchip.storage import Storage, child_href, parent_href

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pystac

    from stacchip.raster.header import Header

    Items = Mapping[str, Mapping[str, Any]] | Iterable[pystac.Item | Mapping[str, Any]]
    Headers = Mapping[str, Mapping[str, Header]]

__all__ = ["refuse_duplicates", "write_headers", "write_index"]

_log = logging.getLogger(__name__)


def write_index(
    table: pa.Table,
    path: str | os.PathLike[str],
    *,
    items: Items | None = None,
    headers: Headers | None = None,
    name: str | None = None,
    storage: Storage | None = None,
) -> None:
    """Write a chip index to a folder, or to a single parquet file; what was there is replaced.

    A folder holds the chips, one file for each source, and a record of each item: the STAC item
    and, if given, the headers of its assets' files. A single file has the items in its metadata.
    Readers see the old index or the new one, even if the writer is killed; with several sources,
    `stacchip.index.files.replacing` says more. The same arguments give the same bytes.

    Args:
        table: The chips: the result of `create_index`, or several of these put together.
        path: A folder, or a parquet file if it ends in `.parquet`: local, `s3://`, ...
        items: STAC items, a collection of them or a mapping from their ids; by default those in the
            table's metadata. Items without chips are left out.
        headers: Headers of the items' files, by item id and asset key.
        name: Name of the file with the chips in the folder, if they are of one source; by default
            `chips.parquet`, or `chips-{source}.parquet` for each of several sources.
        storage: How to reach the place.

    Raises:
        IndexFormatError: The table is not a chip index.
        DuplicateChips: Two rows are the same chip.
        UsageError: The place holds other parquet files, headers are given for a single file, or a
            name for several sources.

    Example:
        >>> import tempfile
        >>> from stacchip.index.read import read_index
        >>> from stacchip.index.schema import SCHEMA
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> read_index(folder).num_rows
        0
    """
    storage = storage or Storage()
    href = index_href(path)
    stored = _items_by_id(table, items)
    chips = stored_rows(table).replace_schema_metadata(SCHEMA.metadata)
    refuse_duplicates(chips)
    if is_file(href):
        if headers or name:
            raise UsageError(
                "A single parquet file cannot keep headers of files, and has its own name. "
                "Write to a folder: leave '.parquet' off."
            )
        _write_file(chips, href, stored, storage)
        return
    platforms = pc.unique(chips["platform"]).to_pylist()
    with staging(href) as stage, RecordFile(stage) as records:
        names = name_files(href, platforms, storage, name=name)
        refuse_strangers(href, names.values(), storage)
        staged = {
            name: _stage_chips(chips, platform, stage / name) for platform, name in names.items()
        }
        records.add(to_table(_make_records(chips, stored, headers or {})), "items")
        replace_index(href, staged, records, stage, storage)


def _stage_chips(chips: pa.Table, platform: str, path: Path) -> Path:
    """Write the chips of one source."""
    rows = chips.filter(pc.field("platform") == platform)
    with chips_writer(path) as writer:
        writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
    return path


def _write_file(
    chips: pa.Table, href: str, items: Mapping[str, Mapping[str, Any]], storage: Storage
) -> None:
    """Write an index that is a single file."""
    there = set(pc.unique(chips["item_id"]).to_pylist())
    chips = embed_items(chips, {key: item for key, item in items.items() if key in there})
    with staging(parent_href(href)) as stage:
        path = stage / "chips.parquet"
        with chips_writer(path, chips.schema) as writer:
            writer.write_table(chips, row_group_size=ROWS_PER_GROUP)
        put_file(path, href, storage)


def _items_by_id(table: pa.Table, items: Items | None) -> dict[str, dict[str, Any]]:
    """Return the items of an index as dictionaries, by id."""
    if items is None:
        items = embedded_items(table)
    if isinstance(items, Mapping):
        items = items.values()
    return {item_id: to_dict(item) for item_id, item in by_id(items).items()}


def _make_records(
    chips: pa.Table, items: Mapping[str, Mapping[str, Any]], headers: Headers
) -> Iterator[ItemRecord]:
    """Yield a record for each item of each source, if the item is known."""
    pairs = chips.group_by(["platform", "item_id"]).aggregate([("item_href", "min")])
    for row in pairs.to_pylist():
        item_id = row["item_id"]
        if item_id in items:
            yield ItemRecord(
                platform=row["platform"],
                item_id=item_id,
                item=items[item_id],
                item_href=row["item_href_min"],
                headers=headers.get(item_id, {}),
            )
        else:
            _log.info("item %r was not given: the index keeps no record of it", item_id)


def refuse_duplicates(chips: pa.Table) -> None:
    """Check that no two rows are the same chip.

    Raises:
        DuplicateChips: Some are; the error names the first of these chips.
    """
    counted = chips.group_by(list(KEY)).aggregate([([], "count_all")])
    if counted.num_rows == chips.num_rows:
        return
    twice = counted.filter(pc.field("count_all") > 1).slice(0, 1).to_pylist()[0]
    times = twice.pop("count_all")
    raise DuplicateChips(
        f"{chips.num_rows - counted.num_rows} rows repeat a chip, such as {twice}, which is there "
        f"{times} times. Leave them out, or merge with duplicates='drop'.",
        **twice,
    )


def write_headers(
    path: str | os.PathLike[str], headers: Headers, *, storage: Storage | None = None
) -> None:
    """Add headers of files to the records of an index, or replace them; its chips stay as they are.

    Args:
        path: Folder of an index.
        headers: Headers by item id and asset key. Other headers in the index are kept.
        storage: How to reach it.

    Raises:
        ObjectNotFound: The folder has no records of items.
        UsageError: The index is a single file.
    """
    storage = storage or Storage()
    href = index_href(path)
    place = child_href(href, RECORDS)
    if is_file(href):
        raise UsageError("A single parquet file cannot keep headers of files: write a folder.")
    with staging(href) as stage, RecordFile(stage) as records:
        for table in open_parquet(place, storage).scan():
            changed = [
                replace(record, headers={**record.headers, **headers.get(record.item_id, {})})
                for record in from_table(table, href=place)
            ]
            records.add(to_table(changed), place)
        put_file(records.write(stage / RECORDS), place, storage)
