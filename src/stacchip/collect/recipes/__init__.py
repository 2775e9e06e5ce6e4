"""The recipes: what each source adds to the one pipeline that collects.

- `sentinel2`, `landsat`, `naip`, `linz`, `sentinel1`, `modis`: one source each, as data and at most
  two functions: `choose` picks the items of a row, `find_hrefs` says where an asset's pixels are.
- `registry`: the recipes by name.

To add a source of your own, write one module with a `Recipe` (`naip.py` is the shortest with both
functions) and register it, either with `register_recipe(recipe)` or as an entry point of your
package:

```toml
[project.entry-points."stacchip.recipes"]
planetscope = "my_package.planetscope:RECIPE"
```

`stacchip collect planetscope` then lists and runs it. Its rows come from a sample layer, or from a
text file in your package (`list_name="my_package:tiles.txt"`). Each recipe of ours is in
`RECIPES` of `registry.py`, has a page in `docs/sources`, and may have a console script in
`cli/scripts.py`.

Recipes import `collect.recipe`, `collect.choice`, `collect.sample`, and from `stacchip.items`
downwards. None of them imports another.
"""

from stacchip.collect.recipes.registry import RECIPES, get_recipe, list_recipes, register_recipe

__all__ = ["RECIPES", "get_recipe", "list_recipes", "register_recipe"]
