"""Pasting: chips out of what a store holds of them.

Assets whose bands have one form are decoded at once, and those that lie side by side in a chip are
pasted at once: with many cores, what Python does for a chip is what limits its speed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from stacchip.chipstore.planes import decode_planes
from stacchip.stream.read.cutting import fill_valid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.chipstore import HeldPart
    from stacchip.chipstore.kinds import PackKind
    from stacchip.grid.nearest import ChipCut, GridMap
    from stacchip.grid.window import Window
    from stacchip.stream.read.layers import ItemLayers, Layer

__all__ = ["paste_chip"]


class _Run(NamedTuple):
    """Bands of a chip that lie side by side, in the array and in the chip.

    Attributes:
        planes: Their place in the array.
        bands: Their place in the chip.
        grids: Where their pixels lie on the chip grid.
        asset: The number of the first asset in its pack; the others have the same window.
        nodata: What fills pixels beyond the raster.
    """

    planes: slice
    bands: slice
    grids: GridMap
    asset: int
    nodata: float | int


class _Array(NamedTuple):
    """An array of planes that chips need.

    Attributes:
        number: Its number.
        name: A name that says its shape and type.
        shape: (plane, y, x).
        dtype: Type of the pixels.
        runs: What is pasted from it.
    """

    number: int
    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    runs: list[_Run]


class _Plan(NamedTuple):
    """How the assets of one kind of packs are pasted.

    Attributes:
        arrays: The arrays that are needed.
        layers: The layers that are pasted so.
        others: The layers that `Placement.place` must place.
    """

    arrays: list[_Array]
    layers: list[Layer]
    others: list[Layer]


_MOST_SCRATCH: Final = 16
_scratch: Final = threading.local()


def paste_chip(
    item: ItemLayers,
    chip: Window,
    parts: Sequence[HeldPart],
    out: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Fill the bands of a chip that a store holds.

    Args:
        item: The chip's item.
        chip: The chip's window in the grid.
        parts: What is held.
        out: The chip (band, y, x).
        valid: True where its pixels may be used (band, y, x); None if that is not asked for.

    Raises:
        DamagedPlane: A pack is damaged.
        OSError: A pack is gone.
    """
    for part in parts:
        plan = _find_plan(item, part.kind, part.assets, out.dtype)
        cuts: dict[GridMap, ChipCut | None] = {}
        for array in plan.arrays:
            _paste_array(part, array, chip, cuts, out)
        for layer in plan.layers:
            pixels = out[layer.bands]
            if valid is not None:
                _mark(layer, cuts[layer.placed.map], pixels, valid[layer.bands])  # type: ignore[index]
            if layer.placed.adjust is not None:
                out[layer.bands] = layer.placed.adjust(pixels)
        for layer in plan.others:
            raw = part.raw(layer.asset, layer.placed, chip)
            placed = item.opened.place(chip, {layer.asset: raw})[layer.asset]
            out[layer.bands] = placed[0]
            if valid is not None:
                valid[layer.bands] = placed[1]


def _paste_array(
    part: HeldPart,
    array: _Array,
    chip: Window,
    cuts: dict[GridMap, ChipCut | None],
    out: NDArray[Any],
) -> None:
    """Decode the planes of one array, and paste them."""
    runs = array.runs
    for run in runs:
        if run.grids not in cuts:
            cuts[run.grids] = found = run.grids.cut(chip)
            if found is not None:
                part.require_window(run.asset, found.rows.start, found.cols.start, found.shape)
    first = runs[0]
    cut, pixels = cuts[first.grids], out[first.bands]
    if len(runs) == 1 and cut is not None and _lies_there(array, cut, pixels):
        decode_planes(part.read(array.number), pixels)
        return
    if all(cuts[run.grids] is None for run in runs):
        stack = None
    else:
        stack = _take_scratch(array)
        decode_planes(part.read(array.number), stack)
    for run in runs:
        cut, pixels = cuts[run.grids], out[run.bands]
        if cut is None or not cut.is_whole:
            pixels[...] = run.nodata
        if cut is not None and stack is not None:
            height, width = cut.shape
            cut.fill(stack[run.planes, :height, :width], pixels)


def _lies_there(array: _Array, cut: ChipCut, out: NDArray[Any]) -> bool:
    """Return True if planes are a chip's bands, so that they can be decoded into their place."""
    if not (cut.is_whole and cut.rows.repeat == cut.cols.repeat == 1):
        return False
    return out.shape == array.shape and out.dtype == array.dtype and out.flags.c_contiguous


def _take_scratch(array: _Array) -> NDArray[Any]:
    """Return memory for planes, which the thread uses again."""
    kept: dict[Any, NDArray[Any]] = _scratch.__dict__
    stack = kept.get(array.name)
    if stack is None:
        if len(kept) > _MOST_SCRATCH:
            kept.clear()
        stack = kept[array.name] = np.empty(array.shape, array.dtype)
    return stack


def _mark(
    layer: Layer, cut: ChipCut | None, pixels: NDArray[Any], valid: NDArray[np.bool_]
) -> None:
    """Fill `valid` of a layer whose values say which pixels are valid."""
    if cut is None or not cut.is_whole:
        valid[...] = False
    if cut is not None:
        part = (slice(None), cut.rows.place, cut.cols.place)
        fill_valid(layer, pixels[part], valid[part])


def _find_plan(
    item: ItemLayers, kind: PackKind, assets: tuple[str, ...], dtype: np.dtype[Any]
) -> _Plan:
    key = (kind, assets, dtype)
    plan: _Plan | None = item.pasting.get(key)
    if plan is None:
        plan = item.pasting[key] = _make_plan(item, kind, assets, dtype)
    return plan


def _make_plan(
    item: ItemLayers, kind: PackKind, assets: tuple[str, ...], dtype: np.dtype[Any]
) -> _Plan:
    runs: dict[int, list[_Run]] = {}
    layers, others = [], []
    for layer, grids in item.direct_maps(dtype):
        if layer.asset not in assets:
            continue
        if grids is None:
            others.append(layer)
            continue
        layers.append(layer)
        number = kind.numbers[layer.asset]
        place = kind.places[number][0]
        planes = slice(place.first, place.first + place.planes)
        nodata = 0 if layer.placed.nodata is None else layer.placed.nodata
        _add_run(runs.setdefault(place.array, []), _Run(planes, layer.bands, grids, number, nodata))
    return _Plan(
        [
            _Array(
                number,
                f"{planes} {form.name}",
                (planes, form.height, form.width),
                form.numpy_dtype,
                own,
            )
            for number, (form, planes) in enumerate(kind.arrays.items())
            if (own := runs.get(number))
        ],
        layers,
        others,
    )


def _add_run(runs: list[_Run], new: _Run) -> None:
    """Add bands to the last run if they lie beside it, else as a run of their own."""
    last = runs[-1] if runs else None
    if (
        last is not None
        and last.planes.stop == new.planes.start
        and last.bands.stop == new.bands.start
        and last.grids is new.grids
        and last.nodata == new.nodata
    ):
        runs[-1] = last._replace(
            planes=slice(last.planes.start, new.planes.stop),
            bands=slice(last.bands.start, new.bands.stop),
        )
    else:
        runs.append(new)
