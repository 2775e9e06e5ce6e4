"""`ChipStore`: chips that were cut once, and come back without their files."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from functools import partial
from math import inf
from multiprocessing.util import Finalize
from numbers import Real
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from stacchip.chipstore.catalogue import Catalogue
from stacchip.chipstore.encoding import encode_chip
from stacchip.chipstore.folder import StoreFolder
from stacchip.chipstore.hashes import hash_keys
from stacchip.chipstore.held import HeldChip, HeldPart
from stacchip.chipstore.keeping import Keeping
from stacchip.chipstore.known_packs import KnownPacks
from stacchip.chipstore.planes import DamagedPlane
from stacchip.chipstore.wanted import WantedItem
from stacchip.errors import StacchipError, UsageError, attribute
from stacchip.raster.reader import version_of
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipper.open_item import OpenedItem, RawPixels
    from stacchip.chipstore.claims import OpenClaims
    from stacchip.chipstore.pack import AnyPack

__all__ = ["ChipStore"]

_log = logging.getLogger(__name__)


class ChipStore:
    """Keeps chips in a folder of a local disk, as they are cut, and serves them from then on.

    A chip is kept with the pixels that it needs of each file: at the resolution and in the type of
    the file, with what is valid, and before anything is resampled or harmonised. A file whose
    version is another than that kept is read again. If a chip is asked for with more assets than
    are kept, those alone are read from their files.

    Any number of processes of one machine can share a folder. A process that is killed leaves
    nothing half. If nothing can be written (a full disk, a folder that may only be read), chips are
    not kept, and the log says so once. A chip whose bytes are damaged is read from its files again.

    If the bytes allowed are taken, chips go that no process has used for longest. Those that this
    process has used or kept stay, and for a week those last used for the same data set. If
    that is not enough, further chips are not kept.

    Args:
        folder: A folder for this store alone; it is made.
        limit_bytes: The most bytes that its files may take.
        revalidate: Ask once for each remote file and process if it is still the version that the
            index or the first chip was read from. Local files are always looked at.

    Raises:
        UsageError: The folder has other files, or a store of a later version of stacchip.

    Example:
        >>> import tempfile
        >>> from stacchip import Chipper
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = ChipStore(folder, limit_bytes=1 << 30)
        ...     chipper = Chipper(NoStatsChipIndexer(item), store=store)
        ...     store.count_chips()  # none was cut yet
        0
    """

    def __init__(
        self, folder: str | os.PathLike[str], limit_bytes: int, *, revalidate: bool = False
    ) -> None:
        self._folder = StoreFolder(folder)
        most: Any = limit_bytes
        if not (isinstance(most, Real) and 0 < float(most) < inf):
            raise UsageError(f"limit_bytes is a number of bytes, not {limit_bytes!r}.")
        self.limit_bytes = int(limit_bytes)
        self.revalidate = revalidate
        self._catalogue = Catalogue(self.folder)
        # without a reference to the store, which ends when nobody holds it
        begin = partial(_Own.begin, self._folder, self._catalogue, self.limit_bytes)
        self._own: PerProcess[_Own] = PerProcess(begin)

    def _here(self) -> _Own:
        """Return what this process knows."""
        own = self._own.get()
        if not own.is_listed:
            own.is_listed = True
            _to_end.get().add(self)
        return own

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_store, (self.folder, self.limit_bytes, self.revalidate)

    def __del__(self) -> None:
        if hasattr(self, "_own"):  # else it was refused
            self._end()

    def __repr__(self) -> str:
        return f"ChipStore({os.fspath(self.folder)!r}, limit_bytes={self.limit_bytes})"

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder.path

    # -- looking

    def find(self, chips: Sequence[tuple[ChipKey, OpenedItem]]) -> list[HeldChip]:
        """Return what the store holds of some chips.

        Args:
            chips: Their keys, and the opened items that they are cut from.

        Raises:
            AssetChanged: A file is not the version that was opened.
        """
        own = self._here()
        wanted = [self._want(key, opened) for key, opened in chips]
        keys = [key for key, _ in chips]
        items = [each.hash_of(key.chip_size) for key, each in zip(keys, wanted, strict=True)]
        hashes = hash_keys(keys, items)
        places = own.keeping.find(hashes)
        for place in self._look_up(sorted(set(hashes))):
            pack = own.known.open(place.pack)
            if pack is not None:
                places.setdefault(place.hash, []).append((pack, place.row))
        return [
            _hold(key, each, places.get(number, ()), number)
            for key, each, number in zip(keys, wanted, hashes, strict=True)
        ]

    def look_at(self, key: ChipKey, opened: OpenedItem) -> None:
        """Refuse an item whose files are not the versions that were opened.

        Args:
            key: The key of one of its chips.
            opened: The item.

        Raises:
            AssetChanged: A file is another version.
            StorageError: It cannot be looked at.
        """
        self._want(key, opened)

    def read(self, key: ChipKey, opened: OpenedItem) -> dict[str, RawPixels]:
        """Return what the store holds of a chip, by asset key; nothing that is damaged.

        Raises:
            AssetChanged: A file is not the version that was opened.
        """
        (held,) = self.find([(key, opened)])
        try:
            return {
                asset: part.raw(asset, opened.placements[asset], key.window)
                for part in held.parts
                for asset in part.assets
            }
        except (DamagedPlane, OSError):
            self.forget_chip(held)
            return {}

    def count_chips(self) -> int:
        """Return how many chips are kept; one whose assets came at different times counts again."""
        self.flush()
        try:
            return self._catalogue.count_chips() if self._catalogue.exists else 0
        except sqlite3.Error:
            return 0

    def count_bytes(self) -> int:
        """Return the bytes of all chips, with what is reserved for those being written."""
        try:
            return self._catalogue.count()[1] if self._catalogue.exists else 0
        except sqlite3.Error:
            return 0

    @property
    def is_writing(self) -> bool:
        """True if chips can be kept at present."""
        return self._here().keeping.is_open

    @property
    def kept(self) -> int:
        """Number of chips that this process has kept."""
        return self._here().keeping.kept

    @property
    def why_not_kept(self) -> str | None:
        """Why chips are not kept at present; None if they are."""
        return self._here().keeping.why_not_open

    def _want(self, key: ChipKey, opened: OpenedItem) -> WantedItem:
        own = self._here()
        wanted = own.wanted.get(opened)
        if wanted is None:
            wanted = WantedItem(key.platform, key.item_id, opened.placements)
            self._require_current(own, key.item_id, opened)
            own.wanted[opened] = wanted
        return wanted

    def _require_current(self, own: _Own, item_id: str, opened: OpenedItem) -> None:
        """Refuse files that have changed since they were opened; each is looked at once."""
        for asset, placed in opened.placements.items():
            reader, version = placed.reader, version_of(placed.reader)
            if version is None or not (self.revalidate or not is_remote(reader.href)):
                continue
            if (reader.href, version) not in own.current:
                storage = reader.storage
                try:
                    storage.require_version(reader.href, version, storage.stat(reader.href))
                except StacchipError as error:
                    raise attribute(error, item_id, asset) from error
                own.current.add((reader.href, version))

    def _look_up(self, hashes: Sequence[int]) -> list[Any]:
        try:
            if self._catalogue.exists:
                return list(self._catalogue.find(hashes))
            is_made = self._mend(None)
        except sqlite3.DatabaseError as error:
            is_made = self._mend(error)
        if is_made:
            with contextlib.suppress(sqlite3.Error):  # it is damaged again, or gone
                return list(self._catalogue.find(hashes))
        return []

    def forget_chip(self, held: HeldChip) -> None:
        """Forget a chip that could not be read or decoded: it is kept anew."""
        own = self._here()
        own.keeping.forget(held.hash)
        for part in held.parts:
            number = own.known.number_of(part.pack)
            if number is not None:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._catalogue.forget_row(number, part.row)
        own.damaged += 1
        if own.damaged == 1:
            _log.warning("%s has damaged chips, which are read from their files again", self.folder)

    def _mend(self, error: sqlite3.Error | None) -> bool:
        """Make the catalogue again, if it is damaged or lost, and return True if that was done."""
        own = self._here()
        if error is not None and not _is_damage(error):
            if not own.has_warned_of_catalogue:
                own.has_warned_of_catalogue = True
                _log.warning("the catalogue of %s cannot be read: %s", self.folder, error)
            return False
        is_damaged = error is not None and not _lacks_tables(error)
        if is_damaged and own.keeping.is_open:
            _log.warning("the catalogue of %s is made again: %s", self.folder, error)
        return own.keeping.mend(is_damaged=is_damaged)

    # -- keeping

    def use_for(self, name: str) -> None:
        """Say which data set this process reads and fills the store for.

        If the store is full, packs go first that were used for others.

        Args:
            name: A name that is the same in all processes and epochs.
        """
        self._here().known.used_for = name

    def claims(self) -> AbstractContextManager[OpenClaims]:
        """Return what tells other processes which parts of the store this one fills."""
        with contextlib.suppress(OSError, StacchipError, sqlite3.Error):  # told when chips are kept
            self._here().keeping.begin()
        return self._folder.claims()

    def keep(self, key: ChipKey, opened: OpenedItem, raw: Mapping[str, RawPixels]) -> None:
        """Keep a chip; what is in the way is logged once.

        Args:
            key: Its key.
            opened: The opened item that it was cut from.
            raw: The pixels of its assets, as far as the store lacks them.
        """
        own = self._here()
        if not raw or not own.keeping.is_open:
            return
        wanted = self._want(key, opened)
        chip = encode_chip(wanted, key, raw)
        if chip.kind.assets:
            (number,) = hash_keys([key], [wanted.hash_of(key.chip_size)])
            own.keeping.add(number, chip)

    def flush(self) -> None:
        """Finish the packs that this process writes, so that others find their chips."""
        self._here().keeping.flush()

    def _end(self) -> None:
        """Finish all packs, and note which were used."""
        own = self._own.peek()
        if own is not None:
            own.keeping.flush()
            own.known.note_use()


class _Own:
    """What one process knows of a store.

    Args:
        known: The complete packs.
        keeping: Those that it writes.
    """

    @classmethod
    def begin(cls, folder: StoreFolder, catalogue: Catalogue, limit_bytes: int) -> _Own:
        """Return what a process knows that has not looked yet."""
        known = KnownPacks(folder, catalogue)
        return cls(known, Keeping(folder, catalogue, known, limit_bytes))

    def __init__(self, known: KnownPacks, keeping: Keeping) -> None:
        self.is_listed = False
        self.known = known
        self.keeping = keeping
        self.wanted: WeakKeyDictionary[OpenedItem, WantedItem] = WeakKeyDictionary()
        self.current: set[Any] = set()
        self.has_warned_of_catalogue = False
        self.damaged = 0


def _end_all(stores: WeakSet[ChipStore]) -> None:
    for store in list(stores):
        store._end()  # noqa: SLF001 - of this module


def _stores_to_end() -> WeakSet[ChipStore]:
    stores: WeakSet[ChipStore] = WeakSet()
    Finalize(None, _end_all, (stores,), exitpriority=10)  # workers end without `atexit`
    return stores


_to_end: PerProcess[WeakSet[ChipStore]] = PerProcess(_stores_to_end)


def _open_store(folder: Path, limit_bytes: int, revalidate: bool) -> ChipStore:
    return ChipStore(folder, limit_bytes, revalidate=revalidate)


def _is_damage(error: sqlite3.Error) -> bool:
    """Return True if a catalogue is damaged, and not only locked or out of reach."""
    return _lacks_tables(error) or not isinstance(error, sqlite3.OperationalError)


def _lacks_tables(error: sqlite3.Error) -> bool:
    """Return True if a catalogue is empty: the process that made it came no further."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _hold(
    key: ChipKey, wanted: WantedItem, places: Iterable[tuple[AnyPack, int]], number: int
) -> HeldChip:
    """Return what some packs hold of a chip."""
    lacks: Any = wanted.placements.keys()
    parts = []
    for pack, row in places:
        if pack.kind.chip_size != key.chip_size:
            continue
        if not pack.has(row, key.platform, key.item_id, key.x, key.y):
            continue
        there = wanted.held_in(pack.kind, pack.stamps_of(row))
        if len(there) == len(wanted.placements):
            return HeldChip((HeldPart(pack, row, there),), (), number)
        own = tuple(asset for asset in there if asset in lacks)
        if own:
            parts.append(HeldPart(pack, row, own))
            lacks = lacks - set(own)
            if not lacks:
                break
    return HeldChip(tuple(parts), tuple(lacks), number, not lacks & set(wanted.assets))
