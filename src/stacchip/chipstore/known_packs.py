"""The packs that a process has open, and which of them it has used."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from stacchip.chipstore.pack import PackUnavailable, PackUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.chipstore.catalogue import Catalogue
    from stacchip.chipstore.folder import StoreFolder
    from stacchip.chipstore.pack import AnyPack, Pack

__all__ = ["KnownPacks"]

_log = logging.getLogger(__name__)

_MOST: Final = 4096
_NOTE_USE_AFTER_S: Final = 60.0


class KnownPacks:
    """The complete packs of a store, as one process knows them.

    Args:
        folder: The folder of the store.
        catalogue: Its catalogue.

    Attributes:
        used_for: The data set that they are used for.
    """

    def __init__(self, folder: StoreFolder, catalogue: Catalogue) -> None:
        self.used_for = ""
        self._folder = folder
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._open: OrderedDict[int, Pack] = OrderedDict()
        self._used: set[int] = set()
        self._note_use_at = 0.0

    def open(self, number: int) -> Pack | None:
        """Return a pack; None if it is gone or damaged."""
        with self._lock:
            pack = self._open.get(number)
            if pack is not None:
                self._open.move_to_end(number)
                self._used.add(number)
        if pack is None:
            pack = self._open_anew(number)
            if pack is None:
                return None
            with self._lock:
                self._used.add(number)
                self._open[number] = pack
                if len(self._open) > _MOST:
                    self._open.popitem(last=False)
        if time.monotonic() >= self._note_use_at:
            self.note_use()
        return pack

    def _open_anew(self, number: int) -> Pack | None:
        try:
            name = self._catalogue.name_of(number)
        except sqlite3.Error:
            return None
        if name is None:
            return None
        try:
            return self._folder.open_pack(name)
        except PackUnavailable:
            return None
        except PackUnreadable as error:
            _log.warning("chips of a pack are read again: %s", error)
            self.forget([number])
            self._folder.delete(name)
            return None

    def number_of(self, pack: AnyPack) -> int | None:
        """Return the number of an open pack; None if it is none."""
        with self._lock:
            return next((number for number, own in self._open.items() if own is pack), None)

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget packs that are gone or damaged."""
        gone = list(numbers)
        with self._lock:
            for number in gone:
                self._open.pop(number, None)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._catalogue.forget(gone)

    def note_use(self) -> None:
        """Note in the catalogue which packs were used since the last time."""
        self._note_use_at = time.monotonic() + _NOTE_USE_AFTER_S
        with self._lock:
            used, self._used = self._used, set()
        if used:
            with contextlib.suppress(sqlite3.Error, OSError):  # it may only be read
                self._catalogue.use(used, self.used_for)
