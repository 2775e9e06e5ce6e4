"""Shards: the part of an epoch that a process reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Uneven = Literal["exact", "pad", "drop"]


@dataclass(frozen=True)
class Shard:
    """A part of an epoch: the worker's part of the rank's part.

    Args:
        rank: Number of this process among those that train together.
        world_size: Number of those processes.
        worker: Number of this loading process among those of the rank.
        workers: Number of the rank's loading processes.
        uneven: What to do if the number of chips is not a multiple of `world_size`. `"exact"`
            delivers each chip once, so some ranks get one chip more than others. `"pad"` gives all
            ranks the same number and some chips twice; `"drop"` does so by leaving some chips out.

    Example:
        >>> [Shard(rank, 3).bounds(10) for rank in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        >>> [len(Shard(rank, 3, uneven="pad").take(np.arange(10))) for rank in range(3)]
        [4, 4, 4]
    """

    rank: int = 0
    world_size: int = 1
    worker: int = 0
    workers: int = 1
    uneven: Uneven = "exact"

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world_size and 0 <= self.worker < self.workers):
            raise UsageError(
                f"No shard of rank {self.rank} of {self.world_size} and worker {self.worker} of "
                f"{self.workers}: both count from 0."
            )
        if self.uneven not in ("exact", "pad", "drop"):
            raise UsageError(f"uneven is 'exact', 'pad' or 'drop', not {self.uneven!r}.")

    def bounds(self, count: int) -> tuple[int, int]:
        """Return the rank's first position, and the one after its last, out of `count`."""
        return _part(count, self.rank, self.world_size)

    def size(self, count: int) -> int:
        """Return the number of the shard's chips, out of `count`.

        Example:
            >>> [Shard(rank, 3, uneven="drop").size(10) for rank in range(3)]
            [3, 3, 3]
        """
        start, stop = self.bounds(count)
        own = stop - start
        if self.uneven == "drop":
            own = count // self.world_size
        elif self.uneven == "pad":
            own = -(-count // self.world_size)
        start, stop = _part(own, self.worker, self.workers)
        return stop - start

    def take(self, sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the shard's part of a sequence; neighbours stay together, so few areas are cut."""
        start, stop = self.bounds(len(sequence))
        own = sequence[start:stop]
        if self.uneven == "drop":
            own = own[: len(sequence) // self.world_size]
        elif self.uneven == "pad" and len(sequence):
            length = -(-len(sequence) // self.world_size)
            more = own if len(own) else sequence
            own = np.concatenate([own, np.resize(more, length - len(own))])
        start, stop = _part(len(own), self.worker, self.workers)
        return own[start:stop]


def _part(count: int, number: int, parts: int) -> tuple[int, int]:
    return count * number // parts, count * (number + 1) // parts
