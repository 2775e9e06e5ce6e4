"""The catalogues and files of the six sources, in their true form, for real servers.

Pixels come from real imagery, and names and paths follow real items; if a band is missing, another
one replaces it. Only years that a row draws are made. Beside each item to be taken are some that
must not be taken, and whose files do not exist.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform_bounds

from servers.outside import everywhere
from stacchip.collect.choice import random_years, row_generator
from stacchip.collect.recipes.registry import get_recipe
from stacchip.collect.sample import read_list
from stacchip.grid.transform import compose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PC = "http://{account}.blob.core.windows.net"


@dataclass
class World:
    """The catalogue and files of a source.

    Attributes:
        collections: Collections for the STAC API.
        items: Items for the STAC API.
        objects: Files by `bucket/key`.
        row: The row to work on.
        listed: Its name, if the source's rows are a list.
        area: What it covers, if the source's rows are a sample layer.
        expected: Ids of the items that should be in the archive, in order of time.
        platform: Their folders, by id.
    """

    collections: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, Path | bytes] = field(default_factory=dict)
    row: int = 0
    listed: str = ""
    area: shapely.Geometry | None = None
    expected: list[str] = field(default_factory=list)
    platform: dict[str, str] = field(default_factory=dict)


def collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection", "id": name, "stac_version": "1.0.0", "description": name,
        "license": "proprietary", "links": [],
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]},
        },
    }  # fmt: skip


def years_of(name: str, row: int, count: int) -> tuple[int, ...]:
    return random_years(get_recipe(name).choices.years, count, row_generator(0, row))


# -- Sentinel-2 ------------------------------------------------------------------------------------


def sentinel_2_world(data: Path, scenes: dict[str, Path] | None = None) -> World:
    """Return two years of a tile, with the real scene, decimated, or the files of `scenes`."""
    folder = data / "sentinel2/S2A_29RKH_20200219_0_L2A"
    text = (folder / "S2A_29RKH_20200219_0_L2A.local.json").read_text()
    area = everywhere((-11.9, 24.4, -10.9, 25.2), 1)[0]
    world = World([collection("sentinel-2-l2a")], row=1, area=area)
    keys = get_recipe("sentinel-2").assets["sentinel-2-l2a"]
    for year in years_of("sentinel-2", world.row, 2):
        for month in (2, 5, 8, 11):
            for cloud, day in ((4.05, 11), (60, 21), (80, 5)):
                item = json.loads(text)
                item["id"] = f"S2A_29RKH_{year}{month:02d}{day:02d}_0_L2A"
                item["collection"] = "sentinel-2-l2a"
                item["links"] = []
                item["properties"] |= {
                    "datetime": f"{year}-{month:02d}-{day:02d}T11:34:25.405000Z",
                    "eo:cloud_cover": cloud,
                }
                place = f"sentinel-s2-l2a-cogs/29/R/KH/{year}/{month}/{item['id']}"
                for key, asset in item["assets"].items():
                    name = asset["href"].removeprefix("./")
                    asset["href"] = (
                        f"https://sentinel-cogs.s3.us-west-2.amazonaws.com/{place}/{name}"
                    )
                    if cloud < 50 and key in keys:
                        source = (scenes or {}).get(key, folder / name)
                        world.objects[f"sentinel-cogs/{place}/{name}"] = source
                world.items.append(item)
                if cloud < 50:
                    world.expected.append(item["id"])
                    world.platform[item["id"]] = "sentinel-2-l2a"
    neighbour = copy.deepcopy(world.items[0])
    neighbour["id"] = neighbour["id"].replace("29RKH", "29RLH")
    neighbour["properties"] |= {"grid:code": "MGRS-29RLH", "eo:cloud_cover": 0}
    world.items.append(neighbour)
    return world


# -- Landsat ---------------------------------------------------------------------------------------

LANDSAT_FILES = {
    "coastal": "SR_B1", "blue": "SR_B2", "green": "SR_B3", "red": "SR_B4", "nir08": "SR_B5",
    "swir16": "SR_B6", "swir22": "SR_B7", "qa_pixel": "QA_PIXEL",
    "pan": "SR_B4", "cirrus": "SR_B5", "lwir11": "ST_B10", "lwir12": "ST_B10",
}  # fmt: skip
LANDSAT_NAMES = {"pan": "B8", "cirrus": "B9", "lwir11": "B10", "lwir12": "B11"}


def landsat_world(data: Path) -> World:
    scene = "LC08_L2SP_008059_20191201_20200825_02_T1"
    folder = data / "landsat/LC08_L2SP_008059_20191201"
    record = json.loads((folder / f"{scene}.local.json").read_text())
    recipe = get_recipe("landsat")
    area = everywhere((-75.6, 0.9, -74.6, 2.0), 1)[0]
    world = World([collection(name) for name in recipe.collections], row=2, area=area)
    years = years_of("landsat", world.row, 2)
    for level, year in zip(recipe.collections, years, strict=True):
        for month in (1, 4, 7, 10):
            for cloud, platform in ((12.5, "LANDSAT_9"), (50, "LANDSAT_8"), (0, "LANDSAT_7")):
                step = "L1TP" if level == "landsat-c2l1" else "L2SP"
                suffix = "" if step == "L1TP" else "_SR"
                product = f"LC0{platform[-1]}_{step}_008059_{year}{month:02d}01_20240101_02_T1"
                item = copy.deepcopy(record)
                item |= {"id": product + suffix, "collection": level, "links": [], "assets": {}}
                item["properties"] |= {
                    "datetime": f"{year}-{month:02d}-01T15:00:00Z",
                    "eo:cloud_cover": cloud,
                    "platform": platform,
                }
                place = f"collection02/{step}/{year}/008/059/{product}"
                for key in recipe.assets[level]:
                    band = LANDSAT_NAMES.get(key, LANDSAT_FILES[key])
                    name = f"{product}_{band if step == 'L2SP' else band.removeprefix('SR_')}.TIF"
                    item["assets"][key] = {
                        "href": f"https://landsatlook.usgs.gov/data/{place}/{name}",
                        "type": "image/vnd.stac.geotiff; cloud-optimized=true",
                        "alternate": {"s3": {"href": f"s3://usgs-landsat/{place}/{name}"}},
                    }
                    if key == "blue":  # an asset may lack it
                        del item["assets"][key]["alternate"]
                    if platform == "LANDSAT_9":
                        world.objects[f"usgs-landsat/{place}/{name}"] = (
                            folder / f"{scene}_{LANDSAT_FILES[key]}.TIF"
                        )
                world.items.append(item)
                if platform == "LANDSAT_9":
                    world.expected.append(item["id"])
                    world.platform[item["id"]] = level
    return world


# -- NAIP ------------------------------------------------------------------------------------------


def naip_world(data: Path) -> World:
    """Return two dates of one place; each file has one of the two forms of path."""
    world = World([collection("naip")], row=3)
    template = json.loads((data / "items/naip/planetary-computer-tasks__naip1.json").read_text())
    for date, form in (("20090818", ""), ("20120731", "63/")):
        file = data / f"naip/m_4709963_se_14_1_{date}.tif"
        with rasterio.open(file) as dataset:
            west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
            item = copy.deepcopy(template)
            item["id"] = f"nd_m_4709963_se_14_1_{date}"
            item["collection"] = "naip"
            item["bbox"] = [west, south, east, north]
            item["geometry"] = shapely.geometry.mapping(shapely.box(west, south, east, north))
            item["properties"] = {
                "gsd": 1.0, "datetime": f"{date[:4]}-{date[4:6]}-{date[6:]}T00:00:00Z",
                "naip:year": date[:4], "naip:state": "nd", "proj:epsg": dataset.crs.to_epsg(),
                "proj:shape": list(dataset.shape), "proj:transform": list(dataset.transform)[:6],
            }  # fmt: skip
        item["links"] = []
        item["assets"]["image"]["href"] = (
            f"https://naipeuwest.blob.core.windows.net/naip/v002/nd/{date[:4]}/nd_100cm_{date[:4]}"
            f"/47099/{file.name}"
        )
        world.objects[f"naip-analytic/nd/{date[:4]}/100cm/rgbir_cog/47099/{form}{file.name}"] = file
        world.items.append(item)
        world.expected.append(item["id"])
        world.platform[item["id"]] = "naip"
    world.area = everywhere(tuple(world.items[0]["bbox"]), 1)[0]
    return world


# -- LINZ ------------------------------------------------------------------------------------------

SURVEY = "canterbury/christchurch_2018_0.075m/rgb/2193"
SHEETS = 22


def linz_world(data: Path, folder: Path, survey: str = SURVEY, sheets: int = SHEETS) -> World:
    """Return a survey of 22 different sheets, 11 of them to be taken."""
    rows = read_list(None, default="linz_prefixes.txt")
    number = next((row.number for row in rows if row.name == survey), 0)
    world = World(row=number, listed=survey)
    template = json.loads((data / "items/linz/argo-tasks__BD31.json").read_text())
    with rasterio.open(data / "linz/input_aerial.tif") as dataset:
        pixels, profile = dataset.read(), dataset.profile
    # a sheet of 1:500 covers 240 m by 360 m; here with pixels of 0.15 m, truly of 0.075 m
    pixels = np.kron(pixels, np.ones((1, 20, 20), "uint8"))
    links = []
    for number in range(sheets):
        sheet = f"BX24_500_{25_020 + number:06d}"
        path = folder / f"{sheet}.tiff"
        corner = Affine(0.15, 0, 1_570_000 + 144 * number, 0, -0.15, 5_180_000)
        shifted = np.roll(pixels, 40 * number, axis=2)
        profile |= {
            "width": pixels.shape[2], "height": pixels.shape[1], "transform": corner,
            "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as out:
            out.write(shifted)
        item = copy.deepcopy(template)
        item["id"] = sheet
        item["assets"]["visual"]["href"] = f"./{sheet}.tiff"
        item["links"][0]["href"] = f"./{sheet}.json"
        place = f"nz-imagery/{survey}"
        world.objects[f"{place}/{sheet}.tiff"] = path
        world.objects[f"{place}/{sheet}.json"] = json.dumps(item).encode()
        links.append({"rel": "item", "href": f"./{sheet}.json", "type": "application/geo+json"})
    name = f"stac/{SURVEY}/collection.json".replace("/", "__")
    record = json.loads((data / "linz/collections" / name).read_text())
    record["links"] = [*record["links"][:2], *links]
    world.objects[f"nz-imagery/{survey}/collection.json"] = json.dumps(record).encode()
    return world


# -- Sentinel-1 ------------------------------------------------------------------------------------


def sentinel_1_world(data: Path, folder: Path) -> World:
    """Return two years of backscatter; real crops are repeated to the size of some chips."""
    world = World([collection("sentinel-1-rtc")], row=0)
    name = "OPERA_L2_RTC-S1_T137-292318-IW1_20250102T015857Z_20250102T190143Z_S1A_30_v1.0"
    files = {}
    for key in ("vv", "vh"):
        with rasterio.open(data / f"sentinel1/{name}_{key.upper()}.tif") as dataset:
            pixels = np.tile(dataset.read(1), (6, 8))
            profile = dataset.profile | {"width": 800, "height": 600, "nodata": -32768.0,
                                         "tiled": False, "blockysize": 16}  # fmt: skip
            profile.pop("blockxsize", None)
            bounds = transform_bounds(
                dataset.crs, "EPSG:4326", dataset.bounds.left, dataset.bounds.top - 600 * 30,
                dataset.bounds.left + 800 * 30, dataset.bounds.top,
            )  # fmt: skip
        pixels = np.where(np.isnan(pixels), -32768, pixels).astype("float32")
        pixels[:300, :300] = -32768
        files[key] = folder / f"iw-{key}.rtc.tiff"
        with rasterio.open(files[key], "w", **profile) as out:
            out.write(pixels, 1)
    template = read_first(data / "items/sentinel1/stac-geoparquet__sentinel-1-rtc-pc.json")
    for year in years_of("sentinel-1", world.row, 2):
        for month in (1, 4, 7, 10):
            item = copy.deepcopy(template)
            item["id"] = f"S1A_IW_GRDH_1SDV_{year}{month:02d}19T045904_053498_067DF2_rtc"
            item["bbox"] = list(bounds)
            item["geometry"] = shapely.geometry.mapping(shapely.box(*bounds))
            item["links"] = []
            moment = f"{year}-{month:02d}-19T04:59:10.436706Z"
            item["properties"] = {
                **{key: value for key, value in item["properties"].items() if ":" not in key},
                "datetime": moment, "start_datetime": moment, "end_datetime": moment,
                "proj:epsg": profile["crs"].to_epsg(), "proj:shape": [600, 800],
                "proj:transform": list(profile["transform"])[:6],
            }  # fmt: skip
            place = f"sentinel1-grd-rtc/GRD/{year}/{month}/19/IW/DV/{item['id']}/measurement"
            item["assets"] = {
                key: {
                    **item["assets"][key],
                    "href": f"{PC.format(account='sentinel1euwestrtc')}/{place}/{file.name}",
                    "file:size": file.stat().st_size,
                }
                for key, file in files.items()
            }
            for file in files.values():
                world.objects[f"public-bucket/{place}/{file.name}"] = file
            world.items.append(item)
            world.expected.append(item["id"])
            world.platform[item["id"]] = "sentinel-1-rtc"
    world.area = shapely.box(*bounds)
    return world


# -- MODIS -----------------------------------------------------------------------------------------


def modis_world(data: Path, folder: Path) -> World:
    """Return a year of the tile h09v05 on its true grid, with pixels four times as large."""
    rows = read_list(None, default="modis_tiles.txt")
    world = World(
        [collection("modis-09A1-061")],
        row=next(row.number for row in rows if row.name == "h09v05"),
        listed="h09v05",
    )
    snow = data / "modis/MOD10A2.A2022033.h09v05.061.2022042050729_Maximum_Snow_Extent.tif"
    with rasterio.open(snow) as dataset:
        classes = dataset.read(1)[::4, ::4]
        crs, transform = dataset.crs, compose(dataset.transform, Affine.scale(4, 4))
    files = {}
    keys = get_recipe("modis").assets["modis-09A1-061"]
    for number, key in enumerate(keys):
        is_quality = key == "sur_refl_qc_500m"
        dtype, nodata = ("uint32", 4294967295) if is_quality else ("int16", -28672)
        pixels = classes.astype("int64") * 10 + number
        if is_quality:  # bits 0-1: 0 ideal, 1 less than ideal, 2 cloud, 3 not produced
            pixels = np.select([classes == 50, classes == 200], [2, 0], 1)
        files[key] = folder / f"MOD09A1.A2022033.h09v05.061.2022042050729_{key}.tif"
        with rasterio.open(
            files[key], "w", driver="GTiff", width=600, height=600, count=1, dtype=dtype, crs=crs,
            transform=transform, nodata=nodata, tiled=True, compress="deflate",
        ) as out:  # fmt: skip
            out.write(pixels.astype(dtype), 1)
    template = json.loads(
        (data / "items/modis/modis__MOD09A1.A2022033.h19v10.061.json").read_text()
    )
    bounds = (-117.5, 30.0, -92.4, 40.0)
    year = years_of("modis", world.row, 1)[0]
    for month in range(1, 13):
        for day in ("02", "18"):
            item = copy.deepcopy(template)
            item["id"] = f"MOD09A1.A{year}{month:02d}{day}.h09v05.061"
            item["collection"] = "modis-09A1-061"
            item["links"] = []
            item["bbox"] = list(bounds)
            item["geometry"] = shapely.geometry.mapping(shapely.box(*bounds))
            item["properties"] |= {
                "start_datetime": f"{year}-{month:02d}-{day}T00:00:00Z",
                "end_datetime": f"{year}-{month:02d}-{int(day) + 7:02d}T23:59:59Z",
                "modis:horizontal-tile": 9, "modis:vertical-tile": 5, "modis:tile-id": "51009005",
                "proj:shape": [600, 600], "proj:transform": list(transform)[:6],
            }  # fmt: skip
            place = f"modis-061-cogs/MOD09A1/09/05/{year}{month:02d}{day}"
            item["assets"] = {
                key: {
                    **item["assets"][key],
                    "href": f"{PC.format(account='modiseuwest')}/{place}/{file.name}",
                }
                for key, file in files.items()
            }
            world.items.append(item)
            if day == "02":
                for file in files.values():
                    world.objects[f"public-bucket/{place}/{file.name}"] = file
                world.expected.append(item["id"])
                world.platform[item["id"]] = "modis"
    return world


WORLDS: dict[str, Callable[[Path, Path], World]] = {
    "sentinel-2": lambda data, _: sentinel_2_world(data),
    "landsat": lambda data, _: landsat_world(data),
    "naip": lambda data, _: naip_world(data),
    "linz": lambda data, folder: linz_world(data, folder, sheets=1),
    "sentinel-1": sentinel_1_world,
    "modis": modis_world,
}
"""What makes each source's world, of real imagery and with files of its own in a folder."""


def read_first(path: Path) -> dict[str, Any]:
    """Return the first item of a file with several."""
    records = json.loads(path.read_text())
    return dict(records[0] if isinstance(records, list) else records["features"][0])
