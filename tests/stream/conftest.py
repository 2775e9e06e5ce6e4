from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pystac
import pytest

from scenes import ORIGIN, Scene, make_scene, write_band
from servers.range_server import RangeServer
from stacchip.index import write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer

BLOCK = 128


def make_item(folder: Path, item_id: str, bands: dict[str, tuple[float, int]], **options) -> Scene:
    """An item with square bands, each given as (metres a pixel, pixels a side)."""
    folder.mkdir(parents=True, exist_ok=True)
    item = pystac.Item(
        item_id, None, None, datetime(2024, 5, 1, 11, 30, tzinfo=UTC), {"proj:code": "EPSG:32629"}
    )
    for key, (resolution, side) in bands.items():
        write_band(folder / f"{key}.tif", resolution, (side, side), **options)
        grid = {
            "proj:shape": [side, side],
            "proj:transform": [resolution, 0, ORIGIN[0], 0, -resolution, ORIGIN[1]],
        }
        item.add_asset(key, pystac.Asset(f"./{key}.tif", roles=["data"], extra_fields=grid))
    item.set_self_href(str(folder / "item.json"))
    (folder / "item.json").write_text(json.dumps(item.to_dict(transform_hrefs=False)))
    return Scene(item, folder)


def behind(scene: Scene, server: RangeServer) -> pystac.Item:
    """The scene's item with its files behind a server of the folder above."""
    item = scene.item.clone()
    for key, asset in item.assets.items():
        asset.href = server.url(f"{scene.folder.name}/{key}.tif")
    return item


def index_items(items: list[pystac.Item], path: Path, chip_size: int = 64, **options) -> str:
    """An index with headers of several items."""
    tables = [NoStatsChipIndexer(item, chip_size, **options).create_index() for item in items]
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    stored = [NoStatsChipIndexer(item, chip_size, **options).recorded_item() for item in items]
    write_index(table, path, items=stored, headers=gather_headers(items))
    return str(path)


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> list[Scene]:
    """Six items with bands of 10 and 20 m, in which chips of 64 px nest in blocks of 128 px."""
    folder = tmp_path_factory.mktemp("archive")
    bands = {"red": (10, 768), "swir": (20, 384)}
    return [make_item(folder / f"item-{n}", f"item-{n}", bands) for n in range(6)]


@pytest.fixture
def server(archive) -> Iterator[RangeServer]:
    with RangeServer(archive[0].folder.parent) as running:
        yield running


@pytest.fixture
def nested(archive, server, tmp_path) -> str:
    """An index of the archive behind the server: 6 x 144 chips."""
    path = index_items([behind(scene, server) for scene in archive], tmp_path / "index")
    server.reset_counters()
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene-1")


def pixels_of(stream) -> dict[str, np.ndarray]:
    return {chip.chipid: chip.array.copy() for chip in stream}
