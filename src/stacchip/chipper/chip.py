"""One chip: its pixels, which of them may be used, and its place and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox


@dataclass(frozen=True, eq=False)
class Chip:
    """A square of imagery on its item's chip grid.

    Attributes:
        array: Pixels (band, y, x), in the common dtype of the bands.
        valid: Boolean (band, y, x), True where a pixel may be used: not nodata, not masked out,
            not beyond the edge of its raster.
        bands: The name of each band: its asset's key, followed by `:n` (from 1) if the asset has
            more than one.
        geobox: CRS, transform and shape of the chip.
        datetime: Time of acquisition (UTC).
        chipid: The id in the index.
        platform: The name of its source.
        item_id: The item it was cut from.
        x: Column in the item's chip grid.
        y: Row in the item's chip grid.
    """

    array: NDArray[Any]
    valid: NDArray[np.bool_]
    bands: tuple[str, ...]
    geobox: GeoBox
    datetime: datetime
    chipid: str
    platform: str
    item_id: str
    x: int
    y: int

    @property
    def chip_size(self) -> int:
        """Pixels a side."""
        return int(self.array.shape[-1])

    def to_xarray(self) -> Any:
        """Return the chip as an `xarray.DataArray` (band, y, x) with coordinates and CRS.

        The coordinates are pixel centres in the chip's CRS; the CRS is a `spatial_ref` coordinate
        (CF conventions), which rioxarray and odc-geo read. Needs the extra `xarray`.

        Raises:
            UsageError: xarray is not installed.
        """
        try:
            from stacchip.chipper.data_array import to_data_array  # imports xarray, an extra
        except ImportError as error:
            raise UsageError("Arrays of xarray: pip install 'stacchip[xarray]'.") from error
        return to_data_array(self)

    def find_band(self, asset: str, number: int = 1) -> int:
        """Return the position in the array of an asset's band; bands count from 1."""
        several = name_bands(asset, 1 + number)[number - 1]
        return self.bands.index(asset if asset in self.bands else several)


def name_bands(asset: str, count: int) -> tuple[str, ...]:
    """Return the names of an asset's bands in a chip.

    Example:
        >>> name_bands("red", 1), name_bands("image", 2)
        (('red',), ('image:1', 'image:2'))
    """
    if count == 1:
        return (asset,)
    return tuple(f"{asset}:{number}" for number in range(1, count + 1))
