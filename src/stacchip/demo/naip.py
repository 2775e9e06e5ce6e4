"""An image as NAIP would deliver it: four bands of bytes, interleaved by pixel in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.demo.landscape import (
    COVER,
    COVERS,
    EXTENT_M,
    FARMED,
    PAINTS,
    WATER,
    Line,
    Season,
    View,
    clear_ground,
    furnish,
    look,
    shine,
    spread,
)
from stacchip.demo.sensor import File, Sensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.demo.landscape import Field, Landscape, LandUse, Surface, Town

GSD = 0.6
WHOLE = 1792
SMALL = 512
SEASON = Season("spring", snow_line_m=2500.0, sun_azimuth=128.0, sun_elevation=46.0)
BANDS = ("red", "green", "blue", "nir")
WHITE = {"red": 0.34, "green": 0.32, "blue": 0.29, "nir": 0.62}
"""The reflectance that the camera records as 255."""


def choose_view(towns: list[Town], size: int) -> View:
    """Return a square at the edge of a middle-sized town, with houses and fields."""
    town = towns[4]
    half = size * GSD / 2
    inland = (town.centre[0] + 0.4 * town.radius_m, town.centre[1] - 0.4 * town.radius_m)
    corner = [float(np.clip(round(at - half), 0, EXTENT_M - 2 * half - 1)) for at in inland]
    return View(corner[0], corner[1], GSD, (size, size))


def draw(landscape: Landscape, view: View, seed: int) -> Iterator[NDArray[Any]]:
    """Yield the image."""
    yield photograph(landscape, view, seed)


def photograph(landscape: Landscape, view: View, seed: int) -> NDArray[np.uint8]:
    """Return the image of a view, (band, y, x), in the order of `BANDS`."""
    rng = np.random.default_rng([seed, 4])
    surface = look(landscape, view, SEASON, rng)
    _make_lawns(surface)
    _draw_furrows(surface, landscape.land_use)
    _mark_roads(surface, landscape.land_use)
    standing = clear_ground(view, rng)
    furnish(standing, surface, landscape.land_use, rng)
    standing.clear(np.isin(np.array(COVERS)[surface.dominant()], [*WATER, "sand"]))
    light = shine(standing, SEASON)
    light *= 1 + np.float32(0.05) * rng.standard_normal(view.shape, np.float32)
    paints = np.array(list(PAINTS.values()), np.float32)
    painted = standing.paint > 0
    image = np.empty((len(BANDS), *view.shape), np.uint8)
    for number, band in enumerate(BANDS):
        reflectance = surface.reflect(band)
        np.copyto(reflectance, paints[:, number][standing.paint], where=painted)
        image[number] = _expose(reflectance * light, WHITE[band])
    return image


def _expose(reflectance: Field, white: float) -> NDArray[np.uint8]:
    """Return bytes as a camera does: dark tones brightened, and never 0, which would be no data."""
    shares = np.clip((reflectance + 0.008) / np.float32(white), 0, 1)
    counts: NDArray[np.uint8] = np.clip(255 * np.sqrt(shares), 1, 255).astype(np.uint8)
    return counts


def _make_lawns(surface: Surface) -> None:
    """Lay lawns under houses, yards under old towns, and car parks under works."""
    ground = np.arange(len(COVERS), dtype=np.uint8)
    ground[COVER["houses"]] = COVER["meadow"]
    ground[COVER["old town"]] = COVER["gravel"]
    ground[COVER["concrete"]] = COVER["asphalt"]
    surface.main[:] = ground[surface.main]


def _draw_furrows(surface: Surface, use: LandUse) -> None:
    """Draw rows of crops and the tracks of machines."""
    view = surface.view
    farmed = np.flatnonzero(use.parcels.seen_in(view) & FARMED[use.use])
    place = view.draw_areas(use.parcels.rings[parcel] for parcel in farmed)
    angle = spread(use.parcels.angle[farmed], place)
    depth = spread(0.03 + 0.09 * (use.edge[farmed] * 7 % 1), place)
    y, x = (np.arange(size, dtype=np.float32) * np.float32(view.pixel_m) for size in view.shape)
    across = np.cos(angle) * y[:, None] - np.sin(angle) * x
    rows = np.sin(across * np.float32(2 * np.pi / 3.1))
    tracks = np.abs(across % 27 - 13.5) % 27
    wheels = (np.abs(tracks - 1.0) < 0.35) & (place > 0)
    surface.light *= 1 + depth * rows
    surface.light *= np.where(wheels, np.float32(0.86), np.float32(1))


def _mark_roads(surface: Surface, use: LandUse) -> None:
    """Draw lines along the middle of the roads."""
    middle = [Line(road.points, 0.35) for road in use.roads]
    surface.lay("concrete", 0.9 * surface.view.draw_lines(middle))


SENSOR = Sensor(
    name="NAIP",
    collection="naip",
    item_id="NAIP_DEMO_20230618",
    title="NAIP",
    stac_version="1.1.0",
    extensions=("eo", "proj-v2"),
    crs="EPSG:26910",
    outline=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
    files={
        "image": File(
            "image.tif",
            GSD,
            {
                "title": "RGBIR COG tile",
                "data_type": "uint8",
                "bands": [{"name": name, "eo:common_name": name} for name in BANDS],
                "roles": ["data"],
            },
            nodata=None,
            colours=("red", "green", "blue", "undefined"),
        )
    },
    thumbnail=("thumbnail", "thumbnail.png"),
    shown=(0, 255),
    metadata=("metadata", "metadata.txt"),
    properties={
        "datetime": "2023-06-18T16:00:00Z",
        "gsd": GSD,
        "eo:cloud_cover": 0,
        "proj:code": "EPSG:26910",
        "naip:state": "wa",
        "naip:year": "2023",
    },
    choose_view=lambda landscape, small: choose_view(
        landscape.land_use.towns, SMALL if small else WHOLE
    ),
    draw=draw,
)
