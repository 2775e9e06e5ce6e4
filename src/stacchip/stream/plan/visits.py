"""Visits: an area's blocks are kept from its first chip to its last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import Areas


@dataclass(frozen=True, eq=False)
class Visits:
    """The visits of a sequence of chips, numbered by their first chips.

    Attributes:
        rows: The chips' rows, in the order of delivery.
        of_position: The visit of each position.
        first: First position of each visit.
        last: Last position of each visit.
    """

    rows: NDArray[np.int64]
    of_position: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    _by_visit: NDArray[np.int64]
    _begins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of chips of each visit."""
        return np.diff(self._begins)

    def rows_of(self, visit: int) -> NDArray[np.int64]:
        """Return the rows of a visit's chips."""
        return self.rows[self._by_visit[self._begins[visit] : self._begins[visit + 1]]]


def find_visits(rows: NDArray[np.int64], areas: Areas, keep_bytes: float) -> Visits:
    """Return visits such that those open at the same time hold about `keep_bytes` at most.

    If memory allows, each area has one visit. Otherwise an area is left when its next chip is more
    than a number of positions away, and visited again later; that number is the same for all
    areas, and as large as memory allows.

    Args:
        rows: Rows in the order of delivery.
        areas: The areas of all rows.
        keep_bytes: Decoded bytes of the areas that are kept at once.
    """
    gap = max(len(rows), 1)
    visits = _split(rows, areas, gap)
    while gap > 1 and _peak(visits, areas) > keep_bytes:
        gap //= 2
        visits = _split(rows, areas, gap)
    return visits


def _split(rows: NDArray[np.int64], areas: Areas, gap: int) -> Visits:
    """Return visits that end if an area's next chip comes more than `gap` positions later."""
    area = areas.of_row[rows]
    by_area = np.argsort(area, kind="stable")
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (np.diff(area[by_area]) != 0) | (np.diff(by_area) > gap)
    begins = np.flatnonzero(is_first)
    order = np.argsort(by_area[begins], kind="stable")
    number = np.empty(len(begins), np.int64)
    number[order] = np.arange(len(begins))
    of_position = np.empty(len(rows), np.int64)
    of_position[by_area] = np.repeat(number, np.diff(np.append(begins, len(rows))))
    by_visit = np.argsort(of_position, kind="stable")
    counts = np.bincount(of_position, minlength=len(begins))
    ends = np.cumsum(counts)
    return Visits(
        rows=rows,
        of_position=of_position,
        first=by_visit[ends - counts],
        last=by_visit[ends - 1],
        _by_visit=by_visit,
        _begins=np.append(0, ends),
    )


def _peak(visits: Visits, areas: Areas) -> float:
    """Estimate the most bytes of visits that are open at the same time."""
    if not len(visits):
        return 0.0
    counts = visits.counts
    sizes = areas.nominal_bytes(areas.of_row[visits.rows[visits.first]], counts)
    change = np.zeros(len(visits.rows) + 1)
    np.add.at(change, visits.first, sizes)
    np.add.at(change, visits.last + 1, -sizes)
    return float(np.cumsum(change).max())
