"""Items given beside an index say where its files are; the index says where its chips lie."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
import rasterio
from affine import Affine

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.index import read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream


@pytest.fixture
def scene(tmp_path):
    return make_scene(tmp_path / "scene-1")


def _written(table, place):
    write_index(table, place)
    return place


FORMS = {
    "in memory": lambda table, _: table,
    "a folder": lambda table, path: _written(table, path / "index"),
    "a folder, read": lambda table, path: read_index(_written(table, path / "index")),
    "a file": lambda table, path: _written(table, path / "index.parquet"),
    "without metadata": lambda table, _: table.replace_schema_metadata(None),
    "of DuckDB": lambda table, _: duckdb.from_arrow(table.replace_schema_metadata(None)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reference", ["swir", "coastal", "red"])
def test_chips_stay_on_the_grid_that_they_were_indexed_on(scene, tmp_path, form, reference):
    indexer = NoStatsChipIndexer(scene.item, 64, reference=reference)
    expected = Chipper(indexer)
    index = FORMS[form](indexer.create_index(), tmp_path)
    chipper = Chipper(index, items=scene.item)
    for row in (0, len(chipper) - 1):
        key = chipper.rows.key(row)
        chip, other = chipper.cut_row(row), expected.cut(key.x, key.y)
        assert chip.geobox == other.geobox
        np.testing.assert_array_equal(chip.array, other.array)
    (batch,) = ChipStream(chipper, order="index").batches(len(chipper))
    np.testing.assert_array_equal(batch.array[-1], chip.array)


def test_another_band_is_recognised_by_the_bounds_of_chips(scene):
    table = NoStatsChipIndexer(scene.item, 64, reference="swir").create_index()
    stripped = table.replace_schema_metadata(None)
    chipper = Chipper(stripped)  # the item comes from item_href, which keeps no grid
    assert chipper.cut_row(0).geobox.resolution.x == 20


@pytest.mark.parametrize("shift", [1, 4])
def test_the_band_whose_grid_fits_best_is_recognised(tmp_path, shift):
    assets = {"one": _band(tmp_path / "one.tif", 0), "other": _band(tmp_path / "two.tif", shift)}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": f"shifted-{shift}", "geometry": None,
        "links": [], "properties": {"datetime": "2024-01-01T00:00:00Z"}, "assets": assets,
    }  # fmt: skip
    for chip_size in (256, 512):
        table = NoStatsChipIndexer(item, chip_size, reference="other").create_index()
        bare = table.replace_schema_metadata(None)
        for index in (bare, bare.drop_columns("chip_size")):
            assert Chipper(index, items=[item]).chip(1, 0)["other"][0, 0, 0] == chip_size


def test_the_files_of_all_bands_are_asked_if_the_item_states_no_grid(tmp_path):
    assets = {"one": _band(tmp_path / "one.tif", 0), "other": _band(tmp_path / "two.tif", 100)}
    for asset in assets.values():
        del asset["proj:code"], asset["proj:shape"], asset["proj:transform"]
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "unstated", "geometry": None,
        "links": [], "properties": {"datetime": "2024-01-01T00:00:00Z"}, "assets": assets,
    }  # fmt: skip
    table = NoStatsChipIndexer(item, reference="other").create_index()
    bare = table.replace_schema_metadata(None)
    assert Chipper(bare, items=[item]).chip(1, 0)["other"][0, 0, 0] == 256


def _band(path, shift):
    """An asset whose pixels are their columns, `shift` pixels east of 0."""
    transform = Affine(10, 0, 10 * shift, 0, -10, 0)
    with rasterio.open(
        path, "w", driver="GTiff", height=1024, width=1024, count=1, dtype="uint16",
        crs="EPSG:3857", transform=transform, tiled=True,
    ) as file:  # fmt: skip
        file.write(np.arange(1024, dtype="uint16")[None, None].repeat(1024, 1))
    stated = {"proj:code": "EPSG:3857", "proj:shape": [1024, 1024], "proj:transform": transform[:6]}
    return {"href": str(path), "type": "image/tiff", "roles": ["data"], **stated}
