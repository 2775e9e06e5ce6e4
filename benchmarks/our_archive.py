"""stacchip's work on archives: merge many indexes into one, and chips into cubes."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contender import Task, answer

ROWS = 1700
GRID = (34, 50)
"""Rows and columns of chips in each index."""


def make_indexes(folder: str, count: int) -> dict[str, Any]:
    """Write indexes as processors do: `index/{platform}/{item}/index_{item}.parquet`."""
    # pyarrow and GDAL are loaded here, and forked processes would inherit their locks
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(mp_context=context) as pool:
        list(pool.map(partial(_make_index, folder), range(count), chunksize=50))
    return {"indexes": count}


def _make_index(folder: str, number: int) -> None:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    from stacchip.index import ChipGrid, build_table, write_index

    rng = np.random.default_rng(number)
    item_id = f"S2A_{number:05d}_0_L2A"
    taken = datetime(2018, 1, 1, 10, 30, tzinfo=UTC) + timedelta(hours=25 * number)
    east, north = 200_000 + 100_000 * (number % 6), 1_000_000 + 200_000 * (number % 35)
    shape = (GRID[0] * 256, GRID[1] * 256)
    geobox = GeoBox(shape, Affine(10, 0, east, 0, -10, north), f"EPSG:{32601 + number % 60}")
    assets = {f"band{band}": {"href": f"s3://bucket/{item_id}/{band}.tif"} for band in range(11)}
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "geometry": None,
        "properties": {"datetime": taken.isoformat()},
        "links": [],
        "assets": assets,
    }
    shares = {name: rng.random(GRID, np.float32) for name in ("cloud", "nodata", "shadow", "snow")}
    table = build_table(
        item, ChipGrid(geobox, 256), platform="sentinel-2-l2a", datetime=taken, shares=shares
    )
    path = Path(folder, "index", "sentinel-2-l2a", item_id, f"index_{item_id}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_index(table, str(path))


def merge(folder: str, out: str) -> dict[str, Any]:
    """Merge all indexes below a folder; measuring the result does not count."""
    from stacchip.index import merge_indexes

    begin = time.perf_counter()
    report = merge_indexes(folder, out)
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    return {"seconds": seconds, "chips": report.chips, "items": report.items, "mb": size / 1e6}


def upload(item: dict[str, Any], index_path: str) -> dict[str, Any]:
    """Upload a scene and its item in the layout of the processors; write its index locally.

    The environment (`AWS_*`) says where the store is.
    """
    import json

    from stacchip.index import write_index
    from stacchip.indexer import Sentinel2Indexer
    from stacchip.storage import Storage

    storage = Storage()
    place = f"s3://data/sentinel-2-l2a/{item['id']}"
    for asset in item["assets"].values():
        path = Path(asset["href"])
        storage.write(f"{place}/{path.name}", path)
        asset["href"] = f"{place}/{path.name}"
    storage.write(f"{place}/stac_item.json", json.dumps(item).encode())
    table = Sentinel2Indexer(item, chip_max_nodata=0.0, storage=storage).create_index()
    write_index(table, index_path, storage=storage)
    return {"rows": table.num_rows}


def prechip(index_path: str, target: str, cube_size: int) -> dict[str, Any]:
    """Write all cubes of an index, compressed, to the store."""
    from stacchip.cubes.plan import PlanSettings
    from stacchip.cubes.prechip import Imagery, Prechip

    imagery = Imagery(index_path, "sentinel-2-l2a", data="s3://data", max_nodata=None)
    settings = PlanSettings(cube_size=cube_size, cubes_per_job=100, last_cube="drop")
    report = Prechip(imagery, target, settings).run(0)
    return {"seconds": report.seconds, "chips": report.chips, "mb": report.bytes_written / 1e6}


TASKS: dict[str, Task] = {
    "make_indexes": make_indexes,
    "merge": merge,
    "upload": upload,
    "prechip": prechip,
}

if __name__ == "__main__":
    answer(TASKS)
