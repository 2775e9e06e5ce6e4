"""webdataset 1.0.2: chips as `.npy` in tar files, read by its own pipeline and loader.

This is the form in which it was fastest here: no compression, and a view of the bytes as pixels in
place of the library's `decode()`, which copies them (1.55 ms a chip in one process, not 1.1). Bytes
without the head of `.npy` were as fast. The loader makes the batches (0.85 ms a chip); batches that
the pipeline makes with `batched()` are copied once more (0.95 to 1.1 ms). Compressed with gzip,
which it decodes by itself, chips take a third of the bytes, and 5.7 ms for zlib alone.

Tar files are shuffled, and so are the chips of about four of them, in a buffer of 256 chips that is
filled before the first chip leaves it. The buffer costs no time that could be measured.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset

from benchmarks.contender import Task, answer
from benchmarks.peers.kept_chips import (
    BANDS,
    BATCH,
    CHIP,
    SEED,
    WORKERS,
    add_up,
    cut_chips,
    size_bytes,
    time_epoch,
)

SHARD = 64
BUFFER = 256

_loaders: dict[str, webdataset.WebLoader] = {}


def write(item: dict[str, Any], path: str) -> dict[str, int]:
    """Cut the scene and write its chips, once."""
    Path(path).mkdir()
    with webdataset.ShardWriter(f"{path}/chips-%03d.tar", maxcount=SHARD, verbose=0) as target:
        for number, chip in enumerate(cut_chips(item)):
            target.write({"__key__": f"{number:06d}", "npy": chip})
    return size_bytes(path)


def epoch(path: str, number: int = 0) -> dict[str, Any]:
    """Read an epoch in this process; webdataset has no threads."""
    return time_epoch(_batches(path, number))


def loader_epoch(path: str, number: int = 0) -> dict[str, Any]:  # noqa: ARG001 - workers count
    """Read the next epoch through two workers that stay alive."""
    return time_epoch(_loader(path))


def checksum(path: str, workers: int = 0, number: int = 0) -> dict[str, int]:
    """Return the sum of all pixels of an epoch, in this process or through two workers."""
    return add_up(_loader(path) if workers else _batches(path, number))


def _batches(path: str, number: int) -> webdataset.WebDataset:
    return _dataset(path, number).map(_pixels).batched(BATCH, collation_fn=np.stack)


def _dataset(path: str, number: int = 0) -> webdataset.WebDataset:
    shards = sorted(map(str, Path(path).glob("*.tar")))
    dataset = webdataset.WebDataset(
        shards, shardshuffle=len(shards), detshuffle=True, seed=SEED + number
    )
    return dataset.shuffle(BUFFER, initial=BUFFER)


def _pixels(sample: dict[str, bytes]) -> np.ndarray:
    """View the pixels in the bytes of an `.npy` file, whose head comes before them."""
    data = sample["npy"]
    size = BANDS * CHIP * CHIP * 2
    return np.frombuffer(data, np.uint16, offset=len(data) - size).reshape(BANDS, CHIP, CHIP)


def _tensor(sample: dict[str, bytes]) -> torch.Tensor:
    with warnings.catch_warnings():
        # that bytes cannot be written to does not matter: the loader copies them into a batch
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(_pixels(sample))


def _loader(path: str) -> webdataset.WebLoader:
    if path not in _loaders:
        _loaders[path] = webdataset.WebLoader(
            _dataset(path).map(_tensor),
            batch_size=BATCH,
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
