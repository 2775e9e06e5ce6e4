"""Read the records of an index's items: the STAC items, and the headers of their files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from stacchip.index.editions import is_of, replaced
from stacchip.index.files.item_records import ItemRecord, from_table, of_origin, one_record
from stacchip.index.files.layout import index_href
from stacchip.index.files.opening import open_entry
from stacchip.index.files.snapshot import at_one_moment
from stacchip.index.filters import Selection
from stacchip.items.reach import distant
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pyarrow as pa

    from stacchip.index.editions import Editions, Known
    from stacchip.index.files.layout import FileEntry, IndexFiles
    from stacchip.items.keys import ItemKey

__all__ = ["read_records", "records_of"]

_FOOTERS_AHEAD: Final = 16


def read_records(
    path: str | os.PathLike[str],
    *,
    platform: str | Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    storage: Storage | None = None,
) -> list[ItemRecord]:
    """Read the records of an index's items: the STAC items, and the headers of their files.

    Args:
        path: Folder of an index.
        platform: Name of a source, or several; all by default.
        item_ids: Ids of items; all by default.
        storage: How to reach it.

    Returns:
        Records in the order of item id and platform. Items without a record are not among them: a
        single parquet file keeps its items in its metadata.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is broken, or is missing.
        InvalidMetadata: Two files have different items of one platform and id.
    """
    return records_of(path, None, platform=platform, item_ids=item_ids, storage=storage)


def records_of(
    path: str | os.PathLike[str],
    known: Known | None,
    *,
    platform: str | Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    storage: Storage | None = None,
) -> list[ItemRecord]:
    """Read the records of items, as `read_records` does, for rows that were read before.

    Args:
        path: As in `read_records`.
        known: The editions of the files that the rows were read from; None takes any record.
        platform: As in `read_records`.
        item_ids: As in `read_records`.
        storage: As in `read_records`.

    Raises:
        IndexReplaced: A record is of another edition.
    """
    storage = storage or Storage()
    chosen = Selection(item_id=item_ids, platform=platform).expression

    def read(entry: FileEntry) -> tuple[str, Editions | None, pa.Table]:
        file = open_entry(entry, storage)
        return entry.href, file.editions, file.read(where=chosen)

    def read_all(files: IndexFiles) -> dict[ItemKey, list[tuple[ItemRecord, str]]] | None:
        found: dict[ItemKey, list[tuple[ItemRecord, str]]] = defaultdict(list)
        others: set[ItemKey] = set()
        for href, editions, table in stream_concurrently(read, files.records, ahead=_FOOTERS_AHEAD):
            origin = distant(href, storage)
            for record in from_table(table, href=redact(href)):
                if is_of(known, record.platform, editions):
                    found[record.key].append((of_origin(record, origin), redact(href)))
                else:  # of chips that were added later, or in place of the known ones
                    others.add(record.key)
        return None if others - found.keys() else found

    found = at_one_moment(index_href(path), storage, read_all)
    if found is None:
        raise replaced(index_href(path))
    records = [one_record(key, several) for key, several in found.items()]
    return sorted(records, key=lambda record: (record.item_id, record.platform))
