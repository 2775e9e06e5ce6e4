"""A scene as Landsat 9 would deliver it: Collection 2 Level-2, with Planetary Computer's keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from stacchip.demo.frame import contains_centres, cut_view, georeference
from stacchip.demo.landscape.noise import Field, blur
from stacchip.demo.landscape.spectra import COVERS, WATER
from stacchip.demo.landscape.surface import Season, Surface, look
from stacchip.demo.landscape.view import View
from stacchip.demo.landscape.weather import Clouds, Sky, make_sky
from stacchip.demo.stac import (
    COG,
    Scene,
    describe_grid,
    write_item,
    write_metadata,
    write_thumbnail,
)
from stacchip.raster.gdal.cog import write_cog

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.demo.landscape import Landscape
    from stacchip.demo.progress import Progress

CRS = "EPSG:32610"
ITEM_ID = "LC09_L2SP_DEMO_20240926_02_T1"
COLLECTION = "landsat-c2-l2"
# Landsat's grids have the centres of their pixels, not their corners, at multiples of 30 m.
WHOLE = View(3195.0, 3195.0, 30.0, (1280, 1280))
SMALL = View(6015.0, 24015.0, 30.0, (512, 512))
SEASON = Season("autumn", snow_line_m=1750.0, sun_azimuth=158.0, sun_elevation=40.0)
CLOUDS = Clouds(cover=0.11, width_m=2600.0, base_m=1900.0, cirrus=0.22)
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


@dataclass(frozen=True)
class Landsat:
    """What the satellite saw: the ground, what is above it, and where its path lies, (y, x)."""

    surface: Surface
    sky: Sky
    valid: NDArray[np.bool_]
    grain: Field

    def counts(self, band: str) -> NDArray[np.uint16]:
        """A band's pixels: (reflectance + 0.2) / 0.0000275, in steps of 32; 0 is no data."""
        seen = self.sky.veil(self.surface.reflect(band), band)
        seen += np.roll(self.grain, 97 * list(BANDS).index(band), axis=1)
        counts = np.clip(np.rint((seen - OFFSET) / (32 * SCALE)) * 32, 7273, 43636)
        return np.where(self.valid, counts, NODATA).astype(np.uint16)

    def flag_quality(self) -> NDArray[np.uint16]:
        """QA_PIXEL, (y, x): 1 where there is no data, flags and confidences elsewhere."""
        cover = self.surface.dominant()
        cloud, shadow = self.sky.cloud > 0.45, self.sky.shadow > 0.4
        around = blur(cloud.astype(np.float32), 3, passes=1) > 0.01
        thin = self.sky.cirrus > 0.07
        snow = cover == COVERS.index("snow")
        # a pixel half of river looks like land to the algorithm as well
        wet = np.isin(np.array(COVERS), WATER)[cover] & (self.surface.reflect("nir08") < 0.12)
        flags = np.zeros(cover.shape, np.uint16)
        for bit, where in (
            (DILATED, around & ~cloud),
            (CIRRUS, thin),
            (CLOUD, cloud),
            (SHADOW, shadow & ~cloud),
            (SNOW, snow & ~cloud),
            (CLEAR, ~around),
            (WET, wet & ~cloud),
        ):
            flags |= np.where(where, bit, 0).astype(np.uint16)
        maybe = (self.sky.cloud > 0.2) & ~cloud
        cloudy = np.where(cloud, HIGH, np.where(maybe, MEDIUM, LOW))
        for shift, confidence in (
            (CLOUD_CONFIDENCE, cloudy),
            (SHADOW_CONFIDENCE, np.where(shadow & ~cloud, HIGH, LOW)),
            (SNOW_CONFIDENCE, np.where(snow & ~cloud, HIGH, LOW)),
            (CIRRUS_CONFIDENCE, np.where(thin, HIGH, LOW)),
        ):
            flags |= (confidence << shift).astype(np.uint16)
        return np.where(self.valid, flags, FILL).astype(np.uint16)


def scene_outline(view: View) -> shapely.Polygon:
    """What the satellite passed over: a square that leans to the west, its corners at the edges."""
    left, top, right, bottom = view.bounds_m
    width, height = right - left, bottom - top
    lean, tilt = 0.20, 0.19
    return shapely.Polygon(
        [
            (left + lean * width, top),
            (right, top + tilt * height),
            (right - lean * width, bottom),
            (left, bottom - tilt * height),
        ]
    )


