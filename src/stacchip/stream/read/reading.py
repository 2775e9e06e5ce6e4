"""Reading: one pass over a sequence of chips, whose blocks are loaded ahead."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from stacchip.chipper.open_items import again
from stacchip.chipstore.planes import DamagedPlane
from stacchip.errors import StacchipError, attribute
from stacchip.runtime.pools import encoders
from stacchip.runtime.tasks import Tasks
from stacchip.stream.plan.ledger import Ledger, Load
from stacchip.stream.read.cutting import cut_chip, raw_pixels
from stacchip.stream.read.from_store import FromStore
from stacchip.stream.read.open_items import OPEN_GDAL_ITEMS
from stacchip.stream.read.pasting import paste_chip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipstore import ChipStore, HeldChip
    from stacchip.grid.window import Window
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.plan.ledger import LayerBlock
    from stacchip.stream.plan.visits import Visit, VisitQueue
    from stacchip.stream.read.layers import ItemLayers, Layer
    from stacchip.stream.read.loading import LoadedBlocks
    from stacchip.stream.read.open_items import Catalog

# the items of this many visits ahead are opened in the background: at first eight, and then, unless
# GDAL reads one of them, twice as many at each visit, for the item of each may be a round trip away
_OPEN_AHEAD = 8
_MOST_OPEN_AHEAD = 64


@dataclass
class VisitPlans:
    """The blocks that each visit needs.

    It holds the items of visits that are planned or open, and remembers for the whole pass which
    items could not be opened.

    Attributes:
        visits: The visits.
        table: Their chips.
        catalog: Opens their items.
        store: Holds chips, whose blocks are not needed; None for no store.
    """

    visits: VisitQueue
    table: ChipTable
    catalog: Catalog
    _ahead: int = _OPEN_AHEAD
    _most_ahead: int = _MOST_OPEN_AHEAD
    _prepared: frozenset[int] = frozenset()  # groups of the visits ahead
    _found: dict[Visit, dict[LayerBlock, Layer]] = field(default_factory=dict)
    _items: dict[int, ItemLayers] = field(default_factory=dict)  # by group
    _until: dict[int, int] = field(default_factory=dict)  # last position that needs a group's item
    _waiting: dict[int, int] = field(default_factory=dict)  # first position, of items read by GDAL
    _failed: dict[int, StacchipError] = field(default_factory=dict)
    store: ChipStore | None = None
    _held: dict[ChipKey, HeldChip] = field(default_factory=dict)
    _users: Counter[ChipKey] = field(default_factory=Counter)  # visits
    _ending: list[tuple[int, int, list[ChipKey]]] = field(default_factory=list)  # heap

    def find(self, visit: Visit) -> Mapping[LayerBlock, int]:
        """Return the blocks of a visit with their decoded bytes; none if its item is unreadable."""
        group = visit.group
        following = [each.group for each in (visit, *self.visits.peek(self._ahead))]
        new = (each for each in following if each not in self._prepared)
        self.catalog.prepare(each for each in new if not self._is_known(each))
        self._prepared = frozenset(following)
        try:
            item = self.open(group)
            keys = [self.table.key(group, x, y) for _, x, y in visit.chips.tolist()]
            if self.store is None:
                found = item.blocks([key.window for key in keys])
            else:
                found = self._find_lacking(visit, item, keys, self.store)
        except StacchipError as error:
            # raised again, or skipped, when each of its chips is cut
            self._failed.setdefault(group, error)
            self._found[visit] = {}
            return {}
        if item.is_read_by_gdal:
            self._ahead = self._most_ahead = _OPEN_AHEAD
        else:
            self._ahead = min(self._most_ahead, 2 * self._ahead)
        self._items[group] = item
        self._until[group] = max(self._until.get(group, 0), visit.last)
        if item.is_read_by_gdal:
            self._waiting.setdefault(group, visit.first)
        self._found[visit] = found
        return {block: layer.block_bytes(block) for block, layer in found.items()}

    def _find_lacking(
        self, visit: Visit, item: ItemLayers, keys: list[ChipKey], store: ChipStore
    ) -> dict[LayerBlock, Layer]:
        """Return the blocks of what a store lacks, and note what it holds."""
        windows: dict[tuple[str, ...], list[Window]] = {}
        for key, held in zip(keys, store.find([(k, item.opened) for k in keys]), strict=True):
            self._held[key] = held
            self._users[key] += 1
            if held.lacks:
                windows.setdefault(held.lacks, []).append(key.window)
        heapq.heappush(self._ending, (visit.last, id(keys), keys))
        found: dict[LayerBlock, Layer] = {}
        for assets, own in windows.items():
            found |= item.blocks(own, assets)
        return found

    def lacking(self, visit: Visit) -> list[int]:
        """Return which chips of a visit the store lacks, all or a part; it must be planned."""
        keys = [self.table.key(visit.group, x, y) for _, x, y in visit.chips.tolist()]
        held = map(self._held.get, keys)
        return [number for number, each in enumerate(held) if each is None or each.lacks]

    def held(self, key: ChipKey) -> HeldChip | None:
        """Return what the store held of a chip when its visit was planned; None without a store."""
        return self._held.get(key)

    def _is_known(self, group: int) -> bool:
        return group in self._items or group in self._failed

    def open(self, group: int) -> ItemLayers:
        """Return the item of a group.

        Raises:
            StacchipError: It cannot be found, opened or placed, or failed earlier in this pass.
        """
        if group in self._failed:
            raise again(self._failed[group])
        return self._items.get(group) or self.catalog.get(group)

    def take(self, load: Load) -> dict[LayerBlock, Layer]:
        """Return the blocks to load, each with its layer, and forget the visit's plan."""
        found = self._found.pop(load.visit)
        return {block: found[block] for block in load.blocks}

    def release(self, position: int) -> None:
        """Forget the items that no planned visit needs from this position on."""
        for group in [each for each, last in self._until.items() if last < position]:
            del self._items[group], self._until[group]
        while self._ending and self._ending[0][0] < position:
            for key in heapq.heappop(self._ending)[2]:
                self._users[key] -= 1
                if not self._users[key]:
                    del self._users[key], self._held[key]
        for group in [each for each, first in self._waiting.items() if first <= position]:
            del self._waiting[group]

    @property
    def is_full(self) -> bool:
        """True if enough items whose files GDAL holds open wait for their visits."""
        return len(self._waiting) >= OPEN_GDAL_ITEMS


