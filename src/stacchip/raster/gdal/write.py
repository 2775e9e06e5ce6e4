"""Writing an array to a file by GDAL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacchip.errors import RasterError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_array(
    path: Path,
    bands: NDArray[Any],
    profile: dict[str, Any],
    *,
    colours: tuple[str, ...] | None = None,
    tags: dict[str, str] | None = None,
    names: tuple[str, ...] | None = None,
) -> None:
    """Write an array (band, y, x) to a file.

    Args:
        path: Where to; a failure may leave a part of it.
        bands: The pixels.
        profile: What rasterio's `open` takes: driver, CRS, transform, the driver's options.
        colours: What each band shows, by the names of rasterio's `ColorInterp`.
        tags: Metadata of the file.
        names: The name of each band, as its description.

    Raises:
        RasterError: GDAL cannot write it: the disk is full, the compression does not fit the type.
    """
    import rasterio  # half a second, and most callers only read
    from rasterio._err import CPLE_BaseError  # what escapes as a COG is closed
    from rasterio.enums import ColorInterp  # half a second, as above

    try:
        with rasterio.open(path, "w", **profile) as dataset:
            if colours is not None:
                dataset.colorinterp = [ColorInterp[name] for name in colours]
            if names is not None:
                dataset.descriptions = names
            if tags:
                dataset.update_tags(**tags)
            dataset.write(bands)
    except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
        raise RasterError(
            f"GDAL could not write a COG of {bands.shape[0]} {bands.dtype} bands into "
            f"{path.parent}: {error}. Look for room on the disk, or choose another compression."
        ) from error
