"""What the item and its files say of the grid of the chips, and which of them is believed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

from scenes import Scene, make_scene
from stacchip.chipper import Chipper
from stacchip.errors import (
    AssetNotFound,
    GridMismatch,
    InvalidMetadata,
    MissingMetadata,
    StorageError,
    UnsupportedRaster,
)
from stacchip.grid.geobox import read_grid
from stacchip.index import add_headers, write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import ChipIndexer, Indexer, NoStatsChipIndexer
from stacchip.storage import Storage

TRUE = Affine(10, 0, 500000, 0, -10, 4200000)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene-1")


def band(
    folder: Path, key: str, size: int, pixel: float = 10, crs: str | None = "EPSG:32629"
) -> str:
    """Write a band of distinct pixels whose corner is that of TRUE."""
    path = folder / f"{key}.tif"
    pixels = np.arange(size * size, dtype=np.uint32).reshape(1, size, size)
    transform = Affine(pixel, 0, 500000, 0, -pixel, 4200000)
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint32"}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform) as dataset:
        dataset.write(pixels)
    return str(path)


def grid(size: int, pixel: float = 10, code: str = "EPSG:32629") -> dict[str, Any]:
    return {
        "proj:code": code,
        "proj:shape": [size, size],
        "proj:transform": [pixel, 0, 500000, 0, -pixel, 4200000],
    }


def item(properties: dict[str, Any] | None = None, **assets: tuple[str, dict[str, Any]]) -> Any:
    """Return an item; an asset is an address and its fields."""
    taken = datetime(2024, 5, 1, tzinfo=UTC)
    made = pystac.Item("scene", None, None, taken, dict(properties or {}))
    for key, (href, fields) in assets.items():
        others = {name: value for name, value in fields.items() if name != "roles"}
        roles = fields.get("roles", ["data"])
        made.add_asset(key, pystac.Asset(href, roles=roles, extra_fields=others))
    return made


def with_headers(made: pystac.Item, kind: type[ChipIndexer] = NoStatsChipIndexer, **options: Any):
    """Return an indexer that knows the headers of its item, as `index_items` makes it."""
    indexer = kind(made, 64, **options)
    (headers,) = gather_headers([made]).values()
    indexer.use_headers(headers)
    return indexer


WRONG = {
    "pixels ten times too small": {"proj:transform": [1, 0, 500000, 0, -1, 4200000]},
    "half a pixel aside": {"proj:transform": [10, 0, 500005, 0, -10, 4200005]},
    "shape of a decimated copy": {"proj:shape": [1280, 1280]},
    "shape as (width, height)": {"proj:shape": [64, 256]},
    "another zone": {"proj:code": "EPSG:32630"},
    "a shape that contradicts its bbox": {
        "proj:shape": [64, 256],
        "proj:bbox": [500000, 4197440, 500640, 4200000],
    },
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("level", ["item", "asset"])
def test_a_header_wins_and_the_difference_has_both_values(
    tmp_path: Path, wrong: dict[str, Any], level: str, caplog: pytest.LogCaptureFixture
):
    said = grid(128) | wrong
    href = band(tmp_path, "dem", 128)
    made = item(said, dem=(href, {})) if level == "item" else item(dem=(href, said))
    with caplog.at_level(logging.WARNING, "stacchip"):
        indexer = with_headers(made)
        table = indexer.create_index()
    assert (indexer.shape, indexer.transform, str(indexer.crs)) == ((128, 128), TRUE, "EPSG:32629")
    (difference,) = indexer.differences
    assert (difference.item_id, difference.asset) == ("scene", "dem")
    assert "128 x 128" in difference.in_file
    assert difference.in_item != difference.in_file
    assert str(difference) in caplog.text
    with rasterio.open(href) as dataset:
        expected = dataset.read(window=rasterio.windows.Window(64, 0, 64, 64))
    np.testing.assert_array_equal(Chipper(table).chip(1, 0)["dem"], expected)


@pytest.mark.parametrize("level", ["item", "asset"])
def test_a_wrong_bbox_beside_the_files_own_grid_is_no_difference(tmp_path: Path, level: str):
    said = grid(128) | {"proj:bbox": [0, 0, 10, 10]}
    href = band(tmp_path, "dem", 128)
    indexer = with_headers(
        item(said, dem=(href, {})) if level == "item" else item(dem=(href, said))
    )
    assert (indexer.shape, indexer.transform, indexer.differences) == ((128, 128), TRUE, ())


def test_rounding_in_the_item_is_no_difference_and_its_grid_stays(tmp_path: Path):
    said = grid(128) | {"proj:transform": [10, 0, 500000.00001, 0, -10, 4199999.99999]}
    made = item(dem=(band(tmp_path, "dem", 128), said))
    indexer = with_headers(made)
    assert indexer.create_index() == NoStatsChipIndexer(
        made, 64
    ).create_index().replace_schema_metadata(indexer.create_index().schema.metadata)
    assert indexer.transform.xoff == 500000.00001
    assert indexer.differences == ()
    assert read_grid(indexer.recorded_item()).is_checked


def test_a_file_without_a_crs_lies_where_the_item_says(tmp_path: Path):
    href = band(tmp_path, "dem", 128, crs=None)
    assert with_headers(item(dem=(href, grid(128)))).transform == TRUE
    with pytest.raises(InvalidMetadata, match=r"(?s)\(128, 128\).*256 x 256"):
        with_headers(item(dem=(href, grid(256)))).create_index()


def test_a_side_asset_that_differs_is_reported_and_cut_by_its_file(tmp_path: Path):
    red, nir = band(tmp_path, "red", 128), band(tmp_path, "nir", 64, 20)
    indexer = with_headers(item(red=(red, grid(128)), nir=(nir, grid(128))))
    table = indexer.create_index()
    assert [each.asset for each in indexer.differences] == ["nir"]
    assert indexer.reference.key == "red"
    chip = Chipper(table).chip(1, 1)
    with rasterio.open(nir) as dataset:
        coarse = dataset.read(1)[32:, 32:]
    np.testing.assert_array_equal(chip["nir"][0], coarse.repeat(2, 0).repeat(2, 1))


def test_an_index_that_saw_no_header_refuses_with_a_remedy_that_helps(tmp_path: Path):
    red, nir = band(tmp_path, "red", 128), band(tmp_path, "nir", 64, 20)
    made = item(red=(red, grid(128)), nir=(nir, grid(128)))
    with pytest.raises(GridMismatch, match=r"(?s)'nir'.*--open-files \(open_files=True\)"):
        Chipper(NoStatsChipIndexer(made, 64).create_index()).chip(0, 0)
    remedied = NoStatsChipIndexer(made, 64, open_files=True).create_index()
    assert Chipper(remedied).chip(0, 0)["nir"].shape == (1, 64, 64)


def test_an_index_that_got_headers_later_tells_whose_grid_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    red, nir = band(tmp_path, "red", 128), band(tmp_path, "nir", 64, 20)
    for name, pixel in (("right", 10), ("wrong", 1)):
        made = item(red=(red, grid(128, pixel)), nir=(nir, grid(128, pixel)))
        write_index(NoStatsChipIndexer(made, 64).create_index(), tmp_path / name)
    with caplog.at_level(logging.WARNING, "stacchip"):
        add_headers(tmp_path / "right")
    assert caplog.text == ""
    assert Chipper(tmp_path / "right").chip(0, 0)["nir"].shape == (1, 64, 64)
    with caplog.at_level(logging.WARNING, "stacchip"):
        add_headers(tmp_path / "wrong")
    assert "the index says of asset 'red': EPSG:32629, 128 x 128 px" in caplog.text
    with pytest.raises(GridMismatch, match="'red'"):
        Chipper(tmp_path / "wrong").chip(0, 0)


def test_a_file_replaced_after_indexing_is_not_blamed_on_the_index(tmp_path: Path):
    made = item(red=(band(tmp_path, "red", 128), grid(128)))
    table = with_headers(made).create_index()
    band(tmp_path, "red", 64, 20)
    with pytest.raises(GridMismatch, match="it was replaced since"):
        Chipper(table).chip(0, 0)


def test_a_band_that_only_its_header_shows_in_another_crs_costs_only_itself(tmp_path: Path):
    red = band(tmp_path, "red", 128)
    tci = band(tmp_path, "tci", 256, 5, crs="EPSG:3857")
    indexer = with_headers(item(grid(128), tci=(tci, {}), red=(red, {})))
    assert indexer.reference.key == "red"
    table = indexer.create_index()
    assert Chipper(table, assets=["red"]).chip(0, 0)["red"].shape == (1, 64, 64)
    with pytest.raises(GridMismatch, match=r"leave the asset out"):
        Chipper(table, assets=["tci"]).chip(0, 0)


def test_a_band_that_only_its_header_shows_on_another_body_costs_only_itself(tmp_path: Path):
    moon = "+proj=eqc +R=1737400 +units=m +type=crs"
    lunar = band(tmp_path, "lunar", 256, 5, crs=moon)
    red = band(tmp_path, "red", 128)
    table = with_headers(item(grid(128), lunar=(lunar, {}), red=(red, {}))).create_index()
    assert Chipper(table, assets=["red"]).chip(0, 0)["red"].shape == (1, 64, 64)
    with pytest.raises(UnsupportedRaster, match=r"'lunar'.*Earth"):
        with_headers(item(grid(128), lunar=(lunar, {}))).create_index()


# --- the finest band


def test_a_band_that_only_its_header_knows_to_be_finer_carries_the_grid(tmp_path: Path):
    """As Landsat Level 1 in catalogues that give one grid, of 30 m, and a 15 m pan band."""
    red, pan = band(tmp_path, "red", 64, 30), band(tmp_path, "pan", 128, 15)
    for fields in ({}, {"gsd": 15}, grid(64, 30)):
        indexer = with_headers(item(grid(64, 30), red=(red, {}), pan=(pan, fields)))
        assert indexer.reference.key == "pan"
        assert indexer.shape == (128, 128)
    alone = with_headers(item(grid(64, 30), red=(red, {}), pan=(pan, {})))
    assert alone.create_index().num_rows == 4
    assert alone.differences == ()  # the grid given for all is that of red


def test_a_finer_rendering_or_qa_band_does_not_carry_the_grid_by_its_header(tmp_path: Path):
    made = item(
        grid(128),
        red=(band(tmp_path, "red", 128), {}),
        visual=(band(tmp_path, "visual", 256, 5), {"roles": ["visual"]}),
        scl=(band(tmp_path, "scl", 256, 5), {}),
    )
    made.collection_id = "sentinel-2-l2a"
    assert with_headers(made, Indexer).reference.key == "red"


def test_where_nothing_is_said_all_bands_are_opened_and_the_finest_chosen(tmp_path: Path):
    made = item(swir=(band(tmp_path, "swir", 64, 20), {}), red=(band(tmp_path, "red", 128), {}))
    assert NoStatsChipIndexer(made, 64).reference.key == "red"
    (tmp_path / "swir.tif").unlink()
    assert NoStatsChipIndexer(made, 64).reference.key == "red"


def test_bands_that_are_coarser_by_gsd_stay_closed(tmp_path: Path):
    made = item(
        swir=(band(tmp_path, "swir", 64, 20), {"gsd": 20}),
        red=(band(tmp_path, "red", 128), {"gsd": 10}),
    )
    storage = Storage()
    assert NoStatsChipIndexer(made, 64, storage=storage).shape == (128, 128)
    assert storage.requests == 1


@pytest.mark.parametrize("fields", [{"gsd": 15}, {"proj:code": "EPSG:32629"}])
def test_a_band_that_may_be_finer_is_said_where_no_file_is_opened(
    tmp_path: Path, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    made = item(
        grid(64, 30) if "gsd" in fields else {},
        red=("red.tif", grid(64, 30)),
        pan=("pan.tif", fields),
    )
    with caplog.at_level(logging.WARNING, "stacchip"):
        assert NoStatsChipIndexer(made, 64).reference.key == "red"
    (record,) = caplog.records
    assert "'pan' may have finer pixels than 'red'" in record.getMessage()
    assert "open_files=True" in record.getMessage()


def test_a_gsd_that_rounds_the_pixels_size_is_not_said_to_be_finer(caplog):
    sinusoidal = grid(64, 463.3127) | {"proj:code": "ESRI:54008"}
    degrees = {
        "proj:code": "EPSG:4326",
        "proj:shape": [64, 64],
        "proj:transform": [0.00025, 0, 10, 0, -0.00025, 70],
    }
    with caplog.at_level(logging.WARNING, "stacchip"):
        for said, gsd in ((sinusoidal, 500), (degrees, 25), (degrees, 16)):
            made = item(said, a=("a.tif", {"gsd": gsd}), b=("b.tif", {"gsd": gsd}))
            NoStatsChipIndexer(made, 64).reference  # noqa: B018 - it is found when asked for
    assert caplog.text == ""


def test_where_files_contradict_the_item_a_file_that_is_lost_does_not_carry_the_grid(tmp_path):
    made = item(
        red=(str(tmp_path / "lost.tif"), grid(1280, 1)),
        nir=(band(tmp_path, "nir", 128), grid(1280, 1)),
    )
    indexer = NoStatsChipIndexer(made, 64)
    (headers,) = gather_headers([made], errors="skip").values()
    indexer.use_headers(headers)
    assert (indexer.reference.key, indexer.shape) == ("nir", (128, 128))


# --- files that the indexer opens


def test_open_files_believes_them_and_reports(tmp_path: Path):
    made = item(dem=(band(tmp_path, "dem", 128), grid(128, 1)))
    indexer = NoStatsChipIndexer(made, 64, open_files=True)
    assert indexer.transform == TRUE
    assert [each.asset for each in indexer.differences] == ["dem"]


@pytest.mark.parametrize("open_files", [False, True])
def test_an_item_that_says_the_impossible_is_left_to_its_files(tmp_path: Path, open_files: bool):
    made = item(dem=(band(tmp_path, "dem", 128), grid(128) | {"proj:shape": [0, 0]}))
    with pytest.raises(InvalidMetadata, match="open_files=True"):
        NoStatsChipIndexer(made, 64).create_index()
    indexer = with_headers(made, open_files=open_files)
    assert indexer.transform == TRUE
    (difference,) = indexer.differences
    assert "the impossible (proj:shape)" in difference.in_item


def test_an_open_file_without_a_grid_that_contradicts_its_item_says_so(tmp_path: Path):
    made = item(dem=(band(tmp_path, "dem", 128, crs=None), grid(100)))
    with pytest.raises(InvalidMetadata, match="Mend the item, or give the file a CRS") as caught:
        NoStatsChipIndexer(made, 64, open_files=True).create_index()
    assert (caught.value.item_id, caught.value.asset) == ("scene", "dem")


def test_a_file_that_cannot_be_opened_is_named_with_its_item(tmp_path: Path):
    made = item(dem=(str(tmp_path / "gone.tif"), grid(100)))
    with pytest.raises(StorageError) as caught:
        NoStatsChipIndexer(made, 64, open_files=True).create_index()
    assert (caught.value.item_id, caught.value.asset) == ("scene", "dem")


def test_headers_that_are_known_are_not_read_again(scene: Scene):
    scene.item.collection_id = "sentinel-2-l2a"
    scene.item.assets["scl"] = scene.item.assets.pop("swir")
    (headers,) = gather_headers([scene.item]).values()
    storage = Storage()
    indexer = Indexer(scene.item, storage=storage)
    indexer.use_headers(headers)
    indexer.grid  # noqa: B018 - it is found when asked for
    assert storage.requests == 0


def test_a_grid_found_before_the_headers_is_found_anew(tmp_path: Path):
    made = item(dem=(band(tmp_path, "dem", 128), grid(128, 1)))
    indexer = NoStatsChipIndexer(made, 64)
    assert indexer.transform.a == 1
    (headers,) = gather_headers([made]).values()
    indexer.use_headers(headers)
    assert indexer.transform.a == 10


def test_a_qa_band_that_differs_from_the_items_one_grid_is_no_difference(tmp_path: Path):
    """The item's grid is that of the bands; the QA band is coarser, as its file says."""
    made = item(
        grid(128), red=(band(tmp_path, "red", 128), {}), scl=(band(tmp_path, "scl", 64, 20), {})
    )
    made.collection_id = "sentinel-2-l2a"
    indexer = Indexer(made, 64)
    indexer.create_index()
    assert indexer.shape == (128, 128)
    assert indexer.differences == ()


