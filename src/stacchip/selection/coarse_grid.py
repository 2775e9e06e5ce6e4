"""A coarse grid of the globe, on which bounds are painted with the splits that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["CoarseGrid", "unfold"]

_HEIGHTS: Final = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 10.0)


@dataclass(frozen=True)
class CoarseGrid:
    """Cells of about the same size: rows of latitude, cut into fewer columns towards the poles.

    Args:
        height: Degrees of latitude of a cell; 180 is a multiple of it.

    Example:
        >>> grid = CoarseGrid(10.0)
        >>> grid.rows, grid.columns.tolist()[8:10], grid.cells
        (18, [36, 36], 458)
    """

    height: float

    @classmethod
    def for_bounds(cls, bounds: Floats) -> CoarseGrid:
        """Return a grid whose cells are at least as high as most bounds: each meets few cells."""
        sizes = bounds[:, 3] - bounds[:, 1]
        sizes = sizes[np.isfinite(sizes)]
        usual = float(np.median(sizes)) if len(sizes) else 0.0
        return cls(next((height for height in _HEIGHTS if height >= usual), _HEIGHTS[-1]))

    @property
    def rows(self) -> int:
        """Number of rows, from the south."""
        return round(180 / self.height)

    @cached_property
    def columns(self) -> Integers:
        """Number of cells in each row, from 180 degrees west."""
        south = -90 + self.height * np.arange(self.rows)
        widest = np.cos(np.deg2rad(np.where(south >= 0, south, south + self.height)))
        return np.maximum(1, np.ceil(360 * widest / self.height)).astype(np.int64)

    @cached_property
    def firsts(self) -> Integers:
        """The number of the first cell of each row, and the number of all cells."""
        return np.append(0, np.cumsum(self.columns)).astype(np.int64)

    @property
    def cells(self) -> int:
        """The number of all cells."""
        return int(self.firsts[-1])

    def rows_of(self, latitude: Floats) -> Integers:
        """Return the rows of latitudes."""
        row = np.floor((latitude + 90) / self.height).astype(np.int64)
        return np.clip(row, 0, self.rows - 1)

    def cells_at(self, lon: Floats, lat: Floats) -> Integers:
        """Return the cells of places."""
        row = self.rows_of(lat)
        count = self.columns[row]
        return self.firsts[row] + np.floor((lon + 180) / 360 * count).astype(np.int64) % count

    def cells_of(self, bounds: Floats) -> tuple[Integers, Integers]:
        """Return the cells that bounds meet.

        Args:
            bounds: West, south, east, north, (box, 4), all finite; they may reach beyond the
                antimeridian.

        Returns:
            For each meeting, the number of the box, in rising order, and that of the cell.
        """
        west, south, east, north = bounds.T
        low, high = self.rows_of(south), self.rows_of(north)
        box, row = unfold(low, high - low + 1)
        count = self.columns[row]
        first = np.floor((west[box] + 180) / 360 * count).astype(np.int64)
        last = np.floor((east[box] + 180) / 360 * count).astype(np.int64)
        line, column = unfold(first, np.minimum(last - first + 1, count))
        return box[line], self.firsts[row[line]] + column % count[line]

    def centers(self, cells: Integers) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes of the middles of cells."""
        row = np.searchsorted(self.firsts, cells, side="right") - 1
        lon: Floats = (cells - self.firsts[row] + 0.5) * 360 / self.columns[row] - 180
        lat: Floats = (-90 + (row + 0.5) * self.height).astype(np.float64)
        return lon, lat


def unfold(first: Integers, count: Integers) -> tuple[Integers, Integers]:
    """Return whose each number is, and the numbers: `count` from `first` on, for each.

    Example:
        >>> unfold(np.array([5, 8]), np.array([2, 1]))
        (array([0, 0, 1]), array([5, 6, 8]))
    """
    owner = np.repeat(np.arange(len(first)), count)
    before = np.cumsum(count) - count
    return owner, first[owner] + np.arange(len(owner)) - before[owner]
