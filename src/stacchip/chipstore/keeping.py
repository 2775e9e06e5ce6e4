"""Keeping: the packs that a process writes, within the bytes that a store may take."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stacchip.chipstore.catalogue import StoreFull, number_of
from stacchip.chipstore.hashes import hashes_in
from stacchip.chipstore.pack import PackUnavailable, PackUnreadable
from stacchip.chipstore.pack_writer import PackWriter
from stacchip.errors import StacchipError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.chipstore.catalogue import Catalogue
    from stacchip.chipstore.folder import StoreFolder
    from stacchip.chipstore.kinds import PackKind
    from stacchip.chipstore.known_packs import KnownPacks
    from stacchip.chipstore.pack import AnyPack
    from stacchip.chipstore.pack_writer import ChipToKeep

__all__ = ["Keeping"]

_log = logging.getLogger(__name__)

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
_MOST_WRITERS: Final = 32
_TRY_AGAIN_AFTER_S: Final = 60.0
_IN_THE_WAY: Final = (OSError, StacchipError, sqlite3.Error)


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


class Keeping:
    """Writes the packs of one process. Their chips can be read at once.

    If something is in the way (a full disk, a folder that may only be read), nothing is kept for a
    minute; the log says so once.

    Args:
        folder: The folder of the store.
        catalogue: Its catalogue.
        known: The complete packs.
        limit_bytes: The most bytes of all files of the store.

    Attributes:
        kept: Number of chips that were kept.
    """

    def __init__(
        self, folder: StoreFolder, catalogue: Catalogue, known: KnownPacks, limit_bytes: int
    ) -> None:
        self.kept = 0
        self._folder = folder
        self._catalogue = catalogue
        self._known = known
        self._limit_bytes = limit_bytes
        self._since = time.time()
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._writers: dict[PackKind, _Writer] = {}
        self._unfinished: dict[int, list[tuple[AnyPack, int]]] = {}
        self._has_begun = False
        self._has_warned = False
        self._closed_until = 0.0
        self._why_closed = ""

    @property
    def is_open(self) -> bool:
        """True if chips can be kept at present."""
        return time.monotonic() >= self._closed_until

    @property
    def why_not_open(self) -> str | None:
        """Why chips are not kept at present; None if they are."""
        return None if self.is_open else self._why_closed

    # -- chips

    def find(self, hashes: Iterable[int]) -> dict[int, list[tuple[AnyPack, int]]]:
        """Return where chips of these hashes are in packs that are being written."""
        with self._lock:
            if not self._unfinished:
                return {}
            there = [each for each in hashes if each in self._unfinished]
            return {each: [*self._unfinished[each]] for each in there}

    def forget(self, number: int) -> None:
        """Forget chips of this hash that cannot be read."""
        with self._lock:
            self._unfinished.pop(number, None)

    def add(self, number: int, chip: ChipToKeep) -> None:
        """Keep a chip, if nothing is in the way.

        Args:
            number: The hash of its key.
            chip: The chip.
        """
        try:
            with self._writing:
                if self._has(number, chip):
                    return
                writer = self._find_writer(chip)
                row = writer.pack.add(chip)
                writer.hashes.append(number)
                with self._lock:
                    self._unfinished.setdefault(number, []).append((writer.pack, row))
                    self.kept += 1
                if writer.pack.size_bytes >= self._pack_bytes:
                    self._finish(chip.kind)
        except StoreFull:
            self.close_for_now("it is full: its chips are in use, and limit_bytes is reached")
        except _IN_THE_WAY as error:
            self.close_for_now(str(error))

    def _has(self, number: int, chip: ChipToKeep) -> bool:
        """Return True if a pack that is being written has this chip already."""
        with self._lock:
            return any(
                pack.kind == chip.kind
                and pack.has(row, chip.platform, chip.item_id, chip.x, chip.y)
                and bool((pack.stamps_of(row) == chip.stamps).all())
                for pack, row in self._unfinished.get(number, ())
            )

    @property
    def _pack_bytes(self) -> int:
        return min(_PACK_BYTES, max(self._limit_bytes // _PACKS_IN_LIMIT, _LEAST_PACK_BYTES))

    def _find_writer(self, chip: ChipToKeep) -> _Writer:
        """Return the pack to add a chip to, with room for it. The caller holds `writing`."""
        writer = self._writers.get(chip.kind)
        if writer is None:
            while len(self._writers) >= _MOST_WRITERS:
                self._finish(next(iter(self._writers)))
            self.begin()
            name = f"{time.time_ns():016x}{secrets.token_hex(4)}"
            pack = PackWriter(self._folder.unfinished(name), chip.kind)
            writer = self._writers[chip.kind] = _Writer(name, pack)
        told = (len(writer.pack) + 1) * (_CHIP_BYTES + _ASSET_BYTES * len(chip.kind.assets))
        needed = writer.pack.size_bytes + chip.size_bytes + told + _LEAST_BYTES
        if needed > writer.reserved:
            step = min(needed, self._pack_bytes // _STEPS_IN_PACK)
            self._reserve(writer, needed + step)
        return writer

    def _reserve(self, writer: _Writer, size_bytes: int) -> None:
        self._known.note_use()
        evicted = self._catalogue.reserve(
            writer.name,
            size_bytes,
            self._limit_bytes - _FOR_CATALOGUE,
            since=self._since,
            used_for=self._known.used_for,
        )
        for name in evicted:
            self._folder.delete(name)
        writer.reserved = size_bytes

    # -- the end of packs

    def flush(self) -> None:
        """Finish all packs, so that other processes find their chips."""
        with self._writing:
            for kind in list(self._writers):
                try:
                    self._finish(kind)
                except _IN_THE_WAY as error:
                    self.close_for_now(str(error))

    def _finish(self, kind: PackKind) -> None:
        with self._writing:
            writer = self._writers.pop(kind, None)
            if writer is None:
                return
            if not writer.hashes:  # there was no room for its first chip
                self._drop(writer)
                return
            try:
                size = writer.pack.finish() + len(writer.hashes) * _CATALOGUE_BYTES
                self._folder.complete(writer.name)
                self._catalogue.finish(
                    writer.name, size, writer.hashes, used_for=self._known.used_for
                )
            except BaseException:
                self._drop(writer)
                raise
            self._forget_unfinished(writer)

    def _drop(self, writer: _Writer) -> None:
        """Give up a pack that cannot be written."""
        self._forget_unfinished(writer)
        self._folder.delete(writer.name)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._catalogue.forget([number_of(writer.name)])

    def _forget_unfinished(self, writer: _Writer) -> None:
        """Forget where the chips of a pack are that is no longer being written."""
        with self._lock:
            for number in writer.hashes:
                left = [each for each in self._unfinished.pop(number, []) if each[0] != writer.pack]
                if left:
                    self._unfinished[number] = left

    def close_for_now(self, why: str) -> None:
        """Keep no chips for a while: something is in the way."""
        with self._writing:
            self._closed_until = time.monotonic() + _TRY_AGAIN_AFTER_S
            for kind in list(self._writers):
                try:
                    self._finish(kind)
                except _IN_THE_WAY as error:
                    _log.debug("a pack of %s is lost: %s", self._folder, error)
            if not self._has_warned:
                self._has_warned = True
                _log.warning("chips are not kept in %s: %s", self._folder, why)
            self._why_closed = why

    # -- the store

    def begin(self) -> None:
        """Make the folder and the catalogue, and clear away what others left behind.

        Raises:
            OSError, StacchipError, sqlite3.Error: Something is in the way.
        """
        if self._has_begun and self._catalogue.exists:
            return
        self._folder.make()
        self._catalogue.make()
        self._clear()
        self._enter_packs()
        self._has_begun = True

    def mend(self, *, is_damaged: bool) -> bool:
        """Make the catalogue again, and return True if that was done.

        Args:
            is_damaged: True if there is one, which is damaged; False if it is lost or empty.
        """
        if not self.is_open or not self._folder.has_packs:
            return False
        try:
            with self._writing:
                if is_damaged:
                    self._catalogue.move_away()
                self._has_begun = False
                self.begin()
        except _IN_THE_WAY as failure:
            self.close_for_now(str(failure))
            return False
        return True

    def _clear(self) -> None:
        """Remove what processes left that were killed."""
        left = self._catalogue.left_by_others()
        for _, name in left:
            self._folder.delete(name)
        if left:
            self._catalogue.forget([number for number, _ in left])
        self._folder.delete_forgotten(self._catalogue.names())

    def _enter_packs(self) -> None:
        """Enter packs that the catalogue lacks: it was lost, or a process killed."""
        known = self._catalogue.names()
        for name in self._folder.packs():
            if name in known:
                continue
            try:
                hashes = hashes_in(self._folder.open_pack(name))
                size = self._folder.count_bytes(name) + len(hashes) * _CATALOGUE_BYTES
            except PackUnavailable:
                continue
            except (PackUnreadable, FileNotFoundError):  # the latter: others are deleting it
                self._folder.delete(name)
                continue
            self._catalogue.finish(name, size, hashes, used_for="")
