"""The grid that an item's chips were indexed on, kept with the item.

It is the grid that the item declares, or that of a file that was opened and disagreed. Without it,
a reader of the index could not know which of the two the chips were cut from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.grid.chip_grid import ChipGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RecordedGrid", "read_grid", "record_grid"]

_MEMBER: Final = "stacchip:grid"  # a foreign member of the item's GeoJSON (RFC 7946, 6.1)


@dataclass(frozen=True)
class RecordedGrid:
    """The grid of an item's chips, as an index keeps it.

    Attributes:
        geobox: CRS, transform and shape of the reference band.
        reference: The reference band's asset key.
    """

    geobox: GeoBox
    reference: str


def record_grid(item: Mapping[str, Any], grid: RecordedGrid) -> dict[str, Any]:
    """Return a copy of an item, as a dictionary, that keeps the grid of its chips.

    Example:
        >>> geobox = GeoBox.from_bbox((0, 0, 2560, 2560), "EPSG:32629", resolution=10)
        >>> item = record_grid({"id": "a"}, RecordedGrid(geobox, "red"))
        >>> read_grid(item) == RecordedGrid(geobox, "red")
        True
    """
    geobox = grid.geobox
    member = {
        "crs": ChipGrid(geobox).crs_name,
        "shape": [int(size) for size in geobox.shape],
        "transform": list(geobox.affine)[:6],
        "reference": grid.reference,
    }
    return {**item, _MEMBER: member}


def read_grid(item: Mapping[str, Any]) -> RecordedGrid | None:
    """Return the grid that an item keeps, or None.

    Args:
        item: The item as a dictionary, or the extra fields of a `pystac.Item`.
    """
    member = item.get(_MEMBER)
    if member is None:
        return None
    geobox = GeoBox(tuple(member["shape"]), Affine(*member["transform"]), member["crs"])
    return RecordedGrid(geobox, member["reference"])
