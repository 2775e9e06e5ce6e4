"""Trees, houses and cars stand where the use of the land asks for them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from stacchip.demo.frame import contains_centres
from stacchip.demo.landscape import FARMED, HEDGED, Landscape, View, clear_ground, furnish, look
from stacchip.demo.landscape.spectra import USE
from stacchip.demo.landscape.standing import PAINT, Standing
from stacchip.demo.naip import SEASON

ROOFS = [number for name, number in PAINT.items() if name.endswith("roof")]
CARS = [number for name, number in PAINT.items() if name.endswith("car")]
TREES = [number for name, number in PAINT.items() if name.startswith(("tree", "conifer"))]


def furnish_around(
    landscape: Landscape, parcel: int, margin_m: float = 15.0
) -> tuple[Standing, np.ndarray]:
    """Furnish a view of one parcel; also return True for the pixels inside the parcel."""
    outline = landscape.land_use.parcels.outlines[parcel]
    left, top, right, bottom = shapely.bounds(outline)
    shape = (int(bottom - top + 2 * margin_m), int(right - left + 2 * margin_m))
    view = View(float(left) - margin_m, float(top) - margin_m, 1.0, shape)
    rng = np.random.default_rng(0)
    standing = clear_ground(view, rng)
    furnish(standing, look(landscape, view, SEASON, rng), landscape.land_use, rng)
    return standing, contains_centres(view, outline)


def find_parcel(landscape: Landscape, use: str, apart_from_roads_m: float = 60.0) -> int:
    """Return the largest parcel of a use that no road crosses."""
    land_use = landscape.land_use
    roads = shapely.union_all([shapely.linestrings(road.points) for road in land_use.roads])
    outlines = land_use.parcels.outlines
    chosen = np.flatnonzero(land_use.use == USE[use])
    chosen = chosen[shapely.distance(outlines[chosen], roads) > apart_from_roads_m]
    return int(chosen[shapely.area(outlines[chosen]).argmax()])


def test_works_have_one_large_hall_and_parked_cars(landscape: Landscape) -> None:
    parcel = find_parcel(landscape, "works")
    standing, inside = furnish_around(landscape, parcel)
    roof = np.isin(standing.paint, ROOFS) & inside
    area_m2 = shapely.area(landscape.land_use.parcels.outlines[parcel])
    assert 0.15 * area_m2 < roof.sum() < 0.45 * area_m2
    assert standing.height[roof].min() >= 8.0
    assert (np.isin(standing.paint, CARS) & inside).sum() > 50


@pytest.mark.parametrize(("use", "wall_m"), [("houses", 3.4), ("old town", 8.5)])
def test_blocks_have_houses_with_gable_roofs(landscape: Landscape, use: str, wall_m: float) -> None:
    standing, inside = furnish_around(landscape, find_parcel(landscape, use))
    roof = np.isin(standing.paint, [number for number in ROOFS if number != PAINT["metal roof"]])
    heights = standing.height[roof & inside]
    assert heights.size > 200
    assert heights.min() >= np.float32(wall_m)
    assert wall_m + 2.0 < heights.max() <= wall_m + 2.4 + 1e-5, "a ridge 2.4 m above the walls"
    assert (np.isin(standing.paint, TREES) & inside).any(), "trees in the gardens"


def test_hedges_stand_around_fields_not_in_them(landscape: Landscape) -> None:
    land_use = landscape.land_use
    outlines = land_use.parcels.outlines
    towns = shapely.multipoints([town.centre for town in land_use.towns])
    hedged = np.flatnonzero(
        FARMED[land_use.use]
        & (land_use.edge < HEDGED)
        & (shapely.distance(outlines, towns) > 1500)
        & (shapely.area(outlines) < 60e3)
    )
    standing, inside = furnish_around(landscape, int(hedged[0]), margin_m=2.0)
    ring = shapely.get_exterior_ring(outlines[hedged[0]])
    rows, cols = np.nonzero(np.isin(standing.paint, TREES) & inside)
    left, top, _, _ = standing.view.bounds_m
    distance = shapely.distance(shapely.points(cols + 0.5 + left, rows + 0.5 + top), ring)
    assert len(distance) > 100
    assert np.mean(distance < 10) > 0.95


def test_nothing_stands_on_the_middle_of_a_road_but_cars(landscape: Landscape) -> None:
    road = landscape.land_use.roads[0].points
    x, y = road[len(road) // 2]
    view = View(float(x) - 100, float(y) - 100, 1.0, (200, 200))
    rng = np.random.default_rng(1)
    standing = clear_ground(view, rng)
    furnish(standing, look(landscape, view, SEASON, rng), landscape.land_use, rng)
    middle = view.draw_lines(landscape.land_use.roads) > 0.9
    assert middle.sum() > 1000
    assert set(np.unique(standing.paint[middle])) <= {0, *CARS}
