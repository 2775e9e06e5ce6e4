"""The items of a stream, opened when their chips come near."""

from __future__ import annotations

import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from stacchip.chipper.open_items import OpenItems
from stacchip.stream.read.layers import ItemLayers, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.chipper import Chipper
    from stacchip.stream.plan.wanted_chips import Chips

# A shuffle is in eight regions of each of its 64 lanes at a time.
_OPEN_ITEMS = 512
OPEN_GDAL_ITEMS = 8


class Catalog:
    """Opens the items of a stream's chips, as layers, and keeps the last 512.

    Of the items whose files GDAL reads, it keeps only the last eight; a caller that needs one
    longer holds on to it. An item that could not be opened is tried again when a pass begins.

    Args:
        chipper: Finds and opens them.
        chips: The chips whose items they are.

    Attributes:
        waited_s: Seconds that `get` has waited for items to open.
    """

    def __init__(self, chipper: Chipper, chips: Chips) -> None:
        self._chipper = chipper
        self._chips = chips
        self._begin()

    def _begin(self) -> None:
        self.waited_s = 0.0
        self._items: OpenItems[ItemLayers] = OpenItems(
            _OPEN_ITEMS, most_by_gdal=OPEN_GDAL_ITEMS, keep_failures=True
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"_chipper": self._chipper, "_chips": self._chips}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._chipper, self._chips = state["_chipper"], state["_chips"]
        self._begin()

    def prepare(self, groups: Iterable[int]) -> None:
        """Begin to open the items of these groups."""
        for group in groups:
            self._items.prepare(self._name(group), partial(self._open, group))

    def get(self, group: int) -> ItemLayers:
        """Return the opened item of a group.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        begin = time.perf_counter()
        try:
            return self._items.get(self._name(group), partial(self._open, group))
        finally:
            self.waited_s += time.perf_counter() - begin

    def needs_no_store(self, group: int) -> bool:
        """True if the item of a group is opened without a remote store.

        Raises:
            StacchipError: It cannot be found.
        """
        return self._chipper.opens_without_store(int(self._chips.first_rows[group]))

    def forget_failures(self) -> None:
        """Let items that could not be opened be tried again."""
        self._items.forget_failures()

    def of(self, chips: Chips) -> Catalog:
        """Return a catalog of other chips of the same index, with the same open items."""
        other = copy(self)
        other._chips = chips  # noqa: SLF001 - of its kind
        return other

    def _name(self, group: int) -> tuple[str, str]:
        own = self._chips.groups[group]
        return own.platform, own.item_id

    def _open(self, group: int) -> ItemLayers:
        opened = self._chipper.open_anew(int(self._chips.first_rows[group]))
        return layers_of(opened, self._chips.groups[group].platform)
