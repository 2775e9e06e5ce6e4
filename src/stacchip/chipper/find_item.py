"""The item of a row of an index."""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from stacchip.chipper.found_item import FoundItem
from stacchip.errors import (
    AssetChanged,
    ItemNotFound,
    ObjectNotFound,
    StacchipError,
    StorageError,
    UsageError,
    attribute,
)
from stacchip.index.dates import refuse_two_dates
from stacchip.index.embedded import (
    embedded_items,
    give_platforms,
    indexes_and_editions,
    remote_index_of,
    row_keys,
)
from stacchip.index.files.item_records import one_record
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.index.remembered import REMEMBERED, unpack
from stacchip.index.schema import KEY
from stacchip.items import item_datetime, load_items, parse_item
from stacchip.items.keys import item_key, pick_item, stranger
from stacchip.items.reach import distant, require_allowed
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from collections.abc import Set as AbstractSet

    import pyarrow as pa
    import pystac

    from stacchip.index.files.item_records import ItemRecord
    from stacchip.items.archive import Archive
    from stacchip.items.keys import ItemKey
    from stacchip.storage import Storage

_log = logging.getLogger(__name__)


class ItemFinder:
    """Finds items by platform and id together; another platform's item of that id is another item.

    It looks, in this order, at the items that the caller gave, at the `_items.parquet` of each
    index that the table was read from, at the table's metadata, at the row's `item_href`, into the
    archive that has the files, and at what this process remembers of the tables that it made
    (`stacchip.index.remembered`). What is remembered of rows without an `item_href` goes with a
    finder into other processes.

    Args:
        given: The caller's items, by the keys of the rows.
        table: The index.
        storage: Reads the files.
        archive: The archive that has the files, if the caller named one.

    Raises:
        UsageError: The table has rows of two different items of one key.
    """

    _archive: Archive | None = None  # pickles of earlier versions have none
    _origin: str | None = None

    def __init__(
        self,
        given: Mapping[ItemKey, pystac.Item],
        table: pa.Table,
        storage: Storage,
        archive: Archive | None = None,
    ) -> None:
        self._given = given
        self._embedded = embedded_items(table)
        self._records = tuple(
            RecordLookup(index, storage, known)
            for index, known in indexes_and_editions(table).items()
        )
        self._storage = storage
        self._origin = remote_index_of(table, storage)
        self._archive = archive
        self._carried: Mapping[ItemKey, bytes] = {}
        refuse_two_dates(table)
        if REMEMBERED:
            _refuse_two_of_a_key(table, self._embedded, given.keys())
            lacking = _without_href(table) - given.keys() - self._embedded.keys()
            self._carried = REMEMBERED.among(lacking)

    def find(self, key: ItemKey, item_href: str | None) -> FoundItem:
        """Return the item of a key.

        Raises:
            IndexReplaced: The index that the rows were read from has other items by now.
            ItemNotFound: It is in none of these places.
            UsageError: The caller gave another item, which only its id matches.
            StorageError: Its `item_href` could not be read.
        """
        recorded = self._find_record(key)
        if recorded is None and key in self._embedded:
            item = self._embedded[key]
            recorded = FoundItem(parse_item(item, base=item_href, origin=self._origin))
        if key in self._given:
            return self._with_given(key, recorded)
        if recorded is not None:
            return recorded
        reason = "it has no item_href" + (_AS_REMOTE if self._origin else "")
        if item_href is not None:
            try:
                return FoundItem(self._load(key, item_href))
            except ObjectNotFound as error:
                reason = _why_absent(item_href, error)
            except StorageError as error:  # the store may have it, and answer later
                raise attribute(error, key.item_id) from error
        if self._archive is not None:
            try:
                return FoundItem(self._archive.read_item(*key, self._storage))
            except ObjectNotFound as error:
                reason += f", and neither is it in the archive ({error})"
        remembered = self._recall(key, item_href)
        if remembered is not None:
            return FoundItem(remembered)
        raise ItemNotFound(
            f"Item {key.item_id!r} of platform {key.platform!r} was not found: it is not among "
            f"items=, the index keeps no copy of it, and {reason}. Pass it: Chipper(index, "
            "items=[item]). If pyarrow put tables together, concat_indexes keeps their items.",
            item_id=key.item_id,
        )

    def is_at_hand(self, key: ItemKey) -> bool:
        """True if the item of a key is found without its `item_href`; False if `find` raises."""
        if key in self._given or key in self._embedded:
            return True
        try:
            return self._find_record(key) is not None
        except StacchipError:  # such as IndexReplaced
            return False

    def _with_given(self, key: ItemKey, kept: FoundItem | None) -> FoundItem:
        """Return the item that the caller gave, with the headers of the one that the index keeps.

        Raises:
            UsageError: They are items of two platforms, which only an id matches.
        """
        given = self._given[key]
        if kept is None:
            return FoundItem(given)
        if item_key(given) not in (key, item_key(kept.item)):
            raise stranger(key, [item_key(given)], item_key(kept.item))
        return kept.with_files_of(given)

    def of_today(self, find_keys: Callable[[], Collection[ItemKey]]) -> ItemFinder:
        """Return a finder of today for one in a pickle of an earlier version.

        That one knows items by their ids alone.

        Args:
            find_keys: Returns the keys of the rows.
        """
        if "_carried" in self.__dict__:
            return self
        state = {
            name: give_platforms(self.__dict__[name], find_keys) for name in ("_given", "_embedded")
        }
        records = self.__dict__["_records"]
        new = copy(self)
        new.__dict__.update(state, _carried={}, _records=() if records is None else (records,))
        return new

    def _find_record(self, key: ItemKey) -> FoundItem | None:
        """Return the item from the `_items.parquet` of an index, if one has it.

        Raises:
            AssetChanged: An index is replaced, and nothing else tells the item.
            InvalidMetadata: Two indexes have different items of that key.
        """
        found: list[tuple[ItemRecord, str]] = []
        for index in self._records:
            try:
                record = index.find(*key)
            except AssetChanged as error:
                if key not in self._given and key not in self._embedded:
                    raise
                _log.warning("items= and the table's metadata tell the items: %s", error)
                continue
            except StorageError as error:
                # a table may outlive its index; its rows may still say where the item is
                _log.warning("the index is no longer where it was read from: %s", error)
                continue
            if record is not None:
                found.append((record, redact(index.href)))
        if not found:
            return None
        record = one_record(key, found)
        origin = next((href for _, href in found if distant(href, self._storage)), None)
        item = parse_item(record.item, base=record.item_href, origin=origin)
        return FoundItem(item, record.headers)

    def _recall(self, key: ItemKey, item_href: str | None) -> pystac.Item | None:
        """Return the item that is remembered, if it says where its files lie."""
        packed = self._carried.get(key) or REMEMBERED.get(key)
        if packed is None:
            return None
        item = parse_item(unpack(packed), base=item_href)
        is_placed = all(asset.get_absolute_href() is not None for asset in item.assets.values())
        return item if is_placed else None

    def _load(self, key: ItemKey, item_href: str) -> pystac.Item:
        """Return the item of this key at an address, which may hold several, also of one id."""
        require_allowed(item_href, self._origin, self._storage, item_id=key.item_id)
        self._storage.name_server(None)  # an index may be another's: its rows name no server
        items = load_items(item_href, storage=self._storage)
        found = pick_item((item for item in items if item.id == key.item_id), *key)
        if found is not None:
            return found
        raise ItemNotFound(
            f"Item {key.item_id!r} of platform {key.platform!r} is not at its item_href "
            f"{redact(item_href)}, or is one of several with that id there. "
            "In Python, pass it: Chipper(index, items=[item]).",
            item_id=key.item_id,
        )


