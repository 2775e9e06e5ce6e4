"""The six sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.errors import UsageError
from stacchip.processors import landsat, linz, modis, naip, sentinel_1, sentinel_2

if TYPE_CHECKING:
    from stacchip.processors.recipe import Recipe

RECIPES = (
    sentinel_2.RECIPE,
    landsat.RECIPE,
    naip.RECIPE,
    linz.RECIPE,
    sentinel_1.RECIPE,
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
