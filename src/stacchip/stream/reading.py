"""Reading: one pass over a sequence of chips, with its blocks loaded ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacchip.chipper.attribution import attribute
from stacchip.errors import ChipNotFound, StacchipError
from stacchip.stream.ledger import Ledger, Load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.stream.catalog import Catalog
    from stacchip.stream.chips import WantedChips
    from stacchip.stream.layers import ItemLayers, Layer, LayerBlock
    from stacchip.stream.loading import LoadedBlocks
    from stacchip.stream.visits import Visits

# items of so many visits ahead are opened meanwhile
_OPEN_AHEAD = 8


@dataclass
class VisitPlans:
    """Which blocks each visit needs.

    Attributes:
        visits: The visits.
        chips: Their chips.
        catalog: Opens their items.
        open_ahead: How many further visits' items are opened in the background.
    """

    visits: Visits
    chips: WantedChips
    catalog: Catalog
    open_ahead: int = _OPEN_AHEAD
    _found: dict[int, dict[LayerBlock, Layer]] = field(default_factory=dict)

    def find(self, visit: int) -> Mapping[LayerBlock, int]:
        """The blocks of a visit with their decoded bytes; none where its item cannot be opened."""
        following = range(visit, min(visit + 1 + self.open_ahead, len(self.visits)))
        self.catalog.prepare(int(self.visits.rows[self.visits.first[each]]) for each in following)
        rows = self.visits.rows_of(visit).tolist()
        try:
            item = self.catalog.get(rows[0])
        except StacchipError:
            self._found[visit] = {}
            return {}  # raised again, or skipped, where each of its chips is cut
        found = item.blocks([self.chips.window(row) for row in rows])
        self._found[visit] = found
        return {block: layer.block_bytes(block) for block, layer in found.items()}

    def take(self, load: Load) -> dict[LayerBlock, Layer]:
        """The blocks to load, each with its layer; the visit's plan is then forgotten."""
        found = self._found.pop(load.visit)
        return {block: found[block] for block in load.blocks}


class Reading:
    """One pass over a sequence of chips.

    Args:
        plans: The visits, and which blocks they need.
        blocks: Where they are loaded to.
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
        self._ledger = Ledger(plans.visits, plans.find, memory_bytes, ahead_bytes)
        self.blocks = blocks

    @property
    def peak_bytes(self) -> int:
        """The most that decoded blocks took so far."""
        return self._ledger.peak_bytes

    def advance(self, position: int) -> None:
        """Begin to load what the chip at this position needs, and what comes after it."""
        for step in self._ledger.advance(position):
            if isinstance(step, Load):
                self.blocks.load(self._plans.take(step))
            else:
                self.blocks.drop(step.blocks)

    def open(self, row: int) -> ItemLayers:
        """The item of a row's chip.

        Raises:
            StacchipError: It cannot be found or opened.
        """
        return self._plans.catalog.get(row)

    def cut(
        self, row: int, item: ItemLayers, out: NDArray[Any], valid: NDArray[Any] | None
    ) -> None:
        """Fill a chip (band, y, x), and where it may be used.

        Raises:
            ChipNotFound: It reaches beyond the edge, and `edge="drop"`.
            RasterError: A block is broken; item and asset are named.
            StorageError: A file could not be had; item and asset are named.
        """
        window = self._plans.chips.window(row)
        if self._edge == "drop" and window.clip(item.opened.grid.shape.yx) != window:
            key = self._plans.chips.key(row)
            raise ChipNotFound(
                f"Chip ({key.x}, {key.y}) of item {key.item_id!r} reaches beyond the edge of the "
                "reference band. Stream it with edge='pad'.",
                item_id=key.item_id,
                x=key.x,
                y=key.y,
            )
        item.cut(window, self._look_up, out, valid)

    def _look_up(self, block: LayerBlock) -> NDArray[Any]:
        try:
            return self.blocks.get(block)
        except StacchipError as error:
            raise attribute(error, block.item[1], block.asset) from error

    def close(self) -> None:
        """Leave out what has not begun."""
        self.blocks.close()
