"""The six sources that are collected."""

from stacchip.collect.recipes.registry import RECIPES, get_recipe

__all__ = ["RECIPES", "get_recipe"]
