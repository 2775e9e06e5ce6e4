"""An open item: its rasters, placed on its chip grid and read together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import numpy as np

from stacchip.chipper.chip import Chip
from stacchip.chipper.placing import Placing, confirm
from stacchip.errors import (
    AssetNotFound,
    ChipNotFound,
    UsageError,
)
from stacchip.grid.chip_grid import ChipGrid
from stacchip.items import item_datetime, read_assets
from stacchip.raster.block_requests import NO_CACHES
from stacchip.raster.reader import FastReader, open_reader, read_valid_windows, version_of
from stacchip.raster.resample import Resampling
from stacchip.raster.validity import hide_fill
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pystac
    from numpy.typing import NDArray

    from stacchip.chipper.file_versions import FileVersions
    from stacchip.chipper.found_item import FoundItem
    from stacchip.chipper.index_rows import ChipKey
    from stacchip.grid.geobox import GeoBox, RecordedGrid
    from stacchip.grid.window import Window
    from stacchip.items import AssetInfo
    from stacchip.raster.cache import Caches
    from stacchip.raster.placement import Placement
    from stacchip.raster.reader import Reader, WindowRequest
    from stacchip.sources import Harmonize
    from stacchip.storage import Storage

# opening a file waits for a store, whose ranges are fetched by the storage's own threads
_OPENERS = PerProcess(lambda: Workers("stacchip-open", 16))
_NO_PIXELS = np.zeros((1, 0, 0), bool)


@dataclass(frozen=True)
class AssetChoice:
    """The assets of an item that are read, and how they are resampled.

    Attributes:
        assets: Keys, in the order of the result; None for every raster.
        blacklist: Keys to leave out.
        resampling: The method for all assets, or by key ("nearest" for the others).
        harmonize: `"boa_offset"` brings Sentinel-2 of all processing baselines onto one scale.
    """

    assets: tuple[str, ...] | None = None
    blacklist: frozenset[str] = frozenset()
    resampling: Resampling | Mapping[str, Resampling] = "nearest"
    harmonize: Harmonize | None = None

    def __post_init__(self) -> None:
        methods = self.resampling
        named = methods.values() if isinstance(methods, Mapping) else (methods,)
        for method in named:
            if method not in get_args(Resampling):
                raise UsageError(
                    f"resampling must be one of {', '.join(get_args(Resampling))}, or a mapping "
                    f"from asset keys to these; got {method!r}."
                )

    def keys(self, item: pystac.Item, infos: Mapping[str, AssetInfo]) -> list[str]:
        """Return the keys of the assets to read.

        Raises:
            AssetNotFound: The item lacks an asset that was named, or nothing is left to read.
        """
        named = self.assets
        if named is None:
            named = tuple(key for key, info in infos.items() if info.is_raster)
        keys = [key for key in named if key not in self.blacklist]
        lacking = [key for key in keys if key not in infos]
        if lacking or not keys:
            what = f"no asset {lacking[0]!r}" if lacking else "no raster asset to read"
            raise AssetNotFound(
                f"Item {item.id!r} has {what}; it has: {', '.join(infos) or 'none'}. "
                "Pass assets=[...] to choose others.",
                item_id=item.id,
                asset=lacking[0] if lacking else None,
            )
        return keys

    def method(self, key: str) -> Resampling:
        """Return the method for an asset."""
        if isinstance(self.resampling, str):
            return self.resampling
        return self.resampling.get(key, "nearest")


class RawPixels(NamedTuple):
    """What a window of the grid needs of a raster, as its file has it.

    Attributes:
        request: What was read; None if the raster does not meet the window.
        pixels: The pixels, (band, y, x); none without a request.
        valid: Which of them may be used as far as the file tells, (y, x).
    """

    request: WindowRequest | None
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


NOTHING: Final = RawPixels(None, _NO_PIXELS, _NO_PIXELS[0])
"""What a window needs of a raster that it does not meet."""


@dataclass(frozen=True, eq=False)
class OpenedItem:
    """The rasters of one item on its chip grid.

    Attributes:
        item: The item.
        grid: Geobox of the chip grid.
        placements: By asset key, in the order of the choice.
    """

    item: pystac.Item
    grid: GeoBox
    placements: Mapping[str, Placement]

    @cached_property
    def is_read_by_gdal(self) -> bool:
        """True if GDAL reads one of its files."""
        return not all(isinstance(each.reader, FastReader) for each in self.placements.values())

    def chip_grid(self, chip_size: int) -> ChipGrid:
        """Return the grid of chips of this size, including those that reach beyond the edge."""
        return ChipGrid(self.grid, chip_size, "pad")

    def chip_geobox(self, key: ChipKey) -> GeoBox:
        """Return the CRS, transform and shape of a chip."""
        return self.chip_grid(key.chip_size).chip_geobox(key.x, key.y)

    def require_chip(self, key: ChipKey, window: Window, edge: str | None) -> None:
        """Refuse a chip that the item does not have.

        Args:
            key: The chip.
            window: Its window in the grid.
            edge: `"drop"` also refuses a chip that reaches beyond the edge of the reference band.

        Raises:
            ChipNotFound: It lies outside the item, or reaches beyond the edge.
        """
        inside = window.clip(self.grid.shape.yx)
        if inside == window or (inside is not None and edge != "drop"):
            return
        chip = f"Chip ({key.x}, {key.y}) of {key.chip_size} px of item {key.item_id!r}"
        if inside is None:
            height, width = self.grid.shape.yx
            message = (
                f"{chip} lies outside the item, which has {width} x {height} px: the row is of "
                "another grid. Index the item again."
            )
        else:
            message = (
                f"{chip} reaches beyond the edge of the reference band. Pass edge='pad' to have it "
                "padded with nodata."
            )
        raise ChipNotFound(message, item_id=key.item_id, x=key.x, y=key.y)

    def make_chip(
        self,
        key: ChipKey,
        array: NDArray[Any],
        valid: NDArray[np.bool_],
        bands: tuple[str, ...],
    ) -> Chip:
        """Return a chip of these pixels, with its place and time."""
        return Chip(
            array=array,
            valid=valid,
            bands=bands,
            geobox=self.chip_geobox(key),
            datetime=item_datetime(self.item),
            chipid=key.chipid,
            platform=key.platform,
            item_id=key.item_id,
            x=key.x,
            y=key.y,
        )

    def read(self, window: Window) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Return pixels (band, y, x) and valid (y, x) of a window of the grid, by asset key.

        All blocks of all assets are fetched at once. Pixels beyond a raster's edge are nodata, and
        not valid.
        """
        return self.place(window, self.fetch(window, self.placements))

    def fetch(self, window: Window, keys: Iterable[str]) -> dict[str, RawPixels]:
        """Return what a window of the grid needs of some assets, by asset key."""
        requests = {key: self.placements[key].request(window) for key in keys}
        wanted = [request for request in requests.values() if request is not None]
        pixels = iter(read_valid_windows(wanted))
        return {
            key: RawPixels(request, *next(pixels)) if request else NOTHING
            for key, request in requests.items()
        }

    def place(
        self, window: Window, raw: Mapping[str, RawPixels]
    ) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Return a window of the grid from what it needs of some assets, as `read` does."""
        result = {}
        for key, placed in self.placements.items():
            if key not in raw:
                continue
            request, array, valid = raw[key]
            if request:
                valid = hide_fill(valid, array, placed.reader.nodata, placed.nodata)
            array, valid = placed.place(window, request, array, valid)
            result[key] = array if placed.adjust is None else placed.adjust(array), valid
        return result


def open_item(
    found: FoundItem,
    grid: RecordedGrid,
    choice: AssetChoice,
    storage: Storage,
    *,
    caches: Caches = NO_CACHES,
    versions: FileVersions,
) -> OpenedItem:
    """Open the chosen assets of an item, all at once, and place them on its chip grid.

    Args:
        found: The item, and the headers that are known, which are not read again.
        grid: The grid of its chips.
        choice: Which assets, and how they are resampled.
        storage: Reads the files.
        caches: Keep their blocks.
        versions: The versions that the files must have, as far as they were opened before.

    Raises:
        AssetChanged: A file is not the version whose header is known, or that was opened before.
        AssetNotFound: The item lacks an asset.
        GridMismatch: A file contradicts the grid, or lies in another CRS.
        ItemError: It does not say how to harmonise it.
        NotAllowed: An item of a remote catalogue names what is local to this machine.
        RasterError: A file is broken.
        UnsupportedRaster: A file's pixels lie on no grid.
        StorageError: A file could not be read.
    """
    item, headers = found.item, found.headers
    infos = read_assets(item, storage)
    keys = choice.keys(item, infos)

    def open_asset(key: str) -> Reader:
        found.require_file(key)
        href, header = infos[key].require_href(), headers.get(key)
        if header is not None and key in found.moved:
            # the header tells only the size of a copy, which others may have, too
            copy = storage.stat(href)
            storage.require_version(href, header.identity, copy)
            header = header.of_version(versions.require(href, copy, storage))
        reader = open_reader(href, storage, header=header, caches=caches)
        if header is None and (there := version_of(reader)) is not None:
            versions.require(href, there, storage)
        return reader

    if all(key in headers and key not in found.moved for key in keys):
        readers = [open_asset(key) for key in keys]
    else:
        readers = map_concurrently(open_asset, keys, workers=_OPENERS.get())
    placing = Placing(item, infos, confirm(grid, headers), choice)
    placements = {
        key: placing.place(key, reader) for key, reader in zip(keys, readers, strict=True)
    }
    return OpenedItem(item, grid.geobox, placements)
