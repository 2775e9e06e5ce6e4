"""The tables in the sources' docstrings say what the code counts."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import numpy as np
import pytest

from stacchip.sources import (
    DEA_LANDSAT,
    LANDSAT,
    LANDSAT_L1,
    LANDSAT_ST,
    MODIS,
    SENTINEL_2,
    Source,
    list_sources,
)
from stacchip.sources.registry import BUILT_IN

DOCUMENTED = {"sentinel2": SENTINEL_2, "landsat": LANDSAT, "modis": MODIS, "dea": DEA_LANDSAT}


def read_table(module: str) -> dict[int, set[str]]:
    """The shares that each value or bit counts as, by the table in a module's text."""
    text = inspect.getsource(import_module(f"stacchip.sources.{module}"))
    counted: dict[int, set[str]] = {}
    for row in re.findall(r"^\|(.+)\|$", text, re.MULTILINE):
        first, *_, last = (cell.strip() for cell in row.split("|"))
        if not re.fullmatch(r"\d[\d, -]*", first):
            continue
        shares = set(re.findall(r"\b(nodata|cloud|shadow|cirrus|snow|water)\b", last))
        for part in first.split(","):
            low, _, high = part.strip().partition("-")
            counted |= dict.fromkeys(range(int(low), int(high or low) + 1), shares)
    return counted


@pytest.mark.parametrize("module", DOCUMENTED)
def test_the_table_of_classes_is_what_is_counted(module: str) -> None:
    source = DOCUMENTED[module]
    counted = read_table(module)
    assert len(counted) >= 4, "the table was not found"
    assert set().union(*source.classes.values()) <= set(counted)
    for value, shares in counted.items():
        assert {share for share, values in source.classes.items() if value in values} == shares


@pytest.mark.parametrize("module", ["sentinel2", "dea"])
def test_a_pixel_of_each_class_counts_as_its_row_says(module: str) -> None:
    source, counted = DOCUMENTED[module], read_table(module)
    pixels = np.array([sorted(counted)], np.uint8)
    shares = source.classify(pixels, source.classes, None)
    for place, value in enumerate(sorted(counted)):
        assert {share for share, flags in shares.items() if flags[0, place]} == counted[value]


@pytest.mark.parametrize("bit", range(16))
def test_a_landsat_pixel_of_each_bit_counts_as_its_row_says(bit: int) -> None:
    pixels = np.array([[1 << bit]], np.uint16)
    shares = LANDSAT.classify(pixels, LANDSAT.classes, None)
    assert {share for share, flags in shares.items() if flags[0, 0]} == read_table("landsat")[bit]


@pytest.mark.parametrize("source", [LANDSAT_L1, LANDSAT_ST])
def test_all_landsat_sources_read_the_same_bits(source: Source) -> None:
    assert source.classes == LANDSAT.classes
    assert source.qa_assets == LANDSAT.qa_assets


def test_no_collection_is_of_two_sources() -> None:
    collections = [each for source in BUILT_IN for each in source.collections]
    assert len(collections) == len(set(collections))


@pytest.mark.parametrize("source", list_sources(), ids=lambda source: source.name)
def test_keys_are_named_once_and_a_qa_band_is_not_a_band(source: Source) -> None:
    assert len(set(source.bands)) == len(source.bands)
    assert len(set(source.qa_assets)) == len(source.qa_assets)
    if source.name != "sentinel-1-rtc":  # whose nodata is in the bands themselves
        assert not set(source.bands) & set(source.qa_assets)


@pytest.mark.parametrize("source", list_sources(), ids=lambda source: source.name)
def test_a_source_measures_shares_of_the_pixels_shape(source: Source) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    shares = source.classify(pixels, source.classes, source.nodata)
    for flags in shares.values():
        assert (flags.shape, flags.dtype) == ((3, 4), bool)
