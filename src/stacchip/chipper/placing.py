"""Placing: where the files of an item lie on its chip grid, and which of them are refused."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stacchip.errors import GridMismatch, UnsupportedRaster, attribute
from stacchip.grid.crs import same_crs
from stacchip.grid.geobox import describe_geobox, is_same_grid
from stacchip.raster.nodata import as_sample
from stacchip.raster.placement import Placement, locate
from stacchip.sources import find_source
from stacchip.sources.harmonize import find_adjustment
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.chipper.open_item import AssetChoice
    from stacchip.grid.geobox import GeoBox, RecordedGrid
    from stacchip.items import AssetInfo
    from stacchip.raster.header import Header
    from stacchip.raster.reader import Reader


def confirm(grid: RecordedGrid, headers: Mapping[str, Header]) -> RecordedGrid:
    """Return the grid as checked if the index keeps a header of the reference band that agrees."""
    header = None if grid.reference is None else headers.get(grid.reference)
    if grid.is_checked or header is None or header.geobox is None:
        return grid
    return replace(grid, is_checked=is_same_grid(header.geobox, grid.geobox))


@dataclass(frozen=True)
class Placing:
    """Places the files of one item on its chip grid.

    Attributes:
        item: The item.
        infos: What its metadata say about each asset.
        grid: The grid of its chips.
        choice: How assets are resampled.
    """

    item: pystac.Item
    infos: Mapping[str, AssetInfo]
    grid: RecordedGrid
    choice: AssetChoice

    def place(self, key: str, reader: Reader) -> Placement:
        """Return the place of an asset's pixels on the chip grid, and what becomes of them.

        Raises:
            GridMismatch: The file contradicts the grid, or is in another CRS.
            ItemError: The item does not say how to harmonise it.
            UnsupportedRaster: The file's pixels lie on no grid.
        """
        info = self.infos[key]
        placed = self._find_geobox(info, reader)
        if self._must_lie_on_grid(info):
            if not is_same_grid(placed, self.grid.geobox):
                raise self._contradiction(info, placed)
        elif not same_crs(placed.crs, self.grid.geobox.crs):
            raise self._other_crs(info, reader, placed)
        nodata = self._find_nodata(info, reader)
        adjust = None
        if self.choice.harmonize is not None:
            adjust = find_adjustment(self.item, key, reader.count, reader.dtype, nodata)
        method = self.choice.method(key)
        return Placement(reader, placed, self.grid.geobox, nodata, method, adjust)

    def _find_nodata(self, info: AssetInfo, reader: Reader) -> float | None:
        """Return the first nodata value, out of file, item, source, that the band can hold."""
        for value in (reader.nodata, info.nodata):  # an item may claim -9999 for bytes
            sample = as_sample(value, reader.dtype)
            if sample is not None:
                return sample
        source = find_source(self.item)  # last: looking for plugins takes milliseconds
        return None if source is None else as_sample(source.nodata, reader.dtype)

    def _find_geobox(self, info: AssetInfo, reader: Reader) -> GeoBox:
        """Return a file's geobox: its own, else the item's, else the grid, if that fits the file.

        Raises:
            UnsupportedRaster: Its pixels lie on no grid.
            GridMismatch: The file does not say where it lies, and contradicts item and grid.
        """
        try:
            geobox = locate(reader, info.geobox, self.grid.geobox)
        except UnsupportedRaster as error:
            raise attribute(error, self.item.id, info.key) from error
        if geobox is not None:
            return geobox
        raise self._mismatch(
            info,
            f"The file of asset {info.key!r} of item {self.item.id!r} says no more of its place "
            f"than {_describe_place(reader)}, and the chip grid is "
            f"{describe_geobox(self.grid.geobox)}: it cannot be placed. Give the file a CRS and a "
            "transform, or leave the asset out.",
        )

    def _must_lie_on_grid(self, info: AssetInfo) -> bool:
        """Return True for the reference band, and for bands that must stand in for it.

        If the reference band's file confirmed the grid, files of other bands are believed. If not,
        a file of any band that the item puts on this grid may show that the grid is wrong.
        """
        if info.key == self.grid.reference:
            return True
        return (
            not self.grid.is_checked
            and info.geobox is not None
            and info.has_own_grid
            and is_same_grid(info.geobox, self.grid.geobox)
        )

    def _contradiction(self, info: AssetInfo, placed: GeoBox) -> GridMismatch:
        """Return the error of a file that does not lie on the grid, though it must."""
        if self.grid.is_checked:
            advice = (
                "When the item was indexed, the file had this grid: it was replaced since, or this "
                "is another file. Index the item again, or read the file that was indexed."
            )
        else:
            advice = (
                "The index has the grid that the item states, which no file confirmed. Index the "
                "item again and let its files decide: with their headers (the default of "
                "`stacchip index`), or with --open-files (open_files=True)."
            )
        return self._mismatch(
            info,
            f"Asset {info.key!r} of item {self.item.id!r} does not lie on the grid of its index: "
            f"the file says {describe_geobox(placed)}; the index says "
            f"{describe_geobox(self.grid.geobox)}. {advice}",
        )

    def _other_crs(self, info: AssetInfo, reader: Reader, placed: GeoBox) -> GridMismatch:
        """Return the error of a file in another CRS, which says how to warp it."""
        reference = self.infos.get(self.grid.reference or "")
        warp = "warp it onto that grid"
        if reference is not None:
            names = [redact(info.href), f"{info.key}-warped.tif", "--like", redact(reference.href)]
            method = self.choice.method(info.key)
            warp = f"warp it first: `rio warp {shlex.join(names)} --resampling {method}`"
        if reader.nodata is None:
            warp += (
                " (it has no nodata value, so pixels beyond its edge become 0; to mark them with "
                "another value, add --src-nodata and --dst-nodata with that value)"
            )
        return self._mismatch(
            info,
            f"Asset {info.key!r} of item {self.item.id!r} is in another CRS than its chips: the "
            f"file says {describe_geobox(placed)}; the chips lie on "
            f"{describe_geobox(self.grid.geobox)}. To cut it with them, {warp}. Then give "
            "the asset the new file as its href, and index the item again. Or leave the asset out "
            "(assets=[...]).",
        )

    def _mismatch(self, info: AssetInfo, message: str) -> GridMismatch:
        return GridMismatch(message, item_id=self.item.id, asset=info.key, href=info.href)


def _describe_place(reader: Reader) -> str:
    """Return what a file says of its place without a whole geobox, for messages."""
    crs = "no CRS" if reader.crs is None else reader.crs[:60]
    numbers = None if reader.transform is None else list(reader.transform)[:6]
    transform = "no transform" if numbers is None else f"transform {numbers}"
    return f"{crs}, {tuple(reader.shape)} px (height, width), {transform}"
