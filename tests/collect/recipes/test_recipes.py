"""The items that each of the six sources takes, and the places of their files."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from typing import get_args

import pystac
import pytest
import shapely

from collect.memory_catalogue import MemoryCatalogue, make_item
from stacchip.cli.commands.collect import collect
from stacchip.cli.commands.collect_options import options_of
from stacchip.collect.choice import random_years, row_generator
from stacchip.collect.recipe import Choices, bucket_href
from stacchip.collect.recipes import landsat, linz, modis, naip, sentinel1, sentinel2
from stacchip.collect.sample import Row
from stacchip.errors import InvalidMetadata, MissingMetadata, UsageError

RECIPES = [sentinel2, landsat, naip, linz, sentinel1, modis]
S2_BANDS = sentinel2.RECIPE.assets["sentinel-2-l2a"]


@pytest.mark.parametrize("module", RECIPES)
def test_a_command_has_the_choices_of_its_source_only(module):
    options = options_of(module.RECIPE, collect)
    told = [each for each in options if each.name != "context"]
    names = {each.name for each in told if not get_args(each.annotation)[1].hidden}
    assert {"bucket", "rows", "seed", "chip_size", "assets"} <= names
    names = {"bands" if name == "assets" else name for name in names}
    options = [*options, inspect.Parameter("bands", inspect.Parameter.KEYWORD_ONLY)]
    choices = {option.name for option in dataclasses.fields(Choices)}
    assert names & choices == module.RECIPE.choice_names
    assert ("store_copies" in names) != module.RECIPE.converts
    assert choices | {"store_copies"} <= {each.name for each in options}, "hidden, not gone"


def choose(module, row, catalogue, **wanted):
    recipe = module.RECIPE
    choices = recipe.with_choices(wanted)
    dice = row_generator(choices.seed, row.number)
    return recipe.choose(row, choices, catalogue, dice, recipe)


def years_of(module, row, count, seed=0):
    return random_years(module.RECIPE.choices.years, count, row_generator(seed, row.number))


def read_items(path):
    text = json.loads(path.read_text())
    features = text if isinstance(text, list) else text.get("features", [text])
    return [pystac.Item.from_dict(feature) for feature in features]


# -- Sentinel-2 ------------------------------------------------------------------------------------

TILE = Row(0, "row 0", shapely.box(-12, 26, -11, 27), {"name": "29RKH"})


def sentinel_2_item(name, moment, cloud, code="MGRS-29RKH", nodata=0.0, assets=S2_BANDS):
    return make_item(
        name, moment, collection="sentinel-2-l2a", assets=assets,
        grid__code=code, eo__cloud_cover=cloud, s2__nodata_pixel_percentage=nodata,
    )  # fmt: skip


def test_sentinel_2_takes_the_least_cloudy_of_each_quarter_of_two_years():
    items = [
        sentinel_2_item(f"S2_{year}_{month:02d}_{cloud}", f"{year}-{month:02d}-11", cloud)
        for year in range(2016, 2026)
        for month in range(1, 13)
        for cloud in (5 + month % 3, 60, 80)
    ]
    choice = choose(sentinel2, TILE, MemoryCatalogue(items))
    years = years_of(sentinel2, TILE, 2)
    assert [item.id for item in choice.items] == [
        f"S2_{year}_{month:02d}_5" for year in years for month in (3, 6, 9, 12)
    ]
    assert choice.notes == ()


def test_sentinel_2_takes_nothing_of_a_neighbour_tile_nor_over_the_limits():
    year = years_of(sentinel2, TILE, 2)[0]
    items = [
        sentinel_2_item("neighbour", f"{year}-01-02", 0, code="MGRS-29RLH"),
        sentinel_2_item("empty", f"{year}-01-03", 1, nodata=20.1),
        sentinel_2_item("cloudy", f"{year}-01-04", 75.1),
        sentinel_2_item("without_scl", f"{year}-01-05", 2, assets=S2_BANDS[:-1]),
        sentinel_2_item("edge", f"{year}-01-06", 75, nodata=20),
    ]
    choice = choose(sentinel2, TILE, MemoryCatalogue(items))
    assert [item.id for item in choice.items] == ["edge"]
    assert len(choice.notes) == 7


def test_sentinel_2_checks_the_answer_of_a_catalogue_that_ignores_the_query():
    year = years_of(sentinel2, TILE, 2)[0]
    catalogue = MemoryCatalogue([sentinel_2_item("neighbour", f"{year}-01-02", 0, "MGRS-29RLH")])
    catalogue.search = lambda *_, **__: catalogue.items
    assert choose(sentinel2, TILE, catalogue).items == ()


def test_sentinel_2_finds_zones_below_10_in_both_forms():
    row = Row(0, "row 0", attributes={"name": "1LAC"})
    year = years_of(sentinel2, row, 2)[0]
    items = [
        sentinel_2_item("padded", f"{year}-01-02", 0, "MGRS-01LAC"),
        sentinel_2_item("plain", f"{year}-04-02", 0, "MGRS-1LAC"),
    ]
    assert [i.id for i in choose(sentinel2, row, MemoryCatalogue(items)).items] == [
        "padded",
        "plain",
    ]


@pytest.mark.parametrize("name", ["29RK", "61RKH", "29IKH", "../x", "29RKW"])
def test_sentinel_2_refuses_a_row_that_names_no_tile(name):
    with pytest.raises(UsageError, match="not an MGRS tile"):
        sentinel2.tile_codes(Row(0, "row 0", attributes={"name": name}))


def test_sentinel_2_reads_from_the_bucket(shared_data):
    item = read_items(
        shared_data / "sentinel2/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json"
    )[0]
    assert sentinel2.find_hrefs(item, "blue") == (
        "s3://sentinel-cogs/sentinel-s2-l2a-cogs/29/R/KH/2020/2/S2A_29RKH_20200219_0_L2A/B02.tif",
    )
    assert all(key in item.assets for key in S2_BANDS)


# -- Landsat ---------------------------------------------------------------------------------------

PLACE = Row(4, "row 4", shapely.box(0.2, 0.2, 0.8, 0.8))


def landsat_item(name, moment, cloud, level, platform="LANDSAT_8", **options):
    keys = landsat.RECIPE.assets[level]
    return make_item(
        name,
        moment,
        collection=level,
        assets=keys,
        eo__cloud_cover=cloud,
        platform=platform,
        **options,
    )


def test_landsat_takes_a_year_of_each_level():
    items = [
        landsat_item(f"{level[-2:]}_{year}_{month:02d}", f"{year}-{month:02d}-05", month, level)
        for level in (landsat.LEVEL_1, landsat.LEVEL_2)
        for year in range(2018, 2024)
        for month in range(1, 13)
    ]
    choice = choose(landsat, PLACE, MemoryCatalogue(items))
    first, second = years_of(landsat, PLACE, 2)
    assert first != second
    assert [item.id for item in choice.items] == [
        *(f"l1_{first}_{month:02d}" for month in (1, 4, 7, 10)),
        *(f"sr_{second}_{month:02d}" for month in (1, 4, 7, 10)),
    ]


def test_landsat_takes_8_and_9_only_at_the_centroid():
    year = years_of(landsat, PLACE, 2)[0]
    items = [
        landsat_item("seven", f"{year}-01-01", 0, landsat.LEVEL_1, platform="LANDSAT_7"),
        landsat_item("aside", f"{year}-01-01", 0, landsat.LEVEL_1, box=(0, 0, 0.4, 0.4)),
        landsat_item("nine", f"{year}-01-01", 9, landsat.LEVEL_1, platform="LANDSAT_9"),
        landsat_item("eight", f"{year}-04-01", 9, landsat.LEVEL_1, platform="landsat-8"),
    ]
    catalogue = MemoryCatalogue(items)
    choice = choose(landsat, PLACE, catalogue)
    assert [item.id for item in choice.items] == ["nine", "eight"]
    assert all(asked["geometry"] == shapely.Point(0.5, 0.5) for asked in catalogue.asked)
    assert len(choice.notes) == 6
    assert choice.notes[0].startswith("landsat-c2l1 ")


def test_landsat_level_1_has_pan_and_thermal_and_both_have_the_quality_band():
    level_1, level_2 = (landsat.RECIPE.assets[level] for level in landsat.RECIPE.collections)
    assert {"pan", "lwir11", "lwir12", "qa_pixel"} <= set(level_1)
    assert "qa_pixel" in level_2
    assert not {"pan", "lwir11", "lwir12"} & set(level_2)


def test_landsat_reads_from_the_requester_pays_bucket(shared_data):
    item = read_items(
        shared_data / "items/landsat/odc-stac__LC08_L2SP_028030_20200114_20200824_02_T1_SR.json"
    )[0]
    stated = landsat.find_hrefs(item, "qa_pixel")
    assert stated[0].startswith(
        "s3://usgs-landsat/collection02/level-2/standard/oli-tirs/2020/028/030/"
    )
    del item.assets["qa_pixel"].extra_fields["alternate"]
    assert landsat.find_hrefs(item, "qa_pixel") == stated, "the same path if alternate is absent"
    assert landsat.RECIPE.buckets[0].requester_pays


# -- NAIP ------------------------------------------------------------------------------------------


def test_naip_has_two_path_forms(shared_data):
    item = read_items(shared_data / "items/naip/planetary-computer-tasks__naip1.json")[0]
    folder = "s3://naip-analytic/fl/2019/60cm/rgbir_cog/28080"
    assert naip.find_hrefs(item, "image") == (
        f"{folder}/m_2808060_sw_17_060_20191215.tif",
        f"{folder}/60/m_2808060_sw_17_060_20191215.tif",
    )


@pytest.mark.parametrize(
    ("gsd", "folder"), [(1, "100cm"), (0.6, "60cm"), (0.3, "30cm"), (0.5999, "60cm")]
)
def test_naip_rounds_the_pixel_to_whole_centimetres(shared_data, gsd, folder):
    item = read_items(shared_data / "items/naip/planetary-computer-tasks__naip1.json")[0]
    item.properties["gsd"] = gsd
    assert naip.find_hrefs(item, "image")[0].split("/")[5] == folder


def test_naip_says_what_a_path_lacks(shared_data):
    item = read_items(shared_data / "items/naip/planetary-computer-tasks__naip1.json")[0]
    item.properties["naip:state"] = "../../other"
    with pytest.raises(MissingMetadata, match="naip:state"):
        naip.find_hrefs(item, "image")
    item.assets["image"].href = "https://example.com/photo.tif"
    with pytest.raises(InvalidMetadata, match="quadrangle"):
        naip.find_hrefs(item, "image")


def test_naip_takes_the_latest_and_one_other_at_the_centroid():
    items = [
        make_item(f"y{year}", f"{year}-07-01", collection="naip", assets=("image",))
        for year in (2012, 2022, 2018)
    ]
    items.append(
        make_item("far", "2023-01-01", collection="naip", assets=("image",), box=(5, 5, 6, 6))
    )
    choice = choose(naip, PLACE, MemoryCatalogue(items))
    assert choice.items[0].id == "y2022"
    assert choice.items[1].id in {"y2012", "y2018"}


# -- LINZ ------------------------------------------------------------------------------------------

SURVEY = Row(2, "canterbury/christchurch_2018_0.075m/rgb/2193")


def survey_of(count, assets=("visual",)):
    return {
        f"{SURVEY.name}/BX24_500_{number:06d}.json": make_item(
            f"BX24_500_{number:06d}", "2018-01-13", collection="01G", assets=assets
        )
        for number in range(count)
    }


def test_linz_takes_half_of_a_survey_and_names_items_after_it():
    choice = choose(linz, SURVEY, MemoryCatalogue([], survey_of(40)))
    ids = [item.id for item in choice.items]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"christchurch_2018_0\.075m_BX24_500_\d{6}", name) for name in ids)
    again = choose(linz, SURVEY, MemoryCatalogue([], survey_of(40)))
    assert ids == [item.id for item in again.items]
    other = choose(linz, SURVEY, MemoryCatalogue([], survey_of(40)), seed=1)
    assert ids != [item.id for item in other.items]


def test_linz_says_what_is_empty_or_without_imagery():
    assert "no item" in choose(linz, SURVEY, MemoryCatalogue([], {})).notes[0]
    choice = choose(linz, SURVEY, MemoryCatalogue([], survey_of(3, assets=("dem",))))
    assert choice.items == ()
    assert len(choice.notes) == 3


# -- Sentinel-1 ------------------------------------------------------------------------------------


def test_sentinel_1_takes_the_item_that_covers_most_of_the_geometry():
    year = years_of(sentinel1, PLACE, 2)[0]
    items = [
        make_item(name, f"{year}-01-0{day}", collection="sentinel-1-rtc", assets=assets, box=box)
        for day, (name, box, assets) in enumerate(
            [
                ("corner", (0, 0, 0.3, 0.3), ("vv", "vh")),
                ("hh_only", (0, 0, 1, 1), ("hh",)),
                ("whole", (0, 0, 1, 1), ("vv", "vh")),
                ("whole_later", (0, 0, 1, 1), ("vv", "vh")),
                ("aside", (5, 5, 6, 6), ("vv", "vh")),
            ],
            1,
        )
    ]
    catalogue = MemoryCatalogue(items)
    choice = choose(sentinel1, PLACE, catalogue)
    assert [item.id for item in choice.items] == ["whole"]
    assert all(asked["geometry"] == PLACE.geometry for asked in catalogue.asked)


# -- MODIS -----------------------------------------------------------------------------------------


def modis_item(name, moment, column, line):
    return make_item(
        name, moment, collection="modis-09A1-061", assets=modis.RECIPE.assets["modis-09A1-061"],
        modis__horizontal_tile=column, modis__vertical_tile=line,
    )  # fmt: skip


def test_modis_takes_the_state_band_of_items_that_have_it():
    recipe = modis.RECIPE
    without = modis_item("MOD09A1.A2022001.h18v04.061", "2022-01-01", 18, 4)
    required = recipe.assets["modis-09A1-061"]
    assert recipe.asset_keys_of(without, recipe.choices) == required
    with_state = modis_item("MOD09A1.A2022009.h18v04.061", "2022-01-09", 18, 4)
    with_state.assets["sur_refl_state_500m"] = with_state.assets["sur_refl_qc_500m"]
    assert recipe.asset_keys_of(with_state, recipe.choices) == (*required, "sur_refl_state_500m")
    chosen = dataclasses.replace(recipe.choices, bands=("sur_refl_b01",))
    assert recipe.asset_keys_of(with_state, chosen) == ("sur_refl_b01",)


def test_modis_takes_one_item_a_month_of_its_tile():
    row = Row(9, "h19v10")
    year = years_of(modis, row, 1)[0]
    items = []
    for month in range(1, 12):
        for day in ("18", "02"):
            for column in (19, 20):
                item = modis_item(
                    f"{column}_{month:02d}_{day}", f"{year}-{month:02d}-{day}", column, 10
                )
                item.properties["modis:horizontal-tile"] = item.properties.pop(
                    "modis:horizontal_tile"
                )
                item.properties["modis:vertical-tile"] = item.properties.pop("modis:vertical_tile")
                items.append(item)
    choice = choose(modis, row, MemoryCatalogue(items))
    assert [item.id for item in choice.items] == [f"19_{month:02d}_02" for month in range(1, 12)]
    assert choice.notes == (f"{year}-12: no item; skipped.",)


@pytest.mark.parametrize("name", ["h36v00", "h00v18", "h1v1", "18,4", ""])
def test_modis_refuses_what_is_no_tile(name):
    with pytest.raises(UsageError):
        modis.tile_numbers(name)


# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", RECIPES, ids=lambda module: module.RECIPE.name)
def test_an_empty_catalogue_takes_nothing_and_says_so(module):
    row = {linz: SURVEY, modis: Row(0, "h18v04")}.get(module, TILE)
    choice = choose(module, row, MemoryCatalogue([]))
    assert choice.items == ()
    assert choice.notes


@pytest.mark.parametrize("module", RECIPES, ids=lambda module: module.RECIPE.name)
def test_a_choice_that_a_source_does_not_have_is_refused(module):
    recipe = module.RECIPE
    with pytest.raises(UsageError, match=recipe.name):
        recipe.with_choices({"max_cloud" if recipe.name == "naip" else "no_such": 3})
    assert recipe.with_choices({"seed": 7, "bands": None}).seed == 7


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://b.s3.amazonaws.com/k", "s3://b/k"),
        ("https://b.s3-us-west-2.amazonaws.com/k/l", "s3://b/k/l"),
        ("https://s3-us-west-2.amazonaws.com/b/k", "s3://b/k"),
        ("https://example.com/b/k", "https://example.com/b/k"),
        ("s3://b/k", "s3://b/k"),
    ],
)
def test_addresses_of_aws_become_buckets(href, expected):
    assert bucket_href(href) == expected
