"""Landsat 8 and 9, Collection 2, from the USGS.

Facts: the API is landsatlook.usgs.gov/stac-server (usgs.gov, "SpatioTemporal Asset Catalog"), its
collections `landsat-c2l1` and `landsat-c2l2-sr`; each asset's https address needs a log-in, and
`alternate.s3` names the same file in the requester-pays bucket `usgs-landsat` in us-west-2. The
platform is `LANDSAT_8` there and `landsat-8` elsewhere, as in the real items
LC08_L2SP_028030_20200114_20200824_02_T1_SR and LC08_L2SP_047027_20201204_02_T1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import shapely

from stacchip.collect.choice import (
    Chosen,
    all_of,
    cloud_cover,
    has_assets,
    has_at_most,
    has_one_of,
    pick_of_period,
    quarters,
    random_years,
)
from stacchip.collect.recipe import BucketAccess, Catalogue, Choices, Recipe, first_of
from stacchip.items.alternates import LANDSAT_BUCKET, alternate_href, same_path

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from stacchip.collect.sample import Row

LEVEL_1 = "landsat-c2l1"
LEVEL_2 = "landsat-c2l2-sr"
PLATFORMS = ("LANDSAT_8", "LANDSAT_9", "landsat-8", "landsat-9")
REFLECTANCE = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Choose the least cloudy item of each quarter at the row's centroid, a year for each level."""
    centroid = shapely.centroid(row.require_geometry())
    years = random_years(choices.need("years"), len(recipe.collections), dice)
    chosen = Chosen()
    for collection, year in zip(recipe.collections, years, strict=True):
        accept = all_of(
            has_one_of("platform", PLATFORMS),
            has_at_most("eo:cloud_cover", choices.max_cloud),
            has_assets(recipe.asset_keys(collection, choices)),
        )
        for quarter in quarters(year):
            offered = catalogue.search(collection, period=quarter, geometry=centroid)
            picked = pick_of_period(
                quarter, offered, accept=accept, rank=cloud_cover, count=choices.need("per_period")
            )
            notes = tuple(f"{collection} {note}" for note in picked.notes)
            chosen += Chosen(picked.items, notes)
    return chosen


def find_hrefs(item: pystac.Item, key: str) -> tuple[str, ...]:
    """Return `alternate.s3` if the asset has it, then the same path in the bucket.

    The asset's own address is the last resort: without a log-in it answers with a web page.
    """
    asset = item.assets[key]
    stated, same = alternate_href(asset, "s3"), same_path(asset.href)
    return first_of((stated or "", same or "")) or (asset.href,)


RECIPE = Recipe(
    name="landsat",
    title="Landsat 8 and 9 Collection 2, Levels 1 and 2, from the USGS",
    catalogue="https://landsatlook.usgs.gov/stac-server",
    collections=(LEVEL_1, LEVEL_2),
    assets={
        LEVEL_1: (*REFLECTANCE, "pan", "cirrus", "lwir11", "lwir12", "qa_pixel"),
        LEVEL_2: (*REFLECTANCE, "qa_pixel"),
    },
    choices=Choices(years=(2018, 2023), per_period=1, max_cloud=100),
    choose=choose,
    find_hrefs=find_hrefs,
    buckets=(BucketAccess(LANDSAT_BUCKET, region="us-west-2", requester_pays=True),),
)
