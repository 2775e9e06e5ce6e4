"""The records of an index's items one after another, for any number of items."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from stacchip.index.embedded import row_keys
from stacchip.index.files.item_records import from_table, of_origin, one_record
from stacchip.index.files.layout import index_href
from stacchip.index.files.opening import open_entry
from stacchip.index.files.snapshot import at_one_moment
from stacchip.index.filters import Selection
from stacchip.items.reach import distant
from stacchip.runtime.concurrently import map_concurrently, stream_concurrently
from stacchip.runtime.open_files import most_open_files
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow.compute as pc

    from stacchip.index.files.item_records import ItemRecord
    from stacchip.index.files.layout import FileEntry, IndexFiles
    from stacchip.index.files.parquet import ParquetFile
    from stacchip.items.keys import ItemKey

__all__ = ["scan_records"]

_FOOTERS_AHEAD: Final = 16


def scan_records(
    path: str | os.PathLike[str],
    *,
    platform: str | Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    storage: Storage | None = None,
) -> Iterator[ItemRecord]:
    """Yield the records of an index's items, each item once; a few are in memory at a time.

    `read_records` returns them all, sorted. An index of 100,000 items takes gigabytes that way.

    Args:
        path: Folder of an index.
        platform: Name of a source, or several; all by default.
        item_ids: Ids of items; all by default.
        storage: How to reach it.

    Yields:
        Records in the order of the files, and within each of item id and platform. Of an item that
        several files have, the record with most headers comes at the last of its places.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is broken, or is missing.
        IndexReplaced: A remote index was replaced while it was read.
        InvalidMetadata: Two files have different items of one platform and id.

    Example:
        >>> import tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> from stacchip.index.write import write_index
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> [record.item_id for record in scan_records(folder)]
        []
    """
    storage = storage or Storage()
    href, chosen = index_href(path), Selection(item_id=item_ids, platform=platform).expression
    files = _open(href, storage)
    if not isinstance(files, list):  # of a tree of many indexes, they do not stay open
        several = _in_several(files, chosen)
        files = _open(href, storage)
    else:
        several = _in_several(files, chosen) if len(files) > 1 else {}
    held: dict[ItemKey, list[tuple[ItemRecord, str]]] = defaultdict(list)
    for file in files:
        for record in _scan(file, chosen, storage):
            if record.key not in several:
                yield record
                continue
            held[record.key].append((record, redact(file.href)))
            if len(held[record.key]) == several[record.key]:
                yield one_record(record.key, held.pop(record.key))
    for key, found in held.items():  # the index was replaced, and has them less often now
        yield one_record(key, found)


def _open(href: str, storage: Storage) -> list[ParquetFile] | Iterator[ParquetFile]:
    """Return the files with records, opened at one moment; those of many one by one."""

    def open_one(file: FileEntry) -> ParquetFile:
        return open_entry(file, storage)

    def open_all(files: IndexFiles) -> list[ParquetFile] | Iterator[ParquetFile]:
        if len(files.records) > most_open_files():
            return stream_concurrently(open_one, files.records, ahead=_FOOTERS_AHEAD)
        return map_concurrently(open_one, files.records)

    return at_one_moment(href, storage, open_all)


def _in_several(files: Iterable[ParquetFile], chosen: pc.Expression | None) -> dict[ItemKey, int]:
    """Return the items that more than one file has, with the number of these files."""
    counts: Counter[ItemKey] = Counter()
    for file in files:
        for part in file.scan(["platform", "item_id"], chosen):
            counts.update(row_keys(part))
    return {key: count for key, count in counts.items() if count > 1}


def _scan(
    file: ParquetFile, chosen: pc.Expression | None, storage: Storage
) -> Iterator[ItemRecord]:
    origin = distant(file.href, storage)
    for part in file.scan(where=chosen):
        for record in from_table(part, href=redact(file.href)):
            yield of_origin(record, origin)
