"""Cutting: chips out of the decoded blocks of an item's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.grid.nearest import spread
from stacchip.grid.window import Window
from stacchip.raster.validity import find_valid, hide_fill, valid_pixels
from stacchip.stream.plan.ledger import MASK, PIXELS, LayerBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stacchip.grid.nearest import ChipCut
    from stacchip.stream.read.layers import ItemLayers, Layer, LayerForm

    Lookup = Callable[[LayerBlock], NDArray[Any]]


def cut_chip(
    item: ItemLayers,
    chip: Window,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill a chip.

    Args:
        item: The chip's item.
        chip: The chip's window in the grid; it may reach beyond the edge.
        lookup: Returns the decoded pixels (band, y, x) of a block. A mask is nonzero for each pixel
            that is valid. The last band of a file that GDAL reads is its mask.
        out: The chip (band, y, x).
        valid: True where its pixels may be used (band, y, x); None if that is not asked for.
    """
    cuts: dict[LayerForm, ChipCut | None] = {}
    for layer, form in item.forms(out.dtype):
        usable = None if valid is None else valid[layer.bands]
        if form is None:
            _place(layer, chip, lookup, out[layer.bands], usable)
            continue
        if form not in cuts:  # once for all bands of a resolution
            cuts[form] = form.map.cut(chip, form.block_shape)
        _fill(layer, cuts[form], lookup, out[layer.bands], usable)


def _fill(
    layer: Layer,
    cut: ChipCut | None,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill a layer's bands straight from its blocks, by nearest neighbour."""
    if cut is None or not cut.is_whole:
        out[...] = 0 if layer.placed.nodata is None else layer.placed.nodata
        if valid is not None:
            valid[...] = False
    if cut is None:
        return
    rows, cols = cut.rows, cut.cols
    if cut.block is not None and not layer.is_planar:
        block = LayerBlock(layer.item, layer.asset, PIXELS, 0, *cut.block)
        pixels = lookup(block)[:, *cut.part]
    else:
        size = (rows.stop - rows.start, cols.stop - cols.start)
        pixels = _read(layer, Window(rows.start, cols.start, *size), PIXELS, lookup)
    for band in range(len(pixels)):
        spread(pixels[band], rows, cols, out[band])
    if valid is None:
        return
    if cut.is_whole:
        _fill_valid(layer, out, valid)
    else:
        part = (slice(None), rows.place, cols.place)
        _fill_valid(layer, out[part], valid[part])


def _fill_valid(layer: Layer, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> None:
    """Fill `valid` for pixels whose values alone say whether they are valid."""
    if len(pixels) == 1 and pixels.dtype.kind in "ui":
        if layer.invalid_value is None:
            valid[...] = True
        else:
            np.not_equal(pixels, layer.invalid_value, out=valid)
    else:
        valid[...] = valid_pixels(pixels, layer.invalid_value)


def _place(
    layer: Layer,
    chip: Window,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill a layer's bands through `Placement.place`, which knows all methods and masks."""
    request = layer.placed.request(chip)
    pixels, usable = np.zeros((1, 0, 0), bool), np.zeros((0, 0), bool)
    if request is not None:
        pixels = _read(layer, request.window, PIXELS, lookup)
        pixels, usable = _with_valid(layer, pixels, request.window, lookup)
    made, made_valid = layer.placed.place(chip, request, pixels, usable)
    out[...] = made
    if valid is not None:
        valid[...] = made_valid


def _with_valid(
    layer: Layer, pixels: NDArray[Any], window: Window, lookup: Lookup
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return pixels and valid (y, x) of a window of the raster, as `OpenedItem.read` does."""
    header, flags = layer.header, None
    if header is None:
        pixels, flags = pixels[:-1], pixels[-1]
    elif layer.mask is not None:
        flags = _read(layer, window, MASK, lookup)[0]
    elif header.validity == "alpha" and header.alpha is not None:
        flags = pixels[header.alpha]
    nodata = layer.placed.reader.nodata
    usable = find_valid(pixels, flags, nodata)
    return pixels, hide_fill(usable, pixels, nodata, layer.placed.nodata)


def _read(layer: Layer, window: Window, part: int, lookup: Lookup) -> NDArray[Any]:
    """Return the pixels (band, y, x) of a window of the raster: a view if one block holds it."""
    blocks = [block for block in layer.blocks(window) if block.part == part]
    if len(blocks) == 1:
        inside = layer.block_window(blocks[0])
        rows, cols = window.shift(-inside.row, -inside.col).slices
        return lookup(blocks[0])[:, rows, cols]
    first = lookup(blocks[0])
    planes = 1 + max(block.plane for block in blocks)
    out = np.empty((len(first) * planes, *window.shape), first.dtype)
    for block in blocks:
        inside = layer.block_window(block)
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
