"""Filling a store: areas whose chips it lacks are read, each block once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stacchip.errors import StacchipError
from stacchip.runtime.key_hash import hash_text
from stacchip.stream.plan.visits import Visit, VisitQueue, within_memory
from stacchip.stream.read.loading import LoadedBlocks
from stacchip.stream.read.reading import Reading, VisitPlans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.chipstore import ChipStore
    from stacchip.runtime.memory import MemoryPool
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.read.open_items import Catalog

__all__ = ["AreaFilling"]

_log = logging.getLogger(__name__)


class Filled(NamedTuple):
    """What was read to fill a store.

    Attributes:
        decoded_blocks: Number of blocks decoded.
        decoded_bytes: Bytes of their pixels.
        peak_bytes: The most that they took at the same time.
        kept: Number of chips given to the store.
        failures: Why some chips could not be read.
    """

    decoded_blocks: int
    decoded_bytes: int
    peak_bytes: int
    kept: int
    failures: tuple[StacchipError, ...]

    def plus(self, other: Filled) -> Filled:
        """Return both together."""
        return Filled(
            self.decoded_blocks + other.decoded_blocks,
            self.decoded_bytes + other.decoded_bytes,
            max(self.peak_bytes, other.peak_bytes),
            self.kept + other.kept,
            self.failures + other.failures,
        )


@dataclass(frozen=True, eq=False)
class AreaFilling:
    """Fills a store area by area.

    Attributes:
        store: The store.
        table: The chips.
        catalog: Opens their items.
        pool: Memory of blocks.
        memory_bytes: As for `Ledger`.
        ahead_bytes: As for `Ledger`.
    """

    store: ChipStore
    table: ChipTable
    catalog: Catalog
    pool: MemoryPool
    memory_bytes: int
    ahead_bytes: int

    def fill(
        self,
        areas: Sequence[int],
        on_chip: Callable[[], None] = lambda: None,
    ) -> Filled:
        """Let the store keep what it lacks of the chips of some areas.

        Areas that another process is filling come last: then the store holds their chips.

        Args:
            areas: Numbers of areas.
            on_chip: Called for each chip.

        Returns:
            What was read.
        """
        names = {self._name(area): area for area in areas}
        with self.store.claims() as claims:
            free = claims.take_free(names)
            filled = self._fill([names.pop(name) for name in free], on_chip)
        for name, area in names.items():
            with self.store.claims() as claims:
                claims.wait_for(name)
                filled = filled.plus(self._fill([area], on_chip))
        return filled

    def _name(self, area: int) -> int:
        """Return a number that is the same for this area in all processes."""
        first = int(self.table.first[area])
        group = self.table.groups[int(self.table.group[area])]
        _, x, y = self.table.records(np.array([first]))[0].item()
        return hash_text(f"{group.platform}\0{group.item_id}\0{group.chip_size}\0{x}\0{y}")

    def _fill(self, areas: Sequence[int], on_chip: Callable[[], None]) -> Filled:
        reading = Reading(
            self.plans(areas),
            LoadedBlocks(self.pool),
            memory_bytes=self.memory_bytes,
            ahead_bytes=self.ahead_bytes,
            edge=None,
            store=self.store,
        )
        try:
            for visit in self._visits(areas):
                for time, (_, x, y) in zip(visit.times.tolist(), visit.chips.tolist(), strict=True):
                    reading.advance(time)
                    try:
                        key = self.table.key(visit.group, x, y)
                        reading.keep(key, reading.open(visit.group))
                    except StacchipError as error:  # raised again when the chip is cut
                        reading.failures.append(error)
                    on_chip()
        finally:
            reading.close()
        return Filled(
            reading.decoded_blocks,
            reading.decoded_bytes,
            reading.peak_bytes,
            reading.kept,
            tuple(reading.failures),
        )

    def plans(self, areas: Sequence[int]) -> VisitPlans:
        """Return the visits that fill some areas, with the blocks of what the store lacks."""
        visits = within_memory(self._visits(areas), self._size_of, self.memory_bytes)
        return VisitPlans(VisitQueue(visits), self.table, self.catalog, store=self.store)

    def _visits(self, areas: Sequence[int]) -> Iterator[Visit]:
        time = 0
        for area in areas:
            chips = np.arange(self.table.first[area], self.table.first[area + 1])
            times: NDArray[np.int64] = np.arange(time, time + len(chips))
            yield Visit(int(self.table.group[area]), self.table.records(chips), times)
            time += len(chips)

    def _size_of(self, visit: Visit) -> int:
        return self.table.visit_bytes(visit, is_part=False)
