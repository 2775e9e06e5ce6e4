"""A scene as Sentinel-2 would deliver it: Level-2A, with the keys of earth-search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from stacchip.demo.frame import contains_centres, cut_view, georeference
from stacchip.demo.landscape.spectra import BARE as BARE_COVERS
from stacchip.demo.landscape.spectra import COVERS
from stacchip.demo.landscape.spectra import WATER as WATER_COVERS
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
    from stacchip.demo.landscape.noise import Field
    from stacchip.demo.progress import Progress

CRS = "EPSG:32610"
ITEM_ID = "S2B_DEMO_20240416_0_L2A"
COLLECTION = "sentinel-2-l2a"
WHOLE = View(3600.0, 16800.0, 10.0, (2304, 2304))
SMALL = View(7200.0, 28800.0, 10.0, (768, 768))
SEASON = Season("spring", snow_line_m=1350.0, sun_azimuth=153.0, sun_elevation=48.0)
CLOUDS = Clouds(cover=0.10, width_m=1500.0, base_m=1500.0, cirrus=0.30)


@dataclass(frozen=True)
class Band:
    """One band: `file` as the agency names it, metres per pixel, wavelength in micrometres."""

    file: str
    gsd: int
    wavelength: float


BANDS = {
    "coastal": Band("B01", 60, 0.443),
    "blue": Band("B02", 10, 0.490),
    "green": Band("B03", 10, 0.560),
    "red": Band("B04", 10, 0.665),
    "rededge1": Band("B05", 20, 0.704),
    "rededge2": Band("B06", 20, 0.740),
    "rededge3": Band("B07", 20, 0.783),
    "nir": Band("B08", 10, 0.842),
    "nir08": Band("B8A", 20, 0.865),
    "nir09": Band("B09", 60, 0.945),
    "swir16": Band("B11", 20, 1.610),
    "swir22": Band("B12", 20, 2.190),
}
COMMON_NAMES = {"rededge1": "rededge", "rededge2": "rededge", "rededge3": "rededge"}

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


@dataclass(frozen=True)
class Sentinel2:
    """What the satellite saw.

    Attributes:
        surface: The ground, on the grid of 10 m.
        sky: What is above it, likewise.
        valid: Where the swath reaches, on the grid of 60 m, so that all bands agree.
        grain: Noise of the detectors, in reflectance, on the grid of 10 m.
    """

    surface: Surface
    sky: Sky
    valid: NDArray[np.bool_]
    grain: Field

    def reflectance(self, band: str) -> Field:
        """Reflectance in one band on the grid of 10 m, (y, x), also where no data will be."""
        clear = self.surface.reflect(band)
        seen = self.sky.veil(clear, band)
        seen += np.roll(self.grain, 97 * list(BANDS).index(band), axis=1)
        return seen

    def counts(self, band: str) -> NDArray[np.uint16]:
        """The band's pixels at its own resolution: reflectance times 10,000; 0 is no data."""
        times = BANDS[band].gsd // 10
        reflectance = average(self.reflectance(band), times)
        # steps of 8: the instrument has 12 bits, and the files stay small
        counts: NDArray[np.uint16] = np.clip(np.rint(reflectance * 1250) * 8, 8, 20000).astype(
            np.uint16
        )
        counts *= self.valid_at(BANDS[band].gsd)
        return counts

    def valid_at(self, gsd: int) -> NDArray[np.bool_]:
        """Where there is data, on the grid of 10, 20 or 60 m."""
        times = 60 // gsd
        return self.valid.repeat(times, axis=0).repeat(times, axis=1)

    def classify(self) -> NDArray[np.uint8]:
        """The scene classification (SCL), on the grid of 20 m."""
        ground = self.surface.dominant()[::2, ::2]
        cloud, cirrus = average(self.sky.cloud, 2), average(self.sky.cirrus, 2)
        shadow = average(self.sky.shadow, 2)
        classes = _CLASS_OF_COVER[ground]
        classes[(self.surface.light[::2, ::2] < 0.35) & (classes == VEGETATION)] = DARK
        for number, where in (
            (SHADOW, shadow > 0.35),
            (CIRRUS, cirrus > 0.08),
            (UNCLASSIFIED, cloud > 0.12),
            (CLOUD_MEDIUM, cloud > 0.25),
            (CLOUD_HIGH, cloud > 0.6),
            (NODATA, ~self.valid_at(20)),
        ):
            classes[where] = number
        return classes


