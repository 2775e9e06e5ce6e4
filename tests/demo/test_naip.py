"""The NAIP-like image: bands side by side in one file, and things with shadows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from stacchip.demo.landscape import Landscape
from stacchip.demo.landscape.standing import clear_ground, shine
from stacchip.demo.landscape.view import View
from stacchip.demo.naip import SEASON, choose_view


def test_image_has_four_interleaved_bands_and_no_transparency(naip: Path) -> None:
    with rasterio.open(naip.parent / "image.tif") as dataset:
        assert (dataset.count, dataset.dtypes[0], dataset.res) == (4, "uint8", (0.6, 0.6))
        assert dataset.interleaving.value == "PIXEL"
        assert ColorInterp.alpha not in dataset.colorinterp
        assert dataset.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert dataset.read().min() > 0


def test_plants_are_bright_in_the_infrared_only(naip: Path) -> None:
    with rasterio.open(naip.parent / "image.tif") as dataset:
        red, green, _, nir = dataset.read().astype(np.float64)
    index = (nir - red) / (nir + red)
    plants = index > 0.25
    assert plants.mean() > 0.3
    assert (index < 0.05).mean() > 0.05, "roads, roofs and bare fields have no plants"
    assert green[plants].mean() > red[plants].mean()


def test_view_lies_at_a_town_and_inside_the_landscape(landscape: Landscape) -> None:
    towns = landscape.land_use.towns
    left, top, right, bottom = choose_view(towns, 1792).bounds_m
    assert 0 <= left < right <= 46080
    assert 0 <= top < bottom <= 46080
    x, y = towns[4].centre
    assert abs((left + right) / 2 - x) < towns[4].radius_m
    assert abs((top + bottom) / 2 - y) < towns[4].radius_m


def test_houses_shade_the_side_away_from_the_sun() -> None:
    standing = clear_ground(View(0.0, 0.0, 1.0, (80, 80)), np.random.default_rng(0))
    standing.put_box(np.array([40.0, 40.0]), (5.0, 5.0), 0.0, 7, wall_m=9.0)
    assert (standing.paint == 7).sum() == 100
    light = shine(standing, SEASON)  # the sun in the south-east
    assert light[30, 32] < 0.6, "north-west of the house lies its shadow"
    assert light[48, 52] > 0.95, "south-east of it the sun shines"
    assert light[5, 5] == light[75, 75] == light[5, 75]


def test_what_is_lower_does_not_hide_what_is_higher() -> None:
    standing = clear_ground(View(0.0, 0.0, 1.0, (40, 40)), np.random.default_rng(0))
    standing.put_box(np.array([20.0, 20.0]), (4.0, 4.0), 0.0, 7, wall_m=9.0)
    standing.put_box(np.array([20.0, 20.0]), (8.0, 8.0), 0.0, 8, wall_m=3.0)
    assert standing.paint[20, 20] == 7
    assert standing.paint[20, 14] == 8
    standing.clear(np.ones((40, 40), bool))
    assert not standing.paint.any()
