"""A small archive of three Sentinel-2 items, in which pixels identify every chip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pystac
import rasterio
from affine import Affine

from stacchip.index import merge_indexes, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.sources.training_bands import get_platform

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from stacchip.storage import Storage

PLATFORM = "sentinel-2-l2a"
CHIP = 32
SIDE = 320  # ten chips a side
PER_ITEM = (SIDE // CHIP) ** 2
ITEMS = 3
ORIGIN = (600_000, 5_700_000)
FINE = ("blue", "green", "red", "nir")
DATES = [datetime(2023, 1 + 4 * n, 5, 9 + n, 40, tzinfo=UTC) for n in range(ITEMS)]


def band_pixels(number: int, key: str) -> np.ndarray:
    """Return a band of an item: blue numbers the chips, the others are noise with nodata (0)."""
    bands = get_platform(PLATFORM).names
    side = SIDE if key in FINE else SIDE // 2
    if key == "blue":
        place = np.arange(SIDE) // CHIP
        chips = place[:, None] * (SIDE // CHIP) + place[None, :]
        return (1 + number * PER_ITEM + chips).astype(np.uint16)
    draw = np.random.default_rng((number, bands.index(key)))
    return draw.integers(0, 5000, (side, side)).astype(np.uint16)


def item_chips(number: int) -> np.ndarray:
    """Return all chips of an item (chip, band, y, x), row by row, as cubes must have them."""
    bands = []
    for key in get_platform(PLATFORM).names:
        pixels = band_pixels(number, key)
        if key not in FINE:
            pixels = pixels.repeat(2, axis=0).repeat(2, axis=1)
        chips = pixels.reshape(SIDE // CHIP, CHIP, SIDE // CHIP, CHIP).swapaxes(1, 2)
        bands.append(chips.reshape(-1, CHIP, CHIP))
    return np.stack(bands, axis=1)


@dataclass(frozen=True)
class World:
    """An archive and its index.

    Attributes:
        index: Address of the index.
        data: Bucket or folder of the imagery.
        table: The chips.
    """

    index: str
    data: str
    table: pa.Table

    @staticmethod
    def chip_numbers(pixels: np.ndarray) -> np.ndarray:
        """Return the numbers of chips, by their blue bands."""
        blue = pixels[:, 0]
        assert (blue == blue[:, :1, :1]).all(), "a chip has pixels of several"
        return blue[:, 0, 0].astype(int) - 1


def make_world(root: str, folder: Path, storage: Storage) -> World:
    """Put three items and their merged index below a root."""
    parts = []
    for number in range(ITEMS):
        item = make_item(number, root, folder, storage)
        path = str(folder / f"index-{number}")
        write_index(
            NoStatsChipIndexer(item, CHIP, storage=storage).create_index(), path, storage=storage
        )
        parts.append(path)
    index = f"{root}/merged"
    merge_indexes(parts, index, storage=storage)
    return World(index, root, read_index(index, storage=storage))


def make_item(number: int, root: str, folder: Path, storage: Storage) -> pystac.Item:
    item_id = f"S2A_31UFS_2023{number}_0_L2A"
    item = pystac.Item(
        item_id,
        {"type": "Point", "coordinates": [4.4, 51.4]},
        [4.4, 51.4, 4.4, 51.4],
        DATES[number],
        {"proj:code": "EPSG:32631"},
        collection=PLATFORM,
    )
    place = f"{root}/{PLATFORM}/{item_id}"
    for key in get_platform(PLATFORM).names:
        pixels = band_pixels(number, key)
        gsd = 10 * SIDE // len(pixels)
        transform = Affine(gsd, 0, ORIGIN[0], 0, -gsd, ORIGIN[1] - number * 10 * SIDE)
        path = folder / f"{number}-{key}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=len(pixels), height=len(pixels), count=1,
            dtype="uint16", crs="EPSG:32631", transform=transform, nodata=0, tiled=True,
            blockxsize=64, blockysize=64, compress="deflate", predictor=2,
        ) as dataset:  # fmt: skip
            dataset.write(pixels, 1)
        storage.write(f"{place}/{key}.tif", path)
        grid = {"proj:shape": list(pixels.shape), "proj:transform": list(transform)[:6]}
        item.add_asset(
            key,
            pystac.Asset(f"{place}/{key}.tif", roles=["data"], media_type=pystac.MediaType.COG,
                         extra_fields=grid),
        )  # fmt: skip
    item.set_self_href(f"{place}/stac_item.json")
    return item
