"""MODIS surface reflectance (09A1, eight days, 500 m) from the Planetary Computer.

Facts: the collection is `modis-09A1-061` at planetarycomputer.microsoft.com/api/stac/v1; an item's
tile is `modis:horizontal-tile` and `modis:vertical-tile`, its assets `sur_refl_b01` to
`sur_refl_b07`, `sur_refl_qc_500m` and `sur_refl_state_500m`, its datetime null with a start and an
end, its CRS sinusoidal as WKT2, as in the real item MOD09A1.A2022033.h19v10.061.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stacchip.collect.choice import (
    Chosen,
    has_assets,
    months,
    pick_of_period,
    random_years,
)
from stacchip.collect.recipe import Catalogue, Choices, Recipe
from stacchip.errors import UsageError
from stacchip.items import item_datetime
from stacchip.items.dates import Period

if TYPE_CHECKING:
    import numpy as np

    from stacchip.collect.sample import Row

COLLECTION = "modis-09A1-061"


def tile_numbers(name: str) -> tuple[int, int]:
    """Return the column and row of a tile.

    Raises:
        UsageError: The name is not one of the grid's 36 by 18 tiles.

    Example:
        >>> tile_numbers("h18v04")
        (18, 4)
    """
    found = re.fullmatch(r"h(\d{2})v(\d{2})", name.lower())
    if found is None or int(found[1]) > 35 or int(found[2]) > 17:
        raise UsageError(f"{name!r} is not a MODIS tile: they are named h00v00 to h35v17.")
    return int(found[1]), int(found[2])


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Choose the first item of each month of the years drawn, on the row's tile."""
    column, line = tile_numbers(row.name)
    query = {"modis:horizontal-tile": {"eq": column}, "modis:vertical-tile": {"eq": line}}
    accept = has_assets(recipe.asset_keys(COLLECTION, choices))
    chosen = Chosen()
    for year in random_years(choices.need("years"), choices.need("year_count"), dice):
        in_year = months(year)
        whole = Period(str(year), in_year[0].start, in_year[-1].end)
        offered = [
            item
            for item in catalogue.search(COLLECTION, period=whole, query=query)
            if item.properties.get("modis:horizontal-tile") == column
            and item.properties.get("modis:vertical-tile") == line
        ]
        for month in in_year:
            chosen += pick_of_period(
                month, offered, accept=accept, rank=item_datetime, count=choices.need("per_period")
            )
    return chosen


RECIPE = Recipe(
    name="modis",
    title="MODIS 09A1 surface reflectance, an item a month of each tile, reprojected",
    catalogue="https://planetarycomputer.microsoft.com/api/stac/v1",
    collections=(COLLECTION,),
    assets={COLLECTION: (*(f"sur_refl_b0{band}" for band in range(1, 8)), "sur_refl_qc_500m")},
    choices=Choices(years=(2018, 2023), year_count=1, per_period=1, crs="EPSG:3857"),
    choose=choose,
    list_name="modis_tiles.txt",
    converts=True,
    extra_assets=("sur_refl_state_500m",),  # says where clouds are; the QC band hardly does
)
