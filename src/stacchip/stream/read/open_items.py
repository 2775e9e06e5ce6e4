"""The items of a stream, opened when their chips come near."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from stacchip.errors import StacchipError
from stacchip.runtime.pools import fetchers
from stacchip.stream.read.layers import ItemLayers, layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stacchip.chipper import Chipper
    from stacchip.stream.plan.wanted_chips import WantedChips

    Name = tuple[str, str]
    Fill = Callable[[int, Name, Future[ItemLayers]], None]

E = TypeVar("E", bound=StacchipError)

_OPEN_ITEMS = 256
# GDAL holds a local file open, and a remote one in memory as a whole
OPEN_GDAL_ITEMS = 8


class Catalog:
    """Opens items, each once while it is among the last 256, several at the same time.

    Of items with files that GDAL reads it keeps the last eight; who needs one longer holds it. An
    item that could not be opened is asked for again when a pass begins. A forked process starts
    anew: what its parent was opening would never come.

    Args:
        chipper: Finds and opens them.
        chips: The chips whose items they are.
    """

    def __init__(self, chipper: Chipper, chips: WantedChips) -> None:
        self._chipper = chipper
        self._chips = chips
        self._inherited: list[object] = []
        self._renew()

    def __getstate__(self) -> dict[str, Any]:
        return {"_chipper": self._chipper, "_chips": self._chips, "_inherited": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[Name, Future[ItemLayers]] = OrderedDict()
        self._by_gdal: set[Name] = set()
        self._failed: set[Name] = set()
        self._process = os.getpid()

    def prepare(self, rows: Iterable[int]) -> None:
        """Begin to open the items of these rows' chips."""
        for row in rows:
            self._find(row, self._submit)

    def get(self, row: int) -> ItemLayers:
        """The opened item of a row's chip.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        while True:
            future = self._find(row, self._fill)
            try:
                error = future.exception()
            except CancelledError:  # whoever opened it was interrupted
                continue
            if isinstance(error, StacchipError):
                raise again(error)
            return future.result()

    def forget_failures(self) -> None:
        """Let items that could not be opened be tried again."""
        with self._own_lock():
            for name in self._failed & self._opened.keys():
                self._drop(name)
            self._failed.clear()

    def _own_lock(self) -> threading.Lock:
        if self._process != os.getpid():
            # the parent's handles must not be closed here, nor its lock be waited for
            self._inherited += [self._opened, self._lock]
            self._renew()
        return self._lock

    def _find(self, row: int, fill: Fill) -> Future[ItemLayers]:
        """The item as it is or will be; where nobody has begun, `fill` opens it."""
        group = self._chips.groups[self._chips.group[row]]
        name = (group.platform, group.item_id)
        with self._own_lock():
            if name in self._opened:
                self._opened.move_to_end(name)
                return self._opened[name]
        own: Future[ItemLayers] = Future()
        try:
            with self._lock:
                future = self._opened.setdefault(name, own)
                while len(self._opened) > _OPEN_ITEMS:
                    self._drop(next(iter(self._opened)))
            if future is own:
                fill(row, name, own)
        except BaseException:
            self._give_up(name, own)  # or others would wait for it for ever
            raise
        return future

    def _submit(self, row: int, name: Name, future: Future[ItemLayers]) -> None:
        fetchers().submit(partial(self._fill_ahead, row, name, future))

    def _fill_ahead(self, row: int, name: Name, future: Future[ItemLayers]) -> None:
        try:
            self._fill(row, name, future)
        except BaseException:  # noqa: BLE001 - who asks for the item tries it, and sees the error
            self._give_up(name, future)

    def _fill(self, row: int, name: Name, future: Future[ItemLayers]) -> None:
        try:
            # a copy keeps nothing: what is open is kept here alone
            opened = copy(self._chipper).open(row)
            item = layers_of(opened, name[0])
        except StacchipError as error:
            self._failed.add(name)
            future.set_exception(error)
            return
        future.set_result(item)
        if item.is_read_by_gdal:
            self._keep_few(name)

    def _keep_few(self, name: Name) -> None:
        """Let go of all but the last few items that GDAL reads."""
        with self._lock:
            self._by_gdal.add(name)
            by_gdal = [each for each in self._opened if each in self._by_gdal]
            for each in by_gdal[:-OPEN_GDAL_ITEMS]:
                self._drop(each)

    def _give_up(self, name: Name, future: Future[ItemLayers]) -> None:
        """Forget an item that nobody opens any more; who waits for it opens it then."""
        with self._lock:
            if self._opened.get(name) is future:
                self._drop(name)
        future.cancel()

    def _drop(self, name: Name) -> None:
        del self._opened[name]
        self._by_gdal.discard(name)


def again(error: E) -> E:
    """A kept error, to be raised once more: a new one, or its traceback would grow each time."""
    new = copy(error)
    new.__cause__ = error.__cause__
    return new.with_traceback(error.__traceback__)
