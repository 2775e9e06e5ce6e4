"""Ranges of rows of a file that were removed, and the numbers of the rows that are left.

`ParquetFile` leaves out such rows wherever it reads any, and counts the others only: nothing above
it knows of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.int64]

__all__ = ["NO_ROWS", "RowRanges"]


@dataclass(frozen=True, eq=False)
class RowRanges:
    """Ranges of rows: sorted, apart from each other, and none of them empty; see `of`.

    Attributes:
        first: The first row of each range.
        stop: The row after its last.
    """

    first: Rows
    stop: Rows

    @classmethod
    def of(cls, first: ArrayLike, rows: ArrayLike) -> RowRanges:
        """Return ranges, each given by its first row and the number of its rows, in any order.

        Example:
            >>> found = RowRanges.of([4, 0, 5], [2, 1, 3])
            >>> found.first.tolist(), found.stop.tolist(), found.rows
            ([0, 4], [1, 8], 5)
        """
        first, rows = np.asarray(first, np.int64), np.asarray(rows, np.int64)
        order = np.argsort(first, kind="stable")
        first, stop = first[order], np.maximum.accumulate((first + rows)[order])
        is_new = np.ones(len(first), bool)
        is_new[1:] = first[1:] > stop[:-1]
        ends = np.append(np.flatnonzero(is_new)[1:], len(first)) - 1
        return cls(first[is_new], stop[ends[: is_new.sum()]])

    @classmethod
    def of_rows(cls, rows: Rows) -> RowRanges:
        """Return the ranges of single rows.

        Example:
            >>> found = RowRanges.of_rows(np.array([7, 3, 4]))
            >>> found.first.tolist(), found.stop.tolist()
            ([3, 7], [5, 8])
        """
        rows = np.unique(rows)
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        stops = np.append(starts[1:], len(rows)) - 1
        return cls(rows[starts], rows[stops[: len(starts)]] + 1)

    def __bool__(self) -> bool:
        return len(self.first) > 0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int((self.stop - self.first).sum())

    @property
    def digest(self) -> bytes:
        """A digest of the ranges; empty if there are none."""
        if not self:
            return b""
        return hashlib.blake2b(self.first.tobytes() + self.stop.tobytes(), digest_size=8).digest()

    def join(self, others: RowRanges) -> RowRanges:
        """Return the rows that are in one or in both."""
        return RowRanges.joined([self, others])

    @classmethod
    def joined(cls, several: Iterable[RowRanges]) -> RowRanges:
        """Return the rows that are in any of several."""
        each = [*several, NO_ROWS]
        first, stop = (
            np.concatenate([getattr(ranges, name) for ranges in each]) for name in ("first", "stop")
        )
        return cls.of(first, stop - first)

    @cached_property
    def _sizes(self) -> Rows:
        """How many rows of the ranges come before each range, and the number of all."""
        return np.cumsum(np.append(0, self.stop - self.first), dtype=np.int64)

    def count_before(self, rows: Rows) -> Rows:
        """Return how many rows of the ranges come before each of some rows.

        Example:
            >>> RowRanges.of([2], [3]).count_before(np.array([0, 2, 4, 9])).tolist()
            [0, 0, 2, 3]
        """
        place = np.searchsorted(self.first, rows, side="right")
        beyond = np.where(place > 0, self.stop[place - 1] - rows, 0) if self else 0
        return np.asarray(self._sizes[place] - np.maximum(beyond, 0), np.int64)

    def rows_left(self, start: int, stop: int) -> Rows:
        """Return the rows from `start` to `stop` that are in none of the ranges."""
        low = int(np.searchsorted(self.stop, start, side="right"))
        high = int(np.searchsorted(self.first, stop, side="left"))
        steps = np.zeros(stop - start + 1, np.int8)  # the ranges are apart: no step meets another
        steps[np.maximum(self.first[low:high], start) - start] = 1
        steps[np.minimum(self.stop[low:high], stop) - start] = -1
        return np.flatnonzero(np.cumsum(steps[:-1]) == 0) + start

    def find_left(self, numbers: Rows) -> Rows:
        """Return rows by their numbers among those that are in none of the ranges.

        Example:
            >>> RowRanges.of([2], [3]).find_left(np.array([0, 1, 2, 3])).tolist()
            [0, 1, 5, 6]
        """
        place = np.searchsorted(self._firsts_left, numbers, side="right")
        return np.asarray(numbers + self._sizes[place], np.int64)

    @cached_property
    def _firsts_left(self) -> Rows:
        """The number that the row after each range has among those that are left."""
        return self.first - self._sizes[:-1]


NO_ROWS: Final = RowRanges.of([], [])
