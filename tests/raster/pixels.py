"""Pixels to compare: arrays in which all differ, windows of all kinds, equality of every bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from stacchip.raster import Window, open_reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.storage import Storage

# GDAL reads half floats as such from 3.11 on, and widened them before (its release notes, GTiff)
_GDAL = tuple(int(number) for number in rasterio.__gdal_version__.split(".")[:2])
HALF_FLOAT = "float16" if _GDAL >= (3, 11) else "float32"


def distinct(dtype: str, shape: tuple[int, int, int], bits: int | None = None) -> NDArray[Any]:
    """Pixels (band, y, x) as different as the dtype allows, of all signs and magnitudes."""
    numbers = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape) + 1
    # a bijection that spreads neighbours over all bits (Knuth's multiplicative hash)
    numbers = numbers * np.uint64(0x9E3779B97F4A7C15)
    kind = np.dtype(dtype)
    if kind.kind in "fc":
        floats = numbers.astype(np.float64) / 2.0**64 - 0.5
        if kind.itemsize > 2:
            floats *= 10.0 ** (numbers % np.uint64(60)).astype(float) / 1e30
        return floats.astype(kind) * (1 + 2j) if kind.kind == "c" else floats.astype(kind)
    return (numbers >> np.uint64(64 - (bits or kind.itemsize * 8))).astype(kind)


def same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays agree in shape, dtype and every bit (so NaN equals itself)."""
    return (
        one.shape == other.shape
        and one.dtype == other.dtype
        and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )


def random_windows(shape: tuple[int, int], count: int, seed: int = 0) -> list[Window]:
    """The whole raster, single pixels in its corners, and random windows."""
    rng = np.random.default_rng(seed)
    height, width = shape
    windows = [
        Window(0, 0, min(height, 2500), min(width, 2500)),
        Window(0, 0, 1, 1),
        Window(height - 1, width - 1, 1, 1),
    ]
    for _ in range(count):
        rows, cols = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        rows, cols = min(rows, 700), min(cols, 700)
        row, col = int(rng.integers(height - rows + 1)), int(rng.integers(width - cols + 1))
        windows.append(Window(row, col, rows, cols))
    return windows


def as_rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def assert_reads_like_rasterio(
    path: str, storage: Storage, *, force: Any = "fast", windows: int = 4
) -> None:
    """Every window has the same bits through our reader as through rasterio."""
    reader = open_reader(path, storage, force=force)
    with rasterio.open(path) as dataset:
        assert reader.shape == dataset.shape
        assert reader.count == dataset.count
        for window in random_windows(dataset.shape, windows):
            expected = dataset.read(window=as_rasterio(window))
            found = reader.read(window)
            assert same_bits(found, expected), (path, window)
