"""What is wanted of an item: which pixels of which versions of its files its chips are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from stacchip.chipstore.hashes import hash_item
from stacchip.chipstore.kinds import AssetPlanes, PackKind
from stacchip.chipstore.planes import PlaneForm
from stacchip.raster.reader import FastReader, version_of
from stacchip.storage.identity import strong_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.grid.window import Window
    from stacchip.raster.placement import Placement

__all__ = ["WantedItem", "is_flagged"]

_STEP: Final = 16


@dataclass(frozen=True, eq=False)
class WantedItem:
    """What is wanted of an item's chips.

    Attributes:
        platform: The item's platform.
        item_id: Its id.
        placements: Its rasters, by asset key.
    """

    platform: str
    item_id: str
    placements: Mapping[str, Placement]

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """The assets whose pixels can be kept: those of which a version is known."""
        return tuple(asset for asset, stamp in self._stamps.items() if stamp is not None)

    @cached_property
    def stamps(self) -> NDArray[np.uint64]:
        """The stamp of each of these assets.

        It is a digest of the version of the file, of where its pixels lie on the grid of the chips,
        and of how they are resampled. So pixels under one stamp are the same.
        """
        return np.array([self._stamps[asset] for asset in self.assets], np.uint64)

    @cached_property
    def _stamps(self) -> dict[str, int | None]:
        return {asset: _stamp(placed) for asset, placed in self.placements.items()}

    def hash_of(self, chip_size: int) -> int:
        """Return a hash of the item and a chip size."""
        if chip_size not in self._hashes:
            self._hashes[chip_size] = hash_item(self.platform, self.item_id, chip_size)
        return self._hashes[chip_size]

    @cached_property
    def _hashes(self) -> dict[int, int]:
        return {}

    def held_in(self, kind: PackKind, stamps: NDArray[np.uint64]) -> tuple[str, ...]:
        """Return the assets of which a pack holds the right version.

        Args:
            kind: The kind of the pack.
            stamps: The stamps of a chip there.
        """
        shared = self._shared.get(kind)
        if shared is None:
            names = tuple(asset for asset in self.assets if asset in kind.numbers)
            numbers = np.array([kind.numbers[asset] for asset in names], np.intp)
            own = np.array([self._stamps[asset] for asset in names], np.uint64)
            shared = self._shared[kind] = (names, numbers, own)
        names, numbers, own = shared
        is_same = stamps[numbers] == own
        return names if is_same.all() else tuple(np.array(names, object)[is_same])

    @cached_property
    def _shared(self) -> WeakKeyDictionary[PackKind, Any]:
        return WeakKeyDictionary()

    def kind(self, chip_size: int, planes: tuple[AssetPlanes, ...]) -> PackKind:
        """Return the kind of packs with these planes, which is made once."""
        key = (chip_size, planes)
        if key not in self._kinds:
            self._kinds[key] = PackKind(chip_size, planes)
        return self._kinds[key]

    @cached_property
    def _kinds(self) -> dict[Any, PackKind]:
        return {}

    @cached_property
    def _planes(self) -> dict[Any, AssetPlanes]:
        return {}

    def planes(self, asset: str, chip_size: int, window: Window | None) -> AssetPlanes:
        """Return the planes of an asset.

        Args:
            asset: Its key.
            chip_size: Pixels a side of the chip on its grid.
            window: The pixels that a chip needs; None for none.
        """
        sides = (0, 0) if window is None else window.shape
        key = (asset, chip_size, sides)
        if key not in self._planes:
            self._planes[key] = self._find_planes(asset, chip_size, sides)
        return self._planes[key]

    def _find_planes(self, asset: str, chip_size: int, sides: tuple[int, int]) -> AssetPlanes:
        placed = self.placements[asset]
        ours, theirs = placed.source.resolution, placed.grid.resolution
        scales = abs(theirs.y / ours.y), abs(theirs.x / ours.x)
        height, width = (
            _side(chip_size * scale, side) for scale, side in zip(scales, sides, strict=True)
        )
        form = PlaneForm(placed.reader.dtype.name, height, width)
        return AssetPlanes(asset, form, placed.reader.count, is_flagged(placed))


def is_flagged(placed: Placement) -> bool:
    """Return True if more than the values of pixels tells which of a file are valid."""
    reader = placed.reader
    return not (isinstance(reader, FastReader) and reader.validity in ("nodata", "all"))


def _side(usual: float, side: int) -> int:
    """Return the side of a plane in pixels: of windows that lie alike, the same.

    Chips of 256 px on a grid of 10 m take 128 px of 20 m, and 43 or 44 px of 60 m: a plane has 128,
    or 48.

    Args:
        usual: The side of a chip in pixels of the raster.
        side: The pixels that a chip needs.
    """
    if abs(usual - round(usual)) < 1e-6 and side <= round(usual):
        return max(1, round(usual))
    return -(-max(side, ceil(usual) + 1) // _STEP) * _STEP


def _stamp(placed: Placement) -> int | None:
    """Return the stamp of a raster; None if its file has no version that can be told."""
    version = version_of(placed.reader)
    if version is None:
        return None
    tag = None if version.etag is None else strong_etag(version.etag)
    if not (tag or version.last_modified):
        return None
    method = "nearest" if placed.map is not None else placed.method
    told: tuple[Any, ...] = (
        *(version.size_bytes, tag or version.last_modified),
        *(tuple(placed.source.affine)[:6], placed.source.shape.yx),
        *(tuple(placed.grid.affine)[:6], placed.grid.shape.yx),
        *(method, placed.reader.count, placed.reader.dtype.str),
    )
    digest = blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
