"""A scene in which every pixel is distinct, with true 10, 20 and 60 m bands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import rasterio
from affine import Affine

ORIGIN = (500000.0, 4200000.0)


@dataclass(frozen=True)
class Scene:
    """An item with a 10 m band of 600 x 700 px, a 20 m and a 60 m band, and a thumbnail."""

    item: pystac.Item
    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.tif"


def write_band(path: Path, resolution: float, shape: tuple[int, int], **options: object) -> None:
    height, width = shape
    pixels = np.arange(1, height * width + 1, dtype=np.uint32).reshape(shape)
    transform = Affine(resolution, 0, ORIGIN[0], 0, -resolution, ORIGIN[1])
    profile = {
        "driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint32",
        "crs": "EPSG:32629", "transform": transform, "nodata": 0, "tiled": True,
        "blockxsize": 128, "blockysize": 128, "compress": "deflate", "predictor": 2,
    } | options  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.stack([pixels] * int(profile["count"])).astype(profile["dtype"]))


def make_scene(folder: Path, item_id: str = "scene-1", **properties: object) -> Scene:
    folder.mkdir(parents=True, exist_ok=True)
    item = pystac.Item(
        item_id,
        {"type": "Point", "coordinates": [-9.0, 37.9]},
        [-9.0, 37.9, -9.0, 37.9],
        datetime(2024, 5, 1, 11, 30, tzinfo=UTC),
        {"proj:code": "EPSG:32629", **properties},
    )
    for key, resolution, shape in (
        ("red", 10, (600, 700)), ("swir", 20, (300, 350)), ("coastal", 60, (100, 117)),
    ):  # fmt: skip
        write_band(folder / f"{key}.tif", resolution, shape)
        grid = {
            "proj:shape": list(shape),
            "proj:transform": [resolution, 0, ORIGIN[0], 0, -resolution, ORIGIN[1]],
        }
        item.add_asset(key, pystac.Asset(f"./{key}.tif", roles=["data"], extra_fields=grid))
    item.add_asset(
        "thumbnail", pystac.Asset("./thumbnail.png", media_type="image/png", roles=["thumbnail"])
    )
    item.set_self_href(str(folder / "item.json"))
    (folder / "item.json").write_text(json.dumps(item.to_dict(transform_hrefs=False)))
    return Scene(item, folder)
