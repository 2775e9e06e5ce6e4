"""The order of a shard's chips, as a function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import Areas
    from stacchip.stream.shards import Shard

Order = Literal["index", "blocks", "shuffle"]
ORDERS = ("index", "blocks", "shuffle")


@dataclass(frozen=True)
class Ordering:
    """A way to order chips.

    Attributes:
        order: `"index"` as in the index; `"blocks"` area by area; `"shuffle"` at random, out of
            many areas at once.
        seed: Seed of the shuffle.
        epoch: Number of the epoch. Each has a different shuffle.
        open_areas: Number of areas that a shuffle draws from at once.
        open_bytes: Decoded bytes of these areas, at most.
    """

    order: Order
    seed: int
    epoch: int
    open_areas: int
    open_bytes: float

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"order is one of {', '.join(ORDERS)}; not {self.order!r}.")

    def rows(self, areas: Areas, shard: Shard) -> NDArray[np.int64]:
        """Return the rows of a shard's chips, in the order of delivery."""
        if self.order == "index":
            return shard.take(np.arange(len(areas.of_row)))
        if self.order == "blocks":
            return shard.take(areas.sorted_rows)
        # the areas' own sequence is the same for all shards
        rank = np.random.default_rng((self.seed, self.epoch)).permutation(len(areas))
        by_area = areas.sorted_rows
        by_area = by_area[np.argsort(rank[areas.of_row[by_area]], kind="stable")]
        draw = np.random.default_rng((self.seed, self.epoch, shard.rank, shard.worker))
        return self._mix(shard.take(by_area), areas, draw)

    def _mix(
        self, rows: NDArray[np.int64], areas: Areas, draw: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw chips out of many areas at once.

        The areas lie one after another on a line measured in bytes. Each scatters its chips
        uniformly over a stretch around its middle that is as long as `open_areas` areas. The chips
        come in their order on the line. So the areas that are open at any time hold as many bytes
        as the stretch is long, and run out one by one: reading is even, and no batch waits for a
        buffer to be filled.
        """
        if not len(rows):
            return rows
        area = areas.of_row[rows]
        begins = np.flatnonzero(np.append(True, area[1:] != area[:-1]))
        counts = np.diff(np.append(begins, len(rows)))
        sizes = areas.nominal_bytes(area[begins], counts)
        ends = np.cumsum(sizes)
        middles, total = ends - sizes / 2, ends[-1]
        stretch = min(self.open_areas * sizes.mean(), self.open_bytes)
        low = np.clip(middles - stretch / 2, 0, total)
        high = np.clip(middles + stretch / 2, 0, total)
        if total <= stretch:
            low, high = np.zeros_like(low), np.full_like(high, total)
        places = draw.uniform(np.repeat(low, counts), np.repeat(high, counts))
        return rows[np.argsort(places, kind="stable")]
