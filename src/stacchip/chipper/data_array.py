"""A chip as an `xarray.DataArray`, with the coordinates of its pixels and its CRS.

odc-geo makes the same coordinates in `odc.geo.xr`, but that module imports dask, which the extra
`xarray` does not install.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.chipper.chip import Chip
    from stacchip.grid.geobox import GeoBox

# odc-geo adds the accessor `.odc` to arrays once its module is imported, which takes dask
with suppress(ImportError):
    import odc.geo.xr  # noqa: F401

_CRS: Final = "spatial_ref"


def to_data_array(chip: Chip) -> xarray.DataArray:
    """Return a chip's pixels as (band, y, x); see `Chip.to_xarray`."""
    bands, rows, columns = ("band", "y", "x")
    return xarray.DataArray(
        chip.array,
        dims=(bands, rows, columns),
        coords={
            **dict(zip((rows, columns), _pixel_centres(chip.geobox), strict=True)),
            _CRS: _crs_coordinate(chip.geobox),
            "band": list(chip.bands),
            "valid": ((bands, rows, columns), chip.valid),
            "time": np.datetime64(chip.datetime.replace(tzinfo=None), "ns"),
        },
        name=chip.chipid,
        attrs={"item_id": chip.item_id, "platform": chip.platform},
    )


def _pixel_centres(geobox: GeoBox) -> Iterator[xarray.Variable]:
    """Return y of the rows and x of the columns; of a turned grid, their numbers and a half."""
    if not geobox.axis_aligned:
        for name, size in zip(("y", "x"), geobox.shape, strict=True):
            yield xarray.Variable(name, np.arange(0.5, size, dtype="float32"), {"units": "pixel"})
        return
    for name, centres in zip(("y", "x"), geobox.coordinates.values(), strict=True):
        facts = {"units": centres.units, "resolution": centres.resolution, "crs": str(geobox.crs)}
        yield xarray.Variable(name, centres.values, facts)


def _crs_coordinate(geobox: GeoBox) -> xarray.Variable:
    """Return the CRS and the transform: a grid mapping of the CF conventions, with GDAL's names."""
    crs: Any = geobox.crs  # a chip's geobox always has one
    mapping = crs.proj.to_cf()
    transform = (f"{number:.24f}".rstrip("0").rstrip(".") for number in geobox.affine.to_gdal())
    facts = {
        "spatial_ref": mapping.get("crs_wkt") or crs.wkt,
        **mapping,
        "GeoTransform": " ".join(transform),
    }
    return xarray.Variable((), np.asarray(crs.epsg or 0, "int32"), facts)
