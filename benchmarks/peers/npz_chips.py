"""stacchip's own cubes of `.npz`, as `stacchip prechip` writes them, read in shuffled order.

Nothing in stacchip reads cubes for training: whoever has cubes reads them with numpy, like this.
The cubes are read in a random order, one or two ahead of time in threads, and the chips of four
cubes are mixed.

Cubes hold float32, and a mask of valid pixels, which is not read here: twice the bytes of the other
data sets in memory, and more than that on disk. Uncompressed cubes were read fastest, at 1.7 to
2.1 ms a chip. Compressed ones (`form="npz"`, the default of `stacchip prechip`) take 18 % of the
bytes, and 5 ms. stacchip's `find_cubes(...).reader` takes each file into memory as a whole: 3 to
4 ms. numpy itself (`np.load`) was as fast as `read_npy`, but fails in threads now and then before
Python 3.11.8.
"""

from __future__ import annotations

import zipfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from benchmarks.contender import Task, answer
from benchmarks.peers.kept_chips import (
    BATCH,
    SEED,
    WORKERS,
    add_up,
    new_shared_batch,
    size_bytes,
    time_epoch,
)
from benchmarks.scene import ASSETS, COLLECTION
from stacchip.cubes import CubeFolder, Imagery, PlanSettings, Prechip, find_cubes
from stacchip.cubes.sinks.npy import read_npy
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CUBE = 64
MIXED = 4
"""Cubes whose chips are mixed."""

THREADS = 2
_SUFFIX = ".npz"

_loaders: dict[str, DataLoader[torch.Tensor]] = {}


def write(
    item: dict[str, Any], path: str, form: Literal["npz-uncompressed", "npz"] = "npz-uncompressed"
) -> dict[str, int]:
    """Index the scene and write its chips as cubes, once."""
    import pystac

    from stacchip.indexer import Sentinel2Indexer

    table = Sentinel2Indexer(pystac.Item.from_dict(item), chip_max_nodata=1.0).create_index()
    imagery = Imagery(table, COLLECTION, bands=ASSETS, max_nodata=None)
    settings = PlanSettings(cube_size=CUBE, cubes_per_job=table.num_rows // CUBE + 1)
    Prechip(imagery, path, settings, form=form).run(0)
    return size_bytes(path)


def epoch(path: str, number: int = 0) -> dict[str, Any]:
    """Read an epoch in this process; two threads read cubes ahead."""
    return time_epoch(_batches(path, number))


def loader_epoch(path: str, number: int = 0) -> dict[str, Any]:  # noqa: ARG001 - workers count
    """Read the next epoch through two workers that stay alive."""
    return time_epoch(_loader(path))


def checksum(path: str, workers: int = 0, number: int = 0) -> dict[str, int]:
    """Return the sum of all pixels of an epoch, in this process or through two workers."""
    return add_up(_loader(path) if workers else _batches(path, number))


def _batches(
    path: str,
    number: int,
    share: slice = slice(None),
    *,
    collate: Callable[[list[np.ndarray]], Any] = np.stack,
    threads: int = THREADS,
) -> Iterator[Any]:
    """Yield batches of chips, mixed from a few cubes that follow one another in random order.

    Args:
        path: The folder of the cubes.
        number: The number of the epoch.
        share: Which cubes of the epoch's order to read.
        collate: Makes a batch of chips.
        threads: Number of threads that read ahead.
    """
    folder = CubeFolder(path, COLLECTION)
    rng = np.random.default_rng((SEED, number))
    cubes = rng.permutation(find_cubes(folder, Storage()).numbers)[share].tolist()
    read = _read_ahead([folder.cube_href(cube, _SUFFIX) for cube in cubes], threads)
    while mixed := list(islice(read, MIXED)):
        chips = [chip for cube in mixed for chip in cube]
        order = rng.permutation(len(chips)).tolist()
        for start in range(0, len(chips), BATCH):
            yield collate([chips[place] for place in order[start : start + BATCH]])


def _read_ahead(cubes: list[str], threads: int) -> Iterator[np.ndarray]:
    """Yield the pixels of cubes in their order, while threads read those that come next."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(_read, cube) for cube in cubes[: threads + 1])
        for cube in cubes[threads + 1 :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(_read, cube))
        while waiting:
            yield waiting.popleft().result()


def _read(cube: str) -> np.ndarray:
    with zipfile.ZipFile(cube) as archive, archive.open("pixels.npy") as file:
        return read_npy(file)


class Cubes(IterableDataset[torch.Tensor]):
    """Batches from a worker's share of the cubes; each pass is the next epoch."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        assert worker is not None
        share = slice(worker.id, None, worker.num_workers)
        self._number += 1
        return _batches(self._path, self._number, share, collate=_collate, threads=1)


def _collate(chips: list[np.ndarray]) -> torch.Tensor:
    batch = new_shared_batch(len(chips), torch.float32)
    np.stack(chips, out=batch.numpy())
    return batch


def _loader(path: str) -> DataLoader[torch.Tensor]:
    if path not in _loaders:
        _loaders[path] = DataLoader(
            Cubes(path),
            batch_size=None,
            num_workers=WORKERS,
            multiprocessing_context="forkserver",
            persistent_workers=True,
        )
    return _loaders[path]


def end_loader() -> None:
    """End the workers, which a killed process could not do."""
    import gc

    _loaders.clear()
    gc.collect()


TASKS: dict[str, Task] = {
    "write": write,
    "epoch": epoch,
    "loader_epoch": loader_epoch,
    "checksum": checksum,
    "size": size_bytes,
    "end_loader": end_loader,
}

if __name__ == "__main__":
    answer(TASKS)
