"""What programs that keep chips in files of their own have in common: the chips, and an epoch.

rasterio cuts the chips: every environment of these programs has it. They come in a random order
that is always the same, as such a data set is best written: each file of several chips is then a
sample of the whole scene.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHIP = 256
SIDE = 10980 // CHIP
CHIPS = SIDE * SIDE
"""Number of whole chips in the scene's grid."""

BANDS = 11
BATCH = 64
WORKERS = 2
SEED = 20230605

CACHE_BYTES = 2_000_000_000
"""GDAL's cache, enough for all decoded blocks: each of them has parts of 16 or 64 random chips."""


def cut_chips(item: dict[str, Any]) -> Iterator[np.ndarray]:
    """Yield each whole chip of the scene once, as uint16 (asset, 256, 256); 20 m pixels doubled."""
    import rasterio
    from rasterio.windows import Window

    with ExitStack() as opened:
        opened.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS"))
        files = [
            opened.enter_context(rasterio.open(asset["href"])) for asset in item["assets"].values()
        ]
        for number in np.random.default_rng(SEED).permutation(CHIPS).tolist():
            y, x = divmod(number, SIDE)
            chip = np.empty((BANDS, CHIP, CHIP), np.uint16)
            for band, file in zip(chip, files, strict=True):
                size = CHIP * file.width // 10980
                pixels = file.read(1, window=Window(x * size, y * size, size, size))
                band[:] = pixels.repeat(CHIP // size, 0).repeat(CHIP // size, 1)
            yield chip


def size_bytes(path: str) -> dict[str, int]:
    """Return the bytes of all files under a path, as the answer of a task."""
    return {"bytes": sum(each.stat().st_size for each in Path(path).rglob("*") if each.is_file())}


def time_epoch(batches: Iterable[Any]) -> dict[str, Any]:
    """Take all batches and drop them; return the seconds, the chips and the wait for the first."""
    begin = time.perf_counter()
    chips, first = 0, 0.0
    for batch in batches:
        first = first or time.perf_counter() - begin
        chips += len(batch)
    return {"seconds": time.perf_counter() - begin, "chips": chips, "first_batch_s": first}


def add_up(batches: Iterable[Any]) -> dict[str, int]:
    """Return the sum of all pixels of an epoch, and its chips."""
    total = chips = 0
    for batch in batches:
        # cubes hold the same whole numbers as floats
        pixels = np.asarray(batch).astype(np.uint16, copy=False)
        total += int(pixels.sum(dtype=np.uint64))
        chips += len(batch)
    return {"checksum": total, "chips": chips}


def new_shared_batch(chips: int, dtype: Any) -> Any:
    """Allocate a tensor that a worker sends without a copy, as torch does to collate a batch.

    Args:
        chips: The number of chips in the batch.
        dtype: A type of torch.
    """
    import torch

    count = chips * BANDS * CHIP * CHIP
    storage = torch.UntypedStorage._new_shared(count * dtype.itemsize)  # noqa: SLF001 - as torch
    return torch.empty(0, dtype=dtype).set_(storage, 0, (chips, BANDS, CHIP, CHIP))