def average(values: Field, times: int) -> Field:
    """The mean of each block of `times` x `times` pixels, (y, x).

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


def swath(view: View) -> shapely.Polygon:
    """What the satellite passed over: all but a wedge in the east, as at the edge of an orbit."""
    left, top, right, bottom = view.bounds_m
    width = right - left
    east_at_top, east_at_bottom = left + 1.02 * width, left + 0.82 * width
    return shapely.Polygon(
        [(left, top), (east_at_top, top), (east_at_bottom, bottom), (left, bottom)]
    )


def observe(landscape: Landscape, view: View, seed: int) -> Sentinel2:
    """The scene over a view, whose height and width are multiples of 60 m."""
    rng = np.random.default_rng([seed, 2])
    coarse = view.coarsen(6)
    sky = make_sky(view.coarsen(2), CLOUDS, SEASON, rng).refine(view.shape)
    surface = look(landscape, view, SEASON, rng)
    grain = rng.standard_normal(view.shape, np.float32) * np.float32(0.0007)
    return Sentinel2(surface, sky, contains_centres(coarse, swath(view)), grain)


def write_sentinel2(
    folder: Path, landscape: Landscape, view: View, seed: int, progress: Progress
) -> Path:
    """Write the scene's files into `folder`; gives the path of its item."""
    folder.mkdir(parents=True, exist_ok=True)
    progress.say(0)
    scene = observe(landscape, view, seed)
    assets: dict[str, dict[str, Any]] = {}
    small: dict[str, NDArray[np.uint16]] = {}
    for number, (key, band) in enumerate(BANDS.items(), 1):
        counts = scene.counts(key)
        if key in {"red", "green", "blue"}:
            small[key] = counts[4::8, 4::8]
        geobox = georeference(view.coarsen(band.gsd // 10), CRS)
        path = folder / f"{band.file}.tif"
        write_cog(path, counts, geobox, NODATA, level=3, block=256 if band.gsd == 60 else 512)
        assets[key] = _describe_band(key, band) | describe_grid(geobox)
        progress.say(number)
    classes = scene.classify()
    geobox = georeference(view.coarsen(2), CRS)
    write_cog(folder / "SCL.tif", classes, geobox, NODATA, overviews="mode")
    assets["scl"] = _describe_classes() | describe_grid(geobox)
    item = _describe_scene(classes, view)
    rgb = [small[key] for key in ("red", "green", "blue")]
    assets["thumbnail"] = write_thumbnail(folder / "thumbnail.png", rgb, white=2600)
    assets["granule_metadata"] = write_metadata(folder / "granule_metadata.xml", item)
    path = write_item(folder, item, assets)
    progress.say(len(BANDS) + 1)
    return path


def _describe_band(key: str, band: Band) -> dict[str, Any]:
    name = COMMON_NAMES.get(key, key)
    return {
        "href": f"./{band.file}.tif",
        "type": COG,
        "title": f"{key} ({band.file}) - {band.gsd}m",
        "eo:bands": [{"name": key, "common_name": name, "center_wavelength": band.wavelength}],
        "gsd": band.gsd,
        "raster:bands": [
            {
                "nodata": NODATA,
                "data_type": "uint16",
                "spatial_resolution": band.gsd,
                "scale": 0.0001,
                "offset": 0,
            }
        ],
        "roles": ["data", "reflectance"],
    }


def _describe_classes() -> dict[str, Any]:
    return {
        "href": "./SCL.tif",
        "type": COG,
        "title": "Scene classification map (SCL)",
        "raster:bands": [{"nodata": NODATA, "data_type": "uint8", "spatial_resolution": 20}],
        "roles": ["data"],
    }


def _describe_scene(classes: NDArray[np.uint8], view: View) -> Scene:
    count = np.bincount(classes.ravel(), minlength=12)
    seen = count[1:].sum()

    def percent(*numbers: int) -> float:
        return round(100 * float(sum(count[number] for number in numbers)) / float(seen), 6)

    reached = cut_view(view, shapely.buffer(swath(view), 60.0, join_style="mitre"))
    return Scene(
        item_id=ITEM_ID,
        collection=COLLECTION,
        title="Sentinel-2 Level-2A",
        stac_version="1.0.0",
        extensions=("eo", "view", "raster", "proj-v1"),
        crs=CRS,
        seen=reached,
        properties={
            "datetime": "2024-04-16T19:09:21.024000Z",
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "proj:epsg": int(CRS.split(":")[1]),
            "eo:cloud_cover": percent(CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS),
            "view:sun_azimuth": SEASON.sun_azimuth,
            "view:sun_elevation": SEASON.sun_elevation,
            "s2:nodata_pixel_percentage": round(100 * float(count[0]) / classes.size, 6),
            "s2:cloud_shadow_percentage": percent(SHADOW),
            "s2:vegetation_percentage": percent(VEGETATION),
            "s2:not_vegetated_percentage": percent(BARE),
            "s2:water_percentage": percent(WATER),
            "s2:unclassified_percentage": percent(UNCLASSIFIED),
            "s2:medium_proba_clouds_percentage": percent(CLOUD_MEDIUM),
            "s2:high_proba_clouds_percentage": percent(CLOUD_HIGH),
            "s2:thin_cirrus_percentage": percent(CIRRUS),
            "s2:snow_ice_percentage": percent(SNOW),
        },
    )
