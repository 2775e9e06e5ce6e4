"""Looking up items of an index one by one; its files stay open in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stacchip.errors import AssetChanged
from stacchip.index.files.item_records import from_table, one_record
from stacchip.index.files.layout import find_files, index_href, is_file
from stacchip.index.files.parquet import ParquetFile, open_parquet
from stacchip.index.filters import Selection
from stacchip.items.keys import ItemKey
from stacchip.runtime.concurrently import map_concurrently
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    import os

    from stacchip.index.files.item_records import ItemRecord
    from stacchip.storage import Storage

__all__ = ["RecordLookup"]

# An archive has a file for each item, and a process may open 1024 files (256 on macOS). Footers of
# many files are small.
_MOST_OPEN: Final = 32


class RecordLookup:
    """The records of an index's items, one at a time.

    `read_records` opens every `_items.parquet` of the index at each call. This opens them once, and
    reads a few records for each item. If the index is rewritten meanwhile, it is opened again. Of
    an index of many files, it keeps the ids, and opens the one file that may hold the item.
    There is no lock, because a forked process could inherit it locked. If several threads make the
    first call at the same time, each opens the files.

    Args:
        path: Folder of an index; a single parquet file has no records.
        storage: How to reach it.
    """

    def __init__(self, path: str | os.PathLike[str], storage: Storage) -> None:
        self._href = index_href(path)
        self._storage = storage
        self._files: list[_Opened] | None = None

    @property
    def href(self) -> str:
        """The address of the index."""
        return self._href

    def find(self, platform: str, item_id: str) -> ItemRecord | None:
        """Return the record of an item; None if the index keeps none.

        Raises:
            ObjectNotFound: The index is gone.
            IndexFormatError: A file is broken.
        InvalidMetadata: Two files have different items of that platform and id.
        """
        files = self._files
        if files is None or not all(file.is_current for file in files):
            files = self._files = self._open()
        try:
            return self._find(files, platform, item_id)
        except AssetChanged:
            files = self._files = self._open()
            return self._find(files, platform, item_id)

    def _open(self) -> list[_Opened]:
        if is_file(self._href):
            return []  # a single file keeps its items in its metadata, and need not be there now

        hrefs = find_files(self._href, self._storage).records

        def open_one(href: str) -> _Opened:
            version = _version(href)  # first: the file opened next is this version or a later one
            file = open_parquet(href, self._storage)
            kept = file if len(hrefs) <= _MOST_OPEN or file.remote is not None else None
            return _Opened(href, kept, version, *_ends(file))

        return map_concurrently(open_one, hrefs)

    def _find(self, files: list[_Opened], platform: str, item_id: str) -> ItemRecord | None:
        """Return the record of an item, the one with most headers.

        Raises:
            InvalidMetadata: Two files have different items of that platform and id.
        """
        wanted = Selection(item_id=[item_id], platform=platform).expression
        found: list[tuple[ItemRecord, str]] = []
        for opened in files:
            if opened.first <= item_id <= opened.last:
                file = opened.file or open_parquet(opened.href, self._storage)
                name = redact(opened.href)
                table = file.read(where=wanted)
                found += [(record, name) for record in from_table(table, href=name)]
        return one_record(ItemKey(platform, item_id), found) if found else None

    def __getstate__(self) -> dict[str, object]:
        return {"_href": self._href, "_storage": self._storage}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _files=None)


@dataclass(frozen=True)
class _Opened:
    """A file with records, its version if it is local, and its first and last item id.

    `file` is None if it was closed again.
    """

    href: str
    file: ParquetFile | None
    version: tuple[int, ...] | None
    first: str
    last: str

    @property
    def is_current(self) -> bool:
        return self.version is None or self.version == _version(self.href)


def _ends(file: ParquetFile) -> tuple[str, str]:
    """Return the first and the last item id; without statistics, bounds that any id fits."""
    told = file.footer.ends("item_id")
    known = [ends for ends in told if ends is not None]
    if not told or len(known) < len(told):
        return "", chr(0x10FFFF)
    return min(first for first, _ in known), max(last for _, last in known)


def _version(href: str) -> tuple[int, ...] | None:
    """Return facts that change when a local file is rewritten; None if it is not local, or gone."""
    path = local_path(href)
    if path is None or not path.exists():
        return None
    facts = path.stat()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)
