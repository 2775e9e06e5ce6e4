"""litdata 0.2.76: chips as tensors in its chunks, read in place by its own data loader.

This is the form in which it was fastest here: tensors, not numpy arrays (which it copies once more
and then stacks one by one: 1.1 ms a chip in one process, not 0.45), and no compression. With
`zstd:1` of each sample, chips took 40 % of the bytes and 8 ms; larger units of compression would
decode 256 chips for one, or the whole chunk. Compressed by whole chunk, a local data set does not
stay as it is: the first epoch replaces the chunks by decompressed ones, and with little free disk
(`max_cache_size`) it deletes chunks that the next epoch then waits for.

Chunks are shuffled, and the chips in each, but not across chunks. So they are small, 16 chips, and
a batch has those of at least four; 64 chips were as fast, and 4 or 1 slower in one process.

In one process numpy stacks a batch: torch's threads were no faster (0.6 ms a chip, not 0.45), and
ten times slower as soon as the machine had anything else to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.writer import BinaryWriter

from benchmarks.contender import Task, answer
from benchmarks.peers.kept_chips import (
    BATCH,
    SEED,
    WORKERS,
    add_up,
    cut_chips,
    size_bytes,
    time_epoch,
)

CHUNK = 16

_loaders: dict[tuple[str, int], StreamingDataLoader] = {}


def write(item: dict[str, Any], path: str) -> dict[str, int]:
    """Cut the scene and write its chips, once, by the writer behind `litdata.optimize`."""
    writer = BinaryWriter(path, chunk_size=CHUNK)
    for number, chip in enumerate(cut_chips(item)):
        writer.add_item(number, torch.from_numpy(chip))
    writer.done()
    writer.merge()
    return size_bytes(path)


def epoch(path: str, number: int = 0) -> dict[str, Any]:
    """Read an epoch in this process; litdata has no threads that read ahead from a local disk."""
    return time_epoch(_loader(path, 0, number))


def loader_epoch(path: str, number: int = 0) -> dict[str, Any]:
    """Read an epoch through two workers that stay alive."""
    return time_epoch(_loader(path, WORKERS, number))


def checksum(path: str, workers: int = 0, number: int = 0) -> dict[str, int]:
    """Return the sum of all pixels of an epoch, in this process or through workers."""
    return add_up(_loader(path, workers, number))


def _loader(path: str, workers: int, number: int) -> StreamingDataLoader:
    key = (path, workers)
    if key not in _loaders:
        options: dict[str, Any] = (
            {"multiprocessing_context": "forkserver", "persistent_workers": True}
            if workers
            else {"collate_fn": _stack}
        )
        dataset = StreamingDataset(path, shuffle=True, seed=SEED)
        _loaders[key] = StreamingDataLoader(
            dataset, batch_size=BATCH, num_workers=workers, **options
        )
    # a loader counts its epochs up when one begins
    _loaders[key].current_epoch = number
    return _loaders[key]


def _stack(chips: list[torch.Tensor]) -> np.ndarray:
    return np.stack([chip.numpy() for chip in chips])


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
