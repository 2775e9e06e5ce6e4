"""Filling cubes with the chips that a stream gives, in whatever order they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.cubes.sinks import Cube

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.sources.training_bands import PlatformBands
    from stacchip.stream import ChipBatch

_NO_PIXELS: NDArray[np.float32] = np.empty(0, np.float32)


def fill_cubes(
    batches: Iterator[ChipBatch],
    sizes: Mapping[int, int],
    table: pa.Table,
    platform: PlatformBands,
) -> Iterator[Cube]:
    """Yield each cube as soon as its last chip has come.

    Args:
        batches: The chips of all rows of the table, all with their valid pixels or none. They may
            come out of order if files have different bands.
        sizes: The number of chips of each cube, by the cube's number. The cubes hold the table's
            rows one after another.
        table: The chips' rows.
        platform: The bands that a cube has.

    Raises:
        AssetNotFound: A file has fewer bands than are wanted.
    """
    ends = np.cumsum(list(sizes.values()))
    cubes = [
        _Filling(number, end - size, size)
        for (number, size), end in zip(sizes.items(), ends.tolist(), strict=True)
    ]
    for batch in batches:
        bands = platform.places_in(batch.bands, item_id=batch.keys[0].item_id)
        places = np.searchsorted(ends, batch.rows, side="right")
        for place in np.unique(places).tolist():
            cube = cubes[place]
            cube.add(batch, np.flatnonzero(places == place), bands)
            if cube.is_full:
                yield cube.take(table)


class _Filling:
    """One cube that is being filled.

    Args:
        number: The number of the cube.
        start: The table's row of its first chip.
        size: The number of its chips.
    """

    def __init__(self, number: int, start: int, size: int) -> None:
        self._number = number
        self._start = start
        self._size = size
        self._missing = size
        self._pixels = _NO_PIXELS
        self._valid: NDArray[np.bool_] | None = None

    @property
    def is_full(self) -> bool:
        """True if every chip has come."""
        return self._missing == 0

    def add(self, batch: ChipBatch, chosen: NDArray[np.intp], bands: list[int]) -> None:
        """Add some chips of a batch, with these of its bands."""
        slots = batch.rows[chosen] - self._start
        is_whole = len(chosen) == len(batch) == self._size and bool((np.diff(slots) == 1).all())
        if is_whole and bands == list(range(len(batch.bands))):
            self._pixels = batch.array  # the batch is the cube: nothing is copied
            self._valid = batch.valid
        else:
            self._copy(batch, chosen, bands, slots)
        self._missing -= len(chosen)

    def _copy(
        self,
        batch: ChipBatch,
        chosen: NDArray[np.intp],
        bands: list[int],
        slots: NDArray[np.int64],
    ) -> None:
        if self._pixels is _NO_PIXELS:
            self._pixels = np.empty((self._size, len(bands), *batch.array.shape[2:]), np.float32)
            self._valid = None if batch.valid is None else np.empty(self._pixels.shape, np.bool_)
        # chip by chip: an index over all of them would make a second copy of the pixels
        for slot, place in zip(slots.tolist(), chosen.tolist(), strict=True):
            self._pixels[slot] = batch.array[place][bands]
            if self._valid is not None and batch.valid is not None:
                self._valid[slot] = batch.valid[place][bands]

    def take(self, table: pa.Table) -> Cube:
        """Return the full cube, and let go of its pixels."""
        pixels, self._pixels = self._pixels, _NO_PIXELS
        valid, self._valid = self._valid, None
        return Cube(self._number, pixels, table.slice(self._start, self._size), valid)
