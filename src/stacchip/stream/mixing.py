"""Mixing: how many items and areas meet in a batch.

`ChipStream(open_areas=...)` sets it. The table has medians for batches of 64 chips from a hundred
Sentinel-2 scenes of 1764 chips of 256 px. (They have 3600 areas of up to 64 chips, which take 46 MB
each when decoded.)

| open areas | memory | areas in a batch | items in a batch | chips after one of their own area |
|---|---|---|---|---|
| 1 (almost `"blocks"`) | 0.1 GB | 2 | 2 | 98 % |
| 4 | 0.2 GB | 5 | 5 | 29 % |
| 8 | 0.4 GB | 9 | 8 | 15 % |
| 16 | 0.8 GB | 15 | 14 | 8 % |
| 24 (the default) | 1.1 GB | 21 | 19 | 5 % |
| 48 | 2.2 GB | 33 | 28 | 3 % |
| 96 | 4.4 GB | 45 | 36 | 1 % |
| all: a full shuffle | 166 GB | 64 | 48 | 0 % |

The memory is that of the open areas. Every setting decodes each of these blocks once. More areas
cost memory, and delay the first batch, which waits for about half of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.stream.stream import ChipStream


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
    """Measure how well the batches of a stream's epoch mix, without reading chips."""
    rows = stream.rows()
    area, item = stream.areas.of_row, stream.groups_of_rows()
    shuffled = np.random.default_rng(0).permutation(rows)
    return Mixing(
        areas=_median_distinct(area[rows], batch_size),
        items=_median_distinct(item[rows], batch_size),
        neighbours=_neighbours(area[rows]),
        shuffled_areas=_median_distinct(area[shuffled], batch_size),
        shuffled_items=_median_distinct(item[shuffled], batch_size),
        shuffled_neighbours=_neighbours(area[shuffled]),
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
