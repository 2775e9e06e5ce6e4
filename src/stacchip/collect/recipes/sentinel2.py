"""Sentinel-2 Level 2A from Earth Search.

Facts: the API is earth-search.aws.element84.com/v1, its collection `sentinel-2-l2a`; the COGs are
in the public bucket `sentinel-cogs` in us-west-2 (registry.opendata.aws/sentinel-2-l2a-cogs). An
item has its tile in `grid:code` (`MGRS-29RKH`), its share without data in
`s2:nodata_pixel_percentage` (0..100) and its cloud in `eo:cloud_cover` (0..100), as in the real
item S2A_29RKH_20200219_0_L2A. Zones below 10 occur with and without a zero (`MGRS-01LAC`), so we
search for both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

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
from stacchip.collect.recipe import BucketAccess, Catalogue, Choices, Recipe, bucket_href
from stacchip.collect.sample import TILE_COLUMNS
from stacchip.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from stacchip.collect.sample import Row

COLLECTION = "sentinel-2-l2a"
TILE = re.compile(r"(?:MGRS-)?T?(0?[1-9]|[1-5]\d|60)([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])")


def tile_codes(row: Row) -> tuple[str, ...]:
    """Return the row's MGRS tile in the forms that `grid:code` may have.

    Raises:
        UsageError: The row does not name a tile.

    Example:
        >>> from stacchip.collect.sample import Row
        >>> tile_codes(Row(0, "row 0", attributes={"name": "29RKH"}))
        ('MGRS-29RKH',)
        >>> tile_codes(Row(0, "row 0", attributes={"name": "T01LAC"}))
        ('MGRS-1LAC', 'MGRS-01LAC')
    """
    name = row.require(*TILE_COLUMNS)
    found = TILE.fullmatch(name.strip().upper())
    if found is None:
        raise UsageError(f"Row {row.number}: {name!r} is not an MGRS tile such as 29RKH.")
    zone, square = int(found[1]), found[2]
    return tuple(dict.fromkeys((f"MGRS-{zone}{square}", f"MGRS-{zone:02d}{square}")))


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Choose the least cloudy items of each quarter of the years drawn, on the row's own tile."""
    codes = tile_codes(row)
    accept = all_of(
        has_one_of("grid:code", codes),
        has_at_most("s2:nodata_pixel_percentage", choices.max_nodata),
        has_at_most("eo:cloud_cover", choices.max_cloud),
        has_assets(recipe.asset_keys(COLLECTION, choices)),
    )
    query: dict[str, Any] = {}
    if choices.max_nodata is not None:
        query["s2:nodata_pixel_percentage"] = {"lte": choices.max_nodata}
    if choices.max_cloud is not None:
        query["eo:cloud_cover"] = {"lte": choices.max_cloud}
    chosen = Chosen()
    for year in random_years(choices.need("years"), choices.need("year_count"), dice):
        for quarter in quarters(year):
            offered = [
                item
                for code in codes
                for item in catalogue.search(
                    COLLECTION, period=quarter, query={"grid:code": {"eq": code}, **query}
                )
            ]
            chosen += pick_of_period(
                quarter, offered, accept=accept, rank=cloud_cover, count=choices.need("per_period")
            )
    return chosen


def find_hrefs(item: pystac.Item, key: str) -> tuple[str, ...]:
    """Return the address in the bucket, so that a mirror named by the user can be read instead."""
    return (bucket_href(item.assets[key].href),)


RECIPE = Recipe(
    name="sentinel-2",
    title="Sentinel-2 Level 2A, tiles of a sample layer, from Earth Search",
    catalogue="https://earth-search.aws.element84.com/v1",
    collections=(COLLECTION,),
    assets={
        COLLECTION: (
            "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08",
            "swir16", "swir22", "scl",
        )
    },
    choices=Choices(years=(2018, 2023), year_count=2, per_period=1, max_cloud=75, max_nodata=20),
    choose=choose,
    find_hrefs=find_hrefs,
    buckets=(BucketAccess("s3://sentinel-cogs/", region="us-west-2", anonymous=True),),
)  # fmt: skip
