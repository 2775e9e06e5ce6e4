"""The floor: no program that decodes these files with libdeflate on these cores can be faster.

One thread per core decodes blocks with `imagecodecs` (libdeflate, then predictor 2) into reused
memory and copies the chips out. The bytes are in the page cache, the offsets are known, and nothing
else is done. `chip` takes only the 11 blocks of one random chip, whose bytes are in memory before
the clock starts. `epoch` takes areas of whole blocks, so that every block is decoded once. `scl`
decodes only the scene classification.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile

from benchmarks.contender import Task, answer
from benchmarks.scene import ASSETS, BANDS, DATA, ITEM_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHIP = 256
AREA = 2048
"""Side of an area in pixels of 10 m: four blocks at 10 m, one at 20 m, 64 chips."""


@dataclass(frozen=True)
class BlockTable:
    """The places of one file's blocks, at full resolution only."""

    descriptor: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    columns: int
    block: int
    dtype: np.dtype[Any]
    scale: int
    """Side of this file's pixel in pixels of the 10 m grid."""

    def read(self, row: int, column: int) -> bytes:
        number = row * self.columns + column
        return os.pread(self.descriptor, self.lengths[number], self.offsets[number])


@cache
def _tables() -> dict[str, BlockTable]:
    """Read the block table of each asset."""
    tables = {}
    for key in ASSETS:
        stem = BANDS[key][0] if key in BANDS else "SCL"
        path = Path(DATA, ITEM_ID, f"{stem}.tif")
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            tables[key] = BlockTable(
                os.open(path, os.O_RDONLY),
                tuple(page.dataoffsets),
                tuple(page.databytecounts),
                -(-page.imagewidth // page.tilewidth),
                page.tilewidth,
                np.dtype(page.dtype),
                10980 // page.imagewidth,
            )
    return tables


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


_scratch = threading.local()


def _decode(table: BlockTable, data: bytes) -> np.ndarray:
    """Decode one block to (y, x), in memory of this thread that the next block overwrites."""
    size = table.block * table.block * table.dtype.itemsize
    if not hasattr(_scratch, "memory"):
        _scratch.memory = np.empty(table.block * table.block * 2, np.uint8)
    memory = _scratch.memory[:size]
    imagecodecs.deflate_decode(data, out=memory)
    block: np.ndarray = memory.view(table.dtype).reshape(table.block, table.block)
    if table.dtype.itemsize == 2:
        imagecodecs.delta_decode(block, axis=-1, out=block)
    return block


def _spread(pixels: np.ndarray, scale: int, out: np.ndarray) -> None:
    """Copy (y, x) pixels into a chip of the 10 m grid, each `scale` times in both directions.

    Two pixels of 16 bits are written as one of 32, which is twice as fast as copying one by one.
    """
    if scale == 1:
        out[...] = pixels
        return
    wide = np.multiply(pixels, np.uint32(1 << 16 | 1), dtype=np.uint32)
    for row in range(scale):
        out[row::scale].view(np.uint32)[...] = wide


def _run_all(jobs: Sequence[Callable[[], None]]) -> float:
    """Run all jobs in the pool, and return the seconds that took."""
    pool = _pool()
    begin = time.perf_counter()
    for future in [pool.submit(job) for job in jobs]:
        future.result()
    return time.perf_counter() - begin


def decode_chip(x: int, y: int) -> dict[str, Any]:
    """Decode the 11 blocks that one chip of the grid touches, and copy the chip out."""
    out = np.empty((len(ASSETS), CHIP, CHIP), np.uint16)
    jobs = _chip_jobs(x, y, out)
    return {"seconds": _run_all(jobs), "blocks": len(jobs), "checksum": _checksum(out)}


def decode_chips(chips: list[tuple[int, int]]) -> dict[str, Any]:
    """Decode the blocks of each chip anew, as a reader without a cache must."""
    out = np.empty((len(chips), len(ASSETS), CHIP, CHIP), np.uint16)
    jobs = [job for number, (x, y) in enumerate(chips) for job in _chip_jobs(x, y, out[number])]
    return {"seconds": _run_all(jobs), "blocks": len(jobs), "checksum": _checksum(out)}


def _checksum(out: np.ndarray) -> int:
    return int(out.sum(dtype=np.uint64))


def _chip_jobs(x: int, y: int, out: np.ndarray) -> list[Callable[[], None]]:
    """Make a job for each block of a chip; the bytes are in memory before the jobs run."""
    jobs: list[Callable[[], None]] = []
    for band, table in enumerate(_tables().values()):
        size = CHIP // table.scale
        row, column = divmod(y * size, table.block), divmod(x * size, table.block)
        data = table.read(row[0], column[0])

        def job(
            table: BlockTable = table,
            data: bytes = data,
            corner: tuple[int, int] = (row[1], column[1]),
            size: int = size,
            band: int = band,
        ) -> None:
            block = _decode(table, data)
            window = block[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
            _spread(window, table.scale, out[band])

        jobs.append(job)
    return jobs


@cache
def _chips_of_two_areas() -> np.ndarray:
    """Allocate two sets of chips, so that one area can finish while the next begins."""
    return np.zeros((2, (AREA // CHIP) ** 2, len(ASSETS), CHIP, CHIP), np.uint16)


def decode_epoch(areas: int | None = None) -> dict[str, Any]:
    """Decode all blocks of the scene once, by area, and copy out chips (asset, 256, 256)."""
    side = -(-10980 // AREA)
    corners = [(row, column) for row in range(side) for column in range(side)][:areas]
    out = _chips_of_two_areas()
    jobs = []
    chips = 0
    for number, (row, column) in enumerate(corners):
        for band, table in enumerate(_tables().values()):
            per_area = AREA // (table.block * table.scale)
            for block_row in range(row * per_area, (row + 1) * per_area):
                for block_column in range(column * per_area, (column + 1) * per_area):
                    if max(block_row, block_column) >= table.columns:
                        continue
                    jobs.append(_copy_job(table, block_row, block_column, out[number % 2], band))
        chips += min(8, 10980 // CHIP - row * 8) * min(8, 10980 // CHIP - column * 8)
    seconds = _run_all(jobs)
    return {
        "seconds": seconds,
        "blocks": len(jobs),
        "chips": chips,
        "ms_a_chip": seconds / chips * 1e3,
    }


def _copy_job(
    table: BlockTable, row: int, column: int, out: np.ndarray, band: int
) -> Callable[[], None]:
    size = CHIP // table.scale
    nested = table.block // size
    across = AREA // CHIP

    def job() -> None:
        block = _decode(table, table.read(row, column))
        for chip_row in range(nested):
            for chip_column in range(nested):
                y = (row * nested + chip_row) % across
                x = (column * nested + chip_column) % across
                window = block[
                    chip_row * size : (chip_row + 1) * size,
                    chip_column * size : (chip_column + 1) * size,
                ]
                _spread(window, table.scale, out[y * across + x, band])

    return job


def decode_scl() -> dict[str, Any]:
    """Decode every block of the scene classification once, and count nothing."""
    table = _tables()["scl"]
    jobs = [partial(_decode_and_drop, table, number) for number in range(len(table.offsets))]
    return {"seconds": _run_all(jobs), "blocks": len(jobs)}


def _decode_and_drop(table: BlockTable, number: int) -> None:
    _decode(table, table.read(*divmod(number, table.columns)))


TASKS: dict[str, Task] = {
    "chip": decode_chip,
    "chips": decode_chips,
    "epoch": decode_epoch,
    "scl": decode_scl,
}

if __name__ == "__main__":
    answer(TASKS)
