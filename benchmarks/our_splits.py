"""stacchip's splits, through its public interface; each task in a new process."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.contender import Task, answer, peak_mb
from stacchip import Split, add_split, check_leakage


def split(path: str) -> dict[str, Any]:
    """Split an index by place."""
    begin = time.perf_counter()
    report = add_split(path, Split(), replace=True)
    return {"seconds": time.perf_counter() - begin, "peak_mb": peak_mb(), "kept": report.kept}


def leakage(path: str, buffer_m: float) -> dict[str, Any]:
    """Check an index, or any GeoParquet."""
    begin = time.perf_counter()
    report = check_leakage(path, buffer_m=buffer_m)
    return {
        "seconds": time.perf_counter() - begin,
        "peak_mb": peak_mb(),
        "chips": sum(report.splits.values()),
        "overlapping": report.overlap.chips,
        "near": report.near.chips,
    }


def tests(path: str) -> dict[str, Any]:
    """Count the test chips, and those of them that overlap training chips."""
    chips = pq.read_table(path, filters=pc.field("split").isin(["train", "test"]))
    test = chips.filter(pc.field("split") == "test")
    # a report counts chips of both splits: with all test chips twice, only those count once more
    once, twice = (check_leakage(table) for table in (chips, pa.concat_tables([chips, test])))
    return {"chips": len(test), "overlapping": twice.overlap.chips - once.overlap.chips}


TASKS: dict[str, Task] = {task.__name__: task for task in (split, leakage, tests)}

if __name__ == "__main__":
    answer(TASKS)
