"""Shares of cloud, nodata and other classes of all chips at once, from the pixels of one file.

That file is a QA band, or the reference band, whose nodata value or mask tells nodata alone. It is
read once, at its own resolution, in parts made of whole blocks. A part is classified and counted on
the thread that read it, while others decode. Counting first adds up columns in 8 bits, which numpy
does with vector instructions, and then the few rows that remain.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from stacchip.errors import GridMismatch, UsageError
from stacchip.grid.crs import name_crs, same_crs
from stacchip.grid.geobox import GeoBox
from stacchip.grid.nearest import SeenPixels, seen_pixels
from stacchip.grid.window import Window
from stacchip.raster.placement import locate
from stacchip.raster.reader import WindowRequest, read_valid_windows
from stacchip.raster.validity import hide_fill
from stacchip.runtime.pools import core_count
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.grid.chip_grid import ChipGrid
    from stacchip.raster.reader import Reader
    from stacchip.sources import Source

    Shares: TypeAlias = dict[str, NDArray[np.float32]]
    Flags: TypeAlias = Mapping[str, NDArray[np.bool_]]
    Classify: TypeAlias = Callable[[NDArray[Any]], Flags]

__all__ = ["chip_shares", "count_shares", "nodata_shares"]

# Decoded bytes. A part has at least the first (many small blocks make one request) and at most the
# second (unless one block is larger); the third limits all parts under way. A Sentinel-1 scene of
# 2.5 GB stays below 300 MB.
_SMALL_PART: Final = 4 << 20
_LARGE_PART: Final = 48 << 20
_UNDER_WAY: Final = 128 << 20
# These threads count, and wait for the store and for the decoding threads. With more of them, they
# only compete for the GIL.
_MOST_THREADS: Final = core_count() + 1
# Pixels classified in one call: a row of chips of 256 px of 10 m, in a band of 20 m. With a quarter
# as many, a scene takes a third longer (more calls, and threads that wait for one another).
_TILE_PIXELS: Final = 1 << 20
_FALLBACK_BLOCK_ROWS: Final = 512


def chip_shares(
    reader: Reader,
    source: Source,
    grid: ChipGrid,
    *,
    geobox: GeoBox | None = None,
    nodata: float | None = None,
) -> Shares:
    """Return the shares of all chips of a grid, from the first band of a QA file.

    Each pixel of a chip takes the QA pixel that holds its centre, so resolutions need not divide
    each other, and grids may be shifted. A share is a number of pixels divided by all pixels of the
    chip, fill included. If the source tells nodata, pixels outside the QA band, and those of a
    padded chip outside the reference band, count as such.

    Args:
        reader: The QA band, open.
        source: Names the QA values of cloud, shadow, ... (`classes`), and classifies pixels by them
            (`classify`).
        grid: The chips.
        geobox: The QA band's geobox, if its file has none (else the file's is used). Without
            either, a band of the reference band's shape is taken to lie on it.
        nodata: The QA band's nodata value, if its file has none; None takes the source's.

    Returns:
        By share name, float32 in 0..1, (grid.y_size, grid.x_size). A share that the source does not
        tell is absent, nodata too: it was not measured.

    Raises:
        GridMismatch: The QA band has another CRS, or is rotated against the grid.
        RasterError: The QA band cannot be read.
    """
    placed = _place(reader, grid, geobox, "QA band")
    value = next((v for v in (reader.nodata, nodata, source.nodata) if v is not None), None)

    def classify(pixels: NDArray[Any]) -> Flags:
        return source.classify(pixels, source.classes, value)

    def read(window: Window) -> NDArray[Any]:
        band: NDArray[Any] = reader.read(window, [0])[0]
        return band

    # one made-up pixel gives the names, because no pixel is read if the bands do not meet
    names = list(classify(np.zeros((1, 1), reader.dtype)))
    return _count_file(_Pixels.of(reader, 1, read), classify, names, placed, grid)


def nodata_shares(
    reader: Reader,
    grid: ChipGrid,
    *,
    geobox: GeoBox | None = None,
    nodata: float | None = None,
) -> Shares:
    """Return the share of nodata of all chips of a grid, from the pixels of the reference band.

    A pixel is nodata where a cut chip is not valid: by the file's mask, alpha band or nodata value,
    in all bands. Of a file with a mask or an alpha band only that is read.

    Args:
        reader: The reference band, open.
        grid: The chips.
        geobox: Its geobox, if its file has none; see `chip_shares`.
        nodata: Its nodata value, if its file has none.

    Returns:
        As `chip_shares`, `"nodata"` alone.

    Raises:
        GridMismatch: The file has another CRS than the grid, or is rotated against it.
        RasterError: The file cannot be read.
    """
    placed = _place(reader, grid, geobox, "reference band")

    def read_empty(window: Window) -> NDArray[Any]:
        if nodata is None or reader.nodata is not None:
            return ~reader.read_valid(window)
        ((pixels, valid),) = read_valid_windows([WindowRequest(reader, window)])
        return ~hide_fill(valid, pixels, None, nodata)

    def classify(pixels: NDArray[Any]) -> Flags:
        return {"nodata": pixels}

    pixels = _Pixels.of(reader, reader.count, read_empty)
    return _count_file(pixels, classify, ["nodata"], placed, grid)


def count_shares(flags: Flags, grid: ChipGrid) -> Shares:
    """Return the shares of all chips, from flags of each pixel of the reference band.

    Args:
        flags: By share name, True where a pixel has it, (height, width) of the reference band.
        grid: The chips.

    Returns:
        By share name, float32 in 0..1, (grid.y_size, grid.x_size). `"nodata"` is always among them:
        a padded chip's pixels outside the reference band count as such.

    Raises:
        UsageError: The flags do not have the reference band's shape.

    Example:
        >>> from affine import Affine
        >>> from stacchip.grid.chip_grid import ChipGrid
        >>> from stacchip.grid.geobox import make_geobox
        >>> grid = ChipGrid(make_geobox("EPSG:3857", Affine(1, 0, 0, 0, -1, 4), (4, 4)), 2)
        >>> count_shares({"nodata": np.eye(4, dtype=bool)}, grid)["nodata"]
        array([[0.5, 0. ],
               [0. , 0.5]], dtype=float32)
    """
    for name, flag in flags.items():
        if np.shape(flag) != grid.shape:
            raise UsageError(
                f"The flags of '{name}' have shape {np.shape(flag)}, but the reference band has "
                f"{grid.shape} (height, width)."
            )
    seen = seen_pixels(grid.geobox, grid)
    whole = Window(0, 0, *grid.shape)
    totals = {"nodata": _no_pixels(seen)}
    for name, flag in flags.items():
        pixels = np.ascontiguousarray(flag, dtype=bool)
        totals[name] = _count_part(pixels, whole, _as_flags, seen).get("", _no_pixels(seen))
    totals["nodata"] = totals["nodata"] + _count_outside(seen, grid)
    return _to_shares(totals, grid)


def _as_flags(tile: NDArray[Any]) -> Flags:
    """Return pixels that are flags already."""
    return {"": tile}


def _place(reader: Reader, grid: ChipGrid, geobox: GeoBox | None, what: str) -> GeoBox:
    """Return a file's geobox: its own, else the caller's, else the grid's."""
    placed = locate(reader, geobox, grid.geobox)
    if placed is None:
        raise GridMismatch(
            f"{redact(reader.href)} has no CRS and transform of its own, and its "
            f"{tuple(reader.shape)} pixels (height, width) fit neither what its item says nor the "
            f"reference band's grid of {grid.shape}: they cannot be placed.",
            href=redact(reader.href),
        )
    if placed.crs is not None and not same_crs(placed.crs, grid.geobox.crs):
        href = redact(reader.href)
        raise GridMismatch(
            f"The {what} {href} is in {name_crs(str(placed.crs))}, but the chip grid is in "
            f"{grid.crs_name}: its pixels do not match these chips. Choose a {what} in the CRS of "
            "the grid.",
            href=href,
        )
    return GeoBox(reader.shape, placed.affine, grid.geobox.crs)


