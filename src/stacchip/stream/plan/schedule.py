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

    The batch `j` of a kind that has the rate `n` comes at the time `(2 j + 1) / 2 n`; of equal
    times, the kind that is numbered first.

    Args:
        batches: Number of batches of each kind.
        rates: How often each kind comes, in proportion, until it is at its end; by default as often
            as it has batches, so that all end together.

    Example:
        >>> list(Proportional([4, 2]).kinds(0))
        [0, 1, 0, 0, 1, 0]
        >>> list(Proportional([4, 2], rates=[1, 1]).kinds(0))
        [0, 1, 0, 1, 0, 0]
    """

    def __init__(self, batches: Sequence[int], rates: Sequence[int] | None = None) -> None:
        self._batches = list(batches)
        self._rates = list(batches if rates is None else rates)

    def steps(self, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers, among all batches, of some batches of a kind."""
        steps = batches.copy()
        for other in range(len(self._batches)):
            if other != kind:
                steps += self._before(other, kind, batches)
        return steps

    def _before(self, other: int, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many batches of another kind come before some of this one."""
        own, theirs = self._rates[kind], self._rates[other]
        # 2 j' + 1 < (2 j + 1) theirs / own; at equal times, the kind that is numbered first
        scaled = (2 * batches + 1) * theirs - own + (1 if other < kind else 0)
        before: NDArray[np.int64] = np.clip(-(-scaled // (2 * own)), 0, self._batches[other])
        return before

    def counts(self, step: int) -> list[int]:
        """Return how many batches of each kind come before a step."""
        return _counts(self, self._batches, step)

    def kinds(self, step: int) -> Iterator[int]:
        """Yield the kinds of the batches from a step on."""
        return _kinds(self, self._batches, step)


class InOrder:
    """Batches in the order in which the index has their last chips.

    Those that are not full come at the end; of these, the one of the kind that is numbered first.
    Nothing is held that is as long as the index.

    Args:
        shares: The chips of each kind, numbered as in the index.
        size: Chips in a full batch.
        batches: Number of batches of each kind.
    """

    def __init__(self, shares: Sequence[Rising], size: int, batches: Sequence[int]) -> None:
        self._shares = list(shares)
        self._size = size
        self._batches = list(batches)
        self._full = [len(share) // size for share in shares]

    def steps(self, kind: int, batches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers, among all batches, of some batches of a kind."""
        is_full = batches < self._full[kind]
        lasts = self._shares[kind].chips_at((batches[is_full] + 1) * self._size - 1)
        steps = batches.copy()
        for other, share in enumerate(self._shares):
            if other != kind:
                steps[is_full] += share.count_before(lasts) // self._size
                steps[~is_full] += self._batches[other] if other < kind else self._full[other]
        return steps

    def counts(self, step: int) -> list[int]:
        """Return how many batches of each kind come before a step."""
        return _counts(self, self._batches, step)

    def kinds(self, step: int) -> Iterator[int]:
        """Yield the kinds of the batches from a step on."""
        return _kinds(self, self._batches, step)


class Rising(Protocol):
    """Chips whose numbers rise."""

    def __len__(self) -> int: ...

    def chips_at(self, numbers: NDArray[np.int64], /) -> NDArray[np.int64]:
        """Return the chips at some places among them."""
        ...

    def count_before(self, chips: NDArray[np.int64], /) -> NDArray[np.int64]:
        """Return how many of them come before some chips, which may be others."""
        ...


def _counts(schedule: Schedule, batches: Sequence[int], step: int) -> list[int]:
    """Return how many batches of each kind come before a step.

    Args:
        schedule: Says where batches come.
        batches: Number of batches of each kind.
        step: The step.
    """
    found = []
    for kind, total in enumerate(batches):
        low, high = 0, total
        while low < high:
            middle = (low + high) // 2
            if _step(schedule, kind, middle) < step:
                low = middle + 1
            else:
                high = middle
        found.append(low)
    return found


def _kinds(schedule: Schedule, batches: Sequence[int], step: int) -> Iterator[int]:
    """Yield the kinds of the batches from a step on; arguments are those of `_counts`."""
    done = schedule.counts(step)
    following = [
        _step(schedule, kind, done[kind]) if done[kind] < total else -1
        for kind, total in enumerate(batches)
    ]
    for number in range(step, sum(batches)):
        kind = following.index(number)
        yield kind
        done[kind] += 1
        if done[kind] < batches[kind]:
            following[kind] = _step(schedule, kind, done[kind])


def _step(schedule: Schedule, kind: int, batch: int) -> int:
    return int(schedule.steps(kind, np.array([batch]))[0])
