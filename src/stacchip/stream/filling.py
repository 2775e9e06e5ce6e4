"""Filling: the chips of one pass, cut into batches of their kinds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from stacchip.errors import StacchipError, UsageError
from stacchip.stream.batch import Building, find_kinds, fit, require_fitting

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey, Rows
    from stacchip.stream.batch import Allocator, Apart, ChipBatch, ChipKind, Kinds
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.read.layers import ItemLayers


BatchesOfKinds: TypeAlias = "dict[Kinds, tuple[Building, ...]]"
"""Batches that are being filled: of each kind one, and one of an asset that is cut apart."""


class ChipReading(Protocol):
    """A pass over chips, which are cut in their order."""

    def advance(self, position: int) -> None:
        """Take note that the chip at this position comes next."""

    def open(self, group: int) -> ItemLayers:
        """Return the item of a group."""

    def cut(
        self,
        time: int,
        key: ChipKey,
        item: ItemLayers,
        out: NDArray[Any],
        valid: NDArray[Any] | None,
    ) -> None:
        """Fill a chip, or begin to."""

    def settle(self) -> dict[int, StacchipError]:
        """Wait until all chips are filled, and return the errors of those that failed, by time."""


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
        reading: ChipReading,
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
        self._building: BatchesOfKinds = {}
        self._fits: list[Callable[[], None]] = []
        self._failed: dict[int, StacchipError] = {}
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
            kinds = self._cut(time, key, item)
        except StacchipError as error:
            self._on_error(key, row, error)
            return
        for batch in self._building[kinds]:
            batch.add(key, row, item, time)

    def _cut(self, time: int, key: ChipKey, item: ItemLayers) -> Kinds:
        """Cut a chip into the next slot of its batch, and return the batch's kinds."""
        own = find_kinds(item, key.chip_size, self._dtype, self._apart)
        kinds = self._common or own
        for one, kind in zip(own, kinds, strict=True):
            if one != kind:
                require_fitting(one, kind, item.opened.item.id)
        if kinds not in self._building:
            self._building[kinds] = tuple(self._begin(kind, self._size) for kind in kinds)
        parts = item.parts(None if self._apart is None else self._apart.asset)
        fits: list[Callable[[], None]] = []
        for part, one, batch in zip(parts, own, self._building[kinds], strict=True):
            out, valid = batch.slot()
            if one == batch.kind:
                self.reading.cut(time, key, part, out, valid)
                continue
            alone, alone_valid = self._begin(one, 1).slot()
            self.reading.cut(time, key, part, alone, alone_valid)
            fits.append(partial(fit, one, batch.kind, alone, out))
            if valid is not None:
                fits.append(partial(fit, one, batch.kind, alone_valid, valid))
        self._fits += fits  # when the pixels are there
        return kinds

    def _begin(self, kind: ChipKind, size: int) -> Building:
        return Building(kind, size, self._pool, with_valid=self._with_valid)

    def take(self) -> BatchesOfKinds:
        """Return the batches that were begun, whose chips may still be on their way."""
        taken, self._building = self._building, {}
        return taken

    def finish(self, taken: BatchesOfKinds, kind: int, size: int) -> list[ChipBatch]:
        """Return the batches that hold chips, with their pixels.

        Args:
            taken: What `take` returned.
            kind: The kind that the batch was planned for.
            size: Number of chips that the batch must have, as one: if some were skipped, others are
                repeated. 0 if it may be smaller, or come as several.

        Raises:
            StacchipError: A chip could not be cut, or none so far that could be repeated.
            UsageError: The chips are of several kinds, and the batch must be one.
        """
        self._settle(taken)
        whole = [several for several in taken.values() if len(several[0])]
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

    def _settle(self, taken: BatchesOfKinds) -> None:
        """Wait for the pixels of all chips, and leave those out of some batches that failed."""
        self._failed |= self.reading.settle()  # also of later batches
        fits, self._fits = self._fits, []
        for each in fits:
            each()
        for several in taken.values():
            for time in sorted(several[0].times.intersection(self._failed)):
                key, row = next(iter([building.remove(time) for building in several]))
                self._on_error(key, row, self._failed.pop(time))

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
