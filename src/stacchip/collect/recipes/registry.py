"""The six sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.collect.recipes import landsat, linz, modis, naip, sentinel1, sentinel2
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from stacchip.collect.recipe import Recipe

RECIPES = (
    sentinel2.RECIPE,
    landsat.RECIPE,
    naip.RECIPE,
    linz.RECIPE,
    sentinel1.RECIPE,
    modis.RECIPE,
)


def get_recipe(name: str) -> Recipe:
    """The source of that name.

    Raises:
        UsageError: There is none.

    Example:
        >>> get_recipe("naip").collections
        ('naip',)
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    known = ", ".join(recipe.name for recipe in RECIPES)
    raise UsageError(f"There is no source {name!r}; there are: {known}.")