@dataclass(frozen=True)
class _Pixels:
    """The pixels of a file, and what decides into which parts it is cut.

    Attributes:
        read: Returns those of a window, (y, x).
        shape: (height, width).
        block_shape: (height, width) of a block.
        item_bytes: Decoded bytes of a pixel, in all bands that are read.
    """

    read: Callable[[Window], NDArray[Any]]
    shape: tuple[int, int]
    block_shape: tuple[int, int]
    item_bytes: int

    @classmethod
    def of(cls, reader: Reader, bands: int, read: Callable[[Window], NDArray[Any]]) -> _Pixels:
        header, shape = reader.header, (reader.shape[0], reader.shape[1])
        block = header.block_shape if header else (_FALLBACK_BLOCK_ROWS, shape[1])
        return cls(read, shape, block, np.dtype(reader.dtype).itemsize * bands)


def _count_file(
    pixels: _Pixels, classify: Classify, names: Sequence[str], placed: GeoBox, grid: ChipGrid
) -> Shares:
    """Return the shares of all chips in a file's pixels; those outside it count as nodata."""
    seen = seen_pixels(placed, grid)
    cut = _cut_parts(pixels.shape, pixels.block_shape, pixels.item_bytes)
    parts = [part for part in cut if seen.needs(part)]
    part_bytes = max((p.height * p.width * pixels.item_bytes for p in parts), default=1)

    def count(window: Window) -> dict[str, NDArray[np.int64]]:
        return _count_part(pixels.read(window), window, classify, seen)

    totals = {name: _no_pixels(seen) for name in names}
    for counted in _run_bounded(count, parts, at_once=max(2, _UNDER_WAY // part_bytes)):
        for name, number in counted.items():
            totals[name] += number
    if "nodata" in totals:
        totals["nodata"] += _count_outside(seen, grid)
    return _to_shares(totals, grid)


def _cut_parts(shape: tuple[int, int], block: tuple[int, int], item_bytes: int) -> Iterator[Window]:
    """Yield windows of whole blocks that cover a raster, none too small and none too large."""
    height, width = shape
    block_rows, block_cols = min(block[0], height), min(block[1], width)
    rows = block_rows * max(1, _SMALL_PART // (block_rows * width * item_bytes))
    cols = width
    if rows * width * item_bytes > _LARGE_PART:
        cols = block_cols * max(1, _LARGE_PART // (rows * block_cols * item_bytes))
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            yield Window(row, col, min(rows, height - row), min(cols, width - col))


def _run_bounded(
    count: Callable[[Window], dict[str, NDArray[np.int64]]], parts: list[Window], *, at_once: int
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Yield results of `count` as they come, with at most `at_once` parts in memory."""
    workers = min(at_once, _MOST_THREADS, max(1, len(parts)))
    waiting = iter(parts)
    with ThreadPoolExecutor(workers, thread_name_prefix="stacchip-quality") as pool:
        running: set[Future[dict[str, NDArray[np.int64]]]] = set()
        try:
            for part in waiting:
                running.add(pool.submit(count, part))
                if len(running) == workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            for future in list(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()


def _no_pixels(seen: SeenPixels) -> NDArray[np.int64]:
    """Return the counts to begin with, (y, x): zero pixels for each chip."""
    return np.zeros(seen.inside.shape, np.int64)


def _count_outside(seen: SeenPixels, grid: ChipGrid) -> NDArray[np.int64]:
    """Return the number of pixels (y, x) of each chip that lie outside the file."""
    return np.asarray(grid.chip_size**2 - seen.inside, np.int64)


def _to_shares(totals: Mapping[str, NDArray[np.int64]], grid: ChipGrid) -> Shares:
    """Return numbers of pixels (y, x) as shares of all pixels of a chip."""
    area = grid.chip_size**2
    return {name: (total / area).astype(np.float32) for name, total in totals.items()}


def _count_part(
    pixels: NDArray[Any], part: Window, classify: Classify, seen: SeenPixels
) -> dict[str, NDArray[np.int64]]:
    """Return numbers of pixels of each chip in one part of the QA band, (y, x) by share."""
    rows = seen.rows
    touched = rows.chips_in(part.row, part.row_stop)
    sums: dict[str, NDArray[np.int32]] = {}
    for chip in touched:  # a row of chips at a time: each is tens of thousands of pixels
        entries = rows.entries_of(chip, part.row, part.row_stop)
        position = rows.position[entries] - part.row
        weight = rows.weight[entries]
        for times in np.unique(weight).astype(np.int32):
            for name, columns in _sum_columns(pixels, position[weight == times], classify):
                if name not in sums:
                    sums[name] = np.zeros((len(touched), part.width), np.int32)
                sums[name][chip - touched.start] += columns * times
    counts = {}
    for name, number in sums.items():
        counts[name] = _no_pixels(seen)
        counts[name][touched.start : touched.stop] = seen.cols.reduce(number, part.col)
    return counts


def _sum_columns(
    pixels: NDArray[Any], rows: NDArray[np.int64], classify: Classify
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield, by share, how many rows have it in each column, for at most 255 rows at a time."""
    at_once = min(255, max(1, _TILE_PIXELS // pixels.shape[1]))
    for first in range(0, len(rows), at_once):
        chosen = rows[first : first + at_once]
        together = chosen[-1] - chosen[0] == len(chosen) - 1
        tile = pixels[chosen[0] : chosen[-1] + 1] if together else pixels[chosen]
        for name, flag in classify(tile).items():
            # eight bits hold the sum of 255 rows, and numpy adds 32 columns in one instruction
            yield name, np.add.reduce(flag.view(np.uint8), axis=0, dtype=np.uint8)
