"""Resampling: pixels of one grid onto another of the same CRS."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from stacchip.errors import UsageError
from stacchip.grid.geobox import covering_window, require_comparable
from stacchip.grid.nearest import make_grid_map
from stacchip.grid.window import Window
from stacchip.raster.gdal import warp
from stacchip.raster.nodata import as_sample, find_values
from stacchip.raster.validity import valid_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox

Resampling = Literal["nearest", "bilinear", "cubic", "average", "mode", "min", "max"]
# GDAL warps these as integers, whatever its version. Its 64-bit integers and signed bytes are newer
# (3.5 and 3.7) than the oldest GDAL of a supported rasterio, so they are warped as floats.
_GDAL_INTEGERS: Final = frozenset({"uint8", "int16", "uint16", "int32", "uint32"})
# how far beyond a target pixel's edge a method looks, in pixels of the coarser of the two grids
_REACH: Final[dict[str, int]] = {
    "nearest": 0, "bilinear": 1, "cubic": 2, "average": 1, "mode": 1, "min": 1, "max": 1,
}  # fmt: skip


def needed_window(source: GeoBox, target: GeoBox, method: Resampling) -> Window | None:
    """Return the source's pixels that `resample` needs; None if the grids do not meet.

    Args:
        source: The grid to read from.
        target: The grid to fill, of the same CRS.
        method: The method of resampling.

    Raises:
        UsageError: The grids differ in CRS, or one is rotated.

    Example:
        >>> from affine import Affine
        >>> from stacchip.grid.geobox import make_geobox
        >>> coarse = make_geobox("EPSG:32629", Affine(60, 0, 0, 0, -60, 0), (183, 183))
        >>> chip = make_geobox("EPSG:32629", Affine(10, 0, 2560, 0, -10, 0), (256, 256))
        >>> needed_window(coarse, chip, "nearest")
        Window(row=0, col=42, height=43, width=44)
    """
    a, b = source.affine, target.affine
    ratio = max(1.0, abs(b.a / a.a), abs(b.e / a.e)) if a.a and a.e else 1.0
    return covering_window(source, target, margin=math.ceil(_REACH[method] * ratio))


def resample(
    pixels: NDArray[Any],
    source: GeoBox,
    target: GeoBox,
    *,
    method: Resampling = "nearest",
    nodata: float | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return pixels of `source` on the grid `target`, and where they may be used.

    Nearest neighbour is that of `stacchip.grid.nearest`: a target pixel takes the source pixel that
    holds its centre. The other methods are GDAL's. Pixels outside the source are nodata (0 if there
    is none) and not valid.

    Args:
        pixels: Array (band, y, x) on `source`.
        source: The grid of `pixels`.
        target: The grid wanted, of the same CRS.
        method: The method of resampling.
        nodata: The value that stands for no data; methods other than nearest leave it out.
        valid: Array (y, x) of the source's pixels that may be used; None for those that are not
            `nodata`.

    Returns:
        Array (band, y, x) of the dtype of `pixels`, and array (y, x).

    Raises:
        UsageError: The grids differ in CRS, one is rotated, or `pixels` does not lie on `source`.

    Example:
        >>> from affine import Affine
        >>> from stacchip.grid.geobox import make_geobox
        >>> coarse = make_geobox("EPSG:32629", Affine(20, 0, 0, 0, -20, 0), (1, 2))
        >>> fine = make_geobox("EPSG:32629", Affine(10, 0, 0, 0, -10, 0), (2, 5))
        >>> resample(np.array([[[3, 4]]]), coarse, fine)[0]
        array([[[3, 3, 4, 4, 0],
                [3, 3, 4, 4, 0]]])
    """
    if pixels.shape[1:] != source.shape.yx:
        raise UsageError(
            f"Pixels of shape {pixels.shape} do not lie on a grid of {source.shape.yx}."
        )
    if method != "nearest" and pixels.dtype.kind not in "uif":
        raise UsageError(f"{method!r} cannot resample pixels of {pixels.dtype}: use 'nearest'.")
    if valid is None:
        valid = valid_pixels(pixels, nodata)
    require_comparable(source, target)
    fill = 0 if nodata is None else nodata
    if source == target:
        return pixels, valid
    if method == "nearest":
        out = np.full((len(pixels), *target.shape.yx), fill, pixels.dtype)
        out_valid = np.zeros(target.shape.yx, np.bool_)
        cut = make_grid_map(source, target).cut(Window(0, 0, *target.shape.yx))
        if cut is not None:
            cut.fill(pixels[:, *cut.window.slices], out)
            cut.fill(valid[None, *cut.window.slices], out_valid[None])
        return out, out_valid
    hidden = as_sample(nodata, pixels.dtype)
    if pixels.dtype.name in _GDAL_INTEGERS and (hidden is not None or valid.all()):
        valid = valid & valid_pixels(pixels, nodata)
        return _warp_integers(pixels, valid, source, target, method=method, nodata=hidden)
    has_value = find_values(pixels, nodata) & valid
    return _warp_floats(pixels, has_value, source, target, method=method, fill=fill)


def _warp_integers(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    source: GeoBox,
    target: GeoBox,
    *,
    method: Resampling,
    nodata: float | None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp integers as such; without `nodata`, all must be valid."""
    shown = pixels if nodata is None else np.where(valid, pixels, pixels.dtype.type(nodata))
    found = warp(shown, source, target, method, nodata)
    # GDAL has moved values that came out as nodata, but not in all of its versions
    reached = ~np.isnan(warp(np.where(valid, 0.0, np.nan)[None], source, target, method, np.nan)[0])
    return np.where(reached, found, found.dtype.type(nodata or 0)), reached


def _warp_floats(
    pixels: NDArray[Any],
    has_value: NDArray[np.bool_],
    source: GeoBox,
    target: GeoBox,
    *,
    method: Resampling,
    fill: float,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp floats, and what GDAL cannot warp otherwise: integers without a value for no data."""
    floats = pixels.dtype if pixels.dtype.name in ("float32", "float64") else np.dtype("float64")
    shown = np.where(has_value, pixels, np.nan).astype(floats, copy=False)
    found = warp(shown, source, target, method, np.nan)
    is_empty = np.isnan(found)
    return _as_dtype(np.where(is_empty, fill, found), pixels.dtype), (~is_empty).any(axis=0)


def _as_dtype(pixels: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert floats to `dtype`, rounding integers half up and clipping, as GDAL's warper does."""
    if dtype.kind == "f":
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.floor(pixels + 0.5), limits.min, limits.max).astype(dtype)
