"""Cutting: chips out of the decoded blocks of an item's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipper.open_item import RawPixels
from stacchip.chipstore.wanted import is_flagged
from stacchip.raster.reader import WindowRequest
from stacchip.raster.validity import find_valid, hide_fill, valid_pixels
from stacchip.stream.plan.ledger import MASK, PIXELS, LayerBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from stacchip.grid.nearest import ChipCut, GridMap
    from stacchip.grid.window import Window
    from stacchip.stream.read.layers import ItemLayers, Layer

    Lookup = Callable[[LayerBlock], NDArray[Any]]
    # a chip's cut; (row, column) of the one block that holds all its pixels, or None if it needs
    # several; and the place (band, y, x) of the pixels in that block
    Found = tuple[ChipCut, tuple[int, int] | None, tuple[slice, slice, slice]]


_NO_PIXELS: Final = np.zeros((1, 0, 0), bool)


def cut_chip(
    item: ItemLayers,
    chip: Window,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    assets: Collection[str] | None = None,
) -> None:
    """Fill a chip.

    Args:
        item: The chip's item.
        chip: The chip's window in the grid; it may reach beyond the edge.
        lookup: Returns the decoded pixels (band, y, x) of a block. A mask is nonzero for each pixel
            that is valid. The last band of a file that GDAL reads is its mask.
        out: The chip (band, y, x).
        valid: True where its pixels may be used (band, y, x); None if that is not asked for.
        assets: The assets whose bands are filled; None for all.
    """
    found: dict[tuple[GridMap, tuple[int, int]], Found | None] = {}
    for layer, grids in item.direct_maps(out.dtype):
        usable = None if valid is None else valid[layer.bands]
        if assets is not None and layer.asset not in assets:
            continue
        if grids is None:
            _place(layer, chip, lookup, out[layer.bands], usable)
        else:
            key = (grids, layer.block_shape)
            if key not in found:  # once for all bands of a resolution
                found[key] = _find(grids, chip, layer.block_shape)
            _fill(layer, found[key], lookup, out[layer.bands], usable)
        if layer.placed.adjust is not None:
            out[layer.bands] = layer.placed.adjust(out[layer.bands])


def _find(grids: GridMap, chip: Window, block_shape: tuple[int, int]) -> Found | None:
    """Return a chip's cut, and the place of its pixels in blocks; None if it has no pixels here."""
    cut = grids.cut(chip)
    if cut is None:
        return None
    rows, cols, (height, width) = cut.rows, cut.cols, block_shape
    row, col = rows.start // height, cols.start // width
    top, left = row * height, col * width
    is_one = rows.stop <= top + height and cols.stop <= left + width
    down, across = (
        slice(rows.start - top, rows.stop - top),
        slice(cols.start - left, cols.stop - left),
    )
    return cut, (row, col) if is_one else None, (slice(None), down, across)


def _fill(
    layer: Layer,
    found: Found | None,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill a layer's bands straight from its blocks, by nearest neighbour."""
    if found is None or not found[0].is_whole:
        out[...] = 0 if layer.placed.nodata is None else layer.placed.nodata
        if valid is not None:
            valid[...] = False
    if found is None:
        return
    cut, block, part = found
    if block is not None and not layer.is_planar:
        cut.fill(lookup(LayerBlock(layer.item, layer.asset, PIXELS, 0, *block))[part], out)
    else:
        cut.fill(_read(layer, cut.window, PIXELS, lookup), out)
    if valid is None:
        return
    if cut.is_whole:
        fill_valid(layer, out, valid)
    else:
        place = (slice(None), cut.rows.place, cut.cols.place)
        fill_valid(layer, out[place], valid[place])


def fill_valid(layer: Layer, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> None:
    """Fill `valid` for pixels whose values alone say whether they are valid."""
    if len(pixels) == 1 and pixels.dtype.kind in "ui":
        if layer.invalid_value is None:
            valid[...] = True
        else:
            np.not_equal(pixels, layer.invalid_value, out=valid)
    else:
        valid[...] = valid_pixels(pixels, layer.invalid_value, layer.dtype)


def _place(
    layer: Layer,
    chip: Window,
    lookup: Lookup,
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill a layer's bands through `Placement.place`, which knows all methods and masks."""
    request = layer.placed.request(chip)
    pixels, usable = _NO_PIXELS, _NO_PIXELS[0]
    if request is not None:
        pixels, usable = _with_valid(layer, request.window, lookup)
        usable = hide_fill(usable, pixels, layer.placed.reader.nodata, layer.placed.nodata)
    made, made_valid = layer.placed.place(chip, request, pixels, usable)
    out[...] = made
    if valid is not None:
        valid[...] = made_valid


def raw_pixels(
    item: ItemLayers, chip: Window, lookup: Lookup, assets: Collection[str]
) -> dict[str, RawPixels]:
    """Return what a chip needs of some assets, as a store keeps it.

    What is valid is told only where more than the values of pixels says it.
    """
    found: dict[str, RawPixels] = {}
    places: dict[tuple[GridMap, tuple[int, int]], Found | None] = {}
    for layer in item.layers:
        if layer.asset not in assets:
            continue
        grids = None if layer.is_planar else layer.direct_map
        if grids is None:
            found[layer.asset] = _raw(layer, chip, lookup)
            continue
        key = (grids, layer.block_shape)
        if key not in places:  # once for all bands of a resolution
            places[key] = _find(grids, chip, layer.block_shape)
        there = places[key]
        if there is None:
            found[layer.asset] = RawPixels(None, _NO_PIXELS, _NO_PIXELS[0])
            continue
        cut, block, part = there
        request = WindowRequest(layer.placed.reader, cut.window)
        if block is None:
            pixels = _read(layer, cut.window, PIXELS, lookup)
        else:
            pixels = lookup(LayerBlock(layer.item, layer.asset, PIXELS, 0, *block))[part]
        found[layer.asset] = RawPixels(request, pixels, _NO_PIXELS[0])
    return found


def _raw(layer: Layer, chip: Window, lookup: Lookup) -> RawPixels:
    """Return what a chip needs of a layer that is not pasted directly, with what is valid."""
    request = layer.placed.request(chip)
    if request is None:
        return RawPixels(None, _NO_PIXELS, _NO_PIXELS[0])
    if is_flagged(layer.placed):
        return RawPixels(request, *_with_valid(layer, request.window, lookup))
    return RawPixels(request, _read(layer, request.window, PIXELS, lookup), _NO_PIXELS[0])


def _with_valid(
    layer: Layer, window: Window, lookup: Lookup
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return pixels and valid (y, x) of a window of the raster, as its file tells them."""
    pixels = _read(layer, window, PIXELS, lookup)
    header, flags = layer.header, None
    if header is None:
        pixels, flags = pixels[:-1], pixels[-1]
    elif layer.mask is not None:
        flags = _read(layer, window, MASK, lookup)[0]
    elif header.validity == "alpha" and header.alpha is not None:
        flags = pixels[header.alpha]
    return pixels, find_valid(pixels, flags, layer.placed.reader.nodata)


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
