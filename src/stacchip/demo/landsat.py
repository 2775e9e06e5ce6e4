"""A scene as Landsat 9 would deliver it: Collection 2 Level-2, with Planetary Computer's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.demo.frame import contains_centres, outline
from stacchip.demo.landscape import COVERS, WATER, Clouds, Field, Season, View, blur
from stacchip.demo.observation import Observation, observe
from stacchip.demo.sensor import File, Sensor
from stacchip.demo.stac import describe_band, describe_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.demo.landscape import Landscape

# Landsat's grids have the centres of their pixels, not their corners, at multiples of 30 m.
WHOLE = View(3195.0, 3195.0, 30.0, (1280, 1280))
SMALL = View(6015.0, 24015.0, 30.0, (512, 512))
SEASON = Season("autumn", snow_line_m=1750.0, sun_azimuth=158.0, sun_elevation=40.0)
CLOUDS = Clouds(cover=0.11, width_m=2600.0, base_m=1900.0, cirrus=0.22)
# a square that leans to the west, its corners at the edges of the view
PATH = ((0.20, 0.0), (1.0, 0.19), (0.80, 1.0), (0.0, 0.81))
SCALE, OFFSET = 0.0000275, -0.2
NODATA = 0

BANDS = {
    "red": ("SR_B4", 0.65),
    "green": ("SR_B3", 0.56),
    "blue": ("SR_B2", 0.48),
    "nir08": ("SR_B5", 0.86),
    "swir16": ("SR_B6", 1.6),
    "swir22": ("SR_B7", 2.2),
}
"""The agency's name and the wavelength in micrometres of each band."""

# Bits of QA_PIXEL (Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 5-3).
FILL, DILATED, CIRRUS, CLOUD, SHADOW, SNOW, CLEAR, WET = (1 << bit for bit in range(8))
CLOUD_CONFIDENCE, SHADOW_CONFIDENCE, SNOW_CONFIDENCE, CIRRUS_CONFIDENCE = 8, 10, 12, 14
LOW, MEDIUM, HIGH = 1, 2, 3


def count(reflectance: Field) -> NDArray[np.uint16]:
    """Return reflectances as counts: (reflectance + 0.2) / 0.0000275, in steps of 32."""
    counts: NDArray[np.float32] = np.clip(
        np.rint((reflectance - OFFSET) / (32 * SCALE)) * 32, 7273, 43636
    )
    return counts.astype(np.uint16)


def flag_quality(scene: Observation) -> NDArray[np.uint16]:
    """Return the flags and confidences of QA_PIXEL, (y, x), also beyond the path."""
    cover = scene.surface.dominant()
    cloud = scene.sky.cloud > 0.45
    around = blur(cloud.astype(np.float32), 3, passes=1) > 0.01
    shadow = (scene.sky.shadow > 0.4) & ~cloud
    thin = scene.sky.cirrus > 0.07
    snow = (cover == COVERS.index("snow")) & ~cloud
    # the real algorithm, too, takes a pixel that is half river for land
    wet = np.isin(np.array(COVERS), WATER)[cover] & (scene.surface.reflect("nir08") < 0.12)
    flags = np.zeros(cover.shape, np.uint16)
    for bit, chosen in (
        (DILATED, around & ~cloud),
        (CIRRUS, thin),
        (CLOUD, cloud),
        (SHADOW, shadow),
        (SNOW, snow),
        (CLEAR, ~around),
        (WET, wet & ~cloud),
    ):
        flags |= np.where(chosen, np.uint16(bit), np.uint16(0))
    maybe = scene.sky.cloud > 0.2
    for shift, confidence in (
        (CLOUD_CONFIDENCE, np.where(cloud, HIGH, np.where(maybe, MEDIUM, LOW))),
        (SHADOW_CONFIDENCE, np.where(shadow, HIGH, LOW)),
        (SNOW_CONFIDENCE, np.where(snow, HIGH, LOW)),
        (CIRRUS_CONFIDENCE, np.where(thin, HIGH, LOW)),
    ):
        flags |= (confidence << shift).astype(np.uint16)
    return flags


def look_down(landscape: Landscape, view: View, seed: int) -> Observation:
    """Observe a view of pixels of 30 m."""
    return observe(landscape, view, SEASON, CLOUDS, np.random.default_rng([seed, 3]))


def draw(landscape: Landscape, view: View, seed: int) -> Iterator[NDArray[Any]]:
    """Yield each band, then QA_PIXEL."""
    scene = look_down(landscape, view, seed)
    valid = contains_centres(view, outline(view, PATH))
    for number, key in enumerate(BANDS):
        yield count(scene.reflectance(key, number)) * valid
    yield np.where(valid, flag_quality(scene), np.uint16(FILL))


def _describe_quality(quality: NDArray[np.uint16]) -> dict[str, Any]:
    seen, cloudy = quality != FILL, (quality & CLOUD) > 0
    return {"eo:cloud_cover": round(100 * float(cloudy.sum()) / float(seen.sum()), 2)}


def _band_file(key: str, name: str, wavelength: float) -> File:
    asset = {
        "title": f"Surface reflectance, {key}",
        **describe_band(name, key, wavelength),
        **describe_pixels(30, NODATA, scale=SCALE, offset=OFFSET),
    }
    return File(f"{name}.TIF", 30, asset, block=256)


_QUALITY = File(
    "QA_PIXEL.TIF",
    30,
    {
        "title": "Pixel Quality Assessment Band",
        "roles": ["cloud", "cloud-shadow", "snow-ice", "water-mask"],
        **describe_pixels(30, FILL),
    },
    nodata=FILL,
    block=256,
    overviews="nearest",
)

SENSOR = Sensor(
    name="Landsat",
    collection="landsat-c2-l2",
    item_id="LC09_L2SP_DEMO_20240926_02_T1",
    title="Landsat Collection 2 Level-2",
    stac_version="1.0.0",
    extensions=("eo", "view", "raster", "proj-v2"),
    crs="EPSG:32610",
    outline=PATH,
    files={key: _band_file(key, *band) for key, band in BANDS.items()} | {"qa_pixel": _QUALITY},
    thumbnail=("rendered_preview", "preview.png"),
    shown=(-OFFSET / SCALE, (0.26 - OFFSET) / SCALE),
    metadata=("mtl.txt", "MTL.txt"),
    properties={
        "datetime": "2024-09-26T18:58:40.231145Z",
        "platform": "landsat-9",
        "instruments": ["oli", "tirs"],
        "gsd": 30,
        "proj:code": "EPSG:32610",
        "view:off_nadir": 0,
        "view:sun_azimuth": SEASON.sun_azimuth,
        "view:sun_elevation": SEASON.sun_elevation,
        "landsat:correction": "L2SP",
    },
    choose_view=lambda _, small: SMALL if small else WHOLE,
    draw=draw,
    describe_quality=_describe_quality,
)
