"""Filling: the chips of one pass, cut into batches of their kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stacchip.errors import StacchipError, UsageError
from stacchip.stream.batch import Building, find_kinds, fit, require_fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from stacchip.chipper.index_rows import ChipKey, Rows
    from stacchip.stream.batch import Allocator, Apart, ChipBatch, ChipKind, Kinds
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.read.layers import ItemLayers
    from stacchip.stream.read.reading import Reading


class Filling:
    """The batches of one pass: each is begun, gets its chips, and is finished.

    A batch is planned for chips of one kind. If items differ from what was known of them, it comes
    as several, one of each kind.

    Args:
        reading: Cuts the chips.
        table: The chips.
        rows: The index that they are of.
        pool: Provides the memory of batches.
        size: Chips in a batch.
        common: The kinds that all chips are put into; None to give each kind batches of its own.
        dtype: Type of the pixels; None for the common type of a chip's bands.
        apart: The asset that is cut into an array of its own, if one is.
        with_valid: Also fill arrays that say which pixels are valid.
        may_skip: Keep a chip of each kind, to repeat it if all of a batch are skipped.
        on_error: Called with the key and row of a chip that cannot be cut, and the error; it may
            raise.
    """

    def __init__(
        self,
        reading: Reading,
        table: ChipTable,
        rows: Rows,
        pool: Allocator,
        *,
        size: int,
        common: Kinds | None,
        dtype: np.dtype[Any] | None,
        apart: Apart | None,
        with_valid: bool,
        may_skip: bool,
        on_error: Callable[[ChipKey, int, StacchipError], None],
    ) -> None:
        self.reading = reading
        self._table = table
        self._rows = rows
        self._pool = pool
        self._size = size
        self._common = common
        self._dtype = dtype
        self._apart = apart
        self._with_valid = with_valid
        self._may_skip = may_skip
        self._on_error = on_error
        self._building: dict[Kinds, tuple[Building, ...]] = {}
        self._spare: dict[int, tuple[Building, ...]] = {}

    def add(self, time: int, place: Place) -> None:
        """Cut a chip into the batch of its kind.

        Args:
            time: When it comes.
            place: The chip.
        """
        self.reading.advance(time)
        row = place.row
        key = self._table.key(place.group, place.x, place.y)
        try:
            item = self.reading.open(place.group)
            kinds = self._cut(key, item)
        except StacchipError as error:
            self._on_error(key, row, error)
            return
        for batch in self._building[kinds]:
            batch.add(key, row, item)

    def _cut(self, key: ChipKey, item: ItemLayers) -> Kinds:
        """Cut a chip into the next slot of its batch, and return the batch's kinds."""
        own = find_kinds(item, key.chip_size, self._dtype, self._apart)
        kinds = self._common or own
        for one, kind in zip(own, kinds, strict=True):
            if one != kind:
                require_fitting(one, kind, item.opened.item.id)
        if kinds not in self._building:
            self._building[kinds] = tuple(self._begin(kind, self._size) for kind in kinds)
        parts = item.parts(None if self._apart is None else self._apart.asset)
        for part, one, batch in zip(parts, own, self._building[kinds], strict=True):
            self._cut_part(key, part, one, batch)
        return kinds

    def _cut_part(self, key: ChipKey, item: ItemLayers, own: ChipKind, batch: Building) -> None:
        out, valid = batch.slot()
        if own == batch.kind:
            self.reading.cut(key, item, out, valid)
            return
        alone, alone_valid = self._begin(own, 1).slot()
        self.reading.cut(key, item, alone, alone_valid)
        fit(own, batch.kind, alone, out)
        if valid is not None:
            fit(own, batch.kind, alone_valid, valid)

    def _begin(self, kind: ChipKind, size: int) -> Building:
        return Building(kind, size, self._pool, with_valid=self._with_valid)

    def finish(self, kind: int, size: int) -> list[ChipBatch]:
        """Return the batches that hold chips, and begin others.

        Args:
            kind: The kind that the batch was planned for.
            size: Number of chips that the batch must have, as one: if some were skipped, others are
                repeated. 0 if it may be smaller, or come as several.

        Raises:
            StacchipError: None could be cut so far that could be repeated.
            UsageError: The chips are of several kinds, and the batch must be one.
        """
        whole = [several for several in self._building.values() if len(several[0])]
        self._building = {}
        if size and not whole:
            whole = [self._repeat(kind)]
        if size and len(whole) > 1:
            raise UsageError(
                "Chips of one batch differ in bands or type, so that the ranks would deliver "
                "different numbers of batches. Choose assets that all items have, and a dtype: "
                "assets=[...], dtype='float32'. Or take mixed='pad', or Shard(..., uneven='exact')."
            )
        for several in whole if size and self._may_skip else ():
            self._spare[kind] = tuple(building.first() for building in several)
            for building in several:
                building.fill_up(size)
        batches = []
        for several in whole:
            pixels, *rest = (building.finish(self._rows) for building in several)
            batches.append(replace(pixels, apart=rest[0]) if rest else pixels)
        return batches

    def _repeat(self, kind: int) -> tuple[Building, ...]:
        """Begin a batch with a chip of the last one of a kind."""
        if kind not in self._spare:
            raise StacchipError(
                "No chip of a batch can be read, nor of those before it that could be repeated, so "
                "that the ranks would deliver different numbers of batches. Mend the cause, which "
                "the report says, or give the stream Shard(..., uneven='exact')."
            )
        begun = []
        for first in self._spare[kind]:
            building = self._begin(first.kind, self._size)
            building.add_copy(first)
            begun.append(building)
        return tuple(begun)
