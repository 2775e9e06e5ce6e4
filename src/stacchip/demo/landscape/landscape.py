"""The landscape: one made-up country that all sample images show.

It has a coast in the south-west, a plain of fields and towns behind it, and mountains in the
north-east. It is `EXTENT_M` wide. Places are metres east and south of its north-west corner, so a
satellite and an aircraft see the same roads and fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from stacchip.demo.landscape.noise import Field, blur, fractal_noise, smoothstep
from stacchip.demo.landscape.parcels import Parcels, divide, make_districts
from stacchip.demo.landscape.relief import (
    drain,
    erode,
    find_basins,
    grow_relief,
    sample,
    warp,
)
from stacchip.demo.landscape.rivers import trace_rivers
from stacchip.demo.landscape.roads import Town, choose_towns, connect_towns
from stacchip.demo.landscape.spectra import CROPS, USE
from stacchip.demo.landscape.view import CELL_M, CELLS, EXTENT_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.view import Line

HEDGED, TRACKED = 0.45, 0.72
"""`LandUse.edge` below the first means a hedge; above the second, a track."""


@dataclass(frozen=True)
class Ground:
    """The land before people came: fields of `CELLS` x `CELLS` cells, (y, x).

    Attributes:
        height: Metres above the sea.
        coast: Approximate distance to the coast in metres; negative in the sea.
        lake: Depth of the lake in metres; negative beside it.
        woodland: How well forest grows; mean 0, standard deviation 1.
        mood: A slow variation of colour; mean 0, standard deviation 1.
        rivers: Lines that widen downstream.
    """

    height: Field
    coast: Field
    lake: Field
    woodland: Field
    mood: Field
    rivers: list[Line]


@dataclass(frozen=True)
class LandUse:
    """The use that people make of the land.

    Attributes:
        parcels: Fields, stands of wood, blocks of houses.
        use: The use of each parcel: a number of `spectra.USES`, (n,).
        tone: The brightness of each parcel, 1 on average, (n,).
        vigour: How well plants grow on each parcel, 0 on average, (n,).
        edge: A number in 0..1 that decides if a parcel has a hedge, a track or neither, (n,).
        roads: The roads between the towns.
        towns: The towns, the largest first.
    """

    parcels: Parcels
    use: NDArray[np.int64]
    tone: NDArray[np.float32]
    vigour: NDArray[np.float32]
    edge: NDArray[np.float64]
    roads: list[Line]
    towns: list[Town]


@dataclass(frozen=True)
class Landscape:
    """The ground and its use."""

    ground: Ground
    land_use: LandUse


def make_landscape(seed: int = 0) -> Landscape:
    """Make the landscape of a seed; the same seed gives the same landscape."""
    rng = np.random.default_rng([seed, 8])  # 8 gives seed 0 a pleasant country
    ground = make_ground(rng)
    return Landscape(ground, settle(ground, rng))


def make_ground(rng: np.random.Generator) -> Ground:
    """Make relief, sea, a lake and rivers."""
    shape = (CELLS, CELLS)
    y, x = np.indices(shape, np.float32) / np.float32(CELLS)
    inland = (np.float32(0.62) * x + np.float32(0.78) * (1 - y)) / np.float32(1.4)
    coast = (inland - np.float32(0.25)) * np.float32(EXTENT_M * 1.1)
    coast += 1900 * fractal_noise(rng, shape, CELLS / 3, 7, 0.55)
    height = _raise_land(coast, inland, rng)
    sea = coast < 0
    drainage = drain(height, sea, rng)
    flat = smoothstep(14, 3, _slope_percent(height)) * np.float32(130)
    bend = tuple(flat * fractal_noise(rng, shape, 14, 2, 0.5) for _ in range(2))
    return Ground(
        height=height,
        coast=coast,
        lake=_dam_valley(height, drainage.receiver, drainage.area),
        woodland=fractal_noise(rng, shape, 48, 6, 0.6),
        mood=fractal_noise(rng, shape, 60, 5, 0.6),
        rivers=trace_rivers(drainage, (bend[0], bend[1])),
    )


def _raise_land(coast: Field, inland: Field, rng: np.random.Generator) -> Field:
    """Raise mountains where uplift is fast, hills here and there, and a plain elsewhere."""
    shape = coast.shape
    ranges = smoothstep(0.42, 0.74, inland + 0.06 * fractal_noise(rng, shape, CELLS / 2.5, 4))
    hills = smoothstep(0.4, 1.4, fractal_noise(rng, shape, CELLS / 4, 4))
    hills *= smoothstep(0.28, 0.38, inland) * (1 - ranges)
    uplift = 0.25 + 4 * hills + 22 * ranges
    erodibility = 100 * np.exp(0.5 * fractal_noise(rng, shape, CELLS / 6, 5, 0.6))
    height = grow_relief(coast, uplift, erodibility, rng)
    height = warp(height, rng, 40, 2.2)
    height += fractal_noise(rng, shape, 24, 4, 0.6) * np.clip(0.02 * height, 0, 8)
    height = np.where(coast < 0, np.float32(0), np.maximum(height, np.float32(0.1)))
    height = erode(height, coast < 0, 0.5 * uplift, erodibility, steps=2, creep=0.35, rng=rng)
    return height * np.float32(1500 / np.percentile(height, 98))


def _slope_percent(height: Field) -> Field:
    down, right = np.gradient(blur(height, 1), CELL_M)
    result: Field = np.hypot(down, right) * 100
    return result


def _dam_valley(height: Field, receiver: NDArray[np.int64], area: Field) -> Field:
    """Return the depth in metres of a lake behind a dam in a valley; negative beside the lake.

    Of all dams that are tried, take the one whose lake is closest to 4 square kilometres.
    """
    area_km2 = area * np.float32((CELL_M / 1000) ** 2)
    inside = np.zeros(height.shape, bool)
    inside[CELLS // 4 : -CELLS // 4, CELLS // 4 : -CELLS // 4] = True
    valleys = inside & (area_km2 > 12) & (area_km2 < 90) & (height > 120) & (height < 500)
    best, smallest_miss = np.full(height.shape, np.float32(-50)), np.inf
    for number, dam in enumerate(np.flatnonzero(valleys)[::29]):
        level = height.ravel()[dam] + np.float32(35 + 20 * (number % 3))
        dammed = receiver.copy()
        dammed[dam] = receiver.size
        upstream = find_basins(dammed) == dam
        depth = np.where(upstream.reshape(height.shape), level - height, np.float32(-50))
        miss = abs(float((depth > 0).sum()) * (CELL_M / 1000) ** 2 - 4.0)
        if miss < smallest_miss:
            best, smallest_miss = np.clip(depth, -50, 50), miss
    return best


def settle(ground: Ground, rng: np.random.Generator) -> LandUse:
    """Place towns, roads and parcels where the ground suits them."""
    towns, roads = _found_towns(ground, rng)
    districts = make_districts(rng)
    middle = shapely.get_coordinates(shapely.centroid(districts))
    districts = districts[_at(ground.coast, middle) > -2500]
    angle = rng.normal(0.0, 0.45, len(districts))
    size_m2 = rng.choice([50e3, 80e3, 120e3, 180e3], len(districts))
    parcels, _ = divide(districts, angle, size_m2, rng)
    use = _choose_use(ground, parcels, rng)
    parcels, use = _build_blocks(ground, parcels, use, towns, rng)
    tone = np.exp(rng.normal(0, 0.11, len(parcels))).astype(np.float32)
    vigour = rng.normal(0, 0.8, len(parcels)).astype(np.float32)
    edge = rng.random(len(parcels))
    return LandUse(parcels, use, tone, vigour, edge, roads, towns)


def _at(field: Field, points: NDArray[np.float64]) -> Field:
    """Return the values of a field of the ground at points in metres, (n, 2)."""
    return sample(field, points[:, 1] / CELL_M - 0.5, points[:, 0] / CELL_M - 0.5)


def _found_towns(ground: Ground, rng: np.random.Generator) -> tuple[list[Town], list[Line]]:
    """Found towns on flat ground near the coast, and roads that avoid slopes and water."""
    slope = _slope_percent(ground.height)
    wet = (ground.coast < 60) | (ground.lake > 0)
    shore = np.exp(-(((ground.coast - 1500) / 2000) ** 2))
    appeal = shore - 0.15 * slope - 0.002 * ground.height
    appeal += 0.5 * fractal_noise(rng, slope.shape, 60, 3)
    edge = np.zeros(slope.shape, bool)
    edge[20:-20, 20:-20] = True
    appeal = np.where(wet | ~edge | (slope > 8), np.float32(-1e6), appeal)
    coarse, cell_m = np.s_[::4, ::4], 4 * CELL_M
    towns = choose_towns(appeal[coarse], cell_m)
    cost = 1 + (slope[coarse] / 5) ** 2 + 40 * wet[coarse]
    return towns, connect_towns(towns, cost.astype(np.float32), cell_m)


def _choose_use(ground: Ground, parcels: Parcels, rng: np.random.Generator) -> NDArray[np.int64]:
    """Put fields on flat low land, stands of wood on the slopes above, and nature elsewhere."""
    place = parcels.centres
    slope = _at(_slope_percent(ground.height), place)
    height, coast = _at(ground.height, place), _at(ground.coast, place)
    wooded = _at(ground.woodland, place)
    number = len(parcels)
    chance = rng.random(number)
    arable = (slope < 7) & (height < 380) & (coast > 150) & (wooded < 0.55 - slope / 12)
    crops = np.array([USE[name] for name in CROPS])
    use = np.where(arable, rng.choice(crops, number), USE["natural"])
    grazed = arable & (rng.random(number) < np.clip(slope / 9 + 0.1 * wooded, 0, 0.9))
    use[grazed] = rng.choice([USE["pasture"], USE["dry pasture"], USE["hay"]], grazed.sum())
    use[arable & (chance < 0.05)] = USE["wood"]
    managed = ~arable & (coast > 400) & (height > 60) & (height < 950)
    use[managed & (chance < 0.03)] = USE["felled"]
    use[managed & (chance > 0.96)] = USE["young plantation"]
    use[managed & (chance > 0.5) & (chance < 0.54)] = USE["plantation"]
    return use


def _build_blocks(
    ground: Ground,
    parcels: Parcels,
    use: NDArray[np.int64],
    towns: list[Town],
    rng: np.random.Generator,
) -> tuple[Parcels, NDArray[np.int64]]:
    """Turn the parcels of a town into blocks, denser towards its centre."""
    farness = _farness(parcels.centres, towns) * np.exp(rng.normal(0, 0.2, len(parcels)))
    built = farness < 1
    blocks, origin = divide(
        parcels.outlines[built], parcels.angle[built], np.full(built.sum(), 9e3), rng
    )
    dry = (_at(ground.coast, blocks.centres) > 120) & (_at(ground.lake, blocks.centres) < -2)
    blocks, origin = blocks.select(dry), origin[dry]
    chance = rng.random(len(blocks))
    old = _farness(blocks.centres, towns) + 0.25 * chance < 0.45
    kind = np.where(old, USE["old town"], USE["houses"])
    kind[chance < 0.07] = USE["park"]
    kind[rng.random(built.sum())[origin] < 0.06] = USE["works"]
    rest = parcels.select(~built)
    joined = Parcels(
        np.concatenate([rest.outlines, blocks.outlines]),
        np.concatenate([rest.angle, blocks.angle]),
    )
    return joined, np.concatenate([use[~built], kind])


def _farness(points: NDArray[np.float64], towns: list[Town]) -> NDArray[np.float64]:
    """Return the distance of points from the nearest town, in radii of that town, (n,)."""
    centres = np.array([town.centre for town in towns])
    radii = np.array([town.radius_m for town in towns])
    farness = np.hypot(*(points[:, None] - centres).T).T / radii
    nearest: NDArray[np.float64] = farness.min(axis=1)
    return nearest
