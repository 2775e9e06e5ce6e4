"""stacchip on an index of many chips, through its public interface; each task in a new process."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from benchmarks.contender import Task, answer, peak_mb
from stacchip.chipper import Chipper
from stacchip.index import SCHEMA, append_to_index, read_index, write_index
from stacchip.index import remove as remove_from_index
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_CLOUD: Final = 0.5
BATCH: Final = 64


def measured(task: Callable[..., dict[str, Any] | None]) -> Task:
    """Let a task also return the memory that it took beyond the imports, and the bytes it read."""

    @wraps(task)
    def measure(**arguments: Any) -> dict[str, Any]:
        resident, read, written = _resident_mb(), *_bytes()
        facts = task(**arguments) or {}
        now_read, now_written = _bytes()
        return {
            "more_mb": peak_mb() - resident,
            "read_mb": (now_read - read) / 1e6,
            "written_mb": (now_written - written) / 1e6,
            **facts,
        }

    return measure


def _resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def _bytes() -> tuple[int, int]:
    """Return how many bytes this process has read and written."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"]), int(told["wchar"])


def _stream(path: str, **options: Any) -> ChipStream:
    # a remote index may not name the local files of the scene unless it is allowed to
    storage = Storage(options=StorageOptions(allow_local=True))
    return ChipStream(path, order="shuffle", max_cloud=MAX_CLOUD, storage=storage, **options)


def _load_everything() -> None:
    """Import what is imported with the first index, which every process does once."""
    with tempfile.TemporaryDirectory() as folder:
        write_index(SCHEMA.empty_table(), folder)
        read_index(folder)


@measured
def open_chipper(path: str) -> None:
    """Open the index to cut single chips."""
    len(Chipper(path))


@measured
def open_stream(path: str, cache: str) -> dict[str, Any]:
    """Open a shuffle of the chips of little cloud, whose order file is there."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    return {"chips": len(_stream(path))}


@measured
def plan_stream(path: str, cache: str) -> dict[str, Any]:
    """Open a shuffle and look at some items; the order file is made if it is missing."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    chips = len(_stream(path).table)
    size = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
    return {"chips": chips, "order_mb": size / 1e6}


@measured
def first_batch(path: str, cache: str) -> dict[str, Any]:
    """Give the first batch of a shuffle, from opening the index on."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    batches = _stream(path).batches(BATCH)
    return {"chips": len(next(batches))}


@measured
def speed(path: str, cache: str, batches: int) -> dict[str, Any]:
    """Give many batches of a shuffle; the time begins after the first."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    given = _stream(path).batches(BATCH)
    next(given)
    begin = time.perf_counter()
    chips = sum(len(next(given)) for _ in range(batches))
    return {"seconds": time.perf_counter() - begin, "chips": chips}


@measured
def state(path: str, cache: str) -> dict[str, Any]:
    """Save the state of a shuffle after a change of machines."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    stream = _stream(path)
    for _ in range(2):
        next(stream.batches(BATCH))
        saved = stream.state_dict()
        stream = _stream(path)
        stream.load_state_dict(saved)
    return {"bytes": len(json.dumps(saved))}


def workers(path: str, cache: str, count: int) -> dict[str, Any]:
    """Give two batches of each worker of a DataLoader, and look at the workers' memory then."""
    os.environ["STACCHIP_CACHE_DIR"] = cache
    import torch
    from torch.utils.data import DataLoader

    from stacchip.datasets import ChipStreamDataset

    begin = time.perf_counter()
    dataset = ChipStreamDataset(_stream(path, memory_bytes=512 << 20), batch_size=BATCH)
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=None, num_workers=count, prefetch_factor=1,
        multiprocessing_context=multiprocessing.get_context("spawn"),
    )  # fmt: skip
    given: Iterator[Any] = iter(loader)
    next(given)
    first_s = time.perf_counter() - begin
    for _ in range(2 * count):
        next(given)
    told = [_private_mb(child.pid) for child in psutil.Process().children() if _is_worker(child)]
    del given
    assert len(told) == count, torch.__version__
    return {"first_s": first_s, "pss_mb": max(told)}


def _is_worker(child: psutil.Process) -> bool:
    return "spawn_main" in " ".join(child.cmdline())


def _private_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (pss,) = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return int(pss) * 1024 / 1e6


@measured
def item(path: str, item_id: str) -> dict[str, Any]:
    """Read the rows of one item."""
    return {"rows": read_index(path, item_id=item_id).num_rows}


@measured
def chipid(path: str, chipid: str) -> dict[str, Any]:
    """Find the row of a chip."""
    return {"rows": 1, "row": Chipper(path).rows.find(chipid=chipid)}


@measured
def degree(path: str, bbox: list[float]) -> dict[str, Any]:
    """Read the rows of one degree."""
    return {"rows": read_index(path, bbox=bbox).num_rows}


@measured
def command(arguments: list[str]) -> None:
    """Run a command of the console script."""
    from stacchip.cli import run

    code = run(arguments)
    if code:
        raise RuntimeError(f"stacchip {' '.join(arguments)} ended with {code}")


@measured
def add(path: str, new: str) -> None:
    """Add the items of another index."""
    append_to_index(path, new)


@measured
def remove(path: str, item_id: str) -> None:
    """Remove an item."""
    remove_from_index(path, item_id=item_id)


TASKS: dict[str, Task] = {
    task.__name__: task
    for task in (
        open_chipper, open_stream, plan_stream, first_batch, speed, state, workers, item, chipid,
        degree, command, add, remove,
    )
}  # fmt: skip

if __name__ == "__main__":
    _load_everything()
    answer(TASKS)
