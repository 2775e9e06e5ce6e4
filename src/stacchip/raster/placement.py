"""Placements: the pixels of one raster on an item's chip grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.grid.geobox import agrees_with, crop_geobox, is_same_grid
from stacchip.grid.nearest import grid_map
from stacchip.raster.location import refuse_no_grid, stated_crs
from stacchip.raster.reader import WindowRequest, require_room
from stacchip.raster.resample import Resampling, needed_window, resample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox
    from stacchip.grid.nearest import GridMap
    from stacchip.grid.window import Window
    from stacchip.raster.reader import Reader


def locate(reader: Reader, *claims: GeoBox | None) -> GeoBox | None:
    """Return a raster's geobox: its file's, else the first claim that the file does not contradict.

    A claim must have the file's shape. If the file has a CRS without a transform, or a transform
    without a CRS, the claim must have that, too.

    Args:
        reader: The raster.
        *claims: What the item or the index says of its place.

    Raises:
        UnsupportedRaster: The file's pixels lie on no grid, whatever is claimed.
    """
    if reader.geobox is not None:
        return reader.geobox
    refuse_no_grid(reader.href, reader.why_no_grid)
    crs = stated_crs(reader.crs)
    for claim in claims:
        if claim and agrees_with(claim, reader.shape, crs, reader.transform):
            return claim
    return None


@dataclass(frozen=True, eq=False)
class Placement:
    """A raster, and its place on a chip grid.

    Attributes:
        reader: The raster.
        source: Its geobox.
        grid: Geobox of the chip grid: the reference band's, of the same CRS.
        nodata: The value of pixels beyond the raster's edge; None fills with 0.
        method: The method of resampling, if the raster does not lie on the grid.
        adjust: A function of pixels (band, y, x), applied to what is cut and keeping nodata; None
            leaves the pixels as they are.
    """

    reader: Reader
    source: GeoBox
    grid: GeoBox
    nodata: float | int | None
    method: Resampling
    adjust: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    @cached_property
    def lies_on_grid(self) -> bool:
        """True if its pixels are the grid's: nothing is resampled."""
        return is_same_grid(self.source, self.grid)

    @cached_property
    def map(self) -> GridMap | None:
        """Its pixels on the chip grid by nearest neighbour; None if another method is needed.

        Raises:
            UsageError: The grids differ in CRS, or one of them is rotated.
        """
        if self.method != "nearest" and not self.lies_on_grid:
            return None
        return grid_map(self.source, self.grid)

    def request(self, window: Window) -> WindowRequest | None:
        """Return what must be read for a window, inside the grid or not; None for nothing.

        Raises:
            LimitExceeded: The window takes more than the limits of the raster's place allow.
        """
        require_room(self.reader, window, self.reader.count)
        if self.map is not None:
            cut = self.map.cut(window)
            read = None if cut is None else cut.window
        else:
            inside = window.clip(self.grid.shape.yx)
            target = None if inside is None else crop_geobox(self.grid, inside)
            read = None if target is None else needed_window(self.source, target, self.method)
        return None if read is None else WindowRequest(self.reader, read)

    def place(
        self,
        window: Window,
        request: WindowRequest | None,
        pixels: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return a window of the grid, filled with pixels that were read for it.

        Args:
            window: The window; it may reach beyond the grid.
            request: The result of `request(window)`.
            pixels: The pixels read, (band, y, x); empty if there is no request.
            valid: Their valid pixels, (y, x).

        Returns:
            Pixels (band, *window.shape) and valid (*window.shape). Pixels beyond the raster are
            nodata, and not valid.
        """
        if pixels.shape[1:] == window.shape and self.lies_on_grid:
            return pixels, valid
        fill = 0 if self.nodata is None else self.nodata
        placed = np.full((self.reader.count, *window.shape), fill, self.reader.dtype)
        placed_valid = np.zeros(window.shape, bool)
        if request is None:
            return placed, placed_valid
        if self.map is not None:
            if (cut := self.map.cut(window)) is not None:
                cut.fill(pixels, placed)
                cut.fill(valid[None], placed_valid[None])
        elif (inside := window.clip(self.grid.shape.yx)) is not None:
            pixels, valid = resample(
                pixels,
                crop_geobox(self.source, request.window),
                crop_geobox(self.grid, inside),
                method=self.method,
                nodata=self.nodata,
                valid=valid,
            )
            part = inside.shift(-window.row, -window.col).slices
            placed[:, *part], placed_valid[part] = pixels, valid
        return placed, placed_valid
