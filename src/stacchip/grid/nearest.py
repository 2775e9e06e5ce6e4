"""Nearest neighbour between the pixels of a chip grid and those of a raster.

`nearest_pixels` holds the rule: the raster's row of each grid row, its column of each grid column.
`GridMap` keeps these for one raster and grid. Its `cut` returns the `ChipCut` of a chip: the
raster's `window` to read, and a `fill` that copies those pixels into the chip.

`SeenPixels` counts by the same rule. Like a `GridMap`, it is computed once per grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from affine import Affine

from stacchip.errors import GridMismatch
from stacchip.grid.geobox import (
    ON_EDGE,
    GeoBox,
    is_axis_aligned,
    is_same_grid,
    require_comparable,
)
from stacchip.grid.transform import compose
from stacchip.grid.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.grid.chip_grid import ChipGrid


def nearest_pixels(source: GeoBox, target: GeoBox) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the source's row of each target row, and column of each target column; -1 if outside.

    A target pixel takes the source pixel that holds its centre. A centre on the edge of two pixels
    takes the one of the higher row or column, as GDAL's nearest neighbour does.

    Raises:
        UsageError: The geoboxes differ in CRS, or one of them is rotated.

    Example:
        >>> from affine import Affine
        >>> from stacchip.grid.geobox import make_geobox
        >>> fine = make_geobox("EPSG:32629", Affine(10, 0, 0, 0, -10, 0), (3, 8))
        >>> coarse = make_geobox("EPSG:32629", Affine(60, 0, -60, 0, -60, 60), (4, 2))
        >>> rows, cols = nearest_pixels(coarse, fine)
        >>> rows.tolist(), cols.tolist()
        ([1, 1, 1], [1, 1, 1, 1, 1, 1, -1, -1])
    """
    require_comparable(source, target)
    a, b = source.affine, target.affine
    rows = _nearest_along(b.e / a.e, (b.f - a.f) / a.e, target.shape.y, source.shape.y)
    cols = _nearest_along(b.a / a.a, (b.c - a.c) / a.a, target.shape.x, source.shape.x)
    return rows, cols


def _nearest_along(scale: float, shift: float, size: int, limit: int) -> NDArray[np.intp]:
    """Return the source pixel of each of `size` target pixels, along one axis of `limit` pixels."""
    found = np.floor((np.arange(size) + 0.5) * scale + shift + ON_EDGE)
    return np.where((found >= 0) & (found < limit), found, -1).astype(np.intp)


class AxisCut(NamedTuple):
    """The rows (or columns) of a chip, filled from those of a raster.

    Attributes:
        start: First row (or column) of the raster that is needed.
        stop: The last one + 1.
        place: Their place in the chip.
        sources: For each row in `place`, the row of the raster that it takes, counted from `start`.
        repeat: How often each number occurs if `sources` is 0, 0, 1, 1, ...; 0 if it is not of that
            form.
    """

    start: int
    stop: int
    place: slice
    sources: NDArray[np.intp]
    repeat: int


