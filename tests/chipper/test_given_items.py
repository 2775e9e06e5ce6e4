"""Items given beside an index say where its files are; the index says where its chips lie."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

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
