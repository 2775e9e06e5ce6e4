"""Warping by GDAL."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from stacchip.raster.gdal.environment import gdal_environment
from stacchip.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox

# rasterio silences a warning meanwhile, and what is silenced is the same in all threads
_one_at_a_time = PerProcess(Lock)


def warp(
    pixels: NDArray[Any],
    source: GeoBox,
    target: GeoBox,
    method: str,
    nodata: float | None = np.nan,
) -> NDArray[Any]:
    """Warp pixels (band, y, x) of `source` onto `target`, in their own type.

    GDAL computes each type in a way of its own, and a new version may round one of them otherwise.

    Args:
        pixels: Array (band, y, x).
        source: The grid of `pixels`.
        target: The grid of the result.
        method: One of rasterio's `Resampling` names.
        nodata: The value of pixels to leave out, and of those that get none; a pixel is left out
            if all its bands have it. None to leave nothing out; what lies outside gets 0.
    """
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    # the grids share a CRS, whatever it is, and GDAL demands one
    crs = "EPSG:3857" if source.crs is None else source.crs.to_wkt()
    out = np.full((len(pixels), *target.shape.yx), nodata or 0, pixels.dtype)
    with _one_at_a_time.get(), gdal_environment():
        reproject(
            pixels,
            out,
            src_transform=source.affine,
            dst_transform=target.affine,
            src_crs=crs,
            dst_crs=crs,
            src_nodata=nodata,
            dst_nodata=nodata,
            resampling=Resampling[method],
        )
    return out