_AS_REMOTE = " that a remote index may name (--allow-local allows others)"


def _why_absent(item_href: str, error: ObjectNotFound) -> str:
    if item_href.startswith(("./", "../")):
        return (
            f"its item_href {redact(item_href)} is relative to the file of its index, which these "
            "rows do not tell (read them with read_index, or pass the archive as mountpath=)"
        )
    return f"nothing is at its item_href ({error})"


def _without_href(table: pa.Table) -> set[ItemKey]:
    """Return the keys of the items some of whose rows have no address."""
    if "item_href" in table.column_names:
        if not table["item_href"].null_count:
            return set()
        table = table.filter(pc.field("item_href").is_null())
    return row_keys(table)


def _refuse_two_of_a_key(
    table: pa.Table,
    embedded: Mapping[ItemKey, Mapping[str, Any]],
    decided: AbstractSet[ItemKey],
) -> None:
    """Refuse rows of two items of one key, as `pyarrow.concat_tables` puts them together.

    Only keys under which this process saw two items are looked at. One of the items may be an old
    version of the other, so the rows decide: the same chip twice, or another date than the item's.

    Args:
        table: The index.
        embedded: The items in its metadata.
        decided: Keys whose item the caller gave.

    Raises:
        UsageError: They are of two items.
    """
    differences = REMEMBERED.differences()
    doubted = differences.keys() - decided
    for key in sorted(doubted & row_keys(table)) if doubted else ():
        rows = table.filter(pc.field("platform") == key.platform)
        rows = rows.filter(pc.field("item_id") == key.item_id)
        dates = set(rows["datetime"].to_pylist()) if "datetime" in rows.column_names else set()
        dates |= {item_datetime(parse_item(embedded[key]))} if dates and key in embedded else set()
        is_twice = False
        if {*KEY} <= {*rows.column_names}:  # an index on disk has no chip twice
            is_twice = rows.group_by(list(KEY)).aggregate([]).num_rows < rows.num_rows
        if is_twice or len(dates) > 1:
            raise UsageError(
                f"The index has rows of two different items with the key {key}: "
                f"{differences[key]}. Which row is whose cannot be told. Cut their chips from an "
                "index of each, or give one of them another platform."
            )
