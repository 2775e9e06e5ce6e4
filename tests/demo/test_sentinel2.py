"""The Sentinel-2-like scene: bands, scene classification, clouds and their shadows."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio

from stacchip.demo import sentinel2 as s2
from stacchip.demo.frame import contains_centres, outline
from stacchip.demo.landscape import COVERS, WATER, Landscape, View
from stacchip.demo.landscape.weather import shadow_offset_m
from stacchip.demo.observation import Observation

VIEW = View(9000.0, 30000.0, 10.0, (384, 384))


@pytest.fixture(scope="module")
def scene(landscape: Landscape) -> Observation:
    return s2.look_down(landscape, VIEW, seed=0)


def read(item: Path, name: str) -> np.ndarray:
    with rasterio.open(item.parent / f"{name}.tif") as dataset:
        return dataset.read(1)


def test_bands_have_their_true_resolutions(sentinel2: Path) -> None:
    expected = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60}
    for key, (name, _, _) in s2.BANDS.items():
        with rasterio.open(sentinel2.parent / f"{name}.tif") as dataset:
            assert dataset.res == (expected.get(name, 20),) * 2, key
            assert (dataset.dtypes, dataset.nodata) == (("uint16",), 0), key
            assert dataset.bounds == pytest.approx((427200, 5183520, 434880, 5191200)), key


def test_keys_are_those_of_earth_search(sentinel2: Path) -> None:
    item = json.loads(sentinel2.read_text())
    assert set(item["assets"]) == {
        *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08"),
        *("nir09", "swir16", "swir22", "scl", "thumbnail", "granule_metadata"),
    }


@pytest.mark.parametrize("band", ["coastal", "nir09", "rededge2", "swir16"])
def test_coarse_pixels_are_the_mean_of_the_fine_landscape(
    landscape: Landscape, scene: Observation, band: str
) -> None:
    number = list(s2.BANDS).index(band)
    times = s2.BANDS[band][1] // 10
    side = 384 // times
    fine = scene.reflectance(band, number).astype(np.float64)
    mean = fine.reshape(side, times, side, times).mean(axis=(1, 3))
    counts = next(islice(s2.draw(landscape, VIEW, 0), number, None))
    assert counts.shape == (side, side)
    assert mean.std() > 0.01
    valid = contains_centres(VIEW.coarsen(6), outline(VIEW, s2.SWATH))
    valid = np.kron(valid, np.ones((6 // times, 6 // times), bool))
    np.testing.assert_allclose(counts[valid] / 10000, mean[valid], atol=0.0004 + 1e-6)
    assert (counts[~valid] == 0).all()


def test_nodata_is_the_same_in_all_bands_and_the_classification(sentinel2: Path) -> None:
    classes = read(sentinel2, "SCL")
    assert 0 < (classes == 0).mean() < 0.3
    assert not (classes == 0)[:, 0].any(), "the wedge lies in the east"
    assert (classes == 0)[-1, -1]
    for name, _, _ in s2.BANDS.values():
        empty = read(sentinel2, name) == 0
        coarse, fine = sorted((empty, classes == 0), key=np.size)
        times = fine.shape[0] // coarse.shape[0]
        np.testing.assert_array_equal(np.kron(coarse, np.ones((times, times), bool)), fine)


def test_cloud_cover_is_the_share_of_cloudy_classes(sentinel2: Path) -> None:
    properties = json.loads(sentinel2.read_text())["properties"]
    classes = read(sentinel2, "SCL")
    seen = classes[classes > 0]
    share = 100 * np.isin(seen, [8, 9, 10]).mean()
    assert 1 < share < 60
    assert properties["eo:cloud_cover"] == pytest.approx(share, abs=1e-6)
    assert properties["s2:nodata_pixel_percentage"] == pytest.approx(
        100 * (classes == 0).mean(), abs=1e-6
    )
    parts = ("cloud_shadow", "vegetation", "not_vegetated", "water", "unclassified", "snow_ice")
    total = sum(properties[f"s2:{part}_percentage"] for part in parts)
    dark = 100 * (seen == 2).mean()
    assert total + properties["eo:cloud_cover"] + dark == pytest.approx(100, abs=1e-4)


def test_classes_agree_with_the_clouds_that_were_drawn(
    landscape: Landscape, scene: Observation
) -> None:
    """The more opaque the cloud, the surer the class; shadow and cirrus only without cloud."""
    *_, classes = s2.draw(landscape, VIEW, 0)
    seen = classes != s2.NODATA
    sky = {
        name: getattr(scene.sky, name).reshape(192, 2, 192, 2).mean(axis=(1, 3))
        for name in ("cloud", "cirrus", "shadow")
    }

    def opacity(name: str, *numbers: int) -> np.ndarray:
        chosen = np.isin(classes, numbers)
        assert chosen.sum() > 20, numbers
        return sky[name][chosen]

    rest = (s2.DARK, s2.SHADOW, s2.VEGETATION, s2.BARE, s2.WATER, s2.SNOW)
    ladder = [(s2.CLOUD_HIGH,), (s2.CLOUD_MEDIUM,), (s2.UNCLASSIFIED,), (s2.CIRRUS, *rest)]
    for surer, less_sure in pairwise(ladder):
        assert opacity("cloud", *surer).min() >= opacity("cloud", *less_sure).max() - 1e-6
    assert opacity("cirrus", s2.CIRRUS).min() >= sky["cirrus"][np.isin(classes, rest)].max() - 1e-6
    unshaded = (s2.VEGETATION, s2.BARE, s2.WATER)
    assert opacity("shadow", s2.SHADOW).min() >= opacity("shadow", *unshaded).max() - 1e-6
    assert seen.mean() > 0.8


def test_classes_of_clear_ground_are_those_of_its_cover(
    landscape: Landscape, scene: Observation
) -> None:
    *_, classes = s2.draw(landscape, VIEW, 0)
    cover = np.array(COVERS)[scene.surface.dominant()[::2, ::2]]
    assert np.isin(cover[classes == s2.WATER], WATER).all()
    assert not np.isin(cover[classes == s2.VEGETATION], [*WATER, "snow", "asphalt"]).any()
    assert np.isin(["pale soil", "asphalt"], cover[classes == s2.BARE]).any()


def test_classes_show_in_the_bands(sentinel2: Path) -> None:
    classes = read(sentinel2, "SCL")
    red, nir = (
        read(sentinel2, name)[::2, ::2].astype(np.float64) / 10000 for name in ("B04", "B08")
    )

    def median(band: np.ndarray, number: int) -> float:
        assert (classes == number).sum() > 100, f"class {number} does not occur"
        return float(np.median(band[classes == number]))

    assert median(red, s2.CLOUD_HIGH) > 0.5
    assert median(red, s2.CLOUD_HIGH) > median(red, s2.CLOUD_MEDIUM) > median(red, s2.BARE)
    assert median(nir, s2.WATER) < 0.05 < median(nir, s2.SHADOW) < 0.5 * median(nir, s2.VEGETATION)
    greenness = (nir - red) / np.maximum(nir + red, 0.001)
    assert median(greenness, s2.VEGETATION) > 0.6 > median(greenness, s2.BARE)


def test_shadows_lie_where_the_sun_puts_them(scene: Observation) -> None:
    east, south = shadow_offset_m(s2.CLOUDS.base_m, s2.SEASON)
    assert east < 0, "a morning sun in the south-east throws shadows to the west"
    assert south < 0, "and to the north"
    down, right = round(south / 20) * 2, round(east / 20) * 2
    cloud, shadow = scene.sky.cloud, scene.sky.shadow
    under = shadow[: 384 + down, : 384 + right]
    above = cloud[-down:, -right:]
    assert (above > 0.6).sum() > 500
    assert under[above > 0.6].min() > 0.6
    assert under[above < 0.01].max() < 0.15


def test_clouds_have_soft_edges(scene: Observation) -> None:
    cloud = scene.sky.cloud
    assert (cloud > 0.95).any()
    assert ((cloud > 0.1) & (cloud < 0.9)).sum() > 0.3 * (cloud > 0.9).sum()
