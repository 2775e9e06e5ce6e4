"""Layers of an item: what the chips of a stream may need of a raster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from stacchip.errors import LimitExceeded
from stacchip.grid.geobox import make_geobox
from stacchip.grid.window import Window
from stacchip.raster import open_reader
from stacchip.raster.placement import Placement
from stacchip.storage import Limits, Storage, StorageOptions
from stacchip.stream.read.layers import ItemLayers, Layer

if TYPE_CHECKING:
    from pathlib import Path

    from stacchip.stream.plan.ledger import LayerBlock


def test_a_chip_of_coarse_pixels_needs_no_more_of_a_raster_than_its_place_allows(
    tmp_path: Path,
) -> None:
    """The chip is small, but each of its pixels is the mean of 64 x 64."""
    path = str(tmp_path / "a.tif")
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=512, width=512, tiled=True,
        blockxsize=64, blockysize=64, crs="EPSG:32629", transform=Affine(10, 0, 6e5, 0, -10, 4e6),
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 512, 512), np.uint8))
    chips = [Window(0, 0, 2, 2), Window(0, 0, 8, 8)]

    def blocks(limits: Limits) -> dict[LayerBlock, Layer]:
        reader = open_reader(path, Storage(options=StorageOptions(limits=limits)))
        source = reader.geobox
        assert source is not None
        grid = make_geobox("EPSG:32629", Affine(640, 0, 6e5, 0, -640, 4e6), (8, 8))
        placed = Placement(reader, source, grid, None, "average")
        layer = Layer(("p", "item"), "red", placed, slice(0, 1))
        opened: Any = SimpleNamespace()
        return ItemLayers(opened, (layer,), ("red",), np.dtype(np.uint8)).blocks(chips)

    assert len(blocks(Limits())) == 64
    with pytest.raises(LimitExceeded, match="takes 262144 bytes") as caught:
        blocks(Limits(chip_bytes=262_143))
    assert (caught.value.item_id, caught.value.asset) == ("item", "red")
