"""The places of single trees, houses and cars, in a view fine enough to show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from stacchip.demo.landscape.landscape import HEDGED
from stacchip.demo.landscape.noise import smooth_noise
from stacchip.demo.landscape.roads import along
from stacchip.demo.landscape.spectra import COVERS, FARMED, USE
from stacchip.demo.landscape.standing import PAINT, Standing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.landscape import LandUse
    from stacchip.demo.landscape.surface import Surface
    from stacchip.demo.landscape.view import Points

Generator = np.random.Generator

_BROADLEAVES = np.array([PAINT[f"tree {number}"] for number in (1, 1, 2, 3, 4)])
_CONIFERS = np.array([PAINT["conifer 1"], PAINT["conifer 2"], PAINT["tree 3"]])
_ROOFS = [PAINT[f"{name} roof"] for name in ("grey", "grey", "dark", "brown", "red", "tan")]
_CARS = [PAINT[f"{name} car"] for name in ("white", "dark", "dark", "red")]


def furnish(standing: Standing, surface: Surface, use: LandUse, rng: Generator) -> None:
    """Put trees, houses and cars on the ground, according to its use and cover."""
    seen = use.parcels.seen_in(standing.view)
    _plant_woods(standing, surface, rng)
    _plant_hedges(standing, use, seen, rng)
    for parcel in np.flatnonzero(seen & np.isin(use.use, [USE["houses"], USE["old town"]])):
        _build_block(standing, use, int(parcel), rng)
    for parcel in np.flatnonzero(seen & (use.use == USE["works"])):
        _build_works(standing, use, int(parcel), rng)
    for parcel in np.flatnonzero(seen & (use.use == USE["park"])):
        points = _scatter(use, int(parcel), 260.0, rng)
        standing.plant(points, (2.0, 5.5), _BROADLEAVES, rng)
    standing.clear(standing.view.draw_lines(use.roads, extra_m=3.0) > 0.5)  # keep the roads free
    _park_cars(standing, use, seen, rng)


def _plant_woods(standing: Standing, surface: Surface, rng: Generator) -> None:
    """Plant a tree every few metres in the woods, and a bush here and there in the open."""
    view = standing.view
    left, top, right, bottom = view.bounds_m
    step = 5.2
    columns, rows = np.meshgrid(np.arange(left, right, step), np.arange(top, bottom, step))
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    points += rng.uniform(0, step, points.shape)
    pixels = np.floor(view.to_pixels(points)).astype(int)
    height, width = view.shape
    inside = (pixels[:, 0] < width) & (pixels[:, 1] < height)
    points, pixels = points[inside], pixels[inside]
    cover = surface.dominant()[pixels[:, 1], pixels[:, 0]]
    chance = rng.random(len(points))
    for names, density, paints, radii in (
        (("broadleaf", "autumn wood"), 0.86, _BROADLEAVES, (2.2, 5.2)),
        (("conifer",), 0.95, _CONIFERS, (1.8, 3.6)),
        (("young wood",), 0.9, _BROADLEAVES, (1.2, 2.4)),
        (("scrub",), 0.16, _BROADLEAVES, (1.2, 2.8)),
    ):
        chosen = np.isin(np.array(COVERS)[cover], names) & (chance < density)
        standing.plant(points[chosen], radii, paints, rng)


def _plant_hedges(
    standing: Standing, use: LandUse, seen: NDArray[np.bool_], rng: Generator
) -> None:
    for parcel in np.flatnonzero(seen & FARMED[use.use] & (use.edge < HEDGED)):
        points, _ = along(use.parcels.rings[parcel], 4.6)
        gaps = smooth_noise(rng, (1, len(points)), 14)[0] > -0.35
        points = points[gaps] + rng.normal(0, 1.0, (int(gaps.sum()), 2))
        standing.plant(points, (1.5, 4.2), _BROADLEAVES, rng)


def _build_block(standing: Standing, use: LandUse, parcel: int, rng: Generator) -> None:
    """Build houses along the streets around a block, with gardens behind them."""
    old = use.use[parcel] == USE["old town"]
    setback, every, wall_m = (9.5, 13.5, 8.5) if old else (15.0, 21.0, 3.4)
    outline = use.parcels.outlines[parcel]
    points, direction = along(use.parcels.rings[parcel], every)
    inward = _turn_inward(direction, points, use.parcels.centres[parcel])
    across = np.column_stack([np.cos(inward), np.sin(inward)])
    lots = points + across * (setback + rng.uniform(-1.5, 1.5, len(points)))[:, None]
    free = shapely.contains_xy(shapely.buffer(outline, 1.6 - setback), lots)
    for at in np.flatnonzero(free):
        if rng.random() < 0.92:
            half = (6.4, 5.6) if old else (rng.uniform(5.0, 8.2), rng.uniform(3.8, 5.2))
            turned = direction[at] + (0 if old or rng.random() < 0.7 else np.pi / 2)
            roof = int(rng.choice(_ROOFS))
            standing.put_box(lots[at], half, turned, roof, wall_m=wall_m, ridge_m=2.4)
            if not old:
                _lay_out_garden(standing, lots[at], points[at], direction[at], rng)
    trees = _scatter(use, parcel, 420.0 if old else 170.0, rng)
    standing.plant(trees, (1.3, 4.4), _BROADLEAVES, rng)


def _turn_inward(
    direction: NDArray[np.float64], points: Points, centre: Points
) -> NDArray[np.float64]:
    """Return the direction across a line, towards `centre`."""
    across = direction + np.pi / 2
    to_centre = centre - points
    towards = to_centre[:, 0] * np.cos(across) + to_centre[:, 1] * np.sin(across)
    result: NDArray[np.float64] = np.where(towards > 0, across, across + np.pi)
    return result


def _lay_out_garden(
    standing: Standing, house: Points, street: Points, angle: float, rng: Generator
) -> None:
    """Lay out a drive to the street, perhaps with a car, and perhaps a shed or a pool behind."""
    across = (house - street) / np.hypot(*(house - street))
    beside = np.array([np.cos(angle), np.sin(angle)])
    drive = 0.5 * (house + street) + beside * rng.uniform(-4, 4) + across * 2.5
    standing.put_box(drive, (1.8, 5.0), angle, PAINT["drive"], wall_m=0.05)
    if rng.random() < 0.6:
        car = int(rng.choice(_CARS))
        standing.put_box(drive - across * 1.5, (0.9, 2.2), angle, car, wall_m=1.4)
    behind = house + across * rng.uniform(11, 14)
    if rng.random() < 0.3:
        shed = behind + beside * rng.uniform(-6, 6)
        standing.put_box(shed, (1.8, 1.5), angle, PAINT["metal roof"], wall_m=2.2)
    elif rng.random() < 0.16:
        standing.put_box(behind, (4.0, 2.2), angle, PAINT["pool"], wall_m=0.05)


def _build_works(standing: Standing, use: LandUse, parcel: int, rng: Generator) -> None:
    """Build one large flat roof, with cars in rows beside it."""
    size = float(np.sqrt(shapely.area(use.parcels.outlines[parcel])))
    angle = float(use.parcels.angle[parcel])
    centre = use.parcels.centres[parcel]
    beside = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-np.sin(angle), np.cos(angle)])
    hall = centre - across * 0.14 * size
    roof = PAINT[str(rng.choice(["metal roof", "grey roof", "tan roof"]))]
    standing.put_box(hall, (0.34 * size, 0.2 * size), angle, roof, wall_m=8.0)
    for number in range(int(size / 14)):
        vent = (
            hall + beside * rng.uniform(-0.3, 0.3) * size + across * rng.uniform(-0.15, 0.15) * size
        )
        standing.put_box(vent, (1.6, 1.6), angle, PAINT["grey roof"], wall_m=9.4 + 0.1 * number)
    for row in (0.18, 0.26):
        for place in np.arange(-0.34 * size, 0.34 * size, 2.8):
            if rng.random() < 0.6:
                spot = centre + across * row * size + beside * place
                standing.put_box(spot, (0.9, 2.2), angle, int(rng.choice(_CARS)), wall_m=1.4)


def _scatter(use: LandUse, parcel: int, every_m2: float, rng: Generator) -> Points:
    """Return random points in a parcel, away from its edge."""
    inner = shapely.buffer(use.parcels.outlines[parcel], -7.0)
    if shapely.is_empty(inner):
        return np.zeros((0, 2))
    low_x, low_y, high_x, high_y = shapely.bounds(inner)
    number = int((high_x - low_x) * (high_y - low_y) / every_m2)
    points = rng.uniform((low_x, low_y), (high_x, high_y), (number, 2))
    kept: Points = points[shapely.contains_xy(inner, points)]
    return kept


def _park_cars(standing: Standing, use: LandUse, seen: NDArray[np.bool_], rng: Generator) -> None:
    """Put cars on the roads and at the kerbs of streets."""
    built = np.isin(use.use, [USE["houses"], USE["old town"]])
    roads = [road.points for road in use.roads]
    kerbs = [use.parcels.rings[parcel] for parcel in np.flatnonzero(seen & built)]
    for lines, every_m, aside_m in ((roads, 60.0, 2.4), (kerbs, 24.0, 2.6)):
        for line in lines:
            if not standing.view.sees(line):
                continue
            points, direction = along(line, every_m)
            points = points + rng.uniform(-8, 8, (len(points), 1)) * np.column_stack(
                [np.cos(direction), np.sin(direction)]
            )
            points += aside_m * np.column_stack([-np.sin(direction), np.cos(direction)])
            for point, angle in zip(points, direction, strict=True):
                if rng.random() < 0.5:
                    car = int(rng.choice(_CARS))
                    standing.put_box(point, (2.2, 0.9), float(angle), car, wall_m=1.4)