class Reading:
    """One pass over a sequence of chips.

    Attributes:
        blocks: The blocks.
        kept: Number of chips that were given to the store.
        failures: Why some of those could not be read.
        cuts_ahead: False: blocks are decoded ahead, and chips are cut when they are asked for.

    Args:
        plans: The visits, and which blocks they need.
        blocks: Holds the blocks that are loaded.
        memory_bytes: As for `Ledger`.
        ahead_bytes: As for `Ledger`.
        edge: `"drop"` refuses chips that reach beyond the reference band.
        store: Gets the chips that it lacks, and gives the others; None for no store.
    """

    cuts_ahead: ClassVar = False

    def __init__(
        self,
        plans: VisitPlans,
        blocks: LoadedBlocks,
        *,
        memory_bytes: int,
        ahead_bytes: int,
        edge: str | None,
        store: ChipStore | None = None,
    ) -> None:
        self.kept = 0
        self.failures: list[StacchipError] = []
        self._store = store
        self._keeping = Tasks(encoders())
        self._from_store = None if store is None else FromStore(store)
        self._plans = plans
        self._edge = edge
        self._ledger = Ledger(plans.visits, plans, memory_bytes, ahead_bytes)
        self.blocks = blocks

    @property
    def peak_bytes(self) -> int:
        """The most that decoded blocks took so far."""
        return self._ledger.peak_bytes

    def expect(self, places: Sequence[Place]) -> None:
        """Do nothing: chips are found visit by visit."""

    @property
    def decoded_blocks(self) -> int:
        """Number of blocks decoded so far."""
        return self.blocks.decoded_blocks

    @property
    def decoded_bytes(self) -> int:
        """Bytes of their pixels."""
        return self.blocks.decoded_bytes

    @property
    def from_store(self) -> int:
        """Number of chips that came from the store so far."""
        return 0 if self._from_store is None else self._from_store.chips

    def advance(self, position: int) -> None:
        """Begin to load the blocks of the chip at this position, and of those after it."""
        for step in self._ledger.advance(position):
            if isinstance(step, Load):
                self.blocks.load(self._plans.take(step))
            else:
                self._keeping.wait()  # chips that are being kept are copied out of blocks
                self.blocks.drop(step.blocks)

    def open(self, group: int) -> ItemLayers:
        """Return the item of a group.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        return self._plans.open(group)

    def cut(
        self,
        time: int,
        key: ChipKey,
        item: ItemLayers,
        out: NDArray[Any],
        valid: NDArray[Any] | None,
    ) -> None:
        """Fill a chip (band, y, x), and `valid` unless it is None.

        Raises:
            ChipNotFound: It lies outside its item, or reaches beyond the edge and `edge="drop"`.
            RasterError: A block is broken; item and asset are named.
            StorageError: A file could not be read; item and asset are named.
        """
        window = key.window
        item.opened.require_chip(key, window, self._edge)
        held = None if self._from_store is None else self._plans.held(key)
        if held is None or self._from_store is None:
            cut_chip(item, window, self._look_up, out, valid)
            return
        if not held.lacks:
            self._from_store.cut(key, item, held, out, valid, time=time)
            return
        try:
            paste_chip(item, window, held.parts, out, valid)
            cut_chip(item, window, self._look_up, out, valid, assets=held.lacks)
        except (DamagedPlane, OSError) as error:
            if isinstance(error, StacchipError):
                raise
            self._from_store.cut_anew(key, item, held, out, valid)
        else:
            self.keep(key, item)

    def keep(self, key: ChipKey, item: ItemLayers) -> None:
        """Let the store keep what it lacks of a chip, in the background."""
        held, store = self._plans.held(key), self._store
        if held is None or store is None or not held.lacks or not store.is_writing:
            return
        lacks = {layer.asset for layer in item.layers}.intersection(held.lacks)

        def keep() -> None:
            try:
                raw = raw_pixels(item, key.window, self._look_up, lacks)
            except StacchipError as error:  # raised again when the chip is cut
                self.failures.append(error)
            else:
                store.keep(key, item.opened, raw)

        self._keeping.submit(keep)
        self.kept += 1

    def begin(self) -> None:
        """Begin to fill all chips that were to be cut."""
        if self._from_store is not None:
            self._from_store.begin()

    def settle(self) -> dict[int, StacchipError]:
        """Wait until all chips that were cut have their pixels, and return errors by time."""
        return {} if self._from_store is None else self._from_store.settle()

    def _look_up(self, block: LayerBlock) -> NDArray[Any]:
        try:
            return self.blocks.get(block)
        except StacchipError as error:
            raise attribute(error, block.item[1], block.asset) from error

    def close(self) -> None:
        """Cancel loads that have not begun."""
        self._keeping.wait()
        self.settle()
        self.blocks.close()
        if self._store is not None:
            self._store.flush()
