"""Layers: the rasters of an opened item as blocks, and the chips that are cut from those."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stacchip.chipper.chip import name_bands
from stacchip.errors import StacchipError, attribute
from stacchip.grid.nearest import GridMap, spread
from stacchip.grid.window import Window
from stacchip.raster.blocks import Block, block_window, blocks_of
from stacchip.raster.reader import FastReader
from stacchip.raster.validity import find_valid, hide_fill, valid_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from stacchip.chipper.open_item import OpenedItem
    from stacchip.grid.nearest import ChipCut
    from stacchip.raster.header import Header
    from stacchip.raster.placement import Placement

    Lookup = Callable[["LayerBlock"], NDArray[Any]]

# GDAL reads windows of at least so many rows: a call costs more than a strip of a few rows
_GDAL_ROWS = 256
PIXELS, MASK = 0, 1


class LayerBlock(NamedTuple):
    """A block of one asset of one item, by which it is told from all others.

    Attributes:
        item: Platform and id of the item.
        asset: Key of the asset.
        part: `PIXELS`, or `MASK` for the mask that goes with them.
        plane: As in `stacchip.raster.blocks.Block`.
        row: Row in the grid of blocks.
        col: Column in the grid of blocks.
    """

    item: tuple[str, str]
    asset: str
    part: int
    plane: int
    row: int
    col: int


class LayerForm(NamedTuple):
    """What layers share whose chips lie in the same way in their blocks."""

    map: GridMap
    block_shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """One asset of an opened item.

    Attributes:
        item: Platform and id of the item.
        asset: Key of the asset.
        placed: Its raster, and where it lies on the chip grid.
        bands: Where its bands stand in the chip.
    """

    item: tuple[str, str]
    asset: str
    placed: Placement
    bands: slice

    @cached_property
    def header(self) -> Header | None:
        """The header of its pixels where we decode them ourselves; None where GDAL does."""
        reader = self.placed.reader
        return reader.header if isinstance(reader, FastReader) else None

    @cached_property
    def mask(self) -> Header | None:
        """The header of its mask, where we decode it ourselves and it has one."""
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
        """(height, width) of a block of its pixels, and of one of its mask where that differs."""
        masks = set() if self.mask is None else {self.mask.block_shape}
        return (self.block_shape, *(masks - {self.block_shape}))

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Pixels of the chip grid to one of its own, (down, across)."""
        ours, theirs = self.placed.source.resolution, self.placed.grid.resolution
        return abs(ours.y / theirs.y), abs(ours.x / theirs.x)

    @cached_property
    def pixel_bytes(self) -> int:
        """Decoded bytes of one pixel of all its bands, with what its mask takes."""
        reader = self.placed.reader
        return reader.count * reader.dtype.itemsize + (self.mask is not None or not self.header)

    def window(self, chip: Window) -> Window | None:
        """The raster's pixels that a chip needs; None where it does not reach the raster."""
        request = self.placed.request(chip)
        return None if request is None else request.window

    def blocks(self, window: Window) -> list[LayerBlock]:
        """The blocks that hold a window of the raster."""
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
        """The raster's pixels that a block holds."""
        header = self.mask if block.part == MASK else self.header
        if header is not None:
            return block_window(header, Block(*block[3:]))
        height, width = self.block_shape
        whole = Window(block.row * height, block.col * width, height, width)
        return whole.clip(self.placed.reader.shape) or whole

    def block_bytes(self, block: LayerBlock) -> int:
        """Decoded bytes of a block in memory."""
        header = self.mask if block.part == MASK else self.header
        if header is not None:
            height, width = header.block_shape
            return height * width * header.samples * header.numpy_dtype.itemsize
        window = self.block_window(block)
        return window.height * window.width * self.pixel_bytes

    # --- cutting

    def cut(
        self, chip: Window, lookup: Lookup, out: NDArray[Any], valid: NDArray[np.bool_] | None
    ) -> None:
        """Fill the asset's bands of a chip.

        Args:
            chip: The chip's pixels in the grid; it may leave it.
            lookup: Gives the decoded pixels (band, y, x) of a block; a mask's are nonzero where
                pixels are valid, and of GDAL's files the last band is the mask.
            out: The asset's bands (band, y, x) of the chip.
            valid: The same of where they may be used; None where nobody asks.
        """
        window = self.window(chip)
        if self.form is None or not np.can_cast(self.placed.reader.dtype, out.dtype):
            self._place(chip, window, lookup, out, valid)
        else:
            self.fill(self.form.map.cut(chip, self.block_shape), lookup, out, valid)

    def fill(
        self,
        cut: ChipCut | None,
        lookup: Lookup,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """`cut` for layers that have a `form`, its own cut being known."""
        if cut is None or not cut.is_whole:
            out[...] = 0 if self.placed.nodata is None else self.placed.nodata
            if valid is not None:
                valid[...] = False
        if cut is None:
            return
        rows, cols = cut.rows, cut.cols
        if cut.block is not None and not self._is_planar:
            block = LayerBlock(self.item, self.asset, PIXELS, 0, *cut.block)
            pixels = lookup(block)[:, *cut.part]
        else:
            size = (rows.stop - rows.start, cols.stop - cols.start)
            pixels = self._pixels(Window(rows.start, cols.start, *size), PIXELS, lookup)
        for band in range(len(pixels)):
            spread(pixels[band], rows, cols, out[band])
        if valid is None:
            return
        if cut.is_whole:
            self._tell_valid(out, valid)
        else:
            part = (slice(None), rows.place, cols.place)
            self._tell_valid(out[part], valid[part])

    @cached_property
    def form(self) -> LayerForm | None:
        """Its form, where its chips are filled straight from its blocks; else None."""
        if self.placed.map is None or not self._tells_by_value:
            return None
        return LayerForm(self.placed.map, self.block_shape)

    @cached_property
    def _is_planar(self) -> bool:
        return self.header is not None and self.header.is_planar

    @cached_property
    def _tells_by_value(self) -> bool:
        """Whether pixels alone tell which are valid: no mask, no alpha band."""
        return self.header is not None and self.header.validity in ("nodata", "all")

    @cached_property
    def _nodata(self) -> float | int | None:
        """The value that is not valid, where `_tells_by_value`."""
        nodata = self.placed.reader.nodata
        nodata = self.placed.nodata if nodata is None else nodata
        dtype = self.placed.reader.dtype
        # as the file's pixels round it, before they become a wider type
        return nodata if nodata is None or dtype.kind != "f" else float(dtype.type(nodata))

    def _tell_valid(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        if len(pixels) == 1 and pixels.dtype.kind in "ui":
            if self._nodata is None:
                valid[...] = True
            else:
                np.not_equal(pixels, self._nodata, out=valid)
        else:
            valid[...] = valid_pixels(pixels, self._nodata)

    def _place(
        self,
        chip: Window,
        window: Window | None,
        lookup: Lookup,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """Cut by way of `Placement.place`, which knows all methods and masks."""
        request = self.placed.request(chip)
        pixels, usable = np.zeros((1, 0, 0), bool), np.zeros((0, 0), bool)
        if request is not None and window is not None:
            pixels = self._pixels(request.window, PIXELS, lookup)
            pixels, usable = self._with_valid(pixels, request.window, lookup)
        made, made_valid = self.placed.place(chip, request, pixels, usable)
        out[...] = made
        if valid is not None:
            valid[...] = made_valid

    def _with_valid(
        self, pixels: NDArray[Any], window: Window, lookup: Lookup
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels and valid (y, x) of a window of the raster, as `OpenedItem.read` has them."""
        header, flags = self.header, None
        if header is None:
            pixels, flags = pixels[:-1], pixels[-1]
        elif self.mask is not None:
            flags = self._pixels(window, MASK, lookup)[0]
        elif header.validity == "alpha" and header.alpha is not None:
            flags = pixels[header.alpha]
        nodata = self.placed.reader.nodata
        usable = find_valid(pixels, flags, nodata)
        return pixels, hide_fill(usable, pixels, nodata, self.placed.nodata)

    def _pixels(self, window: Window, part: int, lookup: Lookup) -> NDArray[Any]:
        """The pixels (band, y, x) of a window of the raster: a view, where one block holds it."""
        blocks = [block for block in self.blocks(window) if block.part == part]
        if len(blocks) == 1:
            inside = self.block_window(blocks[0])
            rows, cols = window.shift(-inside.row, -inside.col).slices
            return lookup(blocks[0])[:, rows, cols]
        first = lookup(blocks[0])
        planes = 1 + max(block.plane for block in blocks)
        out = np.empty((len(first) * planes, *window.shape), first.dtype)
        for block in blocks:
            inside = self.block_window(block)
            shared = inside.intersect(window)
            if shared is None:
                continue
            pixels = lookup(block)
            bands = slice(block.plane, block.plane + len(pixels)) if planes > 1 else slice(None)
            to, source = (
                shared.shift(-window.row, -window.col),
                shared.shift(-inside.row, -inside.col),
            )
            out[(bands, *to.slices)] = pixels[(slice(None), *source.slices)]
        return out


@dataclass(frozen=True, eq=False)
class ItemLayers:
    """The layers of an opened item, and how its chips look.

    Attributes:
        opened: The item.
        layers: In the order asked.
        bands: The name of each band of a chip.
        dtype: The common type of all bands.
    """

    opened: OpenedItem
    layers: tuple[Layer, ...]
    bands: tuple[str, ...]
    dtype: np.dtype[Any]
    _forms: dict[np.dtype[Any], list[tuple[Layer, LayerForm | None]]] = field(default_factory=dict)

    @property
    def is_read_by_gdal(self) -> bool:
        """True if GDAL reads one of its files."""
        return self.opened.is_read_by_gdal

    def blocks(self, windows: Sequence[Window]) -> dict[LayerBlock, Layer]:
        """The blocks that chips need, each with its layer, in the order of assets and rows.

        Raises:
            UsageError: A raster cannot be placed on the chip grid; item and asset are named.
        """
        found: dict[LayerBlock, Layer] = {}
        # once for all bands of a resolution
        by_grids: dict[tuple[GridMap, tuple[tuple[int, int], ...]], list[Window]] = {}
        for layer in self.layers:
            shapes = layer.block_shapes
            try:
                grids = layer.placed.map
                own = None if grids is None else by_grids.get((grids, shapes))
                if own is None:
                    own = _one_of_each_span(map(layer.window, windows), shapes)
            except StacchipError as error:
                raise attribute(error, layer.item[1], layer.asset) from error
            if grids is not None:
                by_grids[grids, shapes] = own
            found.update((block, layer) for window in own for block in layer.blocks(window))
        return found

    def cut(
        self, chip: Window, lookup: Lookup, out: NDArray[Any], valid: NDArray[np.bool_] | None
    ) -> None:
        """Fill a chip (band, y, x), and where it may be used; see `Layer.cut`."""
        cuts: dict[LayerForm, ChipCut | None] = {}
        for layer, form in self._straight(out.dtype):
            usable = None if valid is None else valid[layer.bands]
            if form is None:
                layer.cut(chip, lookup, out[layer.bands], usable)
                continue
            if form not in cuts:  # once for all bands of a resolution
                cuts[form] = form.map.cut(chip, form.block_shape)
            layer.fill(cuts[form], lookup, out[layer.bands], usable)

    def _straight(self, dtype: np.dtype[Any]) -> list[tuple[Layer, LayerForm | None]]:
        """The layers with their forms; without where pixels of this type could not hold theirs."""
        if dtype not in self._forms:
            self._forms[dtype] = [
                (layer, layer.form if np.can_cast(layer.placed.reader.dtype, dtype) else None)
                for layer in self.layers
            ]
        return self._forms[dtype]


def _one_of_each_span(
    windows: Iterable[Window | None], block_shapes: Sequence[tuple[int, int]]
) -> list[Window]:
    """Of windows that lie in the same blocks, of each of these shapes, one; in their order."""
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
    """An opened item's layers."""
    layers: list[Layer] = []
    names: list[str] = []
    for asset, placed in opened.placements.items():
        count = placed.reader.count
        bands = slice(len(names), len(names) + count)
        names += name_bands(asset, count)
        layers.append(Layer((platform, opened.item.id), asset, placed, bands))
    dtype = np.result_type(*(layer.placed.reader.dtype for layer in layers))
    return ItemLayers(opened, tuple(layers), tuple(names), dtype)
