"""rasterio with 16 threads, each with its own open datasets, as a careful user would write it."""

from __future__ import annotations

import os

os.environ |= {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # random chips share no blocks: a large cache would only cost time
    "GDAL_CACHEMAX": "64",
}

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.contender import answer

CHIP = 256
THREADS = 16

_hrefs: list[str] = []
_pool = ThreadPoolExecutor(THREADS)
_opened = threading.local()


def prepare(item: dict[str, Any]) -> None:
    """Open every file in every thread."""
    _hrefs[:] = [asset["href"] for asset in item["assets"].values()]
    meeting = threading.Barrier(THREADS)

    def open_all() -> None:
        # no thread takes a second turn before each has had one
        meeting.wait()
        _opened.datasets = [rasterio.open(href) for href in _hrefs]

    for future in [_pool.submit(open_all) for _ in range(THREADS)]:
        future.result()


def chips(chips: list[tuple[int, int]]) -> dict[str, Any]:
    out = np.empty((len(chips), len(_hrefs), CHIP, CHIP), np.uint16)
    begin = time.perf_counter()
    futures: list[Future[None]] = [
        _pool.submit(_read, band, x, y, out[number, band])
        for number, (x, y) in enumerate(chips)
        for band in range(len(_hrefs))
    ]
    for future in futures:
        future.result()
    return {"seconds": time.perf_counter() - begin, "checksum": int(out.sum(dtype=np.uint64))}


def _read(band: int, x: int, y: int, out: np.ndarray) -> None:
    dataset = _opened.datasets[band]
    size = CHIP * dataset.width // 10980
    window = Window(x * size, y * size, size, size)
    out[:] = dataset.read(1, window=window, out_shape=(CHIP, CHIP))


if __name__ == "__main__":
    answer({"prepare": prepare, "chips": chips})
