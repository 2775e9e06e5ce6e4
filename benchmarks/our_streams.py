"""stacchip's streams, caches and datasets, used through their public interface."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contender import Task, answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.stream.plan.epoch_order import Order

BATCH = 64
MEMORY_BYTES = 1_400_000_000
"""Limit of decoded blocks, with which the process and its batches stay under 2 GB."""

CACHE_BYTES = 8 << 30

_streams: dict[tuple[Any, ...], Any] = {}
_loaders: dict[str, Any] = {}


def epoch(
    path: str,
    order: Order,
    number: int = 0,
    *,
    with_valid: bool = False,
    cache_folder: str = "",
    store_folder: str = "",
) -> dict[str, Any]:
    """Stream all chips of an index in batches; `seconds` is from first request to last batch.

    The first call in a process opens the index, which does not count.
    """
    stream = _stream(
        path, order, with_valid=with_valid, cache_folder=cache_folder, store_folder=store_folder
    )
    stream.set_epoch(number)
    areas: list[int] = []
    chips = 0
    waits: list[float] = []
    of_row = np.empty(len(stream.table), np.int64)
    of_row[stream.table.row] = stream.table.area_of(np.arange(len(of_row)))
    begin = last = time.perf_counter()
    for batch in stream.batches(BATCH):
        now = time.perf_counter()
        waits.append(now - last)
        last = now
        chips += len(batch)
        areas.append(len(np.unique(of_row[batch.rows])))
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "chips": chips,
        "areas": statistics.median(areas),
        "first_batch_s": waits[0],
        "decoded_blocks": stream.report.decoded_blocks,
        "decoded_mb": stream.report.peak_bytes / 1e6,
        "from_store": stream.report.from_store,
        "kept": stream.report.kept,
    }


def checksum(
    path: str, chips: list[tuple[int, int]], order: Order, *, store_folder: str = ""
) -> dict[str, Any]:
    """Return the sum of the pixels of some chips of an epoch, to check what was streamed."""
    wanted = {tuple(chip) for chip in chips}
    stream = _stream(path, order, with_valid=False, cache_folder="", store_folder=store_folder)
    stream.set_epoch(0)
    total = found = 0
    for batch in stream.batches(BATCH):
        for number, key in enumerate(batch.keys):
            if (key.x, key.y) in wanted:
                total += int(batch.array[number].sum(dtype=np.uint64))
                found += 1
    return {"checksum": total, "found": found}


def _stream(
    path: str, order: Order, *, with_valid: bool, cache_folder: str, store_folder: str
) -> Any:
    from stacchip.chipper import Chipper
    from stacchip.chipstore import ChipStore
    from stacchip.raster.cache import Caches, DiskCache
    from stacchip.stream import ChipStream

    key = (path, order, with_valid, cache_folder, store_folder)
    if key not in _streams:
        caches = Caches(encoded=DiskCache(cache_folder, CACHE_BYTES) if cache_folder else None)
        store = ChipStore(store_folder, CACHE_BYTES) if store_folder else None
        _streams[key] = ChipStream(
            Chipper(path, caches=caches, store=store),
            order=order,
            memory_bytes=MEMORY_BYTES,
            with_valid=with_valid,
        )
    return _streams[key]


def first_chip(path: str, x: int, y: int) -> dict[str, Any]:
    """Cut the first chip of an index on disk, in a process that has done nothing but import."""
    _import_all()
    from stacchip.chipper import Chipper

    begin = time.perf_counter()
    chipper = Chipper(path)
    opened = time.perf_counter()
    pixels = chipper.chip(x, y)
    end = time.perf_counter()
    return {
        "seconds": end - begin,
        "index_s": opened - begin,
        "checksum": sum(int(band.sum(dtype=np.uint64)) for band in pixels.values()),
    }


@cache
def _import_all() -> None:
    """Import what the first chip would: the interpreter's time is not the reader's."""
    import imagecodecs
    import pyarrow.dataset  # noqa: F401 - the first index that is read imports it
    import pystac
    import urllib3  # noqa: F401 - the first address that is opened imports it

    import stacchip.chipper
    import stacchip.raster.reader  # noqa: F401 - the first chip imports both

    # pystac imports its extensions at first use, and Python its codec of host names
    pystac.Item.from_dict(pystac.Item("none", None, None, datetime.now(UTC), {}).to_dict())
    "localhost".encode("idna")
    # the codecs are separate libraries, loaded at the first call
    data = imagecodecs.deflate_encode(bytes(64))
    imagecodecs.deflate_decode(data, out=bytearray(64))
    imagecodecs.delta_decode(np.zeros((2, 2), np.uint16), axis=-1)


def store_chips(path: str, chips: list[tuple[int, int]], store_folder: str) -> dict[str, Any]:
    """Read single chips in one call, out of a store."""
    stream = _stream(path, "index", with_valid=False, cache_folder="", store_folder=store_folder)
    rows = [stream.chipper.rows.find(x, y) for x, y in chips]
    begin = time.perf_counter()
    (batch,) = stream.take(rows)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "checksum": int(batch.array.sum(dtype=np.uint64))}


def store_bytes(store_folder: str) -> dict[str, Any]:
    """Return the bytes of all files of a store."""
    files = (path for path in Path(store_folder).rglob("*") if path.is_file())
    return {"bytes": sum(path.stat().st_size for path in files)}


def loader_epoch(path: str, number: int, store_folder: str = "") -> dict[str, Any]:
    """Load all chips through a DataLoader of two workers that stay alive between epochs."""
    loader = _loader(path, store_folder)
    loader.dataset.set_epoch(number)
    begin = time.perf_counter()
    chips, first = _count(loader, begin)
    return {"seconds": time.perf_counter() - begin, "chips": chips, "first_batch_s": first}


def _count(loader: Iterable[dict[str, Any]], begin: float) -> tuple[int, float]:
    chips, first = 0, 0.0
    for batch in loader:
        first = first or time.perf_counter() - begin
        chips += len(batch["pixels"])
    return chips, first


def _loader(path: str, store_folder: str) -> Any:
    from torch.utils.data import DataLoader

    from stacchip.chipstore import ChipStore
    from stacchip.datasets import ChipStreamDataset
    from stacchip.stream import ChipStream

    if path + store_folder not in _loaders:
        stream = ChipStream(
            path,
            order="shuffle" if store_folder else "blocks",
            memory_bytes=MEMORY_BYTES // 2,
            with_valid=False,
            store=ChipStore(store_folder, CACHE_BYTES) if store_folder else None,
        )
        _loaders[path + store_folder] = DataLoader(
            ChipStreamDataset(stream, batch_size=BATCH),
            batch_size=None,
            num_workers=2,
            multiprocessing_context="forkserver",
            persistent_workers=True,
        )
    return _loaders[path + store_folder]


def end_loader() -> None:
    """End the workers, which a killed process could not do."""
    import gc

    _loaders.clear()
    gc.collect()


def has_datasets() -> dict[str, Any]:
    """Return why the datasets are not available; empty if they are."""
    try:
        import torch  # noqa: F401 - only tries whether it can be imported

        from stacchip.datasets import ChipStreamDataset  # noqa: F401 - as above
    except ImportError as reason:
        return {"why_not": str(reason)}
    return {"why_not": ""}


TASKS: dict[str, Task] = {
    "epoch": epoch,
    "checksum": checksum,
    "first_chip": first_chip,
    "store_chips": store_chips,
    "store_bytes": store_bytes,
    "loader_epoch": loader_epoch,
    "end_loader": end_loader,
    "has_datasets": has_datasets,
}

if __name__ == "__main__":
    answer(TASKS)
