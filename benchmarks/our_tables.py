"""stacchip's tables through its public interface: writing and reading an index of many items.

Its functions have not changed for long, so that `against` runs this module with another checkout's
`stacchip`.
"""

from __future__ import annotations

import copy
import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contender import Task, answer
from stacchip.grid.chip_grid import ChipGrid
from stacchip.index import (
    concat_indexes,
    gather_headers,
    merge_indexes,
    read_index,
    read_records,
    scan_index,
    write_index,
)
from stacchip.index.build import build_table
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.items.record import parse_item
from stacchip.sources import SENTINEL_2
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

CHIP_PX = 256
GSD = 10
ORIGIN = (600_000, 5_800_000)
SIZE = 10_980
CRS = "EPSG:32631"
NUMBERS = ["chip_index_x", "chip_index_y", "cloud_cover_percentage", "nodata_percentage"]
TEXTS = ["chipid", "item_id", "platform"]


def make(item: dict[str, Any], path: str, items: int, first: int = 0) -> dict[str, Any]:
    """Write an index of `items` items with headers: 36 tiles side by side, every five days."""
    ((_, headers),) = gather_headers([parse_item(item)]).items()
    numbers = range(first, first + items)
    table = concat_indexes([_table(item, number) for number in numbers])
    write_index(
        table,
        path,
        headers={_id(item, number): headers for number in numbers},
    )
    return {"rows": table.num_rows}


def _id(item: Mapping[str, Any], number: int) -> str:
    return f"{item['id']}-{number:05d}"


def _table(item: Mapping[str, Any], number: int) -> pa.Table:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    when = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=5 * (number // 36))
    # six by six tiles, then the next date
    west, north = (ORIGIN[0] + number % 6 * 100_000, ORIGIN[1] - number // 6 % 6 * 100_000)
    record = copy.deepcopy(dict(item))
    record["id"] = _id(item, number)
    record["properties"]["datetime"] = when.isoformat()
    grid = ChipGrid(GeoBox((SIZE, SIZE), Affine(GSD, 0, west, 0, -GSD, north), CRS), CHIP_PX)
    rng = np.random.default_rng(number)
    shape = (grid.y_size, grid.x_size)
    shares = {name: rng.integers(0, 65_537, shape) / 65_536 for name in ("cloud", "nodata")}
    return build_table(record, grid, platform=SENTINEL_2.name, datetime=when, shares=shares)


def numbers(path: str) -> None:
    """Read four columns of numbers."""
    read_index(path, columns=NUMBERS)


def texts(path: str) -> None:
    """Read three columns of texts."""
    read_index(path, columns=TEXTS)


def everything(path: str) -> None:
    """Read all rows and columns."""
    read_index(path)


def scan(path: str) -> None:
    """Scan three columns."""
    for _ in scan_index(path, columns=[*NUMBERS[2:], "chipid"]):
        pass


def one_item(path: str, item_id: str) -> None:
    """Read the rows of one item."""
    assert read_index(path, item_id=item_id).num_rows


def by_bbox(path: str) -> None:
    """Read the rows of half a degree."""
    assert read_index(path, bbox=(6.0, 50.0, 6.5, 50.5)).num_rows


def by_cloud(path: str) -> None:
    """Read the rows of little cloud."""
    assert read_index(path, max_cloud=0.1).num_rows


def records(path: str, item_ids: list[str]) -> None:
    """Read the records of some items."""
    assert len(read_records(path, item_ids=item_ids)) == len(item_ids)


def lookup(path: str, item_ids: list[str]) -> None:
    """Look up items one by one, as a stream does."""
    found = RecordLookup(path, Storage())
    for item_id in item_ids:
        assert found.find(SENTINEL_2.name, item_id) is not None


def parse(text: str, times: int) -> None:
    """Parse an item from its JSON text."""
    for _ in range(times):
        parse_item(json.loads(text))


def rewrite(path: str, item_ids: list[str], out: str) -> None:
    """Read the rows of some items, and write them as an index."""
    write_index(read_index(path, item_id=item_ids), out)


def merge(paths: list[str], out: str) -> None:
    """Merge indexes."""
    shutil.rmtree(out, ignore_errors=True)
    merge_indexes(paths, out)


TASKS: dict[str, Task] = {
    task.__name__: task
    for task in (
        make,
        numbers,
        texts,
        everything,
        scan,
        one_item,
        by_bbox,
        by_cloud,
        records,
        lookup,
        parse,
        rewrite,
        merge,
    )
}

if __name__ == "__main__":
    answer(TASKS)
