"""stacchip's draws, through its public interface; each task in a new process."""

from __future__ import annotations

import hashlib
import os
import time
from itertools import chain, islice
from typing import Any

import numpy as np

from benchmarks.contender import Task, answer
from benchmarks.our_big_index import measured
from stacchip import ChipStream, Draw, Shard, Storage, StorageOptions

MONTH = "month(datetime)"
CLEAR = "1 - coalesce(cloud_cover_percentage, 0)"


def _stream(path: str, cache: str, chips: int, **options: Any) -> ChipStream:
    os.environ["STACCHIP_CACHE_DIR"] = cache
    storage = Storage(options=StorageOptions(allow_local=True))
    draw = Draw(weight=CLEAR, balance=[MONTH], chips=chips)
    return ChipStream(path, draw=draw, order="shuffle", seed=1, storage=storage, **options)


@measured
def weigh(path: str, cache: str, chips: int) -> dict[str, Any]:
    """Weigh all chips of an index, which is done once."""
    begin = time.perf_counter()
    count = len(_stream(path, cache, chips))
    return {"seconds": time.perf_counter() - begin, "chips": count}


@measured
def draw(path: str, cache: str, chips: int, epoch: int) -> dict[str, Any]:
    """Draw an epoch, and put it in order."""
    begin = time.perf_counter()
    count = len(_stream(path, cache, chips, epoch=epoch).table)
    return {"seconds": time.perf_counter() - begin, "chips": count}


@measured
def follow(path: str, cache: str, chips: int, epoch: int) -> dict[str, Any]:
    """Go along the order of an epoch that was drawn, as a worker does, without its pixels."""
    stream = _stream(path, cache, chips, epoch=epoch, shard=Shard(1, 7))
    return {"chips": sum(1 for _ in islice(stream.chip_numbers(64), 10_000))}


def shares(path: str, cache: str, chips: int, platform: str) -> dict[str, Any]:
    """Return how far the shares of the months are from those asked for, in standard errors."""
    report = _stream(path, cache, chips, platform=platform).report_draw()
    off = [
        abs(value.got - value.asked) / np.sqrt(value.asked * (1 - value.asked) / report.chips)
        for value in report.values
    ]
    return {"of": report.of, "chips": report.chips, "off": float(max(off))}


def sets(path: str, cache: str, chips: int, platform: str) -> dict[str, Any]:
    """Return how many different sets of chips processes of several numbers draw together."""
    seen = set()
    for ranks in (1, 2, 7):
        for workers in (1, 3):
            shards = Shard(0, ranks, 0, workers).others()
            streams = (_stream(path, cache, chips, platform=platform, shard=s) for s in shards)
            rows = np.sort(np.concatenate([*chain(stream.rows() for stream in streams)]))
            seen.add(hashlib.sha256(rows.tobytes()).hexdigest())
    return {"sets": len(seen), "chips": len(rows)}


TASKS: dict[str, Task] = {task.__name__: task for task in (weigh, draw, follow, shares, sets)}

if __name__ == "__main__":
    answer(TASKS)
