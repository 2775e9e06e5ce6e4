"""A scene as Sentinel-2 would deliver it: Level-2A, with the keys of earth-search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.demo.frame import contains_centres, outline
from stacchip.demo.landscape import BARE as BARE_COVERS
from stacchip.demo.landscape import COVERS, Clouds, Field, Season, View
from stacchip.demo.landscape import WATER as WATER_COVERS
from stacchip.demo.observation import Observation, observe
from stacchip.demo.sensor import File, Sensor
from stacchip.demo.stac import describe_band, describe_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.demo.landscape import Landscape

WHOLE = View(3600.0, 16800.0, 10.0, (2304, 2304))
SMALL = View(7200.0, 28800.0, 10.0, (768, 768))
SEASON = Season("spring", snow_line_m=1350.0, sun_azimuth=153.0, sun_elevation=48.0)
CLOUDS = Clouds(cover=0.10, width_m=1500.0, base_m=1500.0, cirrus=0.30)
# all but a wedge in the east, as at the edge of a swath
SWATH = ((0.0, 0.0), (1.02, 0.0), (0.82, 1.0), (0.0, 1.0))


BANDS = {
    "coastal": ("B01", 60, 0.443),
    "blue": ("B02", 10, 0.490),
    "green": ("B03", 10, 0.560),
    "red": ("B04", 10, 0.665),
    "rededge1": ("B05", 20, 0.704),
    "rededge2": ("B06", 20, 0.740),
    "rededge3": ("B07", 20, 0.783),
    "nir": ("B08", 10, 0.842),
    "nir08": ("B8A", 20, 0.865),
    "nir09": ("B09", 60, 0.945),
    "swir16": ("B11", 20, 1.610),
    "swir22": ("B12", 20, 2.190),
}
"""The agency's name, metres per pixel and wavelength in micrometres of each band."""

# Scene classification, as the Level-2A product defines it.
NODATA, DARK, SHADOW, VEGETATION, BARE, WATER = 0, 2, 3, 4, 5, 6
UNCLASSIFIED, CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW = 7, 8, 9, 10, 11


def _class_of(cover: str) -> int:
    if cover == "snow":
        return SNOW
    if cover in WATER_COVERS:
        return WATER
    return BARE if cover in {*BARE_COVERS, "clearing", "dry grass"} else VEGETATION


_CLASS_OF_COVER = np.array([_class_of(cover) for cover in COVERS], np.uint8)


def count(reflectance: Field) -> NDArray[np.uint16]:
    """Return reflectances as counts, times 10,000; at least 8, because 0 means no data."""
    # in steps of 8: the instrument has 12 bits, and the files stay small
    counts = 8 * np.rint(reflectance * 1250)
    result: NDArray[np.uint16] = np.clip(counts, 8, 20000).astype(np.uint16)
    return result


def classify(scene: Observation) -> NDArray[np.uint8]:
    """Return the scene classification (SCL) on the grid of 20 m, also beyond the swath."""
    ground = scene.surface.dominant()[::2, ::2]
    cloud, cirrus = average(scene.sky.cloud, 2), average(scene.sky.cirrus, 2)
    shadow = average(scene.sky.shadow, 2)
    classes = _CLASS_OF_COVER[ground]
    classes[(scene.surface.light[::2, ::2] < 0.35) & (classes == VEGETATION)] = DARK
    for number, chosen in (
        (SHADOW, shadow > 0.35),
        (CIRRUS, cirrus > 0.08),
        (UNCLASSIFIED, cloud > 0.12),
        (CLOUD_MEDIUM, cloud > 0.25),
        (CLOUD_HIGH, cloud > 0.6),
    ):
        classes[chosen] = number
    return classes


def average(values: Field, times: int) -> Field:
    """Return the mean of each block of `times` x `times` pixels, (y, x).

    Example:
        >>> average(np.array([[1, 2], [3, 6]], np.float32), 2).tolist()
        [[3.0]]
    """
    if times == 1:
        return values
    rows = np.sum([values[start::times] for start in range(times)], axis=0)
    columns = np.sum([rows[:, start::times] for start in range(times)], axis=0)
    result: Field = columns * np.float32(1 / times**2)
    return result


