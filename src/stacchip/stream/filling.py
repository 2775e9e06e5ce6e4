"""Filling: the chips of one pass, cut into batches of their kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.errors import StacchipError
from stacchip.stream.batch import Building, ChipBatch, ChipKind, fit, require_fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from stacchip.stream.batch import Allocator
    from stacchip.stream.plan.wanted_chips import WantedChips
    from stacchip.stream.read.layers import ItemLayers
    from stacchip.stream.read.reading import Reading


class Filling:
    """The batches that one pass has begun to fill, one of each kind.

    Args:
        reading: Cuts the chips.
        chips: The chips.
        pool: Provides the memory of batches.
        size: Chips in a batch.
        common: The kind that all chips are put into; None to give each kind batches of its own.
        dtype: Type of the pixels; None for the common type of a chip's bands.
        with_valid: Also fill arrays that say which pixels are valid.
        on_error: Called with the row of a chip that cannot be cut, and the error; it may raise.
    """

    def __init__(
        self,
        reading: Reading,
        chips: WantedChips,
        pool: Allocator,
        *,
        size: int,
        common: ChipKind | None,
        dtype: np.dtype[Any] | None,
        with_valid: bool,
        on_error: Callable[[int, StacchipError], None],
    ) -> None:
        self.reading = reading
        self._chips = chips
        self._pool = pool
        self._size = size
        self._common = common
        self._dtype = dtype
        self._with_valid = with_valid
        self._on_error = on_error
        self._building: dict[ChipKind, Building] = {}

    @property
    def kinds(self) -> list[ChipKind]:
        """The kinds of batches that hold chips; all chips of a batch may have been skipped."""
        return [kind for kind, batch in self._building.items() if len(batch)]

    @property
    def positions(self) -> list[int]:
        """The positions of the chips in all batches."""
        return [position for each in self._building.values() for position in each.positions]

    def add(self, number: int, row: int, position: int) -> ChipKind | None:
        """Cut a chip into the batch of its kind.

        Args:
            number: Its place in this pass.
            row: Its row in the index.
            position: Its position in the epoch.

        Returns:
            The kind of the batch if that is full now, else None.
        """
        self.reading.advance(number)
        try:
            item = self.reading.open(row)
            kind = self._cut(row, item)
        except StacchipError as error:
            self._on_error(row, error)
            return None
        self._building[kind].add(position, row, item)
        return kind if self._building[kind].is_full else None

    def _cut(self, row: int, item: ItemLayers) -> ChipKind:
        """Cut a chip into the next slot of its batch, and return the batch's kind."""
        own = ChipKind(item.bands, self._chips.key(row).chip_size, self._dtype or item.dtype)
        kind = self._common or own
        if own != kind:
            require_fitting(own, kind, item.opened.item.id)
        if kind not in self._building:
            self._building[kind] = self._begin(kind, self._size)
        out, valid = self._building[kind].slot()
        if own == kind:
            self.reading.cut(row, item, out, valid)
            return kind
        alone, alone_valid = self._begin(own, 1).slot()
        self.reading.cut(row, item, alone, alone_valid)
        fit(own, kind, alone, out)
        if valid is not None:
            fit(own, kind, alone_valid, valid)
        return kind

    def _begin(self, kind: ChipKind, size: int) -> Building:
        return Building(kind, size, self._pool, with_valid=self._with_valid)

    def finish(self, kind: ChipKind) -> ChipBatch:
        """Return the batch of a kind, full or not; the next chip of the kind begins another."""
        return self._building.pop(kind).finish(self._chips)
