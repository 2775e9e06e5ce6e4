"""Filling: the chips of one pass, cut into batches of their kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stacchip.errors import StacchipError
from stacchip.stream.batch import Building, find_kinds, fit, require_fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from stacchip.stream.batch import Allocator, Apart, ChipBatch, ChipKind, Kinds
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
        common: The kinds that all chips are put into; None to give each kind batches of its own.
        dtype: Type of the pixels; None for the common type of a chip's bands.
        apart: The asset that is cut into an array of its own, if one is.
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
        common: Kinds | None,
        dtype: np.dtype[Any] | None,
        apart: Apart | None,
        with_valid: bool,
        on_error: Callable[[int, StacchipError], None],
    ) -> None:
        self.reading = reading
        self._chips = chips
        self._pool = pool
        self._size = size
        self._common = common
        self._dtype = dtype
        self._apart = apart
        self._with_valid = with_valid
        self._on_error = on_error
        self._building: dict[Kinds, tuple[Building, ...]] = {}

    @property
    def kinds(self) -> list[Kinds]:
        """The kinds of batches that hold chips; all chips of a batch may have been skipped."""
        return [kinds for kinds, (pixels, *_) in self._building.items() if len(pixels)]

    @property
    def positions(self) -> list[int]:
        """The positions of the chips in all batches."""
        return [place for pixels, *_ in self._building.values() for place in pixels.positions]

    def add(self, number: int, row: int, position: int) -> Kinds | None:
        """Cut a chip into the batch of its kind.

        Args:
            number: Its place in this pass.
            row: Its row in the index.
            position: Its position in the epoch.

        Returns:
            The kinds of the batch if that is full now, else None.
        """
        self.reading.advance(number)
        try:
            item = self.reading.open(row)
            kinds = self._cut(row, item)
        except StacchipError as error:
            self._on_error(row, error)
            return None
        for batch in self._building[kinds]:
            batch.add(position, row, item)
        return kinds if self._building[kinds][0].is_full else None

    def _cut(self, row: int, item: ItemLayers) -> Kinds:
        """Cut a chip into the next slot of its batch, and return the batch's kinds."""
        own = find_kinds(item, self._chips.key(row).chip_size, self._dtype, self._apart)
        kinds = self._common or own
        for one, kind in zip(own, kinds, strict=True):
            if one != kind:
                require_fitting(one, kind, item.opened.item.id)
        if kinds not in self._building:
            self._building[kinds] = tuple(self._begin(kind, self._size) for kind in kinds)
        parts = item.parts(None if self._apart is None else self._apart.asset)
        for part, one, batch in zip(parts, own, self._building[kinds], strict=True):
            self._cut_part(row, part, one, batch)
        return kinds

    def _cut_part(self, row: int, item: ItemLayers, own: ChipKind, batch: Building) -> None:
        out, valid = batch.slot()
        if own == batch.kind:
            self.reading.cut(row, item, out, valid)
            return
        alone, alone_valid = self._begin(own, 1).slot()
        self.reading.cut(row, item, alone, alone_valid)
        fit(own, batch.kind, alone, out)
        if valid is not None:
            fit(own, batch.kind, alone_valid, valid)

    def _begin(self, kind: ChipKind, size: int) -> Building:
        return Building(kind, size, self._pool, with_valid=self._with_valid)

    def finish(self, kinds: Kinds) -> ChipBatch:
        """Return the batch of some kinds, full or not; their next chip begins another."""
        pixels, *rest = (each.finish(self._chips) for each in self._building.pop(kinds))
        return replace(pixels, apart=rest[0]) if rest else pixels
