"""A survey of one sheet in a local folder: a catalogue and imagery that need no server."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pystac
import rasterio
from affine import Affine

SURVEY = "otago/dunedin_2018_0.3m/rgb/2193"
ITEM_ID = "dunedin_2018_0.3m_CE17"
"""The id that the recipe of LINZ gives the sheet."""


class Survey:
    """A survey of one sheet in a folder, whose photograph can be taken again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / SURVEY
        self.folder.mkdir(parents=True)
        item = pystac.Item(
            "CE17",
            {"type": "Point", "coordinates": [170.5, -45.9]},
            [170.5, -45.9, 170.5, -45.9],
            dt.datetime(2018, 2, 3, tzinfo=dt.UTC),
            {"proj:code": "EPSG:2193"},
        )
        item.add_asset("visual", pystac.Asset("./CE17.tiff", media_type=pystac.MediaType.COG))
        links = [{"rel": "item", "href": "./CE17.json"}]
        (self.folder / "CE17.json").write_text(json.dumps(item.to_dict()))
        (self.folder / "collection.json").write_text(json.dumps({"links": links}))

    def photograph(self, value: int) -> None:
        """Write a sheet of 300 pixels a side that all have this value; its size never changes."""
        with rasterio.open(
            self.folder / "CE17.tiff", "w", driver="GTiff", width=300, height=300, count=3,
            dtype="uint8", crs="EPSG:2193", tiled=True, blockxsize=128, blockysize=128,
            transform=Affine(0.3, 0, 1_400_000, 0, -0.3, 4_910_000),
        ) as dataset:  # fmt: skip
            dataset.write(np.full((3, 300, 300), value, "uint8"))
