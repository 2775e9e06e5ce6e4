"""The landscape: rivers run downhill, people build on dry ground, all views see the same."""

from __future__ import annotations

import numpy as np
import shapely

from stacchip.demo.landscape import CELL_M, CELLS, EXTENT_M, Landscape
from stacchip.demo.landscape.relief import accumulate_area, drain, link_pits, sample
from stacchip.demo.landscape.spectra import BUILT, COVERS, WATER
from stacchip.demo.landscape.surface import look
from stacchip.demo.landscape.view import Line, View
from stacchip.demo.sentinel2 import SEASON


def at(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    return sample(field, points[:, 1] / CELL_M - 0.5, points[:, 0] / CELL_M - 0.5)


def test_all_land_drains_into_the_sea(landscape: Landscape) -> None:
    ground = landscape.ground
    sea = ground.coast < 0
    drainage = drain(ground.height, sea, np.random.default_rng(0))
    end = drainage.receiver == sea.size
    assert sea.ravel()[end].all()
    assert drainage.area.ravel()[end].sum() == sea.size


def test_area_counts_every_cell_upstream() -> None:
    rng = np.random.default_rng(1)
    receiver = np.array([rng.integers(cell + 1, 400) if cell < 399 else 400 for cell in range(400)])
    expected = np.ones(400)
    for cell in range(399):  # each drains to a later one: in order, one pass is exact
        expected[receiver[cell]] += expected[cell]
    np.testing.assert_array_equal(accumulate_area(receiver), expected)


def test_a_pit_drains_over_its_lowest_pass() -> None:
    #        sea  pass  pit  pass  pit
    height = np.array([[0.0, 3.0, 1.0, 5.0, 2.0]], np.float32)
    sea = np.array([[True, False, False, False, False]])
    downhill = np.array([5, 0, 5, 2, 5])
    assert link_pits(height, sea, downhill).tolist() == [5, 0, 1, 2, 3]


def test_rivers_run_downhill_and_widen(landscape: Landscape) -> None:
    rivers = landscape.ground.rivers
    assert len(rivers) > 20
    for river in rivers[:10]:
        height = at(landscape.ground.height, river.points)
        assert height[:20].mean() > height[-20:].mean()
        width = np.asarray(river.width_m)
        assert width[-1] > 1.2 * width[0]
        assert width.min() > 5
    ends = np.array([river.points[-1] for river in rivers])
    assert (at(landscape.ground.coast, ends) < 200).any(), "some reach the sea"


def test_there_is_sea_plain_and_high_ground(landscape: Landscape) -> None:
    height, coast = landscape.ground.height, landscape.ground.coast
    assert height.shape == (CELLS, CELLS)
    assert 0.05 < (coast < 0).mean() < 0.4
    assert (height[coast < 0] == 0).all()
    assert 1500 < height.max() < 3500
    assert ((height < 200) & (coast > 0)).mean() > 0.25


def test_the_lake_is_deepest_inside_and_lies_above_the_sea(landscape: Landscape) -> None:
    lake = landscape.ground.lake
    assert (lake > 0).any()
    assert landscape.ground.height[lake > 0].min() > 50


def test_towns_are_apart_and_dry(landscape: Landscape) -> None:
    land_use = landscape.land_use
    centres = np.array([town.centre for town in land_use.towns])
    assert len(centres) > 15
    apart = np.hypot(*(centres[:, None] - centres).transpose(2, 0, 1))
    assert apart[~np.eye(len(centres), dtype=bool)].min() > 2500
    built = BUILT[land_use.use]
    assert built.sum() > 500
    assert at(landscape.ground.coast, land_use.parcels.centres[built]).min() > 0
    assert at(landscape.ground.lake, land_use.parcels.centres[built]).max() < 0


def test_roads_reach_every_town(landscape: Landscape) -> None:
    land_use = landscape.land_use
    network = shapely.union_all([shapely.linestrings(road.points) for road in land_use.roads])
    for town in land_use.towns:
        assert shapely.distance(network, shapely.points(town.centre)) < 500


def test_roads_end_in_a_town_or_on_a_road(landscape: Landscape) -> None:
    land_use = landscape.land_use
    towns = shapely.multipoints([town.centre for town in land_use.towns])
    for number, road in enumerate(land_use.roads):
        others = [shapely.linestrings(other.points) for other in land_use.roads[:number]]
        for end in (road.points[0], road.points[-1]):
            point = shapely.points(end)
            gaps = [shapely.distance(point, other) for other in others]
            assert shapely.distance(point, towns) < 400 or min(gaps) < 1


def test_parcels_do_not_overlap(landscape: Landscape) -> None:
    outlines = landscape.land_use.parcels.outlines[:4000]
    first, second = shapely.STRtree(outlines).query(outlines, predicate="overlaps")
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    assert shared.max(initial=0) < 1.0


def test_views_of_different_resolution_see_the_same_land(landscape: Landscape) -> None:
    fine = View(9000.0, 28800.0, 10.0, (600, 600))
    water = np.isin(np.array(COVERS), WATER)
    seen = []
    for view in (fine, fine.coarsen(3)):
        assert view.bounds_m == (9000.0, 28800.0, 15000.0, 34800.0)
        surface = look(landscape, view, SEASON, np.random.default_rng(view.shape[0]))
        seen.append(water[surface.dominant()])
    assert 0.01 < seen[0].mean() < 0.99
    coarse = seen[0].reshape(200, 3, 200, 3).mean(axis=(1, 3)) > 0.5
    assert (coarse == seen[1]).mean() > 0.97


def test_a_line_covers_its_length_times_its_width() -> None:
    view = View(0.0, 0.0, 10.0, (100, 100))
    for width_m in (4.0, 15.0, 60.0):
        line = Line(np.array([[100.0, 505.0], [900.0, 505.0]]), width_m)
        covered = view.draw_lines([line], fineness=4).sum() * 100
        assert 0.7 < covered / (800 * width_m) < 1.3
    assert EXTENT_M == 46080