class ChipCut(NamedTuple):
    """A chip, filled from a raster.

    Attributes:
        rows: The cut of its rows.
        cols: The cut of its columns.
        is_whole: True if the raster fills the chip to its edges.
    """

    rows: AxisCut
    cols: AxisCut
    is_whole: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of `window`."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    @property
    def window(self) -> Window:
        """The raster's pixels that the chip needs."""
        rows, cols = self.rows, self.cols
        return Window(rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)

    def fill(self, pixels: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        """Fill the part of a chip that the raster covers.

        Args:
            pixels: The raster's pixels (band, y, x) of `window`.
            out: The chip (band, y, x); pixels beyond the raster are not written.
        """
        rows, cols = self.rows, self.cols
        part = out[:, rows.place, cols.place]
        if rows.repeat == cols.repeat == 1:
            part[...] = pixels
            return
        if rows.repeat == cols.repeat > 1 and part.flags.c_contiguous:
            _repeat(pixels, cols, part)
            return
        for band in range(len(pixels)):
            wide = _widen(pixels[band], cols, part.dtype).astype(part.dtype, copy=False)
            # clipping changes nothing here, and avoids the copy that checking the rows would take
            np.take(wide, rows.sources, axis=0, out=part[band], mode="clip")


Axis = SimpleNamespace  # pickles of 0.x name it: a GridMap held one for each axis


@dataclass(frozen=True, eq=False)
class GridMap:
    """The nearest pixels of a raster for each pixel of a chip grid.

    It keeps the cuts of rows and of columns: each is found once, for all chips at that position.

    Attributes:
        sources: The raster's row of each row of the grid, and column of each column; -1 if none.
    """

    sources: tuple[NDArray[np.intp], NDArray[np.intp]]
    _cuts: dict[tuple[int, int, int], AxisCut | None] = field(
        init=False, repr=False, default_factory=dict
    )

    def cut(self, chip: Window) -> ChipCut | None:
        """Return the cut of a chip, inside the grid or not; None if it does not meet the raster."""
        rows = self._cut_axis(0, chip.row, chip.height)
        cols = self._cut_axis(1, chip.col, chip.width)
        if rows is None or cols is None:
            return None
        is_whole = len(rows.sources) == chip.height and len(cols.sources) == chip.width
        return ChipCut(rows, cols, is_whole)

    def _cut_axis(self, axis: int, first: int, size: int) -> AxisCut | None:
        key = (axis, first, size)
        if key not in self._cuts:
            self._cuts[key] = _find_cut(self.sources[axis], first, size)
        return self._cuts[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"sources": self.sources}  # other threads may be adding cuts

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle; those of 0.x have an `Axis` in `rows`, and one in `cols`."""
        if "sources" not in state:
            rows, cols = (vars(state[name])["_sources"] for name in ("rows", "cols"))
            state = {"sources": (rows, cols)}
        self.__dict__.update(state, _cuts={})


def _find_cut(sources: NDArray[np.intp], first: int, size: int) -> AxisCut | None:
    """Return the cut of the grid's rows [first, first + size); None if no row has a source."""
    sources = sources[max(first, 0) : max(first + size, 0)]
    found = np.flatnonzero(sources >= 0)
    if not len(found):
        return None
    sources = sources[found[0] : found[-1] + 1]
    top = int(found[0]) + max(first, 0) - first
    start, stop = int(sources.min()), int(sources.max()) + 1
    index = sources - start
    repeat = len(index) // (stop - start)
    is_even = repeat * (stop - start) == len(index)
    if not is_even or not (index == np.arange(len(index)) // repeat).all():
        repeat = 0
    return AxisCut(start, stop, slice(top, top + len(index)), index, repeat)


@lru_cache(maxsize=64)
def grid_map(source: GeoBox, grid: GeoBox) -> GridMap:
    """Return `make_grid_map(source, grid)`, made once for all bands of a resolution."""
    return make_grid_map(source, grid)


def make_grid_map(source: GeoBox, grid: GeoBox) -> GridMap:
    """Return the nearest pixels of `source` for each pixel of `grid`.

    Raises:
        UsageError: The grids differ in CRS, or one of them is rotated and they are not the same.
    """
    if is_same_grid(source, grid):
        height, width = grid.shape.yx
        return GridMap((np.arange(height, dtype=np.intp), np.arange(width, dtype=np.intp)))
    return GridMap(nearest_pixels(source, grid))


def _widen(
    pixels: NDArray[np.generic], cols: AxisCut, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return pixels (..., x) widened to the columns of a chip, which is of type `dtype`.

    If the copies of one pixel fill 2, 4 or 8 bytes, they are written as one larger integer. That is
    twice as fast as copying pixel by pixel (measured with 16 bits, 128 to 256 columns).
    """
    if cols.repeat == 1:
        return pixels
    once = _as_integers(pixels, cols, dtype)
    if once is None:
        return pixels.take(cols.sources, axis=-1)
    factor = _repeating(dtype.itemsize, cols.repeat)
    many: NDArray[np.generic] = np.multiply(once, factor, dtype=factor.dtype).view(dtype)
    return many


def _repeat(pixels: NDArray[np.generic], cols: AxisCut, out: NDArray[np.generic]) -> None:
    """Fill all bands at once, of which each pixel becomes a square of the same side.

    As in `_widen`, one larger integer holds the copies of a pixel in a row. One call of numpy does
    all: threads that fill chips at the same time wait for each other between calls.
    """
    bands, height, width = pixels.shape
    once = _as_integers(pixels, cols, out.dtype)
    if once is None:
        rows = out.reshape(bands, height, cols.repeat, width, cols.repeat)
        rows[...] = pixels[:, :, None, :, None]
        return
    factor = _repeating(out.dtype.itemsize, cols.repeat)
    rows = out.view(factor.dtype).reshape(bands, height, cols.repeat, width)
    np.multiply(once[:, :, None], factor, out=rows, casting="unsafe", dtype=factor.dtype)


def _as_integers(
    pixels: NDArray[np.generic], cols: AxisCut, dtype: np.dtype[np.generic]
) -> NDArray[np.unsignedinteger[Any]] | None:
    """Return pixels as integers whose copies in a row are one larger integer; None if none is."""
    is_unsigned = pixels.dtype.kind == dtype.kind == "u" and dtype.isnative
    size = dtype.itemsize * cols.repeat
    if size not in (2, 4, 8) or not (is_unsigned or pixels.dtype == dtype):
        return None
    found: Any = pixels if is_unsigned else pixels.view(f"u{pixels.dtype.itemsize}")
    return found  # type: ignore[no-any-return]


@cache
def _repeating(size: int, count: int) -> np.unsignedinteger[Any]:
    """Return the integer that, as a factor, repeats a number of `size` bytes `count` times."""
    factor = sum(1 << 8 * size * number for number in range(count))
    number: np.unsignedinteger[Any] = np.dtype(f"u{size * count}").type(factor)
    return number


@dataclass(frozen=True)
class SeenAlong:
    """The pixels of a raster that chips see along one axis, and how often.

    Attributes:
        position: A pixel of the raster; they rise within each chip, (entry,).
        weight: Number of the chip's pixels whose centres lie in it, (entry,).
        start: First entry of each chip, and last the number of all entries, (chip + 1,).
        inside: Number of pixels of each chip that lie in both bands, (chip,).
    """

    position: NDArray[np.int64]
    weight: NDArray[np.int64]
    start: NDArray[np.int64]
    inside: NDArray[np.int64]

    @classmethod
    def of(cls, mapped: NDArray[np.intp], chips: int, chip_size: int) -> SeenAlong:
        """Return what chips see, from the raster pixel that each grid pixel takes (-1: none)."""
        pixels = min(chips * chip_size, len(mapped))
        chip = np.arange(pixels) // chip_size
        known = mapped[:pixels] >= 0
        # one number for each pair of chip and pixel: sorting numbers is fast, sorting pairs is not
        width = int(mapped.max(initial=0)) + 1
        pairs, weight = np.unique(chip[known] * width + mapped[:pixels][known], return_counts=True)
        start = np.searchsorted(pairs, np.arange(chips + 1) * width)
        inside = np.bincount(chip[known], minlength=chips)
        return cls(pairs % width, weight.astype(np.int64), start, inside)

    def entries_of(self, chip: int, first: int, stop: int) -> slice:
        """Return the entries of a chip with positions in [first, stop)."""
        begin, end = self.start[chip], self.start[chip + 1]
        positions = self.position[begin:end]
        low, high = np.searchsorted(positions, (first, stop))
        return slice(begin + low, begin + high)

    def chips_in(self, first: int, stop: int) -> range:
        """Return the chips that see a pixel in [first, stop), and any chips between them."""
        here = np.flatnonzero((self.position >= first) & (self.position < stop))
        if not len(here):
            return range(0)
        low, high = np.searchsorted(self.start, here[[0, -1]], side="right") - 1
        return range(int(low), int(high) + 1)

    def reduce(self, sums: NDArray[np.int32], first: int) -> NDArray[np.int64]:
        """Add up sums by column (..., column) into sums by chip (..., chip).

        `sums` begins with column `first`; columns that it lacks count as zero.
        """
        here = (self.position >= first) & (self.position < first + sums.shape[-1])
        before = np.concatenate([[0], np.cumsum(here)])[self.start]
        filled = np.flatnonzero(np.diff(before))
        chips = np.zeros((*sums.shape[:-1], len(self.inside)), np.int64)
        if len(filled):
            position, weight = self.position[here] - first, self.weight[here]
            together = (np.diff(position) == 1).all()
            taken = sums[..., position[0] : position[-1] + 1] if together else sums[..., position]
            times = weight[0]
            if (weight != times).any():  # chips whose edges cut pixels
                taken, times = taken * weight, np.int64(1)
            chips[..., filled] = times * np.add.reduceat(
                taken, before[filled], axis=-1, dtype=np.int64
            )
        return chips


@dataclass(frozen=True)
class SeenPixels:
    """The pixels of a raster that the chips of a grid see, along both axes."""

    rows: SeenAlong
    cols: SeenAlong

    def needs(self, part: Window) -> bool:
        """Return whether any chip sees a pixel of this part of the raster."""
        row, col = self.rows.position, self.cols.position
        return bool(
            ((row >= part.row) & (row < part.row_stop)).any()
            and ((col >= part.col) & (col < part.col_stop)).any()
        )

    @property
    def inside(self) -> NDArray[np.int64]:
        """Number of pixels of each chip that lie in the raster and the grid, (y, x)."""
        return self.rows.inside[:, None] * self.cols.inside[None, :]


def seen_pixels(raster: GeoBox, grid: ChipGrid) -> SeenPixels:
    """Return the pixels of a raster that the chips of a grid see, by nearest neighbour.

    Args:
        raster: The raster's geobox, in the CRS of the grid.
        grid: The chips. They may be rotated, if the raster is rotated alike.

    Raises:
        GridMismatch: The raster is rotated relative to the grid.
    """
    # In pixels of the grid: there, a raster with the grid's rotation is axis-aligned.
    straight = GeoBox(raster.shape, compose(~grid.transform, raster.affine), grid.geobox.crs)
    if not is_axis_aligned(straight):
        raise GridMismatch(
            f"The QA band's transform {tuple(raster.affine)[:6]} is turned against the chip grid's "
            f"{tuple(grid.transform)[:6]}: rows and columns do not correspond."
        )
    here = GeoBox(grid.shape, Affine.identity(), grid.geobox.crs)
    rows, cols = nearest_pixels(straight, here)
    return SeenPixels(
        SeenAlong.of(rows, grid.y_size, grid.chip_size),
        SeenAlong.of(cols, grid.x_size, grid.chip_size),
    )
