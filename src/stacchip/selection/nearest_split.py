"""How far chips of a split are from the nearest chip of another one, from middle to middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.selection.ellipsoid import GEOD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.selection.coarse_grid import CoarseGrid

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["NearestSplit"]

_RADIUS_M: Final = 6_371_000.0
_DEGREE_M: Final = 111_700.0
_ROUNDING: Final = 1.02  # lengths on a sphere for those on the ellipsoid
_AT_ONCE: Final = 2_000_000
_KEPT: Final = 500_000


class NearestSplit:
    """Finds the nearest of many places to each of a few, in two looks at the many.

    The first has told which cells of a grid hold them. Only places in cells that may hold a nearest
    one are kept by `add`.

    Args:
        grid: The grid.
        occupied: True for the cells that hold some of the many.
        asking: The few, by a key: longitude and latitude, (place, 2).
    """

    def __init__(
        self, grid: CoarseGrid, occupied: NDArray[np.bool_], asking: Mapping[int, Floats]
    ) -> None:
        self._grid = grid
        self._asking = asking
        self._wanted = np.zeros(grid.cells, bool)
        self._around: dict[int, Integers] = {}
        self._parts: list[Floats] = []
        self._held = 0
        cells = np.flatnonzero(occupied)
        if not len(cells):
            return
        there = _on_sphere(*grid.centers(cells))
        from_cells = np.unique(
            np.concatenate([grid.cells_at(*places.T) for places in asking.values()] or [cells[:0]])
        )
        here = _on_sphere(*grid.centers(from_cells))
        # the middles of two cells are farther or nearer than places in them by what they reach
        slack = 4 * _ROUNDING * 0.8 * grid.height * _DEGREE_M
        step = max(1, _AT_ONCE // len(cells))
        for start in range(0, len(here), step):
            cosine = np.clip(here[start : start + step] @ there.T, -1, 1)
            least = np.arccos(cosine.max(axis=1)) * _RADIUS_M
            most = np.minimum((least * _ROUNDING + slack) / _RADIUS_M, np.pi)
            for place, row, limit in zip(from_cells[start:], cosine, np.cos(most), strict=False):
                near = cells[row >= limit]
                self._around[int(place)] = near
                self._wanted[near] = True

    def add(self, lon: Floats, lat: Floats) -> None:
        """Take some of the many."""
        near = self._wanted[self._grid.cells_at(lon, lat)]
        if near.any():
            self._parts.append(np.unique(np.stack([lon[near], lat[near]], axis=1), axis=0))
            self._held += len(self._parts[-1])
        if self._held > 2 * _KEPT:
            self._parts = [np.unique(np.concatenate(self._parts), axis=0)]
            self._held = -len(self._parts[0])

    def distances(self) -> dict[int, Floats]:
        """Return the distance in metres of each asking place from its nearest one, by key."""
        if not self._parts:
            return {}
        many = np.unique(np.concatenate(self._parts), axis=0)
        cells = self._grid.cells_at(*many.T)
        order = np.argsort(cells, kind="stable")
        many, cells = many[order], cells[order]
        points = _on_ellipsoid(*many.T)
        return {
            key: self._distances(places, many, cells, points)
            for key, places in self._asking.items()
        }

    def _distances(self, places: Floats, many: Floats, cells: Integers, points: Floats) -> Floats:
        of_place = self._grid.cells_at(*places.T)
        nearest = np.empty(len(places), np.int64)
        asking = _on_ellipsoid(*places.T)
        for cell in np.unique(of_place).tolist():
            around = self._around[cell]
            lows, highs = (np.searchsorted(cells, around, side=side) for side in ("left", "right"))
            there = np.concatenate(
                [np.arange(low, high) for low, high in zip(lows, highs, strict=True)]
            )
            here = np.flatnonzero(of_place == cell)
            step = max(1, _AT_ONCE // len(there))
            for start in range(0, len(here), step):
                some = here[start : start + step]
                gap = asking[some][:, None] - points[there][None]
                nearest[some] = there[np.einsum("abc,abc->ab", gap, gap).argmin(axis=1)]
        _, _, length = GEOD.inv(*places.T, *many[nearest].T)
        return np.asarray(length, np.float64)


def _on_sphere(lon: Floats, lat: Floats) -> Floats:
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def _on_ellipsoid(lon: Floats, lat: Floats) -> Floats:
    """Return places in space, in metres: the nearest in space is the nearest on the ground."""
    sine = np.sin(np.deg2rad(lat))
    across = GEOD.a / np.sqrt(1 - GEOD.es * sine**2)
    return _on_sphere(lon, lat) * np.stack([across, across, across * (1 - GEOD.es)], axis=1)
