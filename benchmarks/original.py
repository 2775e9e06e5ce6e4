"""The original, stacchip 0.1.38 with its pins, used through its public interface.

It runs in `environments.ORIGINAL`, and imports nothing of ours but `contender`. GDAL does not list
the directory beside a file: a user of COGs would set it so, and it favours the original.
"""

from __future__ import annotations

import os

os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")

import time
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pystac

from benchmarks.contender import answer
from stacchip.chipper import Chipper
from stacchip.indexer import NoStatsChipIndexer, Sentinel2Indexer

_chippers: dict[str, Chipper] = {}


def index(item: dict[str, Any], table_path: str | None = None) -> dict[str, Any]:
    """Make a table from an item; parsing the item counts, as it does for ours."""
    table = Sentinel2Indexer(pystac.Item.from_dict(item)).create_index()
    if table_path is not None:
        pq.write_table(table, table_path)
    return {"rows": table.num_rows}


def chip(item: dict[str, Any], name: str, x: int, y: int) -> dict[str, Any]:
    """Cut one chip of all assets; the chipper is made once and kept under `name`."""
    chipper = _chipper(item, name)
    begin = time.perf_counter()
    pixels = chipper.chip(x, y)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "checksum": _checksum(pixels)}


def epoch(item: dict[str, Any], name: str, chips: list[tuple[int, int]]) -> dict[str, Any]:
    """Cut chips one after another, as the original must."""
    chipper = _chipper(item, name)
    for x, y in chips:
        chipper.chip(x, y)
    return {"chips": len(chips)}


def _chipper(item: dict[str, Any], name: str) -> Chipper:
    if name not in _chippers:
        # the grid needs no statistics, so nothing is read to make it
        _chippers[name] = Chipper(NoStatsChipIndexer(pystac.Item.from_dict(item)))
    return _chippers[name]


def _checksum(chip: dict[str, Any]) -> int:
    """Return the sum of all pixels, which all readers of the same chip share."""
    return int(sum(np.asarray(pixels, np.uint64).sum() for pixels in chip.values()))


if __name__ == "__main__":
    answer({"index": index, "chip": chip, "epoch": epoch})
