"""Mixing: how many items and areas meet in a batch.

`ChipStream(open_areas=...)` sets it. The areas are open over all processes together: each of them
reads its part of the lanes. The table has medians for batches of 64 chips from a hundred Sentinel-2
scenes of 1764 chips of 256 px, whose parts of areas take 22 MB each when decoded.

| open areas | memory over all processes | areas in a batch of 1, 4, 8 processes | items in it |
|---|---|---|---|
| 1 (almost `"blocks"`) | 22 MB | 2, 2, 2 | 2, 2, 2 |
| 4 | 0.1 GB | 5, 2, 2 | 5, 2, 2 |
| 16 | 0.4 GB | 17, 5, 3 | 16, 5, 3 |
| 32 | 0.7 GB | 32, 9, 5 | 29, 8, 5 |
| 64 (the default here) | 1.4 GB | 64, 17, 9 | 51, 14, 9 |
| 128 | 2.8 GB | 64, 31, 16 | 49, 22, 13 |
| 256 | 5.6 GB | 64, 49, 30 | 48, 30, 20 |
| all: a full shuffle | 166 GB | 64 | 48 |

In all but the first rows, less than 3 % of the chips follow one of their own area. Every setting
decodes each block of the finest bands once. More areas cost memory, and delay the first batch. With
many processes, give more areas than the default, which one process alone could hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.stream.stream import ChipStream

_MOST_BATCHES: Final = 1000


@dataclass(frozen=True)
class Mixing:
    """The mixing of a sequence's batches, compared with a full shuffle.

    Attributes:
        areas: Median count of distinct areas in a batch.
        items: Median count of distinct items in a batch.
        neighbours: Share of chips that come right after one of the same area.
        shuffled_areas: `areas` of a full shuffle of the same chips.
        shuffled_items: `items` of a full shuffle.
        shuffled_neighbours: `neighbours` of a full shuffle.
    """

    areas: float
    items: float
    neighbours: float
    shuffled_areas: float
    shuffled_items: float
    shuffled_neighbours: float


def measure_mixing(stream: ChipStream, batch_size: int = 64) -> Mixing:
    """Measure how well the batches of a stream's epoch mix, without reading chips.

    Of a long epoch, the first thousand batches are looked at.
    """
    table = stream.table
    chips = np.array(list(islice(stream.chip_numbers(batch_size), _MOST_BATCHES * batch_size)))
    chips = chips.astype(np.int64)
    random = np.random.default_rng(0)
    every = len(table) <= len(chips)
    shuffled = random.permutation(chips) if every else random.integers(len(table), size=len(chips))
    area, shuffled_area = table.area_of(chips), table.area_of(shuffled)
    return Mixing(
        areas=_median_distinct(area, batch_size),
        items=_median_distinct(np.asarray(table.group[area]), batch_size),
        neighbours=_neighbours(area),
        shuffled_areas=_median_distinct(shuffled_area, batch_size),
        shuffled_items=_median_distinct(np.asarray(table.group[shuffled_area]), batch_size),
        shuffled_neighbours=_neighbours(shuffled_area),
    )


def _median_distinct(values: NDArray[np.int64], batch_size: int) -> float:
    """Return the median number of different values in a whole batch."""
    whole = len(values) // batch_size
    if not whole:
        return float(len(np.unique(values)))
    batches = np.sort(values[: whole * batch_size].reshape(whole, batch_size), axis=1)
    return float(np.median((np.diff(batches, axis=1) != 0).sum(axis=1) + 1))


def _neighbours(values: NDArray[np.int64]) -> float:
    return float((values[1:] == values[:-1]).mean()) if len(values) > 1 else 0.0
