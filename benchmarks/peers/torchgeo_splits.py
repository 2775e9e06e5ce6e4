"""torchgeo 0.8.1: each tile is cut into a grid of its own, and its cells are split by chance.

As in torchgeo's `RasterDataset`, a tile is the box of its bounds in the CRS of the data set, which
is here longitude and latitude. No pixel is read, so the data set has no files.
"""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import shapely
import torch
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.splits import random_grid_cell_assignment

from benchmarks.contender import Task, answer

SIDES = ["xmin", "ymin", "xmax", "ymax"]
ROUNDING = 1e-9  # degrees: a cell's border is computed


class Tiles(GeoDataset):
    """Tiles without files."""

    def __init__(self, index: geopandas.GeoDataFrame) -> None:
        self.index = index

    def __getitem__(self, query: Any) -> dict[str, Any]:
        raise NotImplementedError


def assign(path: str, out: str, fractions: list[float], seed: int) -> None:
    """Write the number of each chip's split: that of the cell that contains it; -1 for none."""
    table = pq.read_table(path, columns=["item_id", "bbox"]).to_pandas()
    chips = pd.DataFrame(table["bbox"].tolist())[SIDES]
    rows = chips.groupby(table["item_id"]).indices
    sides = chips.to_numpy()
    codes = np.full(len(sides), -1, np.int8)
    generator = torch.Generator().manual_seed(seed)
    parts = random_grid_cell_assignment(_tiles(sides, rows), fractions, generator=generator)
    for number, part in enumerate(parts):
        # torchgeo keeps the columns, but not their names: the first is ours
        for item_id, cell in zip(part.index[0], part.index.bounds.to_numpy(), strict=True):
            chosen = rows[item_id]
            inside = (sides[chosen, :2] >= cell[:2] - ROUNDING).all(axis=1)
            inside &= (sides[chosen, 2:] <= cell[2:] + ROUNDING).all(axis=1)
            codes[chosen[inside]] = number
    np.save(out, codes)


def _tiles(sides: np.ndarray, rows: dict[str, np.ndarray]) -> Tiles:
    low = np.array([sides[each, :2].min(axis=0) for each in rows.values()])
    high = np.array([sides[each, 2:].max(axis=0) for each in rows.values()])
    day = pd.Interval(pd.Timestamp(2023, 6, 5), pd.Timestamp(2023, 6, 6), closed="both")
    return Tiles(
        geopandas.GeoDataFrame(
            {"item_id": list(rows)},
            geometry=shapely.box(*low.T, *high.T),
            index=pd.IntervalIndex([day] * len(rows), name="datetime"),
            crs="EPSG:4326",
        )
    )


TASKS: dict[str, Task] = {"assign": assign}

if __name__ == "__main__":
    answer(TASKS)
