"""The schedule: of which kind each batch of a process is.

It is known before the first chip is read, so that all ranks deliver batches of the same kinds at
the same time, and the state of any process follows from the number of its batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class Schedule(Protocol):
    """The kinds of a process's batches, in their order."""

    def steps(self, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers, among all batches, of some batches of a kind."""

    def counts(self, step: int) -> list[int]:
        """Return how many batches of each kind come before a step."""

    def kinds(self, step: int) -> Iterator[int]:
        """Yield the kinds of the batches from a step on."""


class Proportional:
    """Batches of each kind, spread evenly over the epoch.

    The batch `j` of `n` of a kind comes at the time `(2 j + 1) / 2 n`; of equal times, the kind
    that is numbered first.

    Args:
        batches: Number of batches of each kind.

    Example:
        >>> list(Proportional([4, 2]).kinds(0))
        [0, 1, 0, 0, 1, 0]
    """

    def __init__(self, batches: Sequence[int]) -> None:
        self._batches = list(batches)

    def steps(self, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers, among all batches, of some batches of a kind."""
        steps = batches.copy()
        for other in range(len(self._batches)):
            if other != kind:
                steps += self._before(other, kind, batches)
        return steps

    def _before(self, other: int, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many batches of another kind come before some of this one."""
        own, theirs = self._batches[kind], self._batches[other]
        # 2 j' + 1 < (2 j + 1) theirs / own; at equal times, the kind that is numbered first
        scaled = (2 * batches + 1) * theirs - own + (1 if other < kind else 0)
        before: NDArray[np.int64] = np.clip(-(-scaled // (2 * own)), 0, theirs)
        return before

    def counts(self, step: int) -> list[int]:
        """Return how many batches of each kind come before a step."""
        found = []
        for kind, batches in enumerate(self._batches):
            low, high = 0, batches
            while low < high:
                middle = (low + high) // 2
                if int(self.steps(kind, np.array([middle]))[0]) < step:
                    low = middle + 1
                else:
                    high = middle
            found.append(low)
        return found

    def kinds(self, step: int) -> Iterator[int]:
        """Yield the kinds of the batches from a step on."""
        done = self.counts(step)
        following = [
            int(self.steps(kind, np.array([done[kind]]))[0]) if done[kind] < total else -1
            for kind, total in enumerate(self._batches)
        ]
        for number in range(step, sum(self._batches)):
            kind = following.index(number)
            yield kind
            done[kind] += 1
            if done[kind] < self._batches[kind]:
                following[kind] = int(self.steps(kind, np.array([done[kind]]))[0])


class InOrder:
    """Batches in the order of keys, such as the rows of their last chips.

    Args:
        keys: For each kind, the keys of its batches, which rise.
    """

    def __init__(self, keys: Sequence[NDArray[np.int64]]) -> None:
        self._keys = list(keys)
        kinds = np.repeat(np.arange(len(keys)), [len(each) for each in keys])
        self._kinds = kinds[np.argsort(np.concatenate([*keys, []]), kind="stable")]

    def steps(self, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers, among all batches, of some batches of a kind."""
        steps: NDArray[np.int64] = np.flatnonzero(self._kinds == kind)[batches]
        return steps

    def counts(self, step: int) -> list[int]:
        """Return how many batches of each kind come before a step."""
        counts: list[int] = np.bincount(self._kinds[:step], minlength=len(self._keys)).tolist()
        return counts

    def kinds(self, step: int) -> Iterator[int]:
        """Yield the kinds of the batches from a step on."""
        return iter(self._kinds[step:].tolist())
