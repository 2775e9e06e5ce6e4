"""Towns, in places that people would choose, and the roads between them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape.rivers import refine_line, smooth_line
from stacchip.demo.landscape.view import Line, Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.noise import Field

_APART_M = 2600.0
_RADII_M = (1700.0, 1000.0, 850.0, 700.0, *[520.0] * 5, *[330.0] * 14)


@dataclass(frozen=True)
class Town:
    """A place where people live.

    Attributes:
        centre: Metres east and south of the landscape's corner.
        radius_m: Distance from the centre to about the last houses.
    """

    centre: tuple[float, float]
    radius_m: float


def choose_towns(appeal: Field, cell_m: float) -> list[Town]:
    """Return towns at the most appealing places, the largest first, each apart from the others."""
    appeal = appeal.copy()
    rows, cols = np.indices(appeal.shape)
    towns = []
    for radius_m in _RADII_M:
        row, col = np.unravel_index(int(appeal.argmax()), appeal.shape)
        towns.append(Town(((col + 0.5) * cell_m, (row + 0.5) * cell_m), radius_m))
        distance = np.hypot(rows - row, cols - col) * cell_m
        appeal[distance < _APART_M + radius_m] = -np.inf
    return towns


def connect_towns(towns: list[Town], cost: Field, cell_m: float) -> list[Line]:
    """Connect each town to the nearest one that has a road already, along the cheapest way.

    Args:
        towns: The network begins at the first one.
        cost: Price of building through a cell, (y, x); infinite if nothing can be built there.
        cell_m: Width of a cell of `cost`.

    Returns:
        Smooth lines; a town that cannot be reached has no road.
    """
    walled = np.pad(cost, 1, constant_values=np.inf)  # no road leaves the landscape
    cells = [
        (int(town.centre[1] / cell_m) + 1) * walled.shape[1] + int(town.centre[0] / cell_m) + 1
        for town in towns
    ]
    joined = {cells[0]}
    roads: list[Line] = []
    for cell in cells[1:]:
        way = _find_way(cell, joined, walled)
        joined.update(way)
        if len(way) > 2:
            rows, columns = np.divmod(way, walled.shape[1])
            points = smooth_line((np.column_stack([columns, rows]) - 0.5) * cell_m, 6)
            points[-1] = _nearest(roads, points[-1], 2 * cell_m)
            roads.append(Line(refine_line(points), 14.0))
    return roads


def _nearest(roads: list[Line], place: Points, within_m: float) -> Points:
    """Return the point of a road at which another ends: smoothed roads have left their cells."""
    if not roads:
        return place
    built = np.concatenate([road.points for road in roads])
    distance = np.hypot(*(built - place).T)
    nearest: Points = built[distance.argmin()]
    return nearest if distance.min() < within_m else place


def _find_way(start: int, goals: set[int], cost: Field) -> list[int]:
    """Return the cheapest way to a goal (Dijkstra, eight neighbours), as flat indexes."""
    prices: list[float] = cost.ravel().tolist()
    steps = [
        (dy * cost.shape[1] + dx, float(np.hypot(dy, dx)))
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    ]
    best = [np.inf] * len(prices)
    best[start] = 0.0
    came_from: dict[int, int] = {}
    heap = [(0.0, start)]
    while heap:
        spent, here = heapq.heappop(heap)
        if here in goals:
            return _walk_back(here, came_from)
        if spent > best[here]:
            continue
        for step, length in steps:
            there = here + step
            total = spent + length * prices[there]
            if total < best[there]:
                best[there] = total
                came_from[there] = here
                heapq.heappush(heap, (total, there))
    return []


def _walk_back(goal: int, came_from: dict[int, int]) -> list[int]:
    way = [goal]
    while way[-1] in came_from:
        way.append(came_from[way[-1]])
    return way[::-1]


def along(line: Points, every_m: float) -> tuple[Points, NDArray[np.float64]]:
    """Return points along a line at equal distances, and its direction at each, in radians."""
    steps = np.diff(line, axis=0)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])
    at = np.arange(0.0, reached[-1], every_m)
    points = np.column_stack([np.interp(at, reached, line[:, axis]) for axis in (0, 1)])
    leg = np.clip(np.searchsorted(reached, at, side="right") - 1, 0, len(steps) - 1)
    return points, np.arctan2(steps[leg, 1], steps[leg, 0])
