"""async-geotiff 0.5.1 over obstore: every chip and asset is a task of one event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from async_geotiff import GeoTIFF, Window
from obstore.store import HTTPStore

from benchmarks.contender import answer

CHIP = 256
AT_ONCE = 8
"""Chips in flight: enough to hide the latency, few enough to stay in memory."""

_loop = asyncio.new_event_loop()
_files: list[GeoTIFF] = []


def prepare(item: dict[str, Any]) -> None:
    _files[:] = _loop.run_until_complete(_open_all(item))


async def _open_all(item: dict[str, Any]) -> list[GeoTIFF]:
    parts = [urlsplit(asset["href"]) for asset in item["assets"].values()]
    origin = f"{parts[0].scheme}://{parts[0].netloc}"
    store = HTTPStore.from_url(origin, client_options={"allow_http": True})
    opening = [GeoTIFF.open(part.path.lstrip("/"), store=store) for part in parts]
    return list(await asyncio.gather(*opening))


def chips(chips: list[tuple[int, int]]) -> dict[str, Any]:
    out = np.empty((len(chips), len(_files), CHIP, CHIP), np.uint16)
    begin = time.perf_counter()
    _loop.run_until_complete(_read_all(chips, out))
    return {"seconds": time.perf_counter() - begin, "checksum": int(out.sum(dtype=np.uint64))}


async def _read_all(chips: list[tuple[int, int]], out: np.ndarray) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def read_chip(x: int, y: int, target: np.ndarray) -> None:
        async with gate:
            reading = [_read(each, x, y, target[band]) for band, each in enumerate(_files)]
            await asyncio.gather(*reading)

    await asyncio.gather(*(read_chip(x, y, out[number]) for number, (x, y) in enumerate(chips)))


async def _read(file: GeoTIFF, x: int, y: int, out: np.ndarray) -> None:
    size = CHIP * file.width // 10980
    window = Window(col_off=x * size, row_off=y * size, width=size, height=size)
    pixels = (await file.read(window=window)).data[0]
    scale = CHIP // size
    for row in range(scale):
        for column in range(scale):
            out[row::scale, column::scale] = pixels


if __name__ == "__main__":
    answer({"prepare": prepare, "chips": chips})
