"""Shards: the part of an epoch that a process reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

Uneven = Literal["exact", "pad", "drop"]


@dataclass(frozen=True)
class Shard:
    """A part of an epoch: the worker's part of the rank's part.

    Args:
        rank: Number of this process among those that train together.
        world_size: Number of those processes.
        worker: Number of this loading process among those of the rank.
        workers: Number of the rank's loading processes.
        uneven: What to do if the number of chips of a kind is not a multiple of `world_size`.
            `"exact"` delivers each chip once, so some ranks get one of a kind more. `"pad"`
            gives all ranks the same number and some chips twice; `"drop"` does so by leaving some
            chips out. With these two, all ranks also deliver the same number of batches, of the
            same kinds in the same order.

    Example:
        >>> [Shard(rank, 3).bounds(10) for rank in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        >>> [Shard(rank, 3, uneven="pad").size(10) for rank in range(3)]
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

    def part(self, count: int) -> tuple[int, int]:
        """Return the worker's first chip, and the one after its last, among those of the rank.

        Numbers beyond the rank's own chips stand for chips that repeat others (`"pad"`).
        """
        start, stop = self.bounds(count)
        own = {
            "exact": stop - start,
            "drop": count // self.world_size,
            "pad": -(-count // self.world_size),
        }
        return _part(own[self.uneven], self.worker, self.workers)

    def size(self, count: int) -> int:
        """Return the number of the shard's chips, out of `count` of one kind.

        Example:
            >>> [Shard(rank, 3, uneven="drop").size(10) for rank in range(3)]
            [3, 3, 3]
        """
        start, stop = self.part(count)
        return stop - start

    def take(self, values: Sequence[T]) -> Sequence[T]:
        """Return the shard's values, of some that there are once each.

        Example:
            >>> Shard(1, 3).take("abcdefghij")
            'def'
        """
        start, _ = self.bounds(len(values))
        first, last = self.part(len(values))
        return values[start + first : start + last]

    def others(self) -> list[Shard]:
        """Return the shards of all ranks and workers, rank by rank."""
        return [
            Shard(rank, self.world_size, worker, self.workers, self.uneven)
            for rank in range(self.world_size)
            for worker in range(self.workers)
        ]


def _part(count: int, number: int, parts: int) -> tuple[int, int]:
    return count * number // parts, count * (number + 1) // parts
