"""Write Cloud Optimized GeoTIFFs, through GDAL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from stacchip.errors import RasterError, UsageError
from stacchip.raster.gdal.environment import gdal_environment
from stacchip.runtime.whole_file import whole_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

OverviewResampling = Literal["nearest", "average", "mode", "bilinear", "cubic"]
"""The ways in which `write_cog` can make coarser pixels from finer ones."""

BLOCK: Final = 512
"""Height and width of the blocks of our COGs."""


# rasterio 1.4 loses the nodata value of 64-bit integers on its way to GDAL's COG driver
_PLAIN: Final = {
    "driver": "GTiff", "tiled": True, "predictor": 1, "blocksize": None, "level": None,
    "overview_resampling": None,
}  # fmt: skip


def write_cog(
    path: str | Path,
    array: NDArray[Any],
    geobox: GeoBox,
    nodata: float | None = None,
    *,
    block: int = BLOCK,
    compress: str = "deflate",
    level: int = 6,
    overviews: OverviewResampling = "average",
    colours: tuple[str, ...] | None = None,
    tags: dict[str, str] | None = None,
    names: tuple[str, ...] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Path:
    """Write an array as a tiled GeoTIFF with overviews, and return its path.

    64-bit integers with a nodata value get no overviews.

    The file appears under its name when it is complete, so a killed process leaves no partial file.
    The same arguments give the same bytes (with the same GDAL).

    Args:
        path: The file to write; its folder must exist.
        array: Pixels, (band, y, x) or (y, x), of an integer, floating or complex type.
        geobox: CRS, transform and shape of the pixels.
        nodata: The value of pixels without data, if there are any.
        block: Height and width of a block, a multiple of 16.
        compress: GDAL's name of the compression; a predictor that fits the type is used with it.
        level: Effort of compression, 1 to 9 (12 for deflate).
        overviews: The way to make coarser pixels from finer; classes need "nearest" or "mode".
        colours: The meaning of each band ("red", "green", "blue", "undefined", ...). Without it, a
            fourth band of bytes might be taken for transparency.
        tags: Metadata of the file, such as TIFFTAG_IMAGEDESCRIPTION.
        names: The name of each band, as its description.
        mask: True where pixels are valid, (y, x); it becomes the file's internal mask.

    Raises:
        UsageError: The array and the geobox differ in shape.
        RasterError: GDAL cannot write it: the compression does not fit the type.
        DiskFull: There is no space for it.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from affine import Affine
        >>> from stacchip.grid.geobox import make_geobox
        >>> geobox = make_geobox("EPSG:32631", Affine(10, 0, 0, 0, -10, 320), (32, 64))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_cog(Path(folder, "a.tif"), np.ones((32, 64), np.uint16), geobox, 0).name
        'a.tif'
    """
    bands = array[None] if array.ndim == 2 else array
    if bands.dtype == "float16":  # which GDAL knows from 3.11 on, but its COG driver does not
        bands = bands.astype("float32")
    if bands.ndim != 3 or bands.shape[1:] != tuple(geobox.shape):
        raise UsageError(
            f"An array of shape {array.shape} does not fit a geobox of shape "
            f"{tuple(geobox.shape)}: pass (band, y, x) or (y, x) with its height and width."
        )
    path = Path(path)
    profile = {
        "driver": "COG",
        "dtype": bands.dtype.name,
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "crs": geobox.crs.to_wkt() if geobox.crs is not None else None,
        "transform": geobox.transform,
        "nodata": nodata,
        "blocksize": block,
        "compress": compress,
        "overview_resampling": overviews,
    }
    if compress.lower() in {"deflate", "lzw", "zstd"} and bands.dtype.kind != "c":
        profile["predictor"] = "YES"
    if compress.lower() != "lzw":
        profile["level"] = level
    if nodata is not None and bands.dtype.kind in "iu" and bands.dtype.itemsize == 8:
        profile |= _PLAIN | {"blockxsize": block, "blockysize": block}
    with whole_file(path) as part:
        write_array(part, bands, profile, colours=colours, tags=tags, names=names, mask=mask)
    return path


def write_array(
    path: Path,
    bands: NDArray[Any],
    profile: dict[str, Any],
    *,
    colours: tuple[str, ...] | None = None,
    tags: dict[str, str] | None = None,
    names: tuple[str, ...] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> None:
    """Write an array (band, y, x) to a file, by way of memory.

    On a full disk, GDAL may leave half a file and report no error, so it does not write itself.

    Args:
        path: The file to write; a failure may leave a part of it.
        bands: The pixels.
        profile: Arguments of rasterio's `open`: driver, CRS, transform, options of the driver.
        colours: The meaning of each band, by the names of rasterio's `ColorInterp`.
        tags: Metadata of the file.
        names: The name of each band, as its description.
        mask: True where pixels are valid, (y, x).

    Raises:
        RasterError: GDAL cannot write it: the compression does not fit the type.
        OSError: The file cannot be written.
    """
    import rasterio  # half a second, and most callers only read
    from rasterio._err import CPLE_BaseError  # this one escapes when a COG is closed
    from rasterio.enums import ColorInterp  # half a second, as above

    with gdal_environment(), rasterio.MemoryFile(ext=".tif") as memory:
        try:
            with rasterio.open(memory.name, "w", **profile) as dataset:
                if colours is not None:
                    dataset.colorinterp = [ColorInterp[name] for name in colours]
                if names is not None:
                    dataset.descriptions = names
                if tags:
                    dataset.update_tags(**tags)
                dataset.write(bands)
                if mask is not None:
                    dataset.write_mask(mask)
        except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
            raise RasterError(
                f"GDAL could not write a COG of {bands.shape[0]} {bands.dtype} bands into "
                f"{path.parent}: {error}. Choose another compression."
            ) from error
        path.write_bytes(memory.getbuffer())
