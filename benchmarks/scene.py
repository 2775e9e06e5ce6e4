"""A generated scene with the size, the layout and about the entropy of a real Sentinel-2 L2A item.

It has four bands of 10980 px (10 m), six of 5490 px (20 m) and the scene classification (SCL, 5490
px), laid out as in `sentinel-cogs`: Cloud Optimized GeoTIFF, 1024 px blocks, deflate level 6,
predictor 2, nodata 0, with overviews. The scene is generated, not real. It shares with a real scene
the properties on which a reader's speed depends (`describe` returns the bytes per block).

Run `python -m benchmarks.scene` to make it; `ensure_scene()` makes it once and finds it afterwards.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.warp import transform_bounds, transform_geom

DATA = Path(__file__).parent / "data"
"""Folder of the generated files, which git ignores."""

VERSION = 3
"""Raise this when the generator changes, so that older scenes are made again."""

ITEM_ID = "S2A_31UFS_20230605_0_L2A"
COLLECTION = "sentinel-2-l2a"
EPSG = 32631
ORIGIN = (600_000.0, 5_700_000.0)
SIZE = {10: 10980, 20: 5490}
"""Width and height of the scene in pixels, by ground sample distance in metres."""

BLOCK = 1024

BANDS: dict[str, tuple[str, int, float, float]] = {
    # asset key: (file stem, ground sample distance in metres, mean, gain of the terrain)
    "blue": ("B02", 10, 900, 0.55),
    "green": ("B03", 10, 1150, 0.70),
    "red": ("B04", 10, 1250, 0.95),
    "nir": ("B08", 10, 2600, 1.30),
    "rededge1": ("B05", 20, 1600, 0.90),
    "rededge2": ("B06", 20, 2200, 1.10),
    "rededge3": ("B07", 20, 2400, 1.20),
    "nir08": ("B8A", 20, 2600, 1.25),
    "swir16": ("B11", 20, 2100, 1.15),
    "swir22": ("B12", 20, 1600, 1.05),
}
ASSETS = (*BANDS, "scl")
"""The eleven asset keys, bands first."""

_PERIOD = 2048
"""Period of the fractals in pixels: longer than a block, so that no block holds a repetition."""


@dataclass(frozen=True)
class Scene:
    """The place of a generated scene.

    Attributes:
        folder: The folder of its files.
        item_path: The STAC item, with absolute local hrefs.
    """

    folder: Path
    item_path: Path

    def item(self, base_url: str | None = None) -> dict[str, Any]:
        """Return the STAC item as a dict, with hrefs under `base_url` if given.

        Args:
            base_url: The address that serves `DATA`, such as `http://127.0.0.1:8000`.
        """
        item: dict[str, Any] = json.loads(self.item_path.read_text())
        if base_url is not None:
            for asset in item["assets"].values():
                relative = Path(asset["href"]).relative_to(DATA.resolve())
                asset["href"] = f"{base_url}/{relative.as_posix()}"
            item["links"] = []
        return item


def ensure_scene() -> Scene:
    """Return the scene; make it first if missing (about a minute on two cores)."""
    folder = DATA / ITEM_ID
    scene = Scene(folder, folder / f"{ITEM_ID}.json")
    marker = folder / "version"
    # the hrefs are absolute: if the repository has moved, it needs a new item
    if marker.exists() and marker.read_text() == f"{VERSION} {folder.resolve()}":
        return scene
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_rasters(partial)
    (partial / scene.item_path.name).write_text(json.dumps(_make_item(folder.resolve()), indent=2))
    (partial / "version").write_text(f"{VERSION} {folder.resolve()}")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return scene


def describe(scene: Scene) -> dict[str, Any]:
    """Return the megabytes of each file, and the kilobytes of its full-resolution blocks."""
    import tifffile

    sizes: dict[str, Any] = {}
    for path in sorted(scene.folder.glob("*.tif")):
        with tifffile.TiffFile(path) as tiff:
            counts = np.asarray(tiff.pages.first.databytecounts)
        sizes[path.stem] = {
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "block_kb_median": round(float(np.median(counts)) / 1e3, 1),
        }
    return sizes


def _write_rasters(folder: Path) -> None:
    terrain = _fractal(seed=1, exponent=1.9)
    texture = _fractal(seed=2, exponent=1.2)
    roughness = _fractal(seed=3, exponent=1.6)
    clouds = _fractal(seed=4, exponent=1.75)
    _progress("SCL")
    _write_cog(folder / "SCL.tif", _scl(terrain, texture, clouds), 20, "nearest")
    for seed, (stem, gsd, mean, gain) in enumerate(BANDS.values(), start=10):
        _progress(stem)
        pixels = _reflectance(gsd, mean, gain, (terrain, texture, roughness, clouds), seed)
        _write_cog(folder / f"{stem}.tif", pixels, gsd, "average")


def _progress(name: str) -> None:
    print(f"  scene: {name}", file=sys.stderr, flush=True)


def _fractal(seed: int, exponent: float) -> np.ndarray:
    """Make a periodic surface whose amplitude falls with frequency to the power of `exponent`.

    Returns:
        float32 (y, x) of `_PERIOD` a side, mean 0, standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((_PERIOD, _PERIOD)))
    rows = np.fft.fftfreq(_PERIOD)[:, None]
    columns = np.fft.rfftfreq(_PERIOD)[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    surface = np.fft.irfft2(spectrum / frequency**exponent, s=(_PERIOD, _PERIOD))
    return np.asarray((surface - surface.mean()) / surface.std(), np.float32)


def _stretched(surface: np.ndarray, gsd: int, row: int, height: int) -> np.ndarray:
    """Return rows [row, row + height) of a fractal stretched over the scene, float32 (y, x)."""
    size = SIZE[gsd]
    scale = _PERIOD / size
    box = (0, row * scale, _PERIOD, (row + height) * scale)
    image = Image.fromarray(surface)
    return np.asarray(image.resize((size, height), Image.Resampling.BILINEAR, box=box))


def _reflectance(
    gsd: int, mean: float, gain: float, fields: tuple[np.ndarray, ...], seed: int
) -> np.ndarray:
    """Make one band: terrain over the whole scene, texture and noise per pixel, clouds, nodata.

    The noise varies in strength over the scene, as it does over fields, towns and water, so that
    blocks differ in how well they compress.

    Returns:
        uint16 (y, x); 0 in the wedge that the orbit did not cover.
    """
    terrain, texture, roughness, clouds = fields
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((_PERIOD, _PERIOD)).astype(np.float32)
    size = SIZE[gsd]
    pixels = np.empty((size, size), np.uint16)
    for row in range(0, size, BLOCK):
        height = min(BLOCK, size - row)
        strip = mean + 260 * gain * _stretched(terrain, gsd, row, height)
        strength = 18 * np.exp(0.7 * _stretched(roughness, gsd, row, height))
        strip += 60 * gain * _repeated(texture, row, height, size)
        strip += strength * _shuffled(noise, rng, height, size)
        strip += 5200 * _cloudiness(clouds, gsd, row, height)
        strip = np.clip(strip, 1, 16_000)
        strip[_outside_orbit(gsd, row, height)] = 0
        pixels[row : row + height] = strip
    return pixels


def _repeated(surface: np.ndarray, row: int, height: int, size: int) -> np.ndarray:
    """Return rows of a fractal at its own scale, repeated over the scene without a seam."""
    rows = np.arange(row, row + height) % _PERIOD
    columns = np.arange(size) % _PERIOD
    return surface[np.ix_(rows, columns)]


def _shuffled(noise: np.ndarray, rng: np.random.Generator, height: int, size: int) -> np.ndarray:
    """Make a strip of noise in which each block is a different cut, so no two are alike."""
    strip = np.empty((height, size), np.float32)
    for column in range(0, size, BLOCK):
        width = min(BLOCK, size - column)
        y, x = rng.integers(0, _PERIOD - BLOCK, 2)
        strip[:, column : column + width] = noise[y : y + height, x : x + width]
    return strip


def _cloudiness(clouds: np.ndarray, gsd: int, row: int, height: int) -> np.ndarray:
    """Return the opacity of clouds in 0..1, float32 (y, x): an eighth of the scene has some."""
    return np.clip((_stretched(clouds, gsd, row, height) - 1.15) / 0.5, 0, 1)


def _outside_orbit(gsd: int, row: int, height: int) -> np.ndarray:
    """Return bool (y, x): True in the north-west wedge that the orbit did not cover (3.4 %)."""
    y = (np.arange(row, row + height) * gsd)[:, None]
    x = (np.arange(SIZE[gsd]) * gsd)[None, :]
    return x + 0.35 * y < 20_000 * 0.85


def _scl(terrain: np.ndarray, texture: np.ndarray, clouds: np.ndarray) -> np.ndarray:
    """Make the scene classification, uint8 (y, x) in the codes of the Sentinel-2 L2A product.

    0 nodata, 2 dark, 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud
    of medium and high probability, 10 thin cirrus.
    """
    size = SIZE[20]
    rng = np.random.default_rng(5)
    # a cloud's shadow falls beside it: the same field, shifted
    shadows = np.roll(clouds, (9, -22), (0, 1))
    scl = np.empty((size, size), np.uint8)
    for row in range(0, size, BLOCK):
        height = min(BLOCK, size - row)
        land = _stretched(terrain, 20, row, height)
        fine = land + 0.35 * _repeated(texture, row, height, size)
        codes = np.where(fine > -0.2, 4, 5).astype(np.uint8)
        codes[fine < -1.4] = 2
        codes[land < -1.75] = 6
        codes[rng.random((height, size)) < 0.002] = 7
        cloud = _cloudiness(clouds, 20, row, height)
        codes[_cloudiness(shadows, 20, row, height) > 0.35] = 3
        for threshold, code in ((0.02, 10), (0.15, 8), (0.5, 9)):
            codes[cloud > threshold] = code
        codes[_outside_orbit(20, row, height)] = 0
        scl[row : row + height] = codes
    return scl


def _write_cog(path: Path, pixels: np.ndarray, gsd: int, overview_resampling: str) -> None:
    profile = {
        "driver": "COG",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "count": 1,
        "dtype": pixels.dtype.name,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(gsd, 0, ORIGIN[0], 0, -gsd, ORIGIN[1]),
        "nodata": 0,
        "blocksize": BLOCK,
        "compress": "deflate",
        "level": 6,
        # a classification compresses worse with a predictor, and real ones use none
        "predictor": 2 if pixels.dtype.itemsize == 2 else 1,
        "overview_resampling": overview_resampling,
        "num_threads": "all_cpus",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels, 1)


def _make_item(folder: Path) -> dict[str, Any]:
    """Make the item in the form of earth-search v1 (STAC 1.0, projection extension 1.0)."""
    crs = f"EPSG:{EPSG}"
    extent = SIZE[10] * 10
    west, north = ORIGIN
    east, south = west + extent, north - extent
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    footprint = {"type": "Polygon", "coordinates": [ring]}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/eo/v1.0.0/schema.json",
            "https://stac-extensions.github.io/grid/v1.0.0/schema.json",
        ],
        "id": ITEM_ID,
        "collection": COLLECTION,
        "geometry": transform_geom(crs, "OGC:CRS84", footprint),
        "bbox": list(transform_bounds(crs, "OGC:CRS84", west, south, east, north)),
        "properties": {
            "description": "Generated for benchmarks; no satellite saw it.",
            "datetime": "2023-06-05T10:56:29.024000Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": 12.0,
            "proj:epsg": EPSG,
            "mgrs:utm_zone": 31,
            "mgrs:latitude_band": "U",
            "mgrs:grid_square": "FS",
            "grid:code": "MGRS-31UFS",
        },
        "links": [{"rel": "self", "href": str(folder / f"{ITEM_ID}.json")}],
        "assets": {key: _make_asset(key, folder) for key in ASSETS},
    }


def _make_asset(key: str, folder: Path) -> dict[str, Any]:
    stem, gsd = ("SCL", 20) if key == "scl" else BANDS[key][:2]
    band = {
        "nodata": 0,
        "data_type": "uint8" if key == "scl" else "uint16",
        "spatial_resolution": gsd,
    }
    return {
        "href": str(folder / f"{stem}.tif"),
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "title": f"{key} - {gsd}m",
        "proj:shape": [SIZE[gsd], SIZE[gsd]],
        "proj:transform": [gsd, 0, ORIGIN[0], 0, -gsd, ORIGIN[1]],
        "raster:bands": [band],
        "roles": ["data", "reflectance"],
    }


if __name__ == "__main__":
    begin = time.perf_counter()
    made = ensure_scene()
    print(f"{made.folder}: ready after {time.perf_counter() - begin:.0f} s")
    for stem, facts in describe(made).items():
        print(f"  {stem:4s} {facts['file_mb']:7.1f} MB, block {facts['block_kb_median']:7.1f} kB")
