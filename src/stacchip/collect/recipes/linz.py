"""Aerial imagery of New Zealand from LINZ's open bucket.

Facts: `s3://nz-imagery` in ap-southeast-2 is read without signing (README of the repository
linz/imagery). A survey is at `{region}/{survey}/rgb/2193/` with a `collection.json`, whose links of
`rel` item name the items beside their TIFFs (docs/naming.md there). An item's id is its map sheet
(`BX24_500_025020`), which recurs in every survey of that place; its only asset is `visual`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.collect.choice import Chosen, has_assets, sample_by_share
from stacchip.collect.recipe import BucketAccess, Catalogue, Choices, Recipe

if TYPE_CHECKING:
    import numpy as np

    from stacchip.collect.sample import Row

CATALOGUE = "s3://nz-imagery/"


def survey_name(prefix: str) -> str:
    """Return the name of a prefix's survey.

    Example:
        >>> survey_name("canterbury/christchurch_2018_0.075m/rgb/2193")
        'christchurch_2018_0.075m'
    """
    parts = prefix.strip("/").split("/")
    return parts[1] if len(parts) > 1 else parts[0]


def choose(
    row: Row, choices: Choices, catalogue: Catalogue, dice: np.random.Generator, recipe: Recipe
) -> Chosen:
    """Draw a share of the survey's items.

    The survey's name goes before each id. Map sheets are photographed repeatedly, and two surveys
    would overwrite each other under `linz/BX24_500_025020/`.
    """
    hrefs = sorted(catalogue.item_hrefs(row.name))
    drawn = sample_by_share(
        hrefs,
        share=choices.need("share"),
        minimum=choices.need("minimum"),
        maximum=choices.need("maximum"),
        dice=dice,
    )
    notes = []
    if not drawn:
        reason = (
            f"share, minimum and maximum leave none of {len(hrefs)} items"
            if hrefs
            else "the collection links to no item"
        )
        notes = [f"{row.name}: {reason}; skipped."]
    items = []
    accept = has_assets(recipe.asset_keys("", choices))
    for href in drawn:
        item = catalogue.read_item(href)
        why = accept(item)
        if why is not None:
            notes.append(f"{item.id} {why}; skipped.")
            continue
        item.id = f"{survey_name(row.name)}_{item.id}"
        items.append(item)
    return Chosen(tuple(items), tuple(notes))


RECIPE = Recipe(
    name="linz",
    title="New Zealand aerial imagery (LINZ), a share of each survey",
    catalogue=CATALOGUE,
    collections=(),
    assets={"": ("visual",)},
    choices=Choices(share=0.5, minimum=10, maximum=2000, resolution=0.3, band_count=3),
    choose=choose,
    buckets=(BucketAccess(CATALOGUE, region="ap-southeast-2", anonymous=True),),
    list_name="linz_prefixes.txt",
    converts=True,
    platform="linz",
)
