"""NAIP aerial imagery: searched at the Planetary Computer, read from AWS.

Facts: the collection is `naip` at planetarycomputer.microsoft.com/api/stac/v1, its asset `image`
with four bands, `naip:state`, `naip:year` and `gsd` in metres, as in the real items
fl_m_2808060_sw_17_060_20191215_20200114 and pr_m_1806551_nw_20_030_20221212_20230329. The COGs with
four bands are in the requester-pays bucket `naip-analytic` in us-west-2
(docs.opendata.aws/naip/readme.html), below `rgbir_cog`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import shapely

from stacchip.collect.choice import Chosen, has_assets, latest_and_random
from stacchip.collect.recipe import BucketAccess, Catalogue, Choices, Recipe
from stacchip.errors import InvalidMetadata, MissingMetadata
from stacchip.items.archive import file_name

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from stacchip.collect.sample import Row

COLLECTION = "naip"
BUCKET = "s3://naip-analytic/"
QUADRANGLE = re.compile(r"m_(\d{5})(\d{2})_[a-z]{2}_\d{1,2}_")


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Choose the latest item at the row's centroid, and draw another one."""
    offered = catalogue.search(COLLECTION, geometry=shapely.centroid(row.require_geometry()))
    accept = has_assets(recipe.asset_keys(COLLECTION, choices))
    return latest_and_random(offered, accept=accept, dice=dice)


def find_hrefs(item: pystac.Item, key: str) -> tuple[str, ...]:
    """Return both forms of a file's path in the bucket.

    `{state}/{year}/{gsd in cm}cm/rgbir_cog/{first 5 digits of the quadrangle}/{name}`, and the same
    with digits 6 and 7 as a folder before the name. Which one exists depends on state and year.

    Raises:
        MissingMetadata: The item lacks its state, year or gsd.
        InvalidMetadata: The file's name does not contain a quadrangle.
    """
    name = file_name(item.assets[key].href, item_id=item.id)
    quadrangle = QUADRANGLE.match(name)
    if quadrangle is None:
        raise InvalidMetadata(
            f"Item {item.id!r}: the file {name!r} names no quadrangle (m_1234567_ne_16_...).",
            item_id=item.id,
            asset=key,
            field="href",
        )
    state, year, gsd = (_word_of(item, field) for field in ("naip:state", "naip:year", "gsd"))
    folder = f"{BUCKET}{state}/{year}/{round(float(gsd) * 100)}cm/rgbir_cog/{quadrangle[1]}"
    return (f"{folder}/{name}", f"{folder}/{quadrangle[2]}/{name}")


def _word_of(item: pystac.Item, field: str) -> str:
    """Return a property as a word that is safe in a path."""
    value = str(item.properties.get(field, ""))
    if not re.fullmatch(r"[A-Za-z0-9.]+", value):
        raise MissingMetadata(
            f"Item {item.id!r} has no usable {field} ({value[:40]!r}): "
            "its path in naip-analytic is unknown.",
            item_id=item.id,
            field=field,
        )
    return value


RECIPE = Recipe(
    name="naip",
    title="NAIP aerial imagery, latest and one other, from naip-analytic",
    catalogue="https://planetarycomputer.microsoft.com/api/stac/v1",
    collections=(COLLECTION,),
    assets={COLLECTION: ("image",)},
    choices=Choices(),
    choose=choose,
    find_hrefs=find_hrefs,
    buckets=(BucketAccess(BUCKET, region="us-west-2", requester_pays=True),),
)