def observe(landscape: Landscape, view: View, seed: int) -> Landsat:
    """The scene over a view of pixels of 30 m."""
    rng = np.random.default_rng([seed, 3])
    sky = make_sky(view, CLOUDS, SEASON, rng)
    surface = look(landscape, view, SEASON, rng)
    grain = rng.standard_normal(view.shape, np.float32) * np.float32(0.0007)
    return Landsat(surface, sky, contains_centres(view, scene_outline(view)), grain)


def write_landsat(
    folder: Path, landscape: Landscape, view: View, seed: int, progress: Progress
) -> Path:
    """Write the scene's files into `folder`; gives the path of its item."""
    folder.mkdir(parents=True, exist_ok=True)
    progress.say(0)
    scene = observe(landscape, view, seed)
    geobox = georeference(view, CRS)
    assets: dict[str, dict[str, Any]] = {}
    small: list[NDArray[Any]] = []
    for number, (key, (name, wavelength)) in enumerate(BANDS.items(), 1):
        counts = scene.counts(key)
        write_cog(folder / f"{name}.TIF", counts, geobox, NODATA, level=3, block=256)
        assets[key] = _describe_band(key, name, wavelength)
        if key in {"red", "green", "blue"}:
            small.append(np.maximum(counts[2::4, 2::4].astype(np.float32) * SCALE + OFFSET, 0))
        progress.say(number)
    quality = scene.flag_quality()
    write_cog(
        folder / "QA_PIXEL.TIF", quality, geobox, FILL, level=3, block=256, overviews="nearest"
    )
    assets["qa_pixel"] = _describe_quality()
    item = _describe_scene(quality, view)
    item.properties.update(describe_grid(geobox))
    assets["rendered_preview"] = write_thumbnail(folder / "preview.png", small, white=0.26)
    assets["mtl.txt"] = write_metadata(folder / "MTL.txt", item)
    path = write_item(folder, item, assets)
    progress.say(len(BANDS) + 1)
    return path


def _describe_band(key: str, name: str, wavelength: float) -> dict[str, Any]:
    return {
        "href": f"./{name}.TIF",
        "type": COG,
        "title": f"Surface reflectance, {key}",
        "eo:bands": [{"name": name, "common_name": key, "center_wavelength": wavelength}],
        "raster:bands": [
            {
                "nodata": NODATA,
                "data_type": "uint16",
                "spatial_resolution": 30,
                "scale": SCALE,
                "offset": OFFSET,
            }
        ],
        "roles": ["data", "reflectance"],
    }


def _describe_quality() -> dict[str, Any]:
    return {
        "href": "./QA_PIXEL.TIF",
        "type": COG,
        "title": "Pixel Quality Assessment Band",
        "raster:bands": [{"nodata": FILL, "data_type": "uint16", "spatial_resolution": 30}],
        "roles": ["cloud", "cloud-shadow", "snow-ice", "water-mask"],
    }


def _describe_scene(quality: NDArray[np.uint16], view: View) -> Scene:
    seen = quality != FILL
    cloudy = (quality & CLOUD) > 0
    reached = shapely.buffer(scene_outline(view), view.pixel_m, join_style="mitre")
    return Scene(
        item_id=ITEM_ID,
        collection=COLLECTION,
        title="Landsat Collection 2 Level-2",
        stac_version="1.0.0",
        extensions=("eo", "view", "raster", "proj-v2"),
        crs=CRS,
        seen=cut_view(view, reached),
        properties={
            "datetime": "2024-09-26T18:58:40.231145Z",
            "platform": "landsat-9",
            "instruments": ["oli", "tirs"],
            "gsd": 30,
            "proj:code": CRS,
            "eo:cloud_cover": round(100 * float(cloudy.sum()) / float(seen.sum()), 2),
            "view:off_nadir": 0,
            "view:sun_azimuth": SEASON.sun_azimuth,
            "view:sun_elevation": SEASON.sun_elevation,
            "landsat:correction": "L2SP",
        },
    )
