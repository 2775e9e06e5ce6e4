"""Layers: the rasters of an opened item as blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.chipper.chip import name_bands
from stacchip.errors import StacchipError, UsageError, attribute
from stacchip.grid.window import Window
from stacchip.raster.blocks import Block, block_window, blocks_of
from stacchip.raster.nodata import as_sample
from stacchip.raster.reader import FastReader, require_room
from stacchip.runtime.near_names import list_names
from stacchip.stream.plan.ledger import MASK, PIXELS, LayerBlock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from stacchip.chipper.open_item import OpenedItem
    from stacchip.grid.nearest import GridMap
    from stacchip.raster.header import Header
    from stacchip.raster.placement import Placement


# GDAL reads at least this many rows at once: a call costs more than a strip of a few rows
_GDAL_ROWS = 256

LayerForm = SimpleNamespace  # pickles of 0.x name it: layers held one, which nothing reads now


@dataclass(frozen=True, eq=False)
class Layer:
    """One asset of an opened item.

    Attributes:
        item: Platform and id of the item.
        asset: Key of the asset.
        placed: Its raster, and where it lies on the chip grid.
        bands: The position of its bands in the chip.
    """

    item: tuple[str, str]
    asset: str
    placed: Placement
    bands: slice

    @cached_property
    def header(self) -> Header | None:
        """The header of its pixels, or None if GDAL decodes them."""
        reader = self.placed.reader
        return reader.header if isinstance(reader, FastReader) else None

    @cached_property
    def mask(self) -> Header | None:
        """The header of its mask, or None if it has none or GDAL decodes it."""
        header = self.header
        return header.mask if header is not None and header.validity == "mask" else None

    @cached_property
    def block_shape(self) -> tuple[int, int]:
        """(height, width) of a block of its pixels."""
        if self.header is not None:
            return self.header.block_shape
        height, width = self.placed.reader.block_shape  # type: ignore[attr-defined]  # GdalFile's
        return height * -(-_GDAL_ROWS // height), width

    @cached_property
    def block_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of a block of its pixels, and of its mask if that differs."""
        masks = set() if self.mask is None else {self.mask.block_shape}
        return (self.block_shape, *(masks - {self.block_shape}))

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Pixels of the chip grid for each of its own, (down, across)."""
        ours, theirs = self.placed.source.resolution, self.placed.grid.resolution
        return abs(ours.y / theirs.y), abs(ours.x / theirs.x)

    @cached_property
    def pixel_bytes(self) -> int:
        """Decoded bytes of one pixel of all its bands and its mask."""
        reader = self.placed.reader
        return reader.count * reader.dtype.itemsize + (self.mask is not None or not self.header)

    def window(self, chip: Window) -> Window | None:
        """Return the raster's pixels that a chip needs, or None if chip and raster do not meet."""
        request = self.placed.request(chip)
        return None if request is None else request.window

    def blocks(self, window: Window) -> list[LayerBlock]:
        """Return the blocks that hold a window of the raster."""
        if self.header is None:
            height, width = self.block_shape
            return [
                LayerBlock(self.item, self.asset, PIXELS, 0, row, col)
                for row in range(window.row // height, (window.row_stop - 1) // height + 1)
                for col in range(window.col // width, (window.col_stop - 1) // width + 1)
            ]
        found = [
            LayerBlock(self.item, self.asset, PIXELS, *block)
            for block in blocks_of(self.header, window, range(self.header.count))
        ]
        if self.mask is not None:
            found += [
                LayerBlock(self.item, self.asset, MASK, *block)
                for block in blocks_of(self.mask, window, [0])
            ]
        return found

    def block_window(self, block: LayerBlock) -> Window:
        """Return the raster's pixels that a block holds."""
        header = self.mask if block.part == MASK else self.header
        if header is not None:
            return block_window(header, Block(*block[3:]))
        height, width = self.block_shape
        whole = Window(block.row * height, block.col * width, height, width)
        return whole.clip(self.placed.reader.shape) or whole

    def block_bytes(self, block: LayerBlock) -> int:
        """Return the decoded bytes of a block in memory."""
        header = self.mask if block.part == MASK else self.header
        if header is not None:
            height, width = header.block_shape
            return height * width * header.samples * header.numpy_dtype.itemsize
        window = self.block_window(block)
        return window.height * window.width * self.pixel_bytes

    @cached_property
    def direct_map(self) -> GridMap | None:
        """The map by which blocks fill its chips directly; None if `Placement` must place them."""
        is_by_value = self.header is not None and self.header.validity in ("nodata", "all")
        return self.placed.map if is_by_value else None

    @cached_property
    def is_planar(self) -> bool:
        """True if each of its bands has blocks of its own."""
        return self.header is not None and self.header.is_planar

    @cached_property
    def invalid_value(self) -> float | int | None:
        """The value of pixels that are not valid, for a layer with a `direct_map`."""
        nodata = self.placed.reader.nodata
        return as_sample(self.placed.nodata if nodata is None else nodata, self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the file's pixels."""
        return self.placed.reader.dtype


@dataclass(frozen=True, eq=False)
class ItemLayers:
    """The layers of an opened item, and the bands and type of its chips.

    Attributes:
        opened: The item.
        layers: In the order of the assets.
        bands: The name of each band of a chip.
        dtype: The common type of all bands.
    """

    opened: OpenedItem
    layers: tuple[Layer, ...]
    bands: tuple[str, ...]
    dtype: np.dtype[Any]

    def parts(self, apart: str | None) -> tuple[ItemLayers, ...]:
        """Return the layers in parts: all but those of an asset, and those of the asset.

        Args:
            apart: The asset; None for a single part with all layers.

        Raises:
            UsageError: The item's chips have no such asset.
        """
        if apart is None:
            return (self,)
        if apart not in self._parts:
            own = [layer for layer in self.layers if layer.asset == apart]
            if not own:
                names = list_names(self.bands, near=[apart])
                raise UsageError(
                    f"The label's asset {apart!r} is not among the bands {names} "
                    f"of item {self.opened.item.id!r}: name it in assets=[...].",
                    item_id=self.opened.item.id,
                )
            others = [layer for layer in self.layers if layer.asset != apart]
            self._parts[apart] = (self._of(others), self._of(own))
        return self._parts[apart]

    def _of(self, layers: Sequence[Layer]) -> ItemLayers:
        """Return some of the layers, with their bands numbered from 0."""
        moved: list[Layer] = []
        names: list[str] = []
        for layer in layers:
            own = self.bands[layer.bands]
            moved.append(replace(layer, bands=slice(len(names), len(names) + len(own))))
            names += own
        dtypes = [layer.dtype for layer in layers] or [np.dtype(np.uint8)]
        return ItemLayers(self.opened, tuple(moved), tuple(names), np.result_type(*dtypes))

    @cached_property
    def _parts(self) -> dict[str, tuple[ItemLayers, ...]]:
        return {}

    @property
    def is_read_by_gdal(self) -> bool:
        """True if GDAL reads one of its files."""
        return self.opened.is_read_by_gdal

    def blocks(
        self, windows: Sequence[Window], assets: Collection[str] | None = None
    ) -> dict[LayerBlock, Layer]:
        """Return the blocks that chips need, each with its layer, in the order of assets and rows.

        Args:
            windows: The chips' windows in the grid.
            assets: The assets that they need; None for all.

        Raises:
            UsageError: A raster cannot be placed on the chip grid; item and asset are named.
            LimitExceeded: A chip needs more of a raster than the limits of its place allow.
        """
        found: dict[LayerBlock, Layer] = {}
        # once for all bands of a resolution
        by_grids: dict[tuple[GridMap, tuple[tuple[int, int], ...]], list[Window]] = {}
        for layer in self.layers:
            if assets is not None and layer.asset not in assets:
                continue
            shapes = layer.block_shapes
            try:
                grids = layer.placed.map
                own = None if grids is None else by_grids.get((grids, shapes))
                if own is None:
                    own = _one_of_each_span(map(layer.window, windows), shapes)
                _require_room(layer, own)
            except StacchipError as error:
                raise attribute(error, layer.item[1], layer.asset) from error
            if grids is not None:
                by_grids[grids, shapes] = own
            found.update((block, layer) for window in own for block in layer.blocks(window))
        return found

    def direct_maps(self, dtype: np.dtype[Any]) -> list[tuple[Layer, GridMap | None]]:
        """Return the layers, each with its `direct_map`; None if this type cannot hold its pixels.

        They are found once for each type.
        """
        if dtype not in self._direct_maps:
            self._direct_maps[dtype] = [
                (layer, layer.direct_map if np.can_cast(layer.placed.reader.dtype, dtype) else None)
                for layer in self.layers
            ]
        return self._direct_maps[dtype]

    @cached_property
    def kinds(self) -> dict[Any, Any]:
        """The kinds of its chips, by their size, the type asked for and what is cut apart."""
        return {}

    @cached_property
    def pasting(self) -> dict[Any, Any]:
        """How its chips are pasted from what a store holds, by kinds of packs."""
        return {}

    @cached_property
    def _direct_maps(self) -> dict[np.dtype[Any], list[tuple[Layer, GridMap | None]]]:
        return {}


def _require_room(layer: Layer, windows: Sequence[Window]) -> None:
    """Refuse windows of a raster of which one takes more than the limits of its place allow."""
    if windows:
        height = max(window.height for window in windows)
        width = max(window.width for window in windows)
        reader = layer.placed.reader
        require_room(reader, Window(0, 0, height, width), reader.count)


def _one_of_each_span(
    windows: Iterable[Window | None], block_shapes: Sequence[tuple[int, int]]
) -> list[Window]:
    """Return one window of each set in the same blocks, for blocks of all these shapes."""
    spans = {
        tuple(
            (
                window.row // height,
                (window.row_stop - 1) // height,
                window.col // width,
                (window.col_stop - 1) // width,
            )
            for height, width in block_shapes
        ): window
        for window in windows
        if window is not None
    }
    return list(spans.values())


def layers_of(opened: OpenedItem, platform: str) -> ItemLayers:
    """Return an opened item's layers."""
    layers: list[Layer] = []
    names: list[str] = []
    for asset, placed in opened.placements.items():
        count = placed.reader.count
        bands = slice(len(names), len(names) + count)
        names += name_bands(asset, count)
        layers.append(Layer((platform, opened.item.id), asset, placed, bands))
    dtype = np.result_type(*(layer.placed.reader.dtype for layer in layers))
    return ItemLayers(opened, tuple(layers), tuple(names), dtype)
