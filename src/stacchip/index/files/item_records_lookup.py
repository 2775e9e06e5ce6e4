"""Looking up items of an index one by one; its files stay open in between."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stacchip.errors import AssetChanged, ObjectNotFound
from stacchip.index.editions import NO_RECORDS, is_of, join, replaced
from stacchip.index.files.item_records import from_table, one_record
from stacchip.index.files.layout import index_href, is_file
from stacchip.index.files.opening import open_entry
from stacchip.index.files.row_ranges import NO_ROWS
from stacchip.index.files.snapshot import at_one_moment, open_index
from stacchip.index.filters import Selection
from stacchip.items.keys import ItemKey
from stacchip.runtime.concurrently import map_concurrently
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    import os

    from stacchip.index.editions import Editions, Known
    from stacchip.index.files.item_records import ItemRecord
    from stacchip.index.files.layout import FileEntry, IndexFiles
    from stacchip.index.files.parquet import ParquetFile
    from stacchip.storage import Storage

__all__ = ["RecordLookup"]

# An archive has a file for each item, and a process may open 1024 files (256 on macOS). Footers of
# many files are small.
_MOST_OPEN: Final = 32
_MOST_FOUND: Final = 64  # twice as many as threads that open items
_LARGEST_FOUND: Final = 1 << 18


class RecordLookup:
    """The records of an index's items, one at a time.

    `read_records` opens every `_items.parquet` of the index at each call. This opens them once, and
    reads a few records for each item. Of an index of many files, it keeps the ids, and opens the
    one file that may hold the item. There is no lock, because a forked process could inherit it
    locked. If several threads make the first call at the same time, each opens the files.

    Rows never take records of another edition than theirs (`stacchip.index.editions`). If the index
    is replaced, files that are open serve the old one: those of a local index of up to 32 files,
    also in a forked process. A copy in another process opens them anew, and raises `IndexReplaced`.
    Where no file has records of their source, nothing has replaced theirs: there are just none, as
    for chips that were copied without `_items.parquet`.

    Args:
        path: Folder of an index; a single parquet file has no records.
        storage: How to reach it.
        known: The editions of the files that the rows were read from. If they are not known, those
            of the first call count.
    """

    _known: Known | None = None  # pickles of earlier versions have none

    def __init__(
        self, path: str | os.PathLike[str], storage: Storage, known: Known | None = None
    ) -> None:
        self._href = index_href(path)
        self._storage = storage
        self._known = known
        self._files: list[_Opened] | None = None
        self._found: dict[tuple[str, str], ItemRecord] = {}

    @property
    def href(self) -> str:
        """The address of the index."""
        return self._href

    def find(self, platform: str, item_id: str) -> ItemRecord | None:
        """Return the record of an item; None if the index keeps none.

        The last ones are kept: an item is looked for to see whether it is at hand, and then opened.

        Raises:
            IndexReplaced: The index is no longer the one that the rows were read from.
            ObjectNotFound: The index is gone.
            IndexFormatError: A file is broken.
            InvalidMetadata: Two files have different items of that platform and id.
        """
        key = (platform, item_id)
        if (known := self._found.get(key)) is not None:
            return known
        if self._files is None:
            self._files = self._open()
        try:
            found, size = self._find(self._files, platform, item_id)
        except (AssetChanged, ObjectNotFound) as error:  # a file was opened again, or read on
            raise replaced(self._href) from error
        if found is not None and size <= _LARGEST_FOUND:
            self._found[key] = found
            for old in list(self._found)[:-_MOST_FOUND]:
                self._found.pop(old, None)
        return found

    def _open(self) -> list[_Opened]:
        if is_file(self._href):
            return []  # a single file keeps its items in its metadata, and need not be there now

        def open_all(files: IndexFiles) -> list[_Opened]:
            is_small = len(files.records) <= _MOST_OPEN
            return map_concurrently(lambda entry: self._open_one(entry, is_small), files.records)

        return at_one_moment(self._href, self._storage, open_all)

    def _open_one(self, entry: FileEntry, is_small: bool) -> _Opened:
        version = _version(entry.href)  # first: the file opened next is it or a later one
        file = open_entry(entry, self._storage)
        kept = file if is_small or file.remote is not None else None
        return _Opened(entry, kept, version, file.editions, _Ends.of(file))

    def _find(
        self, files: list[_Opened], platform: str, item_id: str
    ) -> tuple[ItemRecord | None, int]:
        """Return the record of an item, the one with most headers; and the bytes of all.

        Raises:
            InvalidMetadata: Two files have different items of that platform and id.
        """
        wanted = Selection(item_id=[item_id], platform=platform).expression
        found: list[tuple[ItemRecord, str]] = []
        is_replaced, size = False, 0
        for opened in files:
            groups = opened.ends.find(item_id)
            if groups is None or groups:
                file = opened.file or self._open_again(opened)
                name = redact(opened.entry.href)
                table = file.read(where=wanted, among=groups)
                size += table.nbytes
                records = [(record, name) for record in from_table(table, href=name)]
                if is_of(self._known, platform, opened.editions):
                    found += records
                else:  # chips of the item that were added later, or in place of the known ones
                    is_replaced |= bool(records)
        if found:
            return one_record(ItemKey(platform, item_id), found), size
        is_replaced = is_replaced or self._has_other_edition(files, platform)
        if is_replaced or self._was_removed(files, platform, item_id):
            raise replaced(self._href)
        return None, size

    def _was_removed(self, files: list[_Opened], platform: str, item_id: str) -> bool:
        """True if the rows were read before their item was removed from the index.

        An item that was removed may have come again, without a record.
        """
        wanted = Selection(item_id=[item_id], platform=platform).expression
        for opened in files:
            if opened.entry.removed and is_of(self._known, platform, opened.editions):
                whole = replace(opened.file or self._open_again(opened), removed=NO_ROWS)
                if whole.count(wanted, among=opened.ends.find(item_id)):
                    chosen = Selection(item_id=[item_id], platform=platform)
                    there = open_index(self._href, self._storage)
                    return not any(chips.count(chosen) for chips in there)
        return False

    def _open_again(self, opened: _Opened) -> ParquetFile:
        file = open_entry(opened.entry, self._storage)
        is_same = file.editions == opened.editions
        if opened.editions is None:
            is_same = is_same and opened.version == _version(opened.entry.href)
        if not is_same:
            raise replaced(self._href)
        return file

    def _has_other_edition(self, files: list[_Opened], platform: str) -> bool:
        """True if others are there in place of records that the rows were written with."""
        known = frozenset() if self._known is None else self._known.get(platform, frozenset())
        said: set[str] = set()
        for opened in files:
            if opened.editions is None:
                return False
            said.add(opened.editions.get(platform, NO_RECORDS))
        return not known <= said and not said <= known | {NO_RECORDS}

    def __getstate__(self) -> dict[str, object]:
        known = self._known
        if known is None and self._files:
            known = join(opened.editions for opened in self._files)
        return {"_href": self._href, "_storage": self._storage, "_known": known}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _files=None, _found={})


@dataclass(frozen=True)
class _Opened:
    """A file with records: its version if it is local, its editions, and the ids in its parts.

    `file` is None if it was closed again.
    """

    entry: FileEntry
    file: ParquetFile | None
    version: tuple[int, ...] | None
    editions: Editions | None
    ends: _Ends


@dataclass(frozen=True)
class _Ends:
    """The first and the last item id of each row group; None if these do not rise.

    An index of 59,000 items has 1,800 row groups, which are not looked at one by one.
    """

    firsts: list[str] | None
    lasts: list[str] | None

    @classmethod
    def of(cls, file: ParquetFile) -> _Ends:
        known = [ends for ends in file.footer.ends("item_id") if ends is not None]
        firsts, lasts = [first for first, _ in known], [last for _, last in known]
        is_sorted = firsts == sorted(firsts) and lasts == sorted(lasts)
        if not is_sorted or len(known) < len(file.footer.groups):
            return cls(None, None)
        return cls(firsts, lasts)

    def find(self, item_id: str) -> range | None:
        """Return the numbers of the row groups that may have an item; None if that is not known."""
        if self.firsts is None or self.lasts is None:
            return None
        return range(bisect_left(self.lasts, item_id), bisect_right(self.firsts, item_id))


def _version(href: str) -> tuple[int, ...] | None:
    """Return facts that change when a local file is rewritten; None if it is not local, or gone."""
    path = local_path(href)
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)
