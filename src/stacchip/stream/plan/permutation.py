"""A permutation of any number of things, of which each is found by itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.runtime.key_hash import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Permutation"]

_ROUNDS: Final = 6


@dataclass(frozen=True)
class Permutation:
    """A permutation of the numbers below a count. It takes no memory, however many these are.

    It is a Feistel network (Luby, Rackoff: "How to construct pseudorandom permutations from
    pseudorandom functions", 1988) over the least even number of bits that holds the count. A number
    that lands beyond the count goes through it again ("cycle walking": Black, Rogaway, 2002).

    Attributes:
        count: The number of things.
        seed: Decides the permutation.

    Example:
        >>> sorted(Permutation(5, (1, 2)).at(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
    """

    count: int
    seed: tuple[int, ...]

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the things at some places."""
        found = self._pass(places.astype(np.uint64))
        while (beyond := np.flatnonzero(found >= self.count)).size:
            found[beyond] = self._pass(found[beyond])
        return found.astype(np.int64)

    @cached_property
    def _half(self) -> int:
        """Bits of a half of a number."""
        return max(1, -(-(max(self.count, 1) - 1).bit_length() // 2))

    @cached_property
    def _keys(self) -> list[np.uint64]:
        return list(np.random.SeedSequence(self.seed).generate_state(_ROUNDS, np.uint64))

    def _pass(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half, low = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = numbers >> half, numbers & low
        for key in self._keys:
            left, right = right, left ^ (mix(right ^ key) & low)
        return (left << half) | right
