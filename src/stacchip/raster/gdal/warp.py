"""Warping by GDAL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.raster.gdal.environment import gdal_environment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox


def warp(
    pixels: NDArray[np.float64],
    source: GeoBox,
    target: GeoBox,
    method: str,
) -> NDArray[np.float64]:
    """Warp pixels (band, y, x) of `source` onto `target`; NaN means no data, on both sides.

    Args:
        pixels: Array (band, y, x) of float64.
        source: The grid of `pixels`.
        target: The grid of the result.
        method: One of rasterio's `Resampling` names.
    """
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    # the grids share a CRS, whatever it is, and GDAL demands one
    crs = "EPSG:3857" if source.crs is None else source.crs.to_wkt()
    out = np.full((len(pixels), *target.shape.yx), np.nan)
    with gdal_environment():
        reproject(
            pixels,
            out,
            src_transform=source.affine,
            dst_transform=target.affine,
            src_crs=crs,
            dst_crs=crs,
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling[method],
        )
    return out
