"""zarr-python 3.1.6: one array (chip, band, y, x), with a chunk for each chip.

Chunks are compressed with Blosc, LZ4 and shuffled bits. This is how chips were read fastest here,
in milliseconds a chip, in any order:

- a file for each chip, decoded by `zarrs` (the codec pipeline in Rust): 0.55, `oindex` of a batch
- the same without compression, in 2.6 times the bytes: 0.4
- shards of 64 chips, decoded by `zarrs`: 0.8, each chip asked for by itself, all at once by the
  asynchronous interface; `oindex` takes longer than 44 ms for one chip of a shard
- a file for each chip, decoded by zarr-python itself: 1.1, asynchronously, in two threads; 1.35 in
  the threads that it starts by itself, 1.4 to 1.7 from threads of ours, 5.1 with `oindex`
- shards of 64 chips, decoded by zarr-python itself: 1.7, asynchronously, in two threads
- the same with Zstandard in place of LZ4: 28 % fewer bytes, twice the time

`write` makes one or the other, `epoch` and `loader_epoch` read it by either codec pipeline. Whole
shards, shuffled and mixed by fours, were no faster than single chips. Chips that are only nodata
are not written, as is zarr's default.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import zarr
import zarrs  # noqa: F401 - registers its codec pipeline
from torch.utils.data import DataLoader, Dataset
from zarr.buffer.cpu import NDBuffer
from zarr.codecs import BloscCodec

from benchmarks.contender import Task, answer
from benchmarks.peers.kept_chips import (
    BANDS,
    BATCH,
    CHIP,
    CHIPS,
    SEED,
    WORKERS,
    add_up,
    cut_chips,
    new_shared_batch,
    size_bytes,
    time_epoch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Codecs = Literal["zarrs", "zarr"]

PIPELINES: dict[Codecs, str] = {
    "zarrs": "zarrs.ZarrsCodecPipeline",
    "zarr": "zarr.core.codec_pipeline.BatchedCodecPipeline",
}
THREADS = 2
"""Threads that decode for zarr-python's own pipeline."""

_loaders: dict[tuple[str, Codecs], DataLoader[torch.Tensor]] = {}


def write(item: dict[str, Any], path: str, chips_per_shard: int = 0) -> dict[str, int]:
    """Cut the scene and write its chips, once; without shards, if they are to have no chips."""
    shape = (BANDS, CHIP, CHIP)
    array = zarr.create_array(
        path,
        shape=(CHIPS, *shape),
        chunks=(1, *shape),
        shards=(chips_per_shard, *shape) if chips_per_shard else None,
        dtype=np.uint16,
        filters=None,
        compressors=BloscCodec(typesize=2, cname="lz4", clevel=5, shuffle="bitshuffle"),
    )
    chips = cut_chips(item)
    at_once = chips_per_shard or BATCH
    for start in range(0, CHIPS, at_once):
        array[start : start + at_once] = np.stack(list(islice(chips, at_once)))
    return size_bytes(path)


def epoch(path: str, number: int = 0, codecs: Codecs = "zarrs") -> dict[str, Any]:
    """Read an epoch in this process; the decoding has threads."""
    return time_epoch(_batches(path, number, codecs))


def loader_epoch(path: str, number: int = 0, codecs: Codecs = "zarrs") -> dict[str, Any]:
    """Read an epoch through two workers that stay alive."""
    return time_epoch(_loader(path, number, codecs))


def checksum(
    path: str, workers: int = 0, number: int = 0, codecs: Codecs = "zarrs"
) -> dict[str, int]:
    """Return the sum of all pixels of an epoch, in this process or through two workers."""
    return add_up((_loader if workers else _batches)(path, number, codecs))


def _batches(path: str, number: int, codecs: Codecs) -> Iterator[np.ndarray]:
    order = np.random.default_rng((SEED, number)).permutation(CHIPS)
    for start in range(0, CHIPS, BATCH):
        rows = order[start : start + BATCH]
        out = np.empty((len(rows), BANDS, CHIP, CHIP), np.uint16)
        _read(_open(path, codecs), rows, out, codecs)
        yield out


@cache
def _open(path: str, codecs: Codecs) -> zarr.Array[Any]:
    # an array keeps the pipeline with which it was opened
    with zarr.config.set({"codec_pipeline.path": PIPELINES[codecs]}):
        return zarr.open_array(path, mode="r")


def _read(array: zarr.Array[Any], rows: np.ndarray, out: np.ndarray, codecs: Codecs) -> None:
    if codecs == "zarrs" and array.shards is None:
        array.get_orthogonal_selection(rows, out=NDBuffer.from_numpy_array(out))
    else:
        _loop().run_until_complete(_read_singly(array, rows.tolist(), out))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    return loop


async def _read_singly(array: zarr.Array[Any], rows: Iterable[int], out: np.ndarray) -> None:
    async def read(row: int, target: np.ndarray) -> None:
        target[:] = await array.async_array.getitem(row)

    await asyncio.gather(*map(read, rows, out))


class Chips(Dataset[torch.Tensor]):
    """The chips of an array, of which a worker reads those of a batch together."""

    def __init__(self, path: str, codecs: Codecs) -> None:
        self._path = path
        self._codecs = codecs

    def __len__(self) -> int:
        return CHIPS

    def __getitems__(self, rows: Sequence[int]) -> torch.Tensor:
        batch = new_shared_batch(len(rows), torch.uint16)
        array = _open(self._path, self._codecs)
        _read(array, np.asarray(rows), batch.numpy(), self._codecs)
        return batch


def _loader(path: str, number: int, codecs: Codecs) -> DataLoader[torch.Tensor]:
    key = (path, codecs)
    if key not in _loaders:
        _loaders[key] = DataLoader(
            Chips(path, codecs),
            batch_size=BATCH,
            shuffle=True,
            generator=torch.Generator(),
            collate_fn=_as_it_is,
            num_workers=WORKERS,
            multiprocessing_context="forkserver",
            persistent_workers=True,
        )
    _loaders[key].generator.manual_seed(SEED + number)
    return _loaders[key]


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch


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
