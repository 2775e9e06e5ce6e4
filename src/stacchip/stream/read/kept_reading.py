"""One pass over chips in any order, which come from a store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stacchip.chipper.open_item import NOTHING, RawPixels
from stacchip.chipper.open_items import again
from stacchip.errors import StacchipError
from stacchip.raster.reader import read_valid_windows
from stacchip.stream.read.from_store import FromStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipstore import HeldChip
    from stacchip.raster.reader import WindowRequest
    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.read.filling_store import AreaFilling
    from stacchip.stream.read.layers import ItemLayers

__all__ = ["KeptReading"]


class KeptReading:
    """One pass over chips in any order.

    Chips that the store lacks are read with all others of their area, which the store keeps: so
    each block is decoded once, if the store has room.

    Args:
        filling: Fills the store; it also knows the chips, and opens their items.
        edge: `"drop"` refuses chips that reach beyond the reference band.

    Attributes:
        decoded_blocks: Number of blocks decoded.
        decoded_bytes: Bytes of their pixels.
        peak_bytes: The most that decoded blocks took at the same time.
        kept: Number of chips that were given to the store.
        cuts_ahead: True: the chips of the next batch are decoded before they are asked for.
    """

    cuts_ahead: ClassVar = True

    def __init__(self, filling: AreaFilling, edge: str | None) -> None:
        self._filling = filling
        self._store = filling.store
        self._table = filling.table
        self._catalog = filling.catalog
        self._edge = edge
        self._from_store = FromStore(filling.store)
        self._held: dict[ChipKey, HeldChip] = {}
        self._failed: dict[ChipKey, StacchipError] = {}
        self._raw: dict[ChipKey, dict[str, RawPixels]] = {}
        self._items: dict[int, ItemLayers] = {}  # of this batch, by group
        self.decoded_blocks = self.decoded_bytes = self.peak_bytes = self.kept = 0

    @property
    def from_store(self) -> int:
        """Number of chips that came from the store so far."""
        return self._from_store.chips

    def expect(self, places: Sequence[Place]) -> None:
        """Find the chips of the next batch, and fill the store with what it lacks."""
        self._catalog.prepare({place.group for place in places})
        self._held, self._failed, self._raw, self._items = {}, {}, {}, {}
        lacking = self._find(places)
        if lacking and self._store.is_writing:
            areas = np.unique(self._table.area_of(np.array([each.chip for each in lacking])))
            filled = self._filling.fill(areas.tolist())
            self.decoded_blocks += filled.decoded_blocks
            self.decoded_bytes += filled.decoded_bytes
            self.peak_bytes = max(self.peak_bytes, filled.peak_bytes)
            self.kept += filled.kept
            self._find(lacking)
        self._fetch(places)

    def _fetch(self, places: Sequence[Place]) -> None:
        """Read at once what the store lacks of some chips, and could not keep."""
        wanted: dict[tuple[ChipKey, str], WindowRequest | None] = {}
        for place in places:
            key = self._table.key(place.group, place.x, place.y)
            if key in self._failed or not self._held[key].lacks:
                continue
            placements = self.open(place.group).opened.placements
            with suppress(StacchipError):  # raised when the chip is cut
                wanted |= {
                    (key, a): placements[a].request(key.window) for a in self._held[key].lacks
                }
        try:
            found = iter(read_valid_windows([each for each in wanted.values() if each]))
        except StacchipError:  # those that can be read are read one by one
            return
        for (key, asset), request in wanted.items():
            raw = RawPixels(request, *next(found)) if request else NOTHING
            self._raw.setdefault(key, {})[asset] = raw

    def _find(self, places: Sequence[Place]) -> list[Place]:
        """Note what the store holds of some chips, and return those of which it could keep more."""
        chips, known = [], []
        for place in places:
            key = self._table.key(place.group, place.x, place.y)
            try:
                item = self.open(place.group)
                self._store.look_at(key, item.opened)
            except StacchipError as error:  # raised when the chip is cut
                self._failed[key] = error
                continue
            chips.append((key, item.opened))
            known.append(place)
        found = self._store.find(chips)
        self._held.update((key, held) for (key, _), held in zip(chips, found, strict=True))
        return [place for place, held in zip(known, found, strict=True) if not held.is_complete]

    def advance(self, position: int) -> None:
        """Do nothing: chips are found batch by batch."""

    def open(self, group: int) -> ItemLayers:
        """Return the item of a group.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        if group not in self._items:
            self._items[group] = self._catalog.get(group)
        return self._items[group]

    def cut(
        self,
        time: int,
        key: ChipKey,
        item: ItemLayers,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """Begin to fill a chip (band, y, x), and `valid` unless it is None.

        Raises:
            StacchipError: The store lacks it, and it cannot be read.
        """
        item.opened.require_chip(key, key.window, self._edge)
        if key in self._failed:
            raise again(self._failed[key])
        held = self._held[key]
        if held.lacks:
            self._from_store.cut_rest(key, item, held, out, valid, raw=self._raw.get(key))
        else:
            self._from_store.cut(key, item, held, out, valid, time=time)

    def begin(self) -> None:
        """Begin to fill all chips that were to be cut."""
        self._from_store.begin()

    def settle(self) -> dict[int, StacchipError]:
        """Wait until all chips that were cut have their pixels, and return errors by time."""
        return self._from_store.settle()

    def close(self) -> None:
        """Finish what is kept."""
        self._from_store.settle()
        self._store.flush()
