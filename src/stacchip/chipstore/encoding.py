"""Encoding: the pixels of a chip, as they are kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipstore.pack_writer import ChipToKeep
from stacchip.chipstore.planes import encode_planes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipper.open_item import RawPixels
    from stacchip.chipstore.kinds import PlanePlace
    from stacchip.chipstore.planes import PlaneForm
    from stacchip.chipstore.wanted import WantedItem
    from stacchip.grid.window import Window

__all__ = ["encode_chip"]

_MOST_SCRATCH: Final = 16
_scratch: Final = threading.local()


def encode_chip(wanted: WantedItem, key: ChipKey, raw: Mapping[str, RawPixels]) -> ChipToKeep:
    """Return a chip as it is kept; its bytes last until the thread encodes another.

    Args:
        wanted: Its item.
        key: Its key.
        raw: The pixels of some of the item's assets.
    """
    assets = [asset for asset in wanted.assets if asset in raw]
    windows = [None if raw[a].request is None else raw[a].request.window for a in assets]  # type: ignore[union-attr]
    planes = tuple(
        wanted.planes(asset, key.chip_size, window)
        for asset, window in zip(assets, windows, strict=True)
    )
    kind = wanted.kind(key.chip_size, planes)
    stacks = [_scratch_of(form, count) for form, count in kind.arrays.items()]
    for asset, own, places in zip(assets, planes, kind.places, strict=True):
        _put(raw[asset], own.form, places, [stack for stack, _ in stacks])
    stamps = dict(zip(wanted.assets, wanted.stamps, strict=True))
    return ChipToKeep(
        kind,
        wanted.platform,
        wanted.item_id,
        key.x,
        key.y,
        np.array([stamps[asset] for asset in assets], np.uint64),
        [_numbers(window) for window in windows],
        [encode_planes(stack, out) for stack, out in stacks],
    )


def _put(
    raw: RawPixels,
    form: PlaneForm,
    places: tuple[PlanePlace, PlanePlace | None],
    stacks: list[NDArray[Any]],
) -> None:
    """Put the pixels of an asset into their planes; the rest of these becomes 0."""
    pixels, flags = places
    own = stacks[pixels.array][pixels.first : pixels.first + pixels.planes]
    height, width = (0, 0) if raw.request is None else raw.pixels.shape[1:]
    is_whole = (height, width) == (form.height, form.width)
    if not is_whole:
        own[...] = 0
    if raw.request is not None:
        own[:, :height, :width] = raw.pixels
    if flags is not None:
        plane = stacks[flags.array][flags.first]
        if not is_whole:
            plane[...] = 0
        if raw.request is not None:
            plane[:height, :width] = raw.valid


def _scratch_of(form: PlaneForm, planes: int) -> tuple[NDArray[Any], bytearray]:
    """Return memory for planes, and for their bytes, which the thread uses again."""
    kept: dict[Any, tuple[NDArray[Any], bytearray]] = _scratch.__dict__
    name = f"{planes} {form.name}"
    if name not in kept:
        if len(kept) > _MOST_SCRATCH:
            kept.clear()
        stack = np.empty((planes, form.height, form.width), form.numpy_dtype)
        kept[name] = stack, bytearray(form.most_bytes(planes))
    return kept[name]


def _numbers(window: Window | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if window is None else (window.row, window.col, *window.shape)
