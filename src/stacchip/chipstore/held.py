"""What a store holds of a chip, and its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipper.open_item import RawPixels
from stacchip.chipstore.planes import DamagedPlane, decode_planes
from stacchip.raster.validity import find_valid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.chipstore.kinds import PackKind
    from stacchip.chipstore.pack import AnyPack
    from stacchip.chipstore.planes import Bytes
    from stacchip.grid.window import Window
    from stacchip.raster.placement import Placement

__all__ = ["HeldChip", "HeldPart"]

_NO_PIXELS: Final = np.zeros((1, 0, 0), bool)


@dataclass(frozen=True, eq=False)
class HeldPart:
    """Assets of a chip that are in one pack. What is read is read once.

    Attributes:
        pack: The pack.
        row: The chip's row there.
        assets: The assets.
    """

    pack: AnyPack
    row: int
    assets: tuple[str, ...]

    @property
    def kind(self) -> PackKind:
        """What chips of the pack have in common."""
        return self.pack.kind

    @cached_property
    def windows(self) -> list[list[int]]:
        """The windows of all assets of the pack: row, column, height and width."""
        return self.pack.windows_of(self.row)

    def read(self, array: int) -> Bytes:
        """Return the bytes of the planes in one array.

        Raises:
            DamagedPlane: The pack is damaged.
            OSError: The pack is gone.
        """
        return self.pack.read(array, self.row)

    def require_window(self, asset: int, row: int, col: int, shape: tuple[int, int]) -> None:
        """Refuse an asset of which another window is held.

        Raises:
            DamagedPlane: It is another window.
        """
        if self.windows[asset] != [row, col, *shape]:
            raise DamagedPlane("another window is held")

    def raw(self, asset: str, placed: Placement, window: Window) -> RawPixels:
        """Return what a chip needs of a raster.

        Args:
            asset: The raster's key.
            placed: The raster.
            window: The chip, in the grid of its item.

        Raises:
            DamagedPlane: The pack is damaged.
            OSError: The pack is gone.
        """
        request = placed.request(window)
        if request is None:
            return RawPixels(None, _NO_PIXELS, _NO_PIXELS[0])
        number = self.kind.numbers[asset]
        height, width = request.window.shape
        self.require_window(number, request.window.row, request.window.col, (height, width))
        place, of_flags = self.kind.places[number]
        stack = self._decode(place.array)[place.first : place.first + place.planes]
        pixels = stack[:, :height, :width]
        if of_flags is not None:
            flags = self._decode(of_flags.array)[of_flags.first, :height, :width]
            return RawPixels(request, pixels, flags != 0)
        nodata = placed.reader.nodata if placed.reader.validity == "nodata" else None
        return RawPixels(request, pixels, find_valid(pixels, None, nodata))

    def _decode(self, array: int) -> NDArray[Any]:
        if array not in self._decoded:
            form, planes = list(self.kind.arrays.items())[array]
            out = np.empty((planes, form.height, form.width), form.numpy_dtype)
            decode_planes(self.read(array), out)
            self._decoded[array] = out
        return self._decoded[array]

    @cached_property
    def _decoded(self) -> dict[int, NDArray[Any]]:
        return {}


@dataclass(frozen=True, eq=False)
class HeldChip:
    """What a store holds of a chip.

    Attributes:
        parts: Its assets, pack by pack.
        lacks: The assets that the store does not hold.
        hash: The hash of the chip's key.
        is_complete: True if it holds all that can be kept: of some files no version is known.
    """

    parts: tuple[HeldPart, ...]
    lacks: tuple[str, ...]
    hash: int
    is_complete: bool = True
