"""DuckDB on the files of an index, as a user who knows SQL would ask; each task in a new process.

A list of files is given in place of a pattern: a pattern would take `_items.parquet`, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from benchmarks.contender import Task, answer

TENTH = "least(floor({share} * 10), 9)::int"


def _measured(path: str, query: str, values: list[Any]) -> dict[str, Any]:
    read = _read()
    files = sorted(map(str, Path(path).glob("chips*.parquet")))
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    found = connection.execute(query, [files, *values]).to_arrow_table()
    return {"rows": found.num_rows, "read_mb": (_read() - read) / 1e6}


def _read() -> int:
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])


def item(path: str, item_id: str) -> dict[str, Any]:
    """Read the rows of one item."""
    return _measured(path, "SELECT * FROM read_parquet(?) WHERE item_id = ?", [item_id])


def chipid(path: str, chipid: str) -> dict[str, Any]:
    """Find the row of a chip."""
    query = "SELECT item_id, chip_index_x FROM read_parquet(?) WHERE chipid = ?"
    return _measured(path, query, [chipid])


def degree(path: str, bbox: list[float]) -> dict[str, Any]:
    """Read the rows of one degree."""
    west, south, east, north = bbox
    query = (
        "SELECT * FROM read_parquet(?) WHERE bbox.xmax >= ? AND bbox.xmin <= ? "
        "AND bbox.ymax >= ? AND bbox.ymin <= ?"
    )
    return _measured(path, query, [west, east, south, north])


def info(path: str) -> dict[str, Any]:
    """Sum the index up by source: chips, items, sizes, dates, extent, tenths of the shares."""
    tenths = ", ".join(
        f"histogram({TENTH.format(share=share)}) FILTER ({share} IS NOT NULL)"
        for share in ("cloud_cover_percentage", "nodata_percentage")
    )
    query = (
        "SELECT platform, count(*), count(DISTINCT item_id), min(chip_size), max(chip_size), "
        f"min(date), max(date), min(bbox.xmin), max(bbox.xmax), min(bbox.ymin), max(bbox.ymax), "
        f"{tenths} FROM read_parquet(?) GROUP BY platform"
    )
    return _measured(path, query, [])


TASKS: dict[str, Task] = {task.__name__: task for task in (item, chipid, degree, info)}

if __name__ == "__main__":
    answer(TASKS)
