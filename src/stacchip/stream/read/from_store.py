"""Chips out of a store: decoded in the background, straight into the batch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.chipstore.planes import DamagedPlane
from stacchip.errors import StacchipError, attribute
from stacchip.runtime.pools import decoders
from stacchip.runtime.tasks import Tasks
from stacchip.storage import redact
from stacchip.stream.read.pasting import paste_chip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipper.open_item import RawPixels
    from stacchip.chipstore import ChipStore, HeldChip
    from stacchip.stream.read.layers import ItemLayers, Layer

__all__ = ["FromStore"]

_TOGETHER: Final = 8  # chips in a task


class _Cut(NamedTuple):
    """A chip that is being cut."""

    time: int
    key: ChipKey
    item: ItemLayers
    held: HeldChip
    out: NDArray[Any]
    valid: NDArray[np.bool_] | None


class FromStore:
    """Cuts chips out of a store.

    Args:
        store: Holds them.

    Attributes:
        chips: Number of chips cut so far.
    """

    def __init__(self, store: ChipStore) -> None:
        self.chips = 0
        self._store = store
        self._tasks = Tasks(decoders())
        self._damaged: list[_Cut] = []
        self._waiting: list[_Cut] = []

    def cut(
        self,
        key: ChipKey,
        item: ItemLayers,
        held: HeldChip,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        *,
        time: int,
    ) -> None:
        """Begin to fill a chip of which the store holds all assets; `settle` waits for it."""
        self.chips += 1
        self._waiting.append(_Cut(time, key, item, held, out, valid))
        if len(self._waiting) >= _TOGETHER:
            self.begin()

    def begin(self) -> None:
        """Begin to fill all chips that are still waiting for others."""
        if self._waiting:
            self._tasks.submit(partial(self._cut, self._waiting))
            self._waiting = []

    def _cut(self, cuts: list[_Cut]) -> None:
        for cut in cuts:
            try:
                paste_chip(cut.item, cut.key.window, cut.held.parts, cut.out, cut.valid)
            except (DamagedPlane, OSError):
                self._damaged.append(cut)

    def cut_anew(
        self,
        key: ChipKey,
        item: ItemLayers,
        held: HeldChip,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """Fill a chip from its files, and let the store keep it anew.

        Raises:
            StacchipError: It cannot be cut.
        """
        self._store.forget_chip(held)
        self._read(key, item, item.layers, out, valid)

    def cut_rest(
        self,
        key: ChipKey,
        item: ItemLayers,
        held: HeldChip,
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        *,
        raw: Mapping[str, RawPixels] | None = None,
    ) -> None:
        """Fill a chip from the store, and what that lacks from the files; let the store keep it.

        Args:
            key: The chip.
            item: Its item.
            held: What the store holds.
            out: The chip (band, y, x).
            valid: True where its pixels may be used; None if that is not asked for.
            raw: What it lacks, if that was read.

        Raises:
            StacchipError: It cannot be cut.
        """
        try:
            paste_chip(item, key.window, held.parts, out, valid)
        except (DamagedPlane, OSError):
            self.cut_anew(key, item, held, out, valid)
            return
        lacks = [layer for layer in item.layers if layer.asset in held.lacks]
        self._read(key, item, lacks, out, valid, raw=raw)

    def _read(
        self,
        key: ChipKey,
        item: ItemLayers,
        layers: Sequence[Layer],
        out: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        *,
        raw: Mapping[str, RawPixels] | None = None,
    ) -> None:
        """Fill some layers of a chip from their files, and let the store keep them."""
        window = key.window
        try:
            names = [layer.asset for layer in layers]
            own = item.opened.fetch(window, names) if raw is None else {a: raw[a] for a in names}
        except StacchipError as error:
            href = error.facts.get("href")
            of_file = [each.asset for each in layers if redact(each.placed.reader.href) == href]
            asset = of_file[0] if of_file else None
            raise attribute(error, key.item_id, asset) from error
        self._store.keep(key, item.opened, own)
        placed = item.opened.place(window, own)
        for layer in layers:
            pixels, usable = placed[layer.asset]
            out[layer.bands] = pixels
            if valid is not None:
                valid[layer.bands] = usable

    def settle(self) -> dict[int, StacchipError]:
        """Wait for all chips, and return the errors of those that failed, by time.

        A chip that is damaged in the store is read from its files.
        """
        self.begin()
        self._tasks.wait()
        damaged, self._damaged = self._damaged, []
        failed = {}
        for cut in damaged:
            try:
                self.cut_anew(cut.key, cut.item, cut.held, cut.out, cut.valid)
            except StacchipError as error:
                failed[cut.time] = error
        return failed
