"""Relief: mountains, valleys and the rivers that cut them.

Land rises, rivers cut down in proportion to slope and to the square root of the area they drain
(the stream-power law), and slopes creep. The implicit scheme of Braun and Willett (2013,
Geomorphology 180-181) makes long time steps stable. Its walk along each river is done here for all
cells at once by pointer doubling, so that no Python loop runs over cells.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stacchip.demo.landscape.noise import Field, fractal_noise, resample
from stacchip.demo.landscape.view import CELL_M

Cells = NDArray[np.int64]

_NEIGHBOURS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]

_STAGES = ((8, 120, 0.3, 60), (4, 50, 0.42, 40), (2, 18, 0.6, 20))
"""Stages of growth: width of a cell of the stage's grid in cells of the landscape, number of steps
of erosion, creep (see `erode`), and height in metres of the hills that the stage begins with."""


@dataclass(frozen=True)
class Drainage:
    """The way of the water through each cell.

    Attributes:
        receiver: For each cell (flat index), the cell that it drains to; the number of cells if it
            drains to none (the sea, a pit).
        area: The number of cells that drain through each cell, itself included, (y, x).
    """

    receiver: Cells
    area: Field


def find_receivers(height: Field, sea: NDArray[np.bool_], rng: np.random.Generator) -> Cells:
    """Return the steepest way down from each cell, as flat indexes; `height.size` if there is none.

    A little chance in the choice keeps rivers from running along the grid.
    """
    rows, cols = height.shape
    padded = np.pad(height, 1, constant_values=np.inf)
    steepest = np.zeros(height.shape, np.float32)
    offset = np.zeros(height.shape, np.int64)
    for dy, dx in _NEIGHBOURS:
        neighbour = padded[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + cols]
        slope = (height - neighbour) * np.float32(1.0 / np.hypot(dy, dx))
        slope *= np.float32(0.7) + np.float32(0.6) * rng.random(height.shape, dtype=np.float32)
        better = slope > steepest
        np.copyto(steepest, slope, where=better)
        offset[better] = dy * cols + dx
    cells = np.arange(height.size).reshape(height.shape)
    return np.where((offset == 0) | sea, height.size, cells + offset).ravel()


def link_pits(height: Field, sea: NDArray[np.bool_], receiver: Cells) -> Cells:
    """Let each pit drain over its lowest pass, so that all water reaches the sea.

    The passes used are the minimum spanning tree of the basins, rooted in the sea
    (Cordonnier, Bovy and Braun 2019, Earth Surface Dynamics 7).
    """
    size = receiver.size
    basin = find_basins(receiver)
    basin[sea.ravel()[basin]] = size
    passes = _find_passes(height, basin)
    linked = receiver.copy()
    done = {size}
    heap = list(passes[size])
    heapq.heapify(heap)
    while heap:
        _, outlet, inside = heapq.heappop(heap)
        pit = int(basin[inside])
        if pit not in done:
            done.add(pit)
            linked[pit] = outlet
            for further in passes[pit]:
                heapq.heappush(heap, further)
    return linked


def _find_passes(height: Field, basin: Cells) -> defaultdict[int, list[tuple[float, int, int]]]:
    """Return, by basin, its lowest passes to other basins: height, cell here, cell there."""
    cells = np.arange(height.size).reshape(height.shape)
    first = np.concatenate([cells[:, :-1].ravel(), cells[:-1].ravel()])
    second = np.concatenate([cells[:, 1:].ravel(), cells[1:].ravel()])
    across = basin[first] != basin[second]
    first, second = first[across], second[across]
    level = np.maximum(height.ravel()[first], height.ravel()[second])
    low, high = np.minimum(basin[first], basin[second]), np.maximum(basin[first], basin[second])
    order = np.lexsort((level, high, low))
    lowest = np.ones(order.size, bool)
    lowest[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    passes: defaultdict[int, list[tuple[float, int, int]]] = defaultdict(list)
    for edge in order[lowest]:  # one pass for each two basins: thousands at most
        ends = (int(first[edge]), int(second[edge]))
        for here, there in (ends, ends[::-1]):
            passes[int(basin[here])].append((float(level[edge]), here, there))
    return passes


def find_basins(receiver: Cells) -> Cells:
    """Return the pit (a flat index) in which the water of each cell ends.

    Example:
        >>> find_basins(np.array([1, 4, 3, 4])).tolist()  # 0 to 1, 2 to 3
        [1, 1, 3, 3]
    """
    size = receiver.size
    ahead = np.where(receiver == size, np.arange(size), receiver)
    while True:
        further = ahead[ahead]
        if np.array_equal(further, ahead):
            return ahead
        ahead = further


def accumulate_area(receiver: Cells) -> NDArray[np.float64]:
    """Return the number of cells that drain through each cell, itself included.

    Example:
        >>> accumulate_area(np.array([1, 2, 4, 2])).tolist()  # 0 to 1 to 2 to the sea, 3 to 2
        [1.0, 2.0, 4.0, 1.0]
    """
    size = receiver.size
    area = np.ones(size)
    active = np.flatnonzero(receiver < size)
    target = receiver[active]
    ahead = np.append(receiver, size)
    while active.size:
        area += np.bincount(target, area[active], minlength=size)
        ahead = ahead[ahead]  # twice as far downstream
        target = ahead[active]
        still = target < size
        active, target = active[still], target[still]
    return area


def _settle(start: NDArray[np.float64], share: NDArray[np.float64], receiver: Cells) -> Field:
    """Solve `h = start + share * h[receiver]` for all cells: the implicit step, by doubling."""
    height = np.append(start, 0.0)
    share = np.append(share, 0.0)
    ahead = np.append(receiver, receiver.size)
    active = np.flatnonzero(share > 0)
    while active.size:
        further = ahead[active]
        height[active] += share[active] * height[further]
        share[active] *= share[further]
        ahead[active] = ahead[further]
        active = active[share[active] > 1e-7]
    return height[:-1].astype(np.float32)


def drain(height: Field, sea: NDArray[np.bool_], rng: np.random.Generator) -> Drainage:
    """Return where water runs on this relief."""
    receiver = link_pits(height, sea, find_receivers(height, sea, rng))
    area = accumulate_area(receiver).reshape(height.shape).astype(np.float32)
    return Drainage(receiver, area)


def erode(
    height: Field, sea: NDArray[np.bool_], uplift: Field, erodibility: Field,
    *, steps: int, creep: float, rng: np.random.Generator, cell_m: float = CELL_M,
) -> Field:  # fmt: skip
    """Return the relief after some steps of uplift, river cutting and creep.

    Args:
        height: Metres above the sea, (y, x).
        sea: True in the sea: the level to which all rivers cut.
        uplift: Metres that the land rises in a step.
        erodibility: How fast rivers cut: metres down for each metre of fall over 1 m, for a drained
            area of 1 square kilometre, in a step.
        steps: Number of steps.
        creep: Share of the difference to its neighbours that a cell loses in a step.
        rng: Decides between the ways of a river.
        cell_m: Width of a cell.

    Returns:
        float32 (y, x), metres above the sea.
    """
    land = (~sea).ravel()
    rise = np.where(sea, 0.0, uplift).ravel()
    for step in range(steps):
        if step % 3 == 0:  # rivers move slowly: the network serves for three steps
            receiver = link_pits(height, sea, find_receivers(height, sea, rng))
            area_km2 = accumulate_area(receiver) * (cell_m / 1000) ** 2
            factor = erodibility.ravel() * np.sqrt(area_km2) / cell_m
            factor[receiver == height.size] = 0.0
        before = height.ravel() + rise
        height = _settle(before / (1 + factor), factor / (1 + factor), receiver)
        height = _creep((height * land).reshape(sea.shape), creep)
    return np.where(sea, np.float32(0), height)


def _creep(height: Field, share: float) -> Field:
    padded = np.pad(height, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    result: Field = height + np.float32(share) * (around * np.float32(0.25) - height)
    return result


def grow_relief(
    sea_level: Field, uplift: Field, erodibility: Field, rng: np.random.Generator
) -> Field:
    """Grow mountains from nothing, on grids that get finer, so that large valleys come first.

    Args:
        sea_level: Negative in the sea, (y, x).
        uplift: Metres that the land rises in a step, likewise.
        erodibility: See `erode`, likewise.
        rng: The source of randomness.

    Returns:
        float32 (y, x), metres above the sea, 0 in the sea.
    """
    rows, cols = sea_level.shape
    height = np.zeros((8, 8), np.float32)
    for coarseness, steps, creep, roughness_m in _STAGES:
        shape = (rows // coarseness, cols // coarseness)
        sea = resample(sea_level, shape) < 0
        local = resample(uplift, shape)
        rough = fractal_noise(rng, shape, 24, 4, 0.6) * np.float32(roughness_m)
        rough *= np.clip(local / np.float32(8), 0.15, 1)
        height = np.maximum(resample(height, shape) + rough, 0) + np.float32(0.5)
        height = erode(
            np.where(sea, np.float32(0), height), sea, local, resample(erodibility, shape),
            steps=steps, creep=creep, rng=rng, cell_m=CELL_M * coarseness,
        )  # fmt: skip
    return resample(height, sea_level.shape)


def warp(field: Field, rng: np.random.Generator, wavelength: float, reach: float) -> Field:
    """Bend the field sideways by up to about `reach` cells, so that nothing runs along the grid."""
    y, x = np.ogrid[: field.shape[0], : field.shape[1]]
    bend = [fractal_noise(rng, field.shape, wavelength, 4, 0.5) for _ in range(2)]
    return sample(field, y + reach * bend[0], x + reach * bend[1])


def sample(field: Field, row: NDArray[np.floating], col: NDArray[np.floating]) -> Field:
    """Return values of a field between its cells, bilinearly; indexes count from cell centres."""
    rows, cols = field.shape
    row = np.clip(row, 0, rows - 1.001)
    col = np.clip(col, 0, cols - 1.001)
    top, left = row.astype(np.int64), col.astype(np.int64)
    down, right = (row - top).astype(np.float32), (col - left).astype(np.float32)
    flat, first = field.ravel(), top * cols + left
    above = flat[first] * (1 - right) + flat[first + 1] * right
    below = flat[first + cols] * (1 - right) + flat[first + cols + 1] * right
    result: Field = above * (1 - down) + below * down
    return result
