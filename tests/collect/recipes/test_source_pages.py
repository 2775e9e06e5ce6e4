"""The page of each source says what its recipe says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from stacchip.collect.recipe import Recipe
from stacchip.collect.recipes.registry import RECIPES
from stacchip.collect.sample import read_list

PAGES = Path(__file__).parents[3] / "docs" / "sources"
ALWAYS = {"seed", "chip_size", "bands"}


def page_of(recipe: Recipe) -> str:
    return (PAGES / f"{recipe.name}.md").read_text()


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def recipe(request) -> Recipe:
    return request.param


def test_catalogue_collections_and_buckets_are_named(recipe):
    page = page_of(recipe)
    for name in (recipe.catalogue, *recipe.collections):
        assert f"`{name}`" in page
    for bucket in recipe.buckets:
        name = bucket.prefix.removeprefix("s3://").rstrip("/")
        (row,) = re.findall(r"^\| files \| (.*) \|$", page, re.MULTILINE)
        assert f"`{name}`" in row
        assert bucket.region in row
        assert ("requester pays" in row) == bucket.requester_pays
        assert ("public" in row) == bucket.anonymous


def test_bands_are_named(recipe):
    page = page_of(recipe)
    keys = {key for keys in recipe.assets.values() for key in keys}
    if recipe.name == "modis":
        assert "`sur_refl_b01` to `sur_refl_b07`" in page
        keys = {"sur_refl_qc_500m"}
    for key in keys:
        assert f"`{key}`" in page


def test_options_are_listed_with_their_defaults(recipe):
    listed = dict(re.findall(r"^\| `--([a-z-]+)` \| (\S+) \|", page_of(recipe), re.MULTILINE))
    choices = dataclasses.asdict(recipe.choices)
    expected = {}
    for name in recipe.choice_names - ALWAYS:
        value = choices[name]
        text = ":".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
        if name in {"max_cloud", "max_nodata"}:  # recipes have a percentage, options a share
            text = f"{value:g}%"
        elif name == "share":
            text = f"{value:.0%}"
        expected[name.replace("_", "-")] = text
    assert listed == expected


def test_the_length_of_a_list_of_rows_is_stated(recipe):
    if recipe.list_name is not None:
        assert f" {len(read_list(None, default=recipe.list_name))}" in page_of(recipe)


def test_every_source_has_a_page_that_is_listed_and_says_where_its_facts_come_from():
    contents = (PAGES / "README.md").read_text()
    assert {path.stem for path in PAGES.glob("*.md")} == {
        "README",
        *(recipe.name for recipe in RECIPES),
    }
    for recipe in RECIPES:
        assert f"]({recipe.name}.md)" in contents
        assert f"`stacchip-{recipe.name}`" in contents
        _, _, facts = page_of(recipe).partition("## Where these facts come from\n")
        assert facts.count("https://") >= 3


def test_links_between_pages_lead_somewhere():
    for path in PAGES.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if "://" not in link:
                assert (path.parent / link).exists(), (path.name, link)


def test_the_options_of_all_sources_are_those_of_the_command():
    import inspect

    from stacchip.cli.commands.collect import collect

    contents = (PAGES / "README.md").read_text()
    listed = set(re.findall(r"^\| `--([a-z-]+)`", contents, re.MULTILINE))
    own = {name for recipe in RECIPES for name in recipe.choice_names} - ALWAYS
    parameters = set(inspect.signature(collect).parameters) - own - {"source", "context"}
    assert listed == {name.replace("_", "-") for name in parameters}
