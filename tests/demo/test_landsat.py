"""The Landsat-like scene: its bits, its fill, its grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from stacchip.demo import landsat as ls
from stacchip.demo.landscape import COVERS, WATER, Landscape


@pytest.fixture(scope="module")
def quality(landsat: Path) -> np.ndarray:
    with rasterio.open(landsat.parent / "QA_PIXEL.TIF") as dataset:
        return dataset.read(1)


def has(quality: np.ndarray, bit: int) -> np.ndarray:
    return (quality >> bit) & 1 == 1


def confidence(quality: np.ndarray, shift: int) -> np.ndarray:
    return (quality >> shift) & 3


def test_values_are_those_that_usgs_writes(quality: np.ndarray) -> None:
    """Values of the product guide's table: fill, clear land and water, cloud, shadow."""
    values, counts = np.unique(quality, return_counts=True)
    common = set(values[counts > 50].tolist())
    assert common >= {1, 21824, 21952, 22280, 23888}


def test_fill_has_no_other_bit(quality: np.ndarray) -> None:
    assert set(quality[has(quality, 0)].tolist()) == {1}


def test_fill_is_the_corners_of_a_leaning_square(quality: np.ndarray) -> None:
    fill = has(quality, 0)
    assert 0.2 < fill.mean() < 0.5
    assert fill[0, 0]
    assert fill[0, -1]
    assert fill[-1, 0]
    assert fill[-1, -1]
    for edge in (fill[0], fill[-1], fill[:, 0], fill[:, -1]):
        assert (~edge).sum() < 20, "the data touch each edge with a corner only"
    assert not fill[fill.shape[0] // 2, fill.shape[1] // 2]


def test_bits_do_not_contradict_each_other(quality: np.ndarray) -> None:
    seen = quality[~has(quality, 0)]
    dilated, cirrus, cloud, shadow, snow, clear, water = (has(seen, bit) for bit in range(1, 8))
    assert not (cloud & (dilated | shadow | snow | water | clear)).any()
    np.testing.assert_array_equal(clear, ~(cloud | dilated))
    np.testing.assert_array_equal(confidence(seen, 8) == 3, cloud)
    np.testing.assert_array_equal(confidence(seen, 10) == 3, shadow)
    np.testing.assert_array_equal(confidence(seen, 12) == 3, snow)
    np.testing.assert_array_equal(confidence(seen, 14) == 3, cirrus)
    for shift in (8, 10, 12, 14):
        assert (confidence(seen, shift) > 0).all(), "0 would be: not determined"


def test_dilated_cloud_lies_around_clouds(quality: np.ndarray) -> None:
    dilated = has(quality, 1)
    cloud = has(quality, 3) | has(quality, 0)  # at the edge the cloud may lie where no data are
    near = np.zeros_like(cloud)
    padded = np.pad(cloud, 3)
    for row in range(7):
        for col in range(7):
            near |= padded[row : row + cloud.shape[0], col : col + cloud.shape[1]]
    assert dilated.any()
    assert (near[dilated]).all()


def test_cloud_cover_is_the_share_of_the_cloud_bit(landsat: Path, quality: np.ndarray) -> None:
    cover = json.loads(landsat.read_text())["properties"]["eo:cloud_cover"]
    seen = quality[~has(quality, 0)]
    assert cover == pytest.approx(100 * has(seen, 3).mean(), abs=0.005)
    assert 1 < cover < 60


def test_bits_agree_with_the_sky_and_the_ground_that_were_drawn(landscape: Landscape) -> None:
    scene = ls.look_down(landscape, ls.SMALL, seed=0)
    *_, quality = ls.draw(landscape, ls.SMALL, 0)
    seen = ~has(quality, 0)
    cloud, cloudless = has(quality, 3), seen & ~has(quality, 3)
    for opacity, flagged, among in (
        (scene.sky.cloud, cloud, seen),
        (scene.sky.shadow, has(quality, 4), cloudless),
        (scene.sky.cirrus, has(quality, 2), seen),
    ):
        others = among & ~flagged
        assert flagged.sum() > 20
        assert opacity[flagged].min() > opacity[others].max()
    # cloud confidence rises with opacity
    sure, maybe, clear = (seen & (confidence(quality, 8) == level) for level in (3, 2, 1))
    assert scene.sky.cloud[sure].min() > scene.sky.cloud[maybe].max()
    assert scene.sky.cloud[maybe].min() > scene.sky.cloud[clear].max()
    cover = np.array(COVERS)[scene.surface.dominant()]
    np.testing.assert_array_equal(has(quality, 5) & seen, cloudless & (cover == "snow"))
    water = cloudless & np.isin(cover, WATER)
    assert not (has(quality, 7) & ~water).any()
    assert (has(quality, 7) & water).sum() > 0.7 * water.sum()


def test_reflectances_follow_from_scale_and_offset(landsat: Path, quality: np.ndarray) -> None:
    assets = json.loads(landsat.read_text())["assets"]
    assert set(assets) >= {"red", "green", "blue", "nir08", "swir16", "swir22", "qa_pixel"}
    reflectance = {}
    for key in ("red", "nir08"):
        band = assets[key]["raster:bands"][0]
        with rasterio.open(landsat.parent / assets[key]["href"]) as dataset:
            counts = dataset.read(1)
        np.testing.assert_array_equal(counts == 0, has(quality, 0))
        reflectance[key] = counts * band["scale"] + band["offset"]
        assert reflectance[key][counts > 0].min() >= -1e-6
    assert np.median(reflectance["red"][has(quality, 3)]) > 0.5
    assert np.median(reflectance["nir08"][quality == 21952]) < 0.05
    assert np.median(reflectance["nir08"][quality == 21824]) > 0.15


def test_centres_of_pixels_lie_on_multiples_of_30_m(landsat: Path) -> None:
    for view in (ls.WHOLE, ls.SMALL):
        assert view.left_m % 30 == 15
        assert view.top_m % 30 == 15
    with rasterio.open(landsat.parent / "SR_B4.TIF") as dataset:
        x, y = dataset.xy(0, 0)
        assert (x % 30, y % 30) == (0, 0)
