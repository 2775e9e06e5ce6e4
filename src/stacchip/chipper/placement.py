"""Placement: how the pixels of one raster come to lie on an item's chip grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.raster.geobox import crop_geobox, is_same_grid
from stacchip.raster.reader import WindowRequest
from stacchip.raster.resample import Resampling, needed_window, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.raster.geobox import GeoBox
    from stacchip.raster.reader import Reader
    from stacchip.raster.window import Window


@dataclass(frozen=True, eq=False)
class Placement:
    """A raster, and where it lies on a chip grid.

    Attributes:
        reader: The raster.
        source: Its geobox.
        grid: Geobox of the chip grid: the reference band's, of the same CRS.
        nodata: What a pixel beyond the raster's edge is filled with; None fills with 0.
        method: How pixels are brought to the grid where they do not lie on it.
    """

    reader: Reader
    source: GeoBox
    grid: GeoBox
    nodata: float | int | None
    method: Resampling

    @cached_property
    def lies_on_grid(self) -> bool:
        """Whether its pixels are the grid's: nothing is resampled."""
        return is_same_grid(self.source, self.grid)

    def request(self, window: Window) -> WindowRequest | None:
        """What must be read for a window of the grid, which may leave it; None for nothing."""
        inside = window.clip(self.grid.shape.yx)
        if inside is None or self.lies_on_grid:
            return None if inside is None else WindowRequest(self.reader, inside)
        read = needed_window(self.source, crop_geobox(self.grid, inside), self.method)
        return None if read is None else WindowRequest(self.reader, read)

    def place(
        self,
        window: Window,
        request: WindowRequest | None,
        pixels: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels that were read, as pixels of a window of the grid.

        Args:
            window: Of the grid; may leave it.
            request: That of `request(window)`.
            pixels: (band, y, x) of what was read; empty where there is no request.
            valid: (y, x) of it.

        Returns:
            Pixels (band, *window.shape) and valid (*window.shape). What lies beyond the raster is
            nodata, and not valid.
        """
        inside = window.clip(self.grid.shape.yx)
        if request is not None and inside is not None and not self.lies_on_grid:
            pixels, valid = resample(
                pixels,
                crop_geobox(self.source, request.window),
                crop_geobox(self.grid, inside),
                method=self.method,
                nodata=self.nodata,
                valid=valid,
            )
        if request is not None and inside == window:
            return pixels, valid
        fill = 0 if self.nodata is None else self.nodata
        padded = np.full((self.reader.count, *window.shape), fill, self.reader.dtype)
        padded_valid = np.zeros(window.shape, dtype=bool)
        if request is not None and inside is not None:
            part = inside.shift(-window.row, -window.col).slices
            padded[:, *part], padded_valid[part] = pixels, valid
        return padded, padded_valid
