"""The recipes by name: our six, and those that other packages add."""

from __future__ import annotations

from stacchip.collect.recipe import Recipe
from stacchip.collect.recipes import landsat, linz, modis, naip, sentinel1, sentinel2
from stacchip.errors import SourceError, UsageError
from stacchip.runtime.registry import Registry

ENTRY_POINT_GROUP = "stacchip.recipes"
RECIPES = (
    sentinel2.RECIPE,
    landsat.RECIPE,
    naip.RECIPE,
    linz.RECIPE,
    sentinel1.RECIPE,
    modis.RECIPE,
)
"""Our own recipes, in the order in which help lists them."""

_REGISTRY = Registry(
    Recipe,
    "stacchip.collect.recipe.Recipe",
    RECIPES,
    group=ENTRY_POINT_GROUP,
    error=SourceError,
)


def register_recipe(recipe: Recipe, *, replace: bool = False) -> None:
    """Make a recipe known to `get_recipe` and `stacchip collect` in this process.

    Dask workers need no registration, since a job carries its recipe. An entry point makes a recipe
    known wherever its package is installed.

    Args:
        recipe: The recipe to add. Registering the same recipe again does nothing.
        replace: Take the place of another recipe of the same name.

    Raises:
        SourceError: Another recipe has that name, and `replace` is False.

    Example:
        >>> register_recipe(naip.RECIPE)
    """
    _REGISTRY.register(recipe, replace=replace)


def list_recipes() -> tuple[Recipe, ...]:
    """Return every known recipe: ours, then those of other packages.

    Raises:
        SourceError: An installed entry point is broken, or takes the name of another recipe.

    Example:
        >>> sorted(recipe.name for recipe in list_recipes())[:2]
        ['landsat', 'linz']
    """
    return _REGISTRY.all()


def get_recipe(name: str) -> Recipe:
    """Return the recipe of a source.

    Raises:
        UsageError: There is no source of that name.
        SourceError: An installed entry point is broken, or takes the name of another recipe.

    Example:
        >>> get_recipe("naip").collections
        ('naip',)
    """
    recipe = _REGISTRY.find(name)
    if recipe is None:
        known = ", ".join(recipe.name for recipe in list_recipes())
        raise UsageError(f"There is no source {name!r}. There are: {known}.")
    return recipe
