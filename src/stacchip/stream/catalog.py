"""The items of a stream, opened when their chips come near."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from stacchip.raster.pools import fetchers
from stacchip.stream.layers import ItemLayers, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.chipper import Chipper
    from stacchip.stream.chips import WantedChips

_OPEN_ITEMS = 256


class Catalog:
    """Opens items, each once while it is among the last 256, several at the same time.

    Args:
        chipper: Finds and opens them.
        chips: The chips whose items they are.
    """

    def __init__(self, chipper: Chipper, chips: WantedChips) -> None:
        self._chipper = chipper
        self._chips = chips
        self._opened: OrderedDict[tuple[str, str], Future[ItemLayers]] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, rows: Iterable[int]) -> None:
        """Begin to open the items of these rows' chips."""
        for row in rows:
            future, is_new = self._find(row)
            if is_new:
                fetchers().submit(partial(self._fill, row, future))

    def get(self, row: int) -> ItemLayers:
        """The opened item of a row's chip.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        future, is_new = self._find(row)
        if is_new:
            self._fill(row, future)
        return future.result()

    def _find(self, row: int) -> tuple[Future[ItemLayers], bool]:
        """The item as it is or will be, and whether the caller has to open it."""
        group = self._chips.groups[self._chips.group[row]]
        name = (group.platform, group.item_id)
        with self._lock:
            if name in self._opened:
                self._opened.move_to_end(name)
                return self._opened[name], False
            future = self._opened[name] = Future()
            while len(self._opened) > _OPEN_ITEMS:
                self._opened.popitem(last=False)
        return future, True

    def _fill(self, row: int, future: Future[ItemLayers]) -> None:
        try:
            future.set_result(layers_of(self._chipper.open(row), self._chips.key(row).platform))
        except BaseException as error:  # noqa: BLE001 - handed to who asks for the item
            future.set_exception(error)
