"""stacchip's splits, through its public interface; each task in a new process."""

from __future__ import annotations

import time
from typing import Any

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
        "overlapping": report.overlap.chips,
        "near": report.near.chips,
    }


TASKS: dict[str, Task] = {task.__name__: task for task in (split, leakage)}

if __name__ == "__main__":
    answer(TASKS)
