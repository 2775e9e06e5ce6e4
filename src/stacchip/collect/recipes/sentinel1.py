"""Sentinel-1 radiometrically terrain corrected backscatter from the Planetary Computer.

Facts: the collection is `sentinel-1-rtc` at planetarycomputer.microsoft.com/api/stac/v1, with
assets `vv` and `vh` (float32, nodata -32768) in Azure containers whose hrefs are signed for
reading, as in the real item S1A_IW_GRDH_1SDV_20240419T045904_20240419T045916_053498_067DF2_rtc.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import shapely

from stacchip.collect.choice import Chosen, has_assets, pick_of_period, quarters, random_years
from stacchip.collect.recipe import Catalogue, Choices, Recipe

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from stacchip.collect.sample import Row

COLLECTION = "sentinel-1-rtc"
EMPTY = {"type": "GeometryCollection", "geometries": []}


def uncovered_share(item: pystac.Item, geometry: shapely.Geometry) -> float:
    """Return the share of a geometry that an item's footprint leaves uncovered, 0..1.

    The share is rounded to a thousandth, so that noise in footprints does not decide.
    """
    footprint = shapely.make_valid(shapely.from_geojson(json.dumps(item.geometry or EMPTY)))
    whole = float(shapely.area(geometry))
    if whole == 0:
        return 0.0 if shapely.intersects(footprint, geometry) else 1.0
    return round(1 - float(shapely.area(shapely.intersection(footprint, geometry))) / whole, 3)


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Choose the item of each quarter of the years drawn that covers most of the row's geometry."""
    geometry = row.require_geometry()
    accept = has_assets(recipe.asset_keys(COLLECTION, choices))
    chosen = Chosen()
    for year in random_years(choices.need("years"), choices.need("year_count"), dice):
        for quarter in quarters(year):
            chosen += pick_of_period(
                quarter,
                catalogue.search(COLLECTION, period=quarter, geometry=geometry),
                accept=accept,
                rank=lambda item: uncovered_share(item, geometry),
                count=choices.need("per_period"),
            )
    return chosen


RECIPE = Recipe(
    name="sentinel-1",
    title="Sentinel-1 RTC backscatter, by geometry, from the Planetary Computer",
    catalogue="https://planetarycomputer.microsoft.com/api/stac/v1",
    collections=(COLLECTION,),
    assets={COLLECTION: ("vv", "vh")},
    choices=Choices(years=(2018, 2023), year_count=2, per_period=1),
    choose=choose,
    converts=True,
)
