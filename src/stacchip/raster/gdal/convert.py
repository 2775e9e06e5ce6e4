"""Convert a raster file to a Cloud Optimized GeoTIFF, reprojected or resampled on request.

The same input gives the same bytes, so that a job that was killed and ran again leaves the same
files as one that ran without interruption.
"""

from __future__ import annotations

import math
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import NotARaster, StacchipError, StorageError, UsageError
from stacchip.grid.crs import same_crs
from stacchip.raster.gdal.cog import BLOCK
from stacchip.raster.gdal.describe import location_of
from stacchip.raster.gdal.environment import error_types, gdal_environment, gdal_says
from stacchip.raster.gdal.formats import JPEG2000, OpenImage
from stacchip.raster.location import refuse_no_grid, why_no_grid
from stacchip.runtime.unwritable import find_full_disk
from stacchip.runtime.whole_file import whole_file
from stacchip.storage import redact
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stacchip.storage import Limits

STRIP = 8 * BLOCK  # rows of a work window: 8 blocks high keeps memory to a few megapixels a band


@dataclass(frozen=True)
class Conversion:
    """The changes to a file; a field that is `None` changes nothing.

    Attributes:
        crs: The reference system, in any form that PROJ knows.
        resolution: Edge of a pixel in the unit of the CRS; pixels stay square and the upper left
            corner stays where it is.
        band_count: Number of bands that are kept, from the first.
    """

    crs: str | None = None
    resolution: float | None = None
    band_count: int | None = None