def test_a_qa_band_with_a_wrong_grid_of_its_own_leaves_a_right_grid(tmp_path: Path):
    made = item(
        red=(band(tmp_path, "red", 128), grid(128)),
        scl=(band(tmp_path, "scl", 64, 20), grid(128)),
    )
    made.collection_id = "sentinel-2-l2a"
    for indexer in (Indexer(made, 64), with_headers(made, Indexer)):
        indexer.create_index()
        assert [each.asset for each in indexer.differences] == ["scl"]
        assert indexer.transform == TRUE


def test_a_qa_band_in_another_crs_than_the_item_says_leads_to_the_reference_bands_file(tmp_path):
    made = item(
        red=(band(tmp_path, "red", 128), grid(128, code="EPSG:32630")),
        scl=(band(tmp_path, "scl", 64, 20), {}),
    )
    made.collection_id = "sentinel-2-l2a"
    indexer = Indexer(made, 64)
    indexer.create_index()
    assert str(indexer.crs) == "EPSG:32629"
    assert [each.asset for each in indexer.differences] == ["red"]


# --- items without bands


@pytest.mark.parametrize("assets", [{}, {"meta": ("meta.xml", {"roles": ["metadata"]})}])
def test_an_item_without_bands_is_indexed_on_its_own_grid(assets: dict[str, Any]):
    class Striped(ChipIndexer):
        def get_stats(self, x: int, y: int) -> tuple[float, float]:
            return 0.25 * x, 0.0

    made = item(grid(128), **assets)
    for kind in (NoStatsChipIndexer, Striped, Indexer):
        indexer = kind(made, 64)
        table = indexer.create_index()
        assert (table.num_rows, indexer.reference) == (4, None)
        assert "scene" in repr(indexer)
    recorded = read_grid(indexer.recorded_item())
    assert (recorded.reference, recorded.geobox.affine) == (None, TRUE)
    with pytest.raises(AssetNotFound, match="no raster asset to read"):
        Chipper(table).chip(0, 0)


def test_an_item_with_neither_bands_nor_grid_says_what_it_lacks():
    with pytest.raises(MissingMetadata, match="it has no assets at all"):
        NoStatsChipIndexer(item({"proj:code": "EPSG:32629"}), 64).create_index()
    with pytest.raises(AssetNotFound, match="'red'"):
        NoStatsChipIndexer(item(grid(128)), 64, reference="red").create_index()
