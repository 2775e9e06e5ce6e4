"""A sensor as a value, and the function that writes the scene of any sensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from stacchip.demo.frame import georeference
from stacchip.demo.stac import (
    COG,
    COLOURS,
    describe_grid,
    thin_out,
    write_item,
    write_metadata,
    write_thumbnail,
)
from stacchip.raster.gdal.cog import write_cog
from stacchip.runtime.unwritable import naming_unwritable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.demo.landscape import Landscape, View

ProgressCallback = Callable[[str, int, int], None]
"""Called with the name of a part, the number of steps done and the number of steps in all."""


@dataclass(frozen=True)
class File:
    """A raster file of a scene.

    Attributes:
        name: Its name in the scene's folder.
        gsd: Width of its pixels in metres.
        asset: Its asset in the item, without address, media type and grid.
        nodata: The value of pixels without data; None if every pixel has data.
        block: Height and width of its blocks.
        overviews: How its overviews are resampled.
        colours: The colour of each of its bands, if it has several.
    """

    name: str
    gsd: float
    asset: dict[str, Any]
    nodata: int | None = 0
    block: int = 512
    overviews: Literal["average", "mode", "nearest"] = "average"
    colours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sensor:
    """A sensor: its products' names and files, and how it sees the landscape.

    Attributes:
        name: The name that progress shows.
        collection: The collection's id.
        item_id: The item's id; the folder of its files has the same name.
        title: The collection's title.
        stac_version: "1.0.0" or "1.1.0": catalogues have both.
        extensions: Keys of `stac.EXTENSIONS`.
        crs: Authority and code.
        outline: Corners of the convex part of a view with data, as shares of its width and height.
        files: The raster files by asset key.
        thumbnail: Asset key and file name of the thumbnail.
        shown: The values that the thumbnail shows as black and as white.
        metadata: Asset key and file name of the metadata.
        properties: The item's properties that do not depend on the pixels.
        choose_view: Returns the view of a landscape; a small one if the second argument is True.
        draw: Yields the pixels of each of `files` in turn, (y, x) or (band, y, x), from a
            landscape, a view of it and a seed.
        describe_quality: Returns the properties that follow from the pixels of the last file.
    """

    name: str
    collection: str
    item_id: str
    title: str
    stac_version: str
    extensions: tuple[str, ...]
    crs: str
    outline: tuple[tuple[float, float], ...]
    files: dict[str, File]
    thumbnail: tuple[str, str]
    shown: tuple[float, float]
    metadata: tuple[str, str]
    choose_view: Callable[[Landscape, bool], View]
    draw: Callable[[Landscape, View, int], Iterator[NDArray[Any]]]
    properties: dict[str, Any] = field(default_factory=dict)
    describe_quality: Callable[[NDArray[Any]], dict[str, Any]] = lambda _: {}


def write_scene(
    root: Path,
    sensor: Sensor,
    landscape: Landscape,
    seed: int,
    *,
    small: bool,
    progress: ProgressCallback,
) -> Path:
    """Write a sensor's files below `root`, and return the path of their item."""
    folder = root / sensor.collection / sensor.item_id
    with naming_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    progress(sensor.name, 0, len(sensor.files))
    view = sensor.choose_view(landscape, small)
    several_grids = len({file.gsd for file in sensor.files.values()}) > 1
    properties = dict(sensor.properties)
    assets: dict[str, dict[str, Any]] = {}
    shown: dict[str, NDArray[Any]] = {}
    drawn = zip(sensor.files.items(), sensor.draw(landscape, view, seed), strict=True)
    for number, ((key, file), pixels) in enumerate(drawn, 1):
        geobox = georeference(view.coarsen(round(file.gsd / view.pixel_m)), sensor.crs)
        write_cog(
            folder / file.name, pixels, geobox, file.nodata, block=file.block, level=3,
            overviews=file.overviews, colours=file.colours or None,
        )  # fmt: skip
        assets[key] = {"href": f"./{file.name}", "type": COG, **file.asset}
        (assets[key] if several_grids else properties).update(describe_grid(geobox))
        bands = zip(file.colours or (key,), pixels.reshape(-1, *geobox.shape), strict=True)
        shown |= {name: thin_out(band) for name, band in bands if name in COLOURS}
        progress(sensor.name, number, len(sensor.files))
    properties |= sensor.describe_quality(pixels)
    rgb = [shown[name] for name in COLOURS]
    assets[sensor.thumbnail[0]] = write_thumbnail(folder / sensor.thumbnail[1], rgb, sensor.shown)
    assets[sensor.metadata[0]] = write_metadata(folder / sensor.metadata[1], sensor)
    return write_item(folder, sensor, view, assets, properties)
