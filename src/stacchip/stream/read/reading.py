"""Reading: one pass over a sequence of chips, whose blocks are loaded ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacchip.chipper.open_items import again
from stacchip.errors import StacchipError, attribute
from stacchip.stream.plan.ledger import Ledger, Load
from stacchip.stream.read.cutting import cut_chip
from stacchip.stream.read.open_items import OPEN_GDAL_ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.stream.plan.chip_table import ChipTable
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

    def find(self, visit: Visit) -> Mapping[LayerBlock, int]:
        """Return the blocks of a visit with their decoded bytes; none if its item is unreadable."""
        group = visit.group
        following = [each.group for each in (visit, *self.visits.peek(self._ahead))]
        new = (each for each in following if each not in self._prepared)
        self.catalog.prepare(each for each in new if not self._is_known(each))
        self._prepared = frozenset(following)
        try:
            item = self.open(group)
            keys = (self.table.key(group, x, y) for _, x, y in visit.chips.tolist())
            found = item.blocks([key.window for key in keys])
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
        for group in [each for each, first in self._waiting.items() if first <= position]:
            del self._waiting[group]

    @property
    def is_full(self) -> bool:
        """True if enough items whose files GDAL holds open wait for their visits."""
        return len(self._waiting) >= OPEN_GDAL_ITEMS


class Reading:
    """One pass over a sequence of chips.

    Args:
        plans: The visits, and which blocks they need.
        blocks: Holds the blocks that are loaded.
        memory_bytes: As for `Ledger`.
        ahead_bytes: As for `Ledger`.
        edge: `"drop"` refuses chips that reach beyond the reference band.
    """

    def __init__(
        self,
        plans: VisitPlans,
        blocks: LoadedBlocks,
        *,
        memory_bytes: int,
        ahead_bytes: int,
        edge: str | None,
    ) -> None:
        self._plans = plans
        self._edge = edge
        self._ledger = Ledger(plans.visits, plans, memory_bytes, ahead_bytes)
        self.blocks = blocks

    @property
    def peak_bytes(self) -> int:
        """The most that decoded blocks took so far."""
        return self._ledger.peak_bytes

    def advance(self, position: int) -> None:
        """Begin to load the blocks of the chip at this position, and of those after it."""
        for step in self._ledger.advance(position):
            if isinstance(step, Load):
                self.blocks.load(self._plans.take(step))
            else:
                self.blocks.drop(step.blocks)

    def open(self, group: int) -> ItemLayers:
        """Return the item of a group.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        return self._plans.open(group)

    def cut(
        self, key: ChipKey, item: ItemLayers, out: NDArray[Any], valid: NDArray[Any] | None
    ) -> None:
        """Fill a chip (band, y, x), and `valid` unless it is None.

        Raises:
            ChipNotFound: It lies outside its item, or reaches beyond the edge and `edge="drop"`.
            RasterError: A block is broken; item and asset are named.
            StorageError: A file could not be read; item and asset are named.
        """
        window = key.window
        item.opened.require_chip(key, window, self._edge)
        cut_chip(item, window, self._look_up, out, valid)

    def _look_up(self, block: LayerBlock) -> NDArray[Any]:
        try:
            return self.blocks.get(block)
        except StacchipError as error:
            raise attribute(error, block.item[1], block.asset) from error

    def close(self) -> None:
        """Cancel loads that have not begun."""
        self.blocks.close()
