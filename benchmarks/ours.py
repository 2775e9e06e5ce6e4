"""stacchip itself, used through its public interface, and some of its parts to time them alone."""

from __future__ import annotations

import gc
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contender import Task, answer, peak_mb

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 4
"""Concurrent chips in flight: enough to hide 30 ms behind decoding."""

_chippers: dict[str, Any] = {}


def index(item: dict[str, Any], table_path: str | None = None) -> dict[str, Any]:
    """Make a table from an item; parsing the item counts, writing the table does not."""
    import pyarrow.parquet as pq
    import pystac

    from stacchip.indexer import Sentinel2Indexer

    begin = time.perf_counter()
    table = Sentinel2Indexer(pystac.Item.from_dict(item)).create_index()
    seconds = time.perf_counter() - begin
    if table_path is not None:
        pq.write_table(table, table_path)
    return {"seconds": seconds, "rows": table.num_rows}


def index_parts(item: dict[str, Any]) -> dict[str, float]:
    """Time the parts of indexing, each alone and through its public function.

    Decoding and counting overlap when they run together, so the parts add up to more than the
    whole.
    """
    from stacchip.grid.chip_grid import ChipGrid
    from stacchip.grid.window import Window
    from stacchip.index.build import build_table
    from stacchip.index.quality import chip_shares
    from stacchip.raster.reader import open_reader
    from stacchip.sources import SENTINEL_2
    from stacchip.storage import Storage

    storage = Storage()
    parts: dict[str, float] = {}
    header_s, reader = _timed(lambda: open_reader(item["assets"]["scl"]["href"], storage))
    grid = ChipGrid(_reference_geobox(item), 256)
    whole = Window(0, 0, *reader.shape)
    parts["header"] = header_s
    parts["decoding"], pixels = _timed(lambda: reader.read(whole, [0]))
    held = _HeldReader(pixels, reader)
    parts["counting"], shares = _timed(lambda: chip_shares(held, SENTINEL_2, grid))
    parts["footprints"], _ = _timed(grid.footprints)
    table_s, _ = _timed(
        lambda: build_table(
            item,
            grid,
            platform=SENTINEL_2.name,
            datetime=datetime(2023, 6, 5, tzinfo=UTC),
            shares=shares,
            chip_max_nodata=0.5,
        )
    )
    parts["table"] = table_s - parts["footprints"]
    return parts


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def _reference_geobox(item: dict[str, Any]) -> Any:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    blue = item["assets"]["blue"]
    return GeoBox(
        tuple(blue["proj:shape"]),
        Affine(*blue["proj:transform"][:6]),
        f"EPSG:{item['properties']['proj:epsg']}",
    )


@dataclass(frozen=True)
class _HeldReader:
    """A reader whose pixels are in memory already, so that only the counting is timed."""

    pixels: np.ndarray
    reader: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def read(self, window: Any, bands: Any = None) -> np.ndarray:  # noqa: ARG002 - as in `Reader`
        return self.pixels[(slice(None), *window.slices)]


def index_memory(item: dict[str, Any]) -> dict[str, Any]:
    """Return the peak resident memory of a process before and after it indexes once."""
    import stacchip.indexer  # noqa: F401 - imports count as memory from before

    gc.collect()
    before = peak_mb()
    index(item)
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"before_mb": before, "peak_mb": max(peak_mb(), highest)}


def write(item: dict[str, Any], path: str) -> dict[str, Any]:
    """Write the index of an item, with every chip of the grid and the headers of its files."""
    import pystac

    from stacchip.index import write_index
    from stacchip.index.headers import gather_headers
    from stacchip.indexer import Sentinel2Indexer

    parsed = pystac.Item.from_dict(item)
    # the floor and the others read the whole grid, with chips without data: so do we
    table = Sentinel2Indexer(parsed, chip_max_nodata=1.0).create_index()
    begin = time.perf_counter()
    write_index(table, path, headers=gather_headers([parsed]))
    return {
        "seconds": time.perf_counter() - begin,
        "bytes": sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file()),
    }


def chip(path: str, x: int, y: int) -> dict[str, Any]:
    """Cut one chip of all assets from an index on disk, which is opened once and kept."""
    chipper = _chipper(path)
    begin = time.perf_counter()
    pixels = chipper.chip(x, y)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "checksum": _checksum(pixels), "assets": len(pixels)}


def chips(path: str, chips: list[tuple[int, int]]) -> dict[str, Any]:
    """Cut chips at random places, in several threads at once."""
    chipper = _chipper(path)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begin = time.perf_counter()
        cut = list(pool.map(lambda place: chipper.chip(*place), chips))
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "checksum": sum(map(_checksum, cut))}


def _chipper(path: str) -> Any:
    from stacchip.chipper import Chipper

    if path not in _chippers:
        _chippers[path] = Chipper(path)
    return _chippers[path]


def _checksum(pixels: dict[str, np.ndarray]) -> int:
    return sum(int(band.sum(dtype=np.uint64)) for band in pixels.values())


TASKS: dict[str, Task] = {
    "index": index,
    "index_parts": index_parts,
    "index_memory": index_memory,
    "write": write,
    "chip": chip,
    "chips": chips,
}

if __name__ == "__main__":
    answer(TASKS)
