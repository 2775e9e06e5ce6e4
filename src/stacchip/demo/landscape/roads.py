"""Towns, where people would settle, and the roads between them."""

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


@dataclass(frozen=True)
class Town:
    """A place where people live.

    Attributes:
        centre: Metres east and south of the landscape's corner.
        radius_m: From the centre to about where the houses end.
    """

    centre: tuple[float, float]
    radius_m: float


def choose_towns(
    appeal: Field, radii_m: list[float], *, cell_m: float, apart_m: float
) -> list[Town]:
    """Towns at the most appealing places, the largest first, each apart from the others."""
    appeal = appeal.copy()
    rows, cols = np.indices(appeal.shape)
    towns = []
    for radius_m in radii_m:
        row, col = np.unravel_index(int(appeal.argmax()), appeal.shape)
        towns.append(Town(((col + 0.5) * cell_m, (row + 0.5) * cell_m), radius_m))
        distance = np.hypot(rows - row, cols - col) * cell_m
        appeal[distance < apart_m + radius_m] = -np.inf
    return towns


def connect_towns(towns: list[Town], cost: Field, *, cell_m: float) -> list[Line]:
    """Roads along the cheapest ways: each town to the nearest one that is already connected.

    Args:
        towns: The first one is where the network begins.
        cost: What a cell costs to build through, (y, x); infinite where nothing can be built.
        cell_m: Width of a cell of `cost`.

    Returns:
        Smooth lines; a town that cannot be reached has no road.
    """
    joined = {_cell_of(towns[0], cost.shape, cell_m)}
    roads: list[Line] = []
    for town in towns[1:]:
        way = _find_way(_cell_of(town, cost.shape, cell_m), joined, cost)
        joined.update(way)
        if len(way) > 2:
            rows, columns = np.divmod(way, cost.shape[1])
            points = smooth_line((np.column_stack([columns, rows]) + 0.5) * cell_m, 6)
            points[-1] = _nearest(roads, points[-1], 2 * cell_m)
            roads.append(Line(refine_line(points, 2), 14.0))
    return roads


def _nearest(roads: list[Line], place: Points, within_m: float) -> Points:
    """The place on a road where another one ends: smoothed roads have left their cells."""
    if not roads:
        return place
    built = np.concatenate([road.points for road in roads])
    distance = np.hypot(*(built - place).T)
    nearest: Points = built[distance.argmin()]
    return nearest if distance.min() < within_m else place


def _cell_of(town: Town, shape: tuple[int, ...], cell_m: float) -> int:
    """The flat index of a town's cell."""
    row, col = int(town.centre[1] / cell_m), int(town.centre[0] / cell_m)
    return min(row, shape[0] - 1) * shape[1] + min(col, shape[1] - 1)


def _find_way(start: int, goals: set[int], cost: Field) -> list[int]:
    """Dijkstra's algorithm, on the eight neighbours of each cell; flat indexes, goal last."""
    cols = int(cost.shape[1])
    walled = np.pad(cost, 1, constant_values=np.inf)  # nobody leaves over the edge
    prices: list[float] = walled.ravel().tolist()
    wide = cols + 2

    def inside(cell: int) -> int:
        return (cell // cols + 1) * wide + cell % cols + 1

    def outside(cell: int) -> int:
        return (cell // wide - 1) * cols + cell % wide - 1

    steps = [
        (dy * wide + dx, float(np.hypot(dy, dx)))
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    ]
    wanted = {inside(goal) for goal in goals}
    best = [np.inf] * len(prices)
    best[inside(start)] = 0.0
    came_from: dict[int, int] = {}
    heap = [(0.0, inside(start))]
    while heap:
        spent, here = heapq.heappop(heap)
        if here in wanted:
            return [outside(cell) for cell in _walk_back(here, came_from)]
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


def along(line: Line, every_m: float) -> tuple[Points, NDArray[np.float64]]:
    """Points along a line at equal distances, and the direction of the line at each, in radians."""
    steps = np.diff(line.points, axis=0)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])
    at = np.arange(0.0, reached[-1], every_m)
    points = np.column_stack([np.interp(at, reached, line.points[:, axis]) for axis in (0, 1)])
    leg = np.clip(np.searchsorted(reached, at, side="right") - 1, 0, len(steps) - 1)
    return points, np.arctan2(steps[leg, 1], steps[leg, 0])
