"""The tools that draw the landscape: lines, parcels, covers, sky, and the place on Earth."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from stacchip.demo.frame import contains_centres, outline
from stacchip.demo.landscape import COVER, Clouds, Season, Sky, Surface, View, make_sky
from stacchip.demo.landscape.noise import blur, fractal_noise, resample
from stacchip.demo.landscape.parcels import divide, make_districts, spread
from stacchip.demo.landscape.roads import Town, along, choose_towns, connect_towns
from stacchip.demo.landscape.spectra import BANDS, USES, reflectance_table

NOON = Season("spring", snow_line_m=1000.0, sun_azimuth=180.0, sun_elevation=45.0)


def fill(shape: tuple[int, int], value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def test_roads_go_around_what_is_costly() -> None:
    cost = fill((40, 40), 1.0)
    cost[:30, 20] = 1000.0  # a wall with a gap in the south
    towns = [Town((5 * 60.0, 5 * 60.0), 300.0), Town((35 * 60.0, 5 * 60.0), 300.0)]
    (road,) = connect_towns(towns, cost, 60.0)
    crossing = road.points[np.abs(road.points[:, 0] - 20.5 * 60).argmin()]
    assert crossing[1] > 29 * 60
    ends = road.points[[0, -1]]
    np.testing.assert_allclose(ends, [[35.5 * 60, 5.5 * 60], [5.5 * 60, 5.5 * 60]])


def test_a_town_that_cannot_be_reached_has_no_road() -> None:
    cost = fill((20, 20), 1.0)
    cost[:, 10] = np.inf
    towns = [Town((120.0, 600.0), 300.0), Town((1080.0, 600.0), 300.0)]
    assert connect_towns(towns, cost, 60.0) == []


def test_a_road_does_not_leave_the_landscape_at_its_edge() -> None:
    cost = fill((20, 20), 1.0)
    towns = [Town((30.0, 30.0), 300.0), Town((30.0, 1170.0), 300.0)]  # both in the first column
    (road,) = connect_towns(towns, cost, 60.0)
    assert road.points.min() >= 0
    assert road.points[:, 0].max() < 120


def test_the_most_appealing_place_has_the_largest_town() -> None:
    appeal = fractal_noise(np.random.default_rng(0), (192, 192), 40, 3)
    towns = choose_towns(appeal, 240.0)
    assert towns[0].radius_m == max(town.radius_m for town in towns)
    col, row = (int(at / 240) for at in towns[0].centre)
    assert appeal[row, col] == appeal.max()


def test_points_along_a_line_lie_at_equal_distances() -> None:
    line = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]])
    points, direction = along(line, 10.0)
    np.testing.assert_allclose(
        points, [[0, 0], [10, 0], [20, 0], [30, 0], [30, 10], [30, 20], [30, 30]]
    )
    np.testing.assert_allclose(direction, [0, 0, 0, *[np.pi / 2] * 4])


def test_districts_tile_the_landscape() -> None:
    districts = make_districts(np.random.default_rng(3))
    assert shapely.area(districts).sum() == pytest.approx(46080.0**2)
    assert shapely.union_all(districts).area == pytest.approx(46080.0**2)


def test_parcels_lie_in_their_district_and_fill_most_of_it() -> None:
    rng = np.random.default_rng(4)
    districts = make_districts(rng)[:12]
    parcels, origin = divide(districts, rng.normal(0, 0.5, 12), np.full(12, 90e3), rng)
    own = shapely.buffer(districts[origin], 0.01)
    assert shapely.covers(own, parcels.outlines).all()
    covered = np.bincount(origin, shapely.area(parcels.outlines), minlength=12)
    assert (covered > 0.9 * shapely.area(districts)).all()
    assert (covered <= shapely.area(districts) * (1 + 1e-9)).all()
    assert shapely.contains_xy(parcels.outlines, parcels.centres).all()
    assert 20 < len(parcels) / 12 < 200


def test_parcels_seen_are_those_that_touch_the_view() -> None:
    rng = np.random.default_rng(5)
    parcels, _ = divide(make_districts(rng)[:12], np.zeros(12), np.full(12, 90e3), rng)
    left, top, _, _ = shapely.bounds(parcels.outlines[0])
    view = View(left, top, 10.0, (60, 60))
    boxes = shapely.box(*shapely.bounds(parcels.outlines).T)
    expected = shapely.intersects(boxes, shapely.box(*view.bounds_m))
    assert 0 < expected.sum() < len(parcels)
    np.testing.assert_array_equal(parcels.seen_in(view), expected)
    np.testing.assert_array_equal(parcels.select(expected).angle, parcels.angle[expected])


def test_later_areas_lie_on_top() -> None:
    view = View(0.0, 0.0, 10.0, (20, 20))
    squares = [
        shapely.get_coordinates(shapely.box(*corners))
        for corners in ((0, 0, 100, 100), (50, 50, 150, 150), (5000, 0, 5100, 100))
    ]
    place = view.draw_areas(squares)
    assert (place[2, 2], place[7, 7], place[12, 12], place[18, 18]) == (1, 2, 2, 0)
    assert set(np.unique(place)) == {0, 1, 2}
    values = spread(np.array([0.5, 0.25, 9.0]), place, outside=1)
    assert (values[2, 2], values[7, 7], values[18, 18]) == (0.5, 0.25, 1.0)


def test_a_cover_hides_its_share_of_the_ground() -> None:
    shape = (9, 9)
    surface = Surface(
        View(0.0, 0.0, 10.0, shape),
        np.full(shape, COVER["pale soil"], np.uint8),
        np.zeros(shape, np.uint8),
        fill(shape, 0),
        fill(shape, 1),
        fill(shape, 0),
    )
    table = reflectance_table("red")
    for share, cover in ((0.25, "pale soil"), (0.75, "asphalt")):
        surface.lay("asphalt", fill(shape, share))
        expected = (1 - share) * table[COVER["pale soil"]] + share * table[COVER["asphalt"]]
        np.testing.assert_allclose(surface.reflect("red"), expected, rtol=1e-5)
        assert (surface.dominant() == COVER[cover]).all()
    surface.lay("snow", fill(shape, 0.0))
    assert not (surface.over == COVER["snow"]).any(), "nothing was laid"


@pytest.mark.parametrize("band", BANDS)
def test_a_clear_sky_changes_nothing_and_a_cloud_hides_all(band: str) -> None:
    shape = (4, 4)
    ground = fill(shape, 0.2)
    clear = Sky(fill(shape, 0), fill(shape, 1), fill(shape, 0), fill(shape, 0))
    np.testing.assert_array_equal(clear.veil(ground, band), ground)
    thick = Sky(fill(shape, 1), fill(shape, 1), fill(shape, 1), fill(shape, 0))
    np.testing.assert_allclose(
        thick.veil(ground, band), reflectance_table(band)[COVER["cloud"]], rtol=1e-6
    )
    shaded = Sky(fill(shape, 0), fill(shape, 1), fill(shape, 1), fill(shape, 0))
    assert (shaded.veil(ground, band) < 0.5 * ground).all()
    assert (shaded.veil(ground, band) > 0).all()
    hazy = Sky(fill(shape, 0), fill(shape, 1), fill(shape, 0), fill(shape, 0.5))
    dark = fill(shape, 0.02)
    assert (dark < hazy.veil(dark, band)).all(), "cirrus brightens what is dark"
    assert (hazy.veil(dark, band) < thick.veil(dark, band)).all()
    assert ground.max() == ground.min() == np.float32(0.2), "the ground itself does not change"


@pytest.mark.parametrize("cover", [0.05, 0.3])
def test_clouds_cover_about_the_share_that_was_asked_for(cover: float) -> None:
    view = View(0.0, 0.0, 30.0, (512, 512))
    clouds = Clouds(cover=cover, width_m=1500.0, base_m=1200.0, cirrus=0.0)
    sky = make_sky(view, clouds, NOON, np.random.default_rng(1))
    assert 0.3 * cover < (sky.cloud > 0.3).mean() < 2 * cover
    assert not sky.cirrus.any()


def test_every_land_use_has_covers_in_both_seasons() -> None:
    assert {len(covers) for covers in USES.values()} == {2}
    assert {cover for covers in USES.values() for cover in covers} <= set(COVER)


def test_pixels_in_a_polygon_are_those_whose_centres_it_holds() -> None:
    view = View(600.0, 0.0, 10.0, (40, 50))
    polygon = outline(view, [(0.1, 0), (1.02, 0.2), (0.7, 1), (0, 0.6)])
    inside = contains_centres(view, polygon)
    assert inside.shape == (40, 50)
    for row, col in ((0, 0), (5, 20), (39, 49), (20, 25), (38, 34), (30, 1)):
        centre = shapely.Point(600 + 10 * (col + 0.5), 10 * (row + 0.5))
        assert inside[row, col] == polygon.contains(centre)
    assert inside.sum() * 100 == pytest.approx(
        shapely.intersection(polygon, shapely.box(*view.bounds_m)).area, rel=0.02
    )


def test_a_coarser_grid_has_the_mean_and_a_finer_one_the_shape() -> None:
    field = fractal_noise(np.random.default_rng(2), (64, 64), 16, 3)
    coarse = resample(field, (16, 16))
    mean = field.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.corrcoef(coarse.ravel(), mean.ravel())[0, 1] > 0.98
    np.testing.assert_allclose(resample(resample(field, (256, 256)), (64, 64)), field, atol=0.15)
    part = resample(field, (8, 8), (16, 32, 24, 40))
    np.testing.assert_array_equal(part, field[32:40, 16:24])


def test_a_blurred_field_is_the_mean_of_its_neighbourhood() -> None:
    field = np.random.default_rng(3).random((12, 15)).astype(np.float32)
    padded = np.pad(field, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    np.testing.assert_allclose(
        blur(field, 2, passes=1), windows.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6
    )
