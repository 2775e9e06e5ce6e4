"""The grids of files, against what their item says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from affine import Affine

from stacchip.errors import InvalidMetadata, UnsupportedRaster
from stacchip.grid.geobox import GeoBox, describe_geobox, make_geobox
from stacchip.items import AssetInfo, find_differences
from stacchip.items.file_grids import forgive, place_by_files


@dataclass(frozen=True)
class File:
    geobox: GeoBox | None
    shape: tuple[int, int] = (100, 100)
    crs: str | None = None
    transform: Affine | None = None
    why_no_grid: str | None = None


def grid(pixel: float, shape: tuple[int, int] = (100, 100)) -> GeoBox:
    return make_geobox("EPSG:32629", Affine(pixel, 0, 600000, 0, -pixel, 4000000), shape)


def asset(key: str, geobox: GeoBox | None, *, own: bool = True) -> AssetInfo:
    return AssetInfo(key, f"{key}.tif", geobox=geobox, has_own_grid=own)


def test_a_file_is_believed_and_an_asset_whose_file_is_unknown_stays_as_said() -> None:
    said = {"red": asset("red", grid(1)), "nir": asset("nir", grid(1))}

    placed = place_by_files(said, {"red": File(grid(10))})

    assert (placed["red"].geobox, placed["red"].is_checked) == (grid(10), True)
    assert placed["nir"] == said["nir"]
    assert not placed["nir"].is_checked


def test_the_impossible_in_an_item_is_left_to_its_file_if_that_has_a_grid() -> None:
    problem = InvalidMetadata("Its shape is 0.", field="proj:shape")
    said = {"red": replace(asset("red", None), problem=problem)}
    files = {"red": File(grid(10))}

    assert place_by_files(said, files)["red"].geobox == grid(10)
    assert place_by_files(said, {"red": File(None)})["red"].problem is problem
    assert place_by_files(forgive(said), {"red": File(None)})["red"].problem is None
    (difference,) = find_differences("scene", said, files)
    assert "the impossible (proj:shape)" in str(difference)


def test_a_file_without_a_place_takes_the_items_if_it_has_that_shape() -> None:
    said = {"red": asset("red", grid(10)), "nir": asset("nir", grid(10, (50, 50)))}

    placed = place_by_files(said, {"red": File(None), "nir": File(None)})

    assert placed["red"].geobox == grid(10)
    assert placed["nir"].geobox is None
    assert isinstance(placed["nir"].problem, InvalidMetadata)


def test_a_file_on_no_grid_has_none_whatever_its_item_says() -> None:
    said = {"vv": asset("vv", grid(10))}

    placed = place_by_files(said, {"vv": File(None, why_no_grid="9 ground control points")})

    assert placed["vv"].geobox is None
    assert isinstance(placed["vv"].problem, UnsupportedRaster)


def test_each_asset_with_a_wrong_grid_of_its_own_is_a_difference() -> None:
    said = {key: asset(key, grid(1)) for key in ("red", "nir", "swir")}
    files = {"red": File(grid(10)), "nir": File(grid(1)), "swir": File(grid(20))}

    found = find_differences("scene", said, files)

    assert [each.asset for each in found] == ["red", "swir"]
    assert "(1, 0, 600000" in found[0].in_item
    assert "(10, 0, 600000" in found[0].in_file


def test_a_grid_for_all_assets_differs_only_if_it_is_that_of_no_file() -> None:
    said = {key: asset(key, grid(10), own=False) for key in ("red", "pan")}

    assert find_differences("scene", said, {"red": File(grid(10)), "pan": File(grid(5))}) == ()
    wrong = find_differences("scene", said, {"red": File(grid(20)), "pan": File(grid(5))})
    assert [each.asset for each in wrong] == ["red"]


def test_an_item_that_says_nothing_is_not_contradicted() -> None:
    assert find_differences("scene", {"red": asset("red", None)}, {"red": File(grid(10))}) == ()


def test_a_stated_grid_that_its_file_confirms_is_no_difference_whatever_else_is_wrong() -> None:
    stated = describe_geobox(grid(10))
    problem = InvalidMetadata("It contradicts the bbox.", field="bbox", grid=stated)
    said = {"red": replace(asset("red", None), problem=problem)}

    assert find_differences("scene", said, {"red": File(grid(10))}) == ()
    (difference,) = find_differences("scene", said, {"red": File(grid(20))})
    assert stated in difference.in_item