def look_down(landscape: Landscape, view: View, seed: int) -> Observation:
    """Observe a view of pixels of 10 m."""
    return observe(landscape, view, SEASON, CLOUDS, np.random.default_rng([seed, 2]))


def draw(landscape: Landscape, view: View, seed: int) -> Iterator[NDArray[Any]]:
    """Yield each band at its own resolution, then the scene classification."""
    scene = look_down(landscape, view, seed)
    # on the grid of 60 m, so that all bands agree
    valid = contains_centres(view.coarsen(6), outline(view, SWATH))
    for number, (key, (_, gsd, _)) in enumerate(BANDS.items()):
        reflectance = average(scene.reflectance(key, number), gsd // 10)
        yield count(reflectance) * np.kron(valid, np.ones((60 // gsd, 60 // gsd), bool))
    yield classify(scene) * np.kron(valid, np.ones((3, 3), bool))


def _describe_classes(classes: NDArray[np.uint8]) -> dict[str, Any]:
    numbers = np.bincount(classes.ravel(), minlength=12)
    seen = numbers[1:].sum()

    def percent(*chosen: int) -> float:
        return round(100 * float(numbers[list(chosen)].sum()) / float(seen), 6)

    return {
        "eo:cloud_cover": percent(CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS),
        "s2:nodata_pixel_percentage": round(100 * float(numbers[0]) / classes.size, 6),
        "s2:cloud_shadow_percentage": percent(SHADOW),
        "s2:vegetation_percentage": percent(VEGETATION),
        "s2:not_vegetated_percentage": percent(BARE),
        "s2:water_percentage": percent(WATER),
        "s2:unclassified_percentage": percent(UNCLASSIFIED),
        "s2:medium_proba_clouds_percentage": percent(CLOUD_MEDIUM),
        "s2:high_proba_clouds_percentage": percent(CLOUD_HIGH),
        "s2:thin_cirrus_percentage": percent(CIRRUS),
        "s2:snow_ice_percentage": percent(SNOW),
    }


def _band_file(key: str, name: str, gsd: int, wavelength: float) -> File:
    asset = {
        "title": f"{key} ({name}) - {gsd}m",
        "gsd": gsd,
        **describe_band(key, "rededge" if key.startswith("rededge") else key, wavelength),
        **describe_pixels(gsd, NODATA, scale=0.0001, offset=0),
    }
    return File(f"{name}.tif", gsd, asset, block=256 if gsd == 60 else 512)


_CLASSES = File(
    "SCL.tif",
    20,
    {
        "title": "Scene classification map (SCL)",
        "roles": ["data"],
        **describe_pixels(20, NODATA, "uint8"),
    },
    overviews="mode",
)

SENSOR = Sensor(
    name="Sentinel-2",
    collection="sentinel-2-l2a",
    item_id="S2B_DEMO_20240416_0_L2A",
    title="Sentinel-2 Level-2A",
    stac_version="1.0.0",
    extensions=("eo", "view", "raster", "proj-v1"),
    crs="EPSG:32610",
    outline=SWATH,
    files={key: _band_file(key, *band) for key, band in BANDS.items()} | {"scl": _CLASSES},
    thumbnail=("thumbnail", "thumbnail.png"),
    shown=(0, 2600),
    metadata=("granule_metadata", "granule_metadata.xml"),
    properties={
        "datetime": "2024-04-16T19:09:21.024000Z",
        "platform": "sentinel-2b",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "proj:epsg": 32610,
        "view:sun_azimuth": SEASON.sun_azimuth,
        "view:sun_elevation": SEASON.sun_elevation,
    },
    choose_view=lambda _, small: SMALL if small else WHOLE,
    draw=draw,
    describe_quality=_describe_classes,
)
