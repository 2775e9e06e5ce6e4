"""Cells of a global grid, all of about the same size: the grid of Major TOM.

Rows are of equal height, counted from the equator: `0U`, `1U`, ... to the north and `1D`, `2D`, ...
to the south. Each is cut into equal columns no wider than the cell size at the row's southern edge,
counted from Greenwich: `0R`, `1R`, ... to the east and `1L`, `2L`, ... to the west. (A. Francis and
M. Czerkawski, "Major TOM: Expandable Datasets for Earth Observation", 2024, section 3, on a sphere
of 6378.137 km.) Major TOM ends at 85 degrees; here, the rows go on to the poles.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.errors import UsageError
from stacchip.splits.shares import is_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["CellGrid"]

_RADIUS_KM: Final = 6378.137
_LEAST_KM: Final = 0.1
_MOST_KM: Final = 5000.0


class CellGrid:
    """A grid of cells over the whole globe.

    Args:
        km: The height of a cell, and about its width, in kilometres.

    Raises:
        UsageError: The size is not one of 0.1 to 5000 km.

    Example:
        >>> grid = CellGrid(100)
        >>> grid.names(grid.at(np.array([-3.7, 180.0]), np.array([40.4, 0.0])))
        ['45U_4L', '0U_200R']
    """

    def __init__(self, km: float) -> None:
        if not is_number(km) or not _LEAST_KM <= km <= _MOST_KM:
            raise UsageError(f"A cell is {_LEAST_KM:g} to {_MOST_KM:g} km high, not {km!r}.")
        self.km: float = float(km)
        rows: int = math.ceil(math.pi * _RADIUS_KM / self.km)
        self.height: float = 180 / rows
        """Degrees of latitude of a row."""
        self.first = math.floor(-90 / self.height + 1e-9)
        """The number of the southernmost row."""
        self.last = -(-rows // 2) - 1
        """The number of the northernmost row."""

    @cached_property
    def columns(self) -> Integers:
        """The number of columns of each row, from the south; the cap around the south pole is one.

        In a grid with an odd number of rows, the cap is less than half as high as a row.
        """
        south = np.maximum(np.arange(self.first, self.last + 1) * self.height, -90)
        around = 2 * math.pi * _RADIUS_KM * np.cos(np.radians(south))
        columns: Integers = np.maximum(np.ceil(around / self.km), 1).astype(np.int64)
        return columns

    @cached_property
    def _before(self) -> Integers:
        """The number of cells before each row."""
        return np.append(0, np.cumsum(self.columns)).astype(np.int64)

    def __len__(self) -> int:
        """The number of cells."""
        return int(self._before[-1])

    def rows_at(self, lat: Floats) -> Integers:
        """Return the number of the row at latitudes, from 0 in the south."""
        counted = np.floor(lat / self.height).astype(np.int64) - self.first
        rows: Integers = np.clip(counted, 0, len(self.columns) - 1)
        return rows

    def at(self, lon: Floats, lat: Floats) -> Integers:
        """Return the numbers of the cells at some places.

        Args:
            lon: Longitudes in degrees; those of a place may differ by 360.
            lat: Latitudes in degrees.
        """
        rows = self.rows_at(lat)
        return self._number(rows, self._column(rows, lon))

    def _column(self, rows: Integers, lon: Floats) -> Integers:
        """Return columns counted from Greenwich, also beyond the antimeridian."""
        return np.floor(lon * self.columns[rows] / 360).astype(np.int64)

    def _number(self, rows: Integers, columns: Integers) -> Integers:
        count = self.columns[rows]
        return self._before[rows] + (columns + count // 2) % count

    def touched(
        self,
        west: Floats,
        south: Floats,
        east: Floats,
        north: Floats,
        wanted: NDArray[np.bool_],
    ) -> Iterator[tuple[Integers, Integers]]:
        """Yield the cells that boxes touch, their edges included: numbers of boxes, and of cells.

        Each pair of arrays has a box once at most.

        Args:
            west: Their western edges, in degrees.
            south: Their southern edges.
            east: Their eastern edges, no less than the western ones: beyond the antimeridian, the
                longitudes go on.
            north: Their northern edges.
            wanted: The boxes to look at. The caller may take some away between two pairs.
        """
        first, last = self.rows_at(south), self.rows_at(north)
        for up in range(int((last - first)[wanted].max(initial=0)) + 1):
            inside = np.flatnonzero(wanted & (first + up <= last))
            rows = first[inside] + up
            left, right = (self._column(rows, edge[inside]) for edge in (west, east))
            counts = np.minimum(right - left + 1, self.columns[rows])
            for along in range(int(counts.max(initial=0))):
                some = np.flatnonzero((counts > along) & wanted[inside])
                if not len(some):
                    break
                yield inside[some], self._number(rows[some], left[some] + along)

    def names(self, cells: Integers) -> list[str]:
        """Return the names of cells as Major TOM writes them."""
        rows = np.searchsorted(self._before, cells, side="right") - 1
        columns = cells - self._before[rows] - self.columns[rows] // 2
        up = rows + self.first
        return [
            f"{abs(row)}{'U' if row >= 0 else 'D'}_{abs(column)}{'R' if column >= 0 else 'L'}"
            for row, column in zip(up.tolist(), columns.tolist(), strict=True)
        ]

    def bounds(self, cells: Integers) -> tuple[Floats, Floats, Floats, Floats]:
        """Return west, south, east and north of cells; east may be beyond 180."""
        rows = np.searchsorted(self._before, cells, side="right") - 1
        width = 360 / self.columns[rows]
        west = (cells - self._before[rows] - self.columns[rows] // 2) * width
        south = (rows + self.first) * self.height
        return west, np.maximum(south, -90), west + width, np.minimum(south + self.height, 90)
