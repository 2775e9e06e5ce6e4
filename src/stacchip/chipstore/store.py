"""`ChipStore`: chips that were cut once, and come back without their files."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from math import inf
from multiprocessing.util import Finalize
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from stacchip.chipstore.catalogue import Catalogue, StoreFull, number_of
from stacchip.chipstore.claims import Claims
from stacchip.chipstore.encoding import encode_chip
from stacchip.chipstore.held import HeldChip, HeldPart
from stacchip.chipstore.open_files import OpenFiles
from stacchip.chipstore.pack import Pack, PackUnavailable, PackUnreadable
from stacchip.chipstore.pack_writer import PackWriter
from stacchip.chipstore.planes import DamagedPlane
from stacchip.chipstore.wanted import WantedItem
from stacchip.errors import StacchipError, UsageError, attribute
from stacchip.raster.reader import version_of
from stacchip.runtime.key_hash import hash_numbers
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.whole_file import is_unfinished, whole_file
from stacchip.storage import is_remote, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipper.open_item import OpenedItem, RawPixels
    from stacchip.chipstore.claims import OpenClaims
    from stacchip.chipstore.kinds import PackKind
    from stacchip.chipstore.pack import AnyPack
    from stacchip.chipstore.pack_writer import ChipToKeep

__all__ = ["ChipStore"]

_log = logging.getLogger(__name__)

_FORM: Final = 1
_MARK: Final = "store.json"
_PACKS: Final = "packs"
_UNFINISHED: Final = "unfinished"
_CLAIMS: Final = "claims.lock"
_PACK_BYTES: Final = 256 << 20
_LEAST_PACK_BYTES: Final = 1 << 20
_PACKS_IN_LIMIT: Final = 16
_STEPS_IN_PACK: Final = 4
# more than what a pack and its catalogue say of a chip and of an asset of it, and take in any case
_CHIP_BYTES: Final = 512
_ASSET_BYTES: Final = 64
_LEAST_BYTES: Final = 64 << 10
_CATALOGUE_BYTES: Final = 128  # of a chip, with its journal
_FOR_CATALOGUE: Final = 64 << 10  # without chips, and what is beside it
_MOST_PACKS: Final = 4096
_MOST_WRITERS: Final = 32
_NOTE_USE_AFTER_S: Final = 60.0
_TRY_AGAIN_AFTER_S: Final = 60.0


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
        name = os.fsdecode(folder)
        place = local_path(name) if name.startswith("file:") else Path(name)
        if place is None or is_remote(name):
            raise UsageError(f"A chip store is a local folder, not {redact(name)!r}.")
        most: Any = limit_bytes
        if not (isinstance(most, Real) and 0 < float(most) < inf):
            raise UsageError(f"limit_bytes is a number of bytes, not {limit_bytes!r}.")
        self.folder = place.absolute()
        self.limit_bytes = int(limit_bytes)
        self.revalidate = revalidate
        _require_store(self.folder)
        self._files = OpenFiles()
        self._catalogue = Catalogue(self.folder)
        self._own: PerProcess[_Own] = PerProcess(_Own)

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_store, (self.folder, self.limit_bytes, self.revalidate)

    def __del__(self) -> None:
        if hasattr(self, "_own"):  # else it was refused
            self._end()

    def __repr__(self) -> str:
        return f"ChipStore({os.fspath(self.folder)!r}, limit_bytes={self.limit_bytes})"

    # -- looking

    def find(self, chips: Sequence[tuple[ChipKey, OpenedItem]]) -> list[HeldChip]:
        """Return what the store holds of some chips.

        Args:
            chips: Their keys, and the opened items that they are cut from.

        Raises:
            AssetChanged: A file is not the version that was opened.
        """
        own = self._own.get()
        wanted = [self._want(key, opened) for key, opened in chips]
        hashes = _hash(chips, wanted)
        places = own.find_unfinished(hashes)
        for place in self._look_up(sorted(set(hashes))):
            pack = self._open_pack(own, place.pack)
            if pack is not None:
                places.setdefault(place.hash, []).append((pack, place.row))
        return [
            _hold(key, each, places.get(number, ()), number)
            for (key, _), each, number in zip(chips, wanted, hashes, strict=True)
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
        return time.monotonic() >= self._own.get().closed_until

    def _want(self, key: ChipKey, opened: OpenedItem) -> WantedItem:
        own = self._own.get()
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

    def _open_pack(self, own: _Own, number: int) -> Pack | None:
        """Return a complete pack; None if it is gone or damaged."""
        with own.lock:
            pack = own.packs.get(number)
            if pack is not None:
                own.packs.move_to_end(number)
                own.used.add(number)
        if pack is None:
            try:
                name = self._catalogue.name_of(number)
                if name is None:
                    return None
                folder = self.folder / _PACKS / name
                pack = Pack(folder, self._files)
            except PackUnavailable:
                return None
            except PackUnreadable as error:
                _log.warning("chips of a pack are read again: %s", error)
                self._forget([number])
                shutil.rmtree(folder, ignore_errors=True)
                return None
            except sqlite3.Error:
                return None
            own.flush_at_end(self)  # notes its use
            with own.lock:
                own.used.add(number)
                own.packs[number] = pack
                if len(own.packs) > _MOST_PACKS:
                    own.packs.popitem(last=False)
        self._note_use(own)
        return pack

    def _note_use(self, own: _Own) -> None:
        now = time.monotonic()
        if now < own.note_use_at:
            return
        own.note_use_at = now + _NOTE_USE_AFTER_S
        with own.lock:
            used, own.used = own.used, set()
        with contextlib.suppress(sqlite3.Error, OSError):  # it may only be read
            self._catalogue.use(used, own.used_for)

    def _forget(self, packs: Iterable[int]) -> None:
        own, numbers = self._own.get(), list(packs)
        with own.lock:
            for number in numbers:
                own.packs.pop(number, None)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._catalogue.forget(numbers)

    def forget_chip(self, held: HeldChip) -> None:
        """Forget a chip that could not be read or decoded: it is kept anew."""
        own = self._own.get()
        with own.lock:
            numbers = {id(pack): number for number, pack in own.packs.items()}
            own.unfinished.pop(held.hash, None)
        for part in held.parts:
            number = numbers.get(id(part.pack))
            if number is not None:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._catalogue.forget_row(number, part.row)
        own.damaged += 1
        if own.damaged == 1:
            _log.warning("%s has damaged chips, which are read from their files again", self.folder)

    def _mend(self, error: sqlite3.Error | None) -> bool:
        """Make the catalogue again, if it is damaged or lost, and return True if that was done."""
        own = self._own.get()
        is_out_of_reach = error is not None and not _is_damage(error)
        if error is not None and is_out_of_reach:
            if not own.has_warned_of_catalogue:
                own.has_warned_of_catalogue = True
                _log.warning("the catalogue of %s cannot be read: %s", self.folder, error)
            return False
        if not self.is_writing or not (self.folder / _PACKS).exists():
            return False
        try:
            with own.writing:
                if error is not None and not _lacks_tables(error):
                    _log.warning("the catalogue of %s is made again: %s", self.folder, error)
                    self._catalogue.move_away()
                own.has_begun = False
                self._begin_writing()
        except (OSError, StacchipError, sqlite3.Error) as failure:
            self._close_for_now(own, str(failure))
            return False
        return True

    # -- keeping

    def use_for(self, name: str) -> None:
        """Say which data set this process reads and fills the store for.

        If the store is full, packs go first that were used for others.

        Args:
            name: A name that is the same in all processes and epochs.
        """
        self._own.get().used_for = name

    def claims(self) -> AbstractContextManager[OpenClaims]:
        """Return what tells other processes which parts of the store this one fills."""
        with contextlib.suppress(OSError, StacchipError, sqlite3.Error):  # told when chips are kept
            self._begin_writing()
        return Claims(self.folder / _CLAIMS).open()

    def keep(self, key: ChipKey, opened: OpenedItem, raw: Mapping[str, RawPixels]) -> None:
        """Keep a chip; what is in the way is logged once.

        Args:
            key: Its key.
            opened: The opened item that it was cut from.
            raw: The pixels of its assets, as far as the store lacks them.
        """
        if not raw or not self.is_writing:
            return
        wanted = self._want(key, opened)
        chip = encode_chip(wanted, key, raw)
        if not chip.kind.assets:
            return
        own = self._own.get()
        number = _hash([(key, opened)], [wanted])[0]
        try:
            with own.writing:
                if own.has_unfinished(number, chip):
                    return
                writer = self._find_writer(own, chip)
                row = writer.pack.add(chip)
                writer.hashes.append(number)
                own.add_unfinished(number, writer.pack, row)
                if writer.pack.size_bytes >= self._pack_bytes:
                    self._finish(own, chip.kind)
        except StoreFull:
            self._close_for_now(own, "it is full: its chips are in use, and limit_bytes is reached")
        except (OSError, StacchipError, sqlite3.Error) as error:
            self._close_for_now(own, str(error))

    @property
    def _pack_bytes(self) -> int:
        return min(_PACK_BYTES, max(self.limit_bytes // _PACKS_IN_LIMIT, _LEAST_PACK_BYTES))

    def _find_writer(self, own: _Own, chip: ChipToKeep) -> _Writer:
        """Return the pack to add a chip to, with room for it. The caller holds `writing`."""
        writer = own.writers.get(chip.kind)
        if writer is None:
            while len(own.writers) >= _MOST_WRITERS:
                self._finish(own, next(iter(own.writers)))
            self._begin_writing()
            name = f"{time.time_ns():016x}{secrets.token_hex(4)}"
            pack = PackWriter(self.folder / _UNFINISHED / name, chip.kind)
            writer = own.writers[chip.kind] = _Writer(name, pack)
            own.flush_at_end(self)
        told = (len(writer.pack) + 1) * (_CHIP_BYTES + _ASSET_BYTES * len(chip.kind.assets))
        needed = writer.pack.size_bytes + chip.size_bytes + told + _LEAST_BYTES
        if needed > writer.reserved:
            step = min(needed, self._pack_bytes // _STEPS_IN_PACK)
            self._reserve(own, writer, needed + step)
        return writer

    def _reserve(self, own: _Own, writer: _Writer, size_bytes: int) -> None:
        limit = self.limit_bytes - _FOR_CATALOGUE
        own.note_use_at = 0.0
        self._note_use(own)
        evicted = self._catalogue.reserve(
            writer.name, size_bytes, limit, since=own.since, used_for=own.used_for
        )
        for name in evicted:
            folder = self.folder / _PACKS / name
            self._files.forget(os.fspath(folder))
            shutil.rmtree(folder, ignore_errors=True)
        writer.reserved = size_bytes

    def _begin_writing(self) -> None:
        """Make the folder and the catalogue, and clear away what others left behind."""
        own = self._own.get()
        if own.has_begun and self._catalogue.exists:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self.folder / _MARK
        if not mark.exists():  # before all else: a folder with other files and none is refused
            with whole_file(mark) as part:
                part.write_text(json.dumps({"stacchip_chip_store": _FORM}), encoding="utf-8")
        for name in (_PACKS, _UNFINISHED):
            (self.folder / name).mkdir(exist_ok=True)
        self._catalogue.make()
        self._clear()
        self._enter_packs()
        own.has_begun = True

    def _enter_packs(self) -> None:
        """Enter packs that the catalogue lacks: it was lost, or a process killed."""
        known = self._catalogue.names()
        for folder in sorted((self.folder / _PACKS).iterdir()):
            if folder.name in known:
                continue
            try:
                pack = Pack(folder, self._files)
                size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            except PackUnavailable:
                continue
            except (PackUnreadable, FileNotFoundError):  # the latter: others are deleting it
                shutil.rmtree(folder, ignore_errors=True)
                continue
            hashes = _hashes_in(pack)
            size += len(hashes) * _CATALOGUE_BYTES
            self._catalogue.finish(folder.name, size, hashes, used_for="")

    def _clear(self) -> None:
        """Remove what processes left that were killed."""
        left = self._catalogue.left_by_others()
        for _, name in left:
            for place in (_UNFINISHED, _PACKS):
                shutil.rmtree(self.folder / place / name, ignore_errors=True)
        if left:
            self._catalogue.forget([number for number, _ in left])
        names = self._catalogue.names()
        for folder in (self.folder / _UNFINISHED).iterdir():
            if folder.name not in names and _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def flush(self) -> None:
        """Finish the packs that this process writes, so that others find their chips."""
        own = self._own.get()
        with own.writing:
            for kind in list(own.writers):
                try:
                    self._finish(own, kind)
                except (OSError, StacchipError, sqlite3.Error) as error:
                    self._close_for_now(own, str(error))

    def _end(self) -> None:
        """Finish all packs, and note which were used."""
        own = self._own.get()
        self.flush()
        if own.used:
            own.note_use_at = 0.0
            self._note_use(own)

    def _finish(self, own: _Own, kind: PackKind) -> None:
        with own.writing:
            writer = own.writers.pop(kind, None)
            if writer is None:
                return
            if not writer.hashes:  # there was no room for its first chip
                self._drop(own, writer)
                return
            try:
                size = writer.pack.finish()
                place = self.folder / _PACKS / writer.name
                os.rename(writer.pack.folder, place)  # noqa: PTH104 - a folder into its place
                size += len(writer.hashes) * _CATALOGUE_BYTES
                self._catalogue.finish(writer.name, size, writer.hashes, used_for=own.used_for)
            except BaseException:
                self._drop(own, writer)
                raise
            own.forget_unfinished(writer)

    def _drop(self, own: _Own, writer: _Writer) -> None:
        """Give up a pack that cannot be written."""
        own.forget_unfinished(writer)
        shutil.rmtree(writer.pack.folder, ignore_errors=True)
        shutil.rmtree(self.folder / _PACKS / writer.name, ignore_errors=True)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._catalogue.forget([number_of(writer.name)])

    def _close_for_now(self, own: _Own, why: str) -> None:
        """Keep no chips for a while: something is in the way."""
        with own.writing:
            own.closed_until = time.monotonic() + _TRY_AGAIN_AFTER_S
            for kind in list(own.writers):
                try:
                    self._finish(own, kind)
                except (OSError, StacchipError, sqlite3.Error) as error:
                    _log.debug("a pack of %s is lost: %s", self.folder, error)
            if not own.has_warned:
                own.has_warned = True
                _log.warning("chips are not kept in %s: %s", self.folder, why)
            own.why_closed = why

    @property
    def kept(self) -> int:
        """Number of chips that this process has kept."""
        return self._own.get().kept

    @property
    def why_not_kept(self) -> str | None:
        """Why chips are not kept at present; None if they are."""
        return None if self.is_writing else self._own.get().why_closed


@dataclass(eq=False)
class _Writer:
    """A pack that is being written.

    Attributes:
        name: The name of its folder.
        pack: The pack.
        reserved: The bytes that it may take.
        hashes: The hashes of its chips.
    """

    name: str
    pack: PackWriter
    reserved: int = 0
    hashes: list[int] = field(default_factory=list)


class _Own:
    """What one process knows of a store."""

    def __init__(self) -> None:
        self.since = time.time()
        self.used_for = ""
        self.lock = threading.Lock()
        self.writing = threading.RLock()
        self.wanted: WeakKeyDictionary[OpenedItem, WantedItem] = WeakKeyDictionary()
        self.current: set[Any] = set()
        self.packs: OrderedDict[int, Pack] = OrderedDict()
        self.used: set[int] = set()
        self.note_use_at = 0.0
        self.writers: dict[PackKind, _Writer] = {}
        self.unfinished: dict[int, list[tuple[AnyPack, int]]] = {}
        self.has_begun = False
        self.has_warned = False
        self.has_warned_of_catalogue = False
        self.closed_until = 0.0
        self.why_closed: str | None = None
        self.kept = 0
        self.damaged = 0

    def find_unfinished(self, hashes: Iterable[int]) -> dict[int, list[tuple[AnyPack, int]]]:
        """Return where chips are in packs that are being written."""
        with self.lock:
            if not self.unfinished:
                return {}
            return {each: [*self.unfinished[each]] for each in hashes if each in self.unfinished}

    def add_unfinished(self, number: int, pack: AnyPack, row: int) -> None:
        """Note where a chip is in a pack that is being written."""
        with self.lock:
            self.unfinished.setdefault(number, []).append((pack, row))
            self.kept += 1

    def has_unfinished(self, number: int, chip: ChipToKeep) -> bool:
        """Return True if a pack that is being written has this chip already."""
        with self.lock:
            return any(
                pack.kind == chip.kind
                and pack.has(row, chip.platform, chip.item_id, chip.x, chip.y)
                and bool((pack.stamps_of(row) == chip.stamps).all())
                for pack, row in self.unfinished.get(number, ())
            )

    def forget_unfinished(self, writer: _Writer) -> None:
        """Forget where the chips of a pack are that is no longer being written."""
        with self.lock:
            for number in writer.hashes:
                left = [each for each in self.unfinished.pop(number, []) if each[0] != writer.pack]
                if left:
                    self.unfinished[number] = left

    def flush_at_end(self, store: ChipStore) -> None:
        """Finish the packs of a store when the process ends."""
        _to_flush.get().add(store)


def _flush_all(stores: WeakSet[ChipStore]) -> None:
    for store in list(stores):
        store._end()  # noqa: SLF001 - of this module


def _stores_to_flush() -> WeakSet[ChipStore]:
    stores: WeakSet[ChipStore] = WeakSet()
    Finalize(None, _flush_all, (stores,), exitpriority=10)  # workers end without `atexit`
    return stores


_to_flush: PerProcess[WeakSet[ChipStore]] = PerProcess(_stores_to_flush)


def _open_store(folder: Path, limit_bytes: int, revalidate: bool) -> ChipStore:
    return ChipStore(folder, limit_bytes, revalidate=revalidate)


def _require_store(folder: Path) -> None:
    """Refuse a folder that is of something else.

    Raises:
        UsageError: It has other files, or a store of a later version.
    """
    mark = folder / _MARK
    try:
        told = json.loads(mark.read_bytes())["stacchip_chip_store"]
    except FileNotFoundError:
        names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        # a process that makes the store may not have come to its mark
        if any(name != _CLAIMS and not is_unfinished(name) for name in names):
            raise UsageError(
                f"{folder} has other files, and is no chip store: give an empty folder, or none."
            ) from None
        return
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{mark} cannot be read: {error}.") from error
    if told != _FORM:
        raise UsageError(
            f"{folder} is a chip store of form {told!r}, which this version of stacchip does not "
            f"know: give another folder, or update stacchip."
        )


def _is_damage(error: sqlite3.Error) -> bool:
    """Return True if a catalogue is damaged, and not only locked or out of reach."""
    return _lacks_tables(error) or not isinstance(error, sqlite3.OperationalError)


def _lacks_tables(error: sqlite3.Error) -> bool:
    """Return True if a catalogue is empty: the process that made it came no further."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _is_old(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - folder.stat().st_mtime > 24 * 3600
    return False


def _hash(chips: Sequence[tuple[ChipKey, OpenedItem]], wanted: Sequence[WantedItem]) -> list[int]:
    """Return a hash of each chip's key, as SQLite holds numbers."""
    bases = [each.hash_of(key.chip_size) for (key, _), each in zip(chips, wanted, strict=True)]
    x = np.array([key.x for key, _ in chips], np.int64)
    y = np.array([key.y for key, _ in chips], np.int64)
    hashes: list[int] = hash_numbers(np.array(bases, np.uint64), x, y).view(np.int64).tolist()
    return hashes


def _hashes_in(pack: Pack) -> list[int]:
    """Return the hash of the chip in each row of a pack."""
    bases = np.array(
        [WantedItem(*item, {}).hash_of(pack.kind.chip_size) for item in pack.items], np.uint64
    )
    item, x, y = np.asarray(pack.chips, np.int64).T
    hashes: list[int] = hash_numbers(bases[item], x, y).view(np.int64).tolist()
    return hashes


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