def convert_to_cog(
    source: Path,
    target: Path,
    conversion: Conversion,
    *,
    href: str = "",
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Write a raster file as a COG: deflate with a predictor, blocks of 512, overviews.

    Nodata is kept. A mask or an alpha band becomes an internal mask, even if `band_count` drops the
    alpha band. Pixels that a reprojection leaves without a source are nodata (the type's extreme if
    the file names none), never an invented zero.

    Args:
        source: A TIFF, JPEG 2000, JPEG or PNG file.
        target: The COG to write; a temporary file lies beside it meanwhile.
        conversion: The changes.
        href: The name of the file in errors.
        limits: The most that reading it may take.

    Raises:
        DiskFull: There is no space for it.
        LimitExceeded: Its blocks are too large.
        NotARaster: GDAL cannot read the file, or it has no bands or no grid.
        StorageError: The COG cannot be written.
        UnsupportedRaster: Its pixels lie on no grid.
        UsageError: It has fewer bands than `band_count`.
    """
    plain = target.with_suffix(".plain.tif")
    try:
        with (
            gdal_environment(GDAL_TIFF_INTERNAL_MASK=True),
            closing(_open(source, href or source.name, limits)) as image,
            gdal_environment(GDAL_NUM_THREADS=_threads_for(image.dataset)),
        ):
            dataset = image.dataset
            refuse_no_grid(href or source.name, why_no_grid(location_of(dataset)))
            bands = _kept_bands(dataset, conversion, href)
            with _view(dataset, conversion) as view:
                _write_plain(view, plain, bands, target)
            with whole_file(target) as part, _blaming(target, plain):
                _write_cog(plain, part, dataset.dtypes[0])
    except StacchipError:
        raise
    except error_types() as error:
        written = plain.stat().st_size if plain.exists() else 0
        if full := find_full_disk(target, max(written, source.stat().st_size)):
            raise full from error
        raise NotARaster(
            f"{redact(href) or source.name} cannot be converted: {gdal_says(error)}",
            href=redact(href),
        ) from error
    finally:
        with suppress(OSError):
            plain.unlink(missing_ok=True)


def _threads_for(dataset: Any) -> str:
    """Return in how many threads GDAL may read a file: one, if it is JPEG 2000.

    In several, GDAL hides its errors (see `stacchip.raster.gdal.file`).
    """
    return "1" if dataset.driver == JPEG2000 else "ALL_CPUS"


def _open(source: Path, href: str, limits: Limits) -> OpenImage:
    """Open the file; if it cannot be, say that it cannot be converted."""
    try:
        return OpenImage(source, href, limits)
    except NotARaster as error:
        message = f"{redact(href)} cannot be converted. {error}"
        raise NotARaster(message, href=redact(href)) from error


def _write_cog(plain: Path, part: Path, dtype: str) -> None:
    """Write the COG of a file of ours."""
    from rasterio.shutil import copy  # half a second, and only conversions need it

    copy(str(plain), str(part), driver="COG", **_cog_options(dtype))
    _read_last_block(part)


@contextmanager
def _blaming(target: Path, plain: Path) -> Iterator[None]:
    """Raise an error of GDAL as one of the disk: the block reads no file but ours."""
    try:
        yield
    except error_types() as error:
        written = plain.stat().st_size if plain.exists() else 0
        if full := find_full_disk(target, written):
            raise full from error
        raise StorageError(
            f"{target} cannot be written: {gdal_says(error)}. Look at the space and the quota of "
            "its disk, or choose another place.",
            href=str(target),
        ) from error


def _read_last_block(path: Path) -> None:
    """Raise GDAL's error if the end of a file is missing: on a full disk GDAL may not say so."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as written:
        written.read(window=Window(written.width - 1, written.height - 1, 1, 1))


def _kept_bands(dataset: Any, conversion: Conversion, href: str) -> list[int]:
    """Return the numbers of the bands that are kept, from 1; an alpha band does not count."""
    from rasterio.enums import ColorInterp

    if dataset.crs is None and conversion.crs is not None:
        raise NotARaster(f"{redact(href)} has no CRS to reproject from.", href=redact(href))
    colours = zip(dataset.indexes, dataset.colorinterp, strict=True)
    bands = [number for number, colour in colours if colour != ColorInterp.alpha]
    wanted = conversion.band_count or len(bands)
    if wanted > len(bands):
        raise UsageError(f"{redact(href)} has {len(bands)} bands; {wanted} were asked for.")
    return bands[:wanted]


@dataclass(frozen=True)
class _View:
    """A dataset on the wanted grid.

    Attributes:
        dataset: The file itself, or GDAL's warped view of it.
        has_mask: True if the file has a mask or an alpha band, which is kept.
        is_warped: True if the mask is the view's last band.
    """

    dataset: Any
    has_mask: bool
    is_warped: bool = False

    def mask(self, window: Any) -> Any:
        """Return 255 where a pixel of a window is valid, else 0."""
        if not self.is_warped:
            return self.dataset.dataset_mask(window=window)
        alpha = self.dataset.read(self.dataset.count, window=window)
        return np.where(alpha > 0, 255, 0).astype("uint8")


@contextmanager
def _view(dataset: Any, conversion: Conversion) -> Iterator[_View]:
    """Open the dataset on the wanted grid."""
    from rasterio.enums import MaskFlags
    from rasterio.vrt import WarpedVRT

    grid = _wanted_grid(dataset, conversion)
    has_mask = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    if grid is None:
        yield _View(dataset, has_mask)
        return
    nodata = dataset.nodata
    if nodata is None and not has_mask:
        nodata = _extreme(dataset.dtypes[0])
    has_alpha = has_mask and any(MaskFlags.alpha in flags for flags in dataset.mask_flag_enums)
    with WarpedVRT(
        dataset,
        **grid,
        resampling=_resampling(dataset, conversion),
        src_nodata=dataset.nodata,
        nodata=nodata,
        add_alpha=has_mask and not has_alpha,
    ) as warped:
        yield _View(warped, has_mask, is_warped=True)


def _resampling(dataset: Any, conversion: Conversion) -> Any:
    """Return the method of resampling.

    Classes, quality bits and nodata must not be mixed: only imagery that gets coarser is averaged.
    """
    from rasterio.enums import Resampling

    size = conversion.resolution
    is_coarser = conversion.crs is None and size is not None and size > dataset.res[0]
    return Resampling.average if is_coarser else Resampling.nearest


def _wanted_grid(dataset: Any, conversion: Conversion) -> dict[str, Any] | None:
    """Return the grid to resample to; `None` if the file is on it already."""
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.warp import calculate_default_transform

    crs = CRS.from_user_input(conversion.crs) if conversion.crs else dataset.crs
    size = conversion.resolution
    if not same_crs(crs, dataset.crs):
        transform, width, height = calculate_default_transform(
            dataset.crs, crs, dataset.width, dataset.height, *dataset.bounds, resolution=size
        )
        return {"crs": crs, "transform": transform, "width": width, "height": height}
    if size is None or all(math.isclose(own, size, rel_tol=1e-6) for own in dataset.res):
        return None
    west, south, east, north = dataset.bounds
    # a sheet of 240 m is 800 pixels of 0.3 m, not 801 because of the last bit of a double
    width = max(1, math.ceil((east - west) / size - 1e-6))
    height = max(1, math.ceil((north - south) / size - 1e-6))
    transform = Affine(size, 0, west, 0, -size, north)
    return {"crs": crs, "transform": transform, "width": width, "height": height}


def _extreme(dtype: str) -> float:
    """Return nodata for a file that names none: the type's extreme, as MODIS has it, or NaN."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return float("nan")
    limits = np.iinfo(kind)
    return float(limits.max if kind.kind == "u" else limits.min)


def _write_plain(view: _View, path: Path, bands: list[int], target: Path) -> None:
    """Write the bands to an uncompressed GeoTIFF, strip by strip.

    An error of writing it is one of `target`, which lies beside it.
    """
    import rasterio

    dataset = view.dataset
    profile = {
        "driver": "GTiff",
        "width": dataset.width,
        "height": dataset.height,
        "count": len(bands),
        "dtype": dataset.dtypes[0],
        "crs": dataset.crs,
        "transform": dataset.transform,
        "nodata": None if view.has_mask else dataset.nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "bigtiff": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as out:
        for window in _strips(dataset.height, dataset.width):
            pixels = dataset.read(bands, window=window)
            mask = view.mask(window) if view.has_mask else None
            with _blaming(target, path):
                out.write(pixels, window=window)
                if mask is not None:
                    out.write_mask(mask, window=window)
        out.colorinterp = [dataset.colorinterp[number - 1] for number in bands]
        for number, name in enumerate((dataset.descriptions[band - 1] for band in bands), 1):
            if name:
                out.set_band_description(number, name)


def _strips(height: int, width: int) -> Iterator[Any]:
    """Yield windows of the full width that cover an image from top to bottom."""
    from rasterio.windows import Window

    for top in range(0, height, STRIP):
        yield Window(0, top, width, min(STRIP, height - top))


def _cog_options(dtype: str) -> dict[str, Any]:
    """Return the options of GDAL's COG driver."""
    return {
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "FLOATING_POINT" if np.dtype(dtype).kind == "f" else "STANDARD",
        "BLOCKSIZE": BLOCK,
        "BIGTIFF": "IF_SAFER",
        "OVERVIEW_RESAMPLING": "NEAREST",
        "NUM_THREADS": "ALL_CPUS",
    }
