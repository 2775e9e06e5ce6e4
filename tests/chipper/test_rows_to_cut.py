"""A table that names chips is enough to cut them."""

from __future__ import annotations

import json

import duckdb
import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.errors import GridMismatch, IndexFormatError, ItemNotFound
from stacchip.index import KEY, SCHEMA, concat_indexes, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream


@pytest.fixture
def scene(tmp_path):
    return make_scene(tmp_path / "scene-1")


@pytest.fixture
def table(scene):
    return NoStatsChipIndexer(scene.item).create_index()


def _same(chipper: Chipper, other: Chipper, row: int = 3) -> bool:
    one, two = chipper.cut_row(row), other.cut_row(row)
    return np.array_equal(one.array, two.array) and one.geobox == two.geobox


def _thin(table: pa.Table, *names: str) -> pa.Table:
    return table.select(names).replace_schema_metadata(None)


def test_a_chipid_and_its_item_are_enough(scene, table):
    thin = _thin(table, "chipid")
    chipper = Chipper(thin, items=scene.item)
    assert _same(chipper, Chipper(table))
    key = chipper.rows.key(3)
    assert (key.platform, key.chip_size) == (table["platform"][3].as_py(), 256)
    (batch,) = ChipStream(thin, items=scene.item, order="index").batches(len(table))
    assert batch.chipids == tuple(table["chipid"].to_pylist())


def test_a_place_and_the_items_address_are_enough(scene, table, tmp_path):
    place = tmp_path / "scene-1" / "item.json"
    place.write_text(json.dumps(scene.item.to_dict(transform_hrefs=False)))
    thin = _thin(table, "item_id", "chip_index_x", "chip_index_y")
    thin = thin.append_column("item_href", pa.array([str(place)] * len(thin)))
    assert _same(Chipper(thin), Chipper(table))


def test_columns_of_the_caller_stay(scene, table):
    thin = _thin(table, "chipid").append_column("label", pa.array(range(len(table))))
    (batch,) = ChipStream(thin, items=scene.item, order="index").batches(len(table))
    assert batch.table["label"].to_pylist() == list(range(len(table)))


def test_a_written_thin_table_is_cut_with_its_columns(scene, table, tmp_path):
    thin = _thin(table, "chipid").append_column("label", pa.array(range(len(table))))
    pq.write_table(thin, tmp_path / "thin.parquet")
    chipper = Chipper(tmp_path / "thin.parquet", items=scene.item)
    assert _same(chipper, Chipper(table))
    assert chipper.rows.table["label"].to_pylist() == list(range(len(table)))


@pytest.mark.parametrize("chip_size", [128, 200, 512])
def test_an_absent_chip_size_is_measured_on_a_footprint(scene, chip_size):
    table = NoStatsChipIndexer(scene.item, chip_size).create_index()
    thin = _thin(table, "chipid", "platform", "geometry")
    chipper = Chipper(thin, items=scene.item)
    assert chipper.rows.key(0).chip_size == chip_size
    assert _same(chipper, Chipper(table), len(table) - 1)


def test_a_chip_size_that_nothing_tells_is_the_one_given_else_256(scene, table, caplog):
    thin = _thin(table, "chipid", "platform")
    assert Chipper(thin, items=scene.item, chip_size=128).rows.key(0).chip_size == 128
    assert not caplog.text
    for options in ({}, {"items": scene.item}):
        caplog.clear()
        assert Chipper(thin, **options).rows.key(0).chip_size == 256
        assert "256 pixels a side" in caplog.text


def test_each_of_several_chip_sizes_is_measured(scene, tmp_path):
    twin = scene.item.clone()
    twin.id = "scene-2"
    tables = [NoStatsChipIndexer(scene.item, size).create_index() for size in (64, 128)]
    tables.append(NoStatsChipIndexer(twin, 32).create_index())
    whole = concat_indexes(tables)
    lacking, items = whole.drop_columns("chip_size"), [scene.item, twin]
    pq.write_table(lacking, tmp_path / "lacking.parquet")
    read = read_index(tmp_path / "lacking.parquet", columns=[*KEY, "chipid"])
    for chipper in (
        Chipper(lacking), Chipper(lacking.replace_schema_metadata(None), items=items), Chipper(read)
    ):  # fmt: skip
        sizes = chipper.rows.table["chip_size"].to_pylist()
        assert sizes == whole["chip_size"].to_pylist()
        assert _same(chipper, Chipper(whole), len(whole) - 1)


def test_a_wrong_guess_of_the_chip_size_is_refused_when_a_chip_is_cut(scene, tmp_path):
    table = NoStatsChipIndexer(scene.item, 128).create_index()
    thin = _thin(table, "chipid", "platform", "geometry")
    place = tmp_path / "scene-1" / "late.json"
    thin = thin.append_column("item_href", pa.array([str(place)] * len(thin)))
    chipper = Chipper(thin)  # the item is not there yet: 256 is assumed
    place.write_text(json.dumps(scene.item.to_dict(transform_hrefs=False)))
    with pytest.raises(GridMismatch):
        chipper.cut_row(5)


def test_an_absent_platform_that_no_item_tells_is_named(table):
    with pytest.raises(IndexFormatError, match="'platform' is absent"):
        Chipper(_thin(table, "chipid"))


def test_a_table_that_names_no_chips_is_refused():
    with pytest.raises(IndexFormatError, match="'chipid' is absent"):
        Chipper(pa.table({"platform": ["naip"], "label": [1]}))


def test_an_item_that_nobody_has_is_named_when_a_chip_is_cut():
    table = pa.table({"chipid": ["nobody-0-0"], "platform": ["naip"]})
    with pytest.raises(ItemNotFound, match="nobody"):
        Chipper(table).cut_row(0)


def _geodataframe(table: pa.Table) -> geopandas.GeoDataFrame:
    footprints = shapely.from_wkb(np.array(table["geometry"].to_pylist(), object))
    others = table.drop_columns(["geometry", "bbox"]).to_pandas()
    return geopandas.GeoDataFrame(others, geometry=footprints, crs="OGC:CRS84")


@pytest.mark.parametrize(
    "make",
    [
        _geodataframe,
        lambda table: _geodataframe(table).to_crs("EPSG:3857"),
        lambda table: _geodataframe(table).to_arrow(),
        lambda table: table.to_pandas(),
        duckdb.from_arrow,
        lambda table: table.to_batches()[0],
    ],
    ids=["geopandas", "in another CRS", "its Arrow table", "pandas", "duckdb", "a batch"],
)
def test_tables_of_other_libraries_are_cut_and_streamed(scene, table, make):
    theirs = make(table)
    assert _same(Chipper(theirs, items=scene.item), Chipper(table))
    stream = ChipStream(make(table), items=scene.item, order="blocks")
    assert sum(1 for _ in stream) == len(table)


def test_a_thin_table_is_written_as_a_whole_index(scene, table, tmp_path):
    with pytest.raises(IndexFormatError, match="'chip_size' is absent"):
        write_index(_thin(table, "chipid"), tmp_path / "index", items=[scene.item])
    thin = _thin(table, "chipid", "chip_size")
    write_index(thin, tmp_path / "index", items=[scene.item])
    found = read_index(tmp_path / "index")
    for name in set(SCHEMA.names) - {"item_href"}:
        if not name.endswith("_percentage"):
            assert found[name].to_pylist() == table[name].to_pylist(), name
    assert found["cloud_cover_percentage"].null_count == len(table)  # not measured
    assert _same(Chipper(tmp_path / "index"), Chipper(table))


def test_items_given_come_before_those_in_the_metadata_of_a_thin_table(scene, table):
    thin = table.select(["chipid"])  # its metadata has the item with the grid of its chips
    assert _same(Chipper(thin, items=scene.item), Chipper(table))


def test_the_index_that_thin_rows_were_read_from_tells_platform_and_chip_size(scene, tmp_path):
    write_index(NoStatsChipIndexer(scene.item, 64).create_index(), tmp_path / "index")
    whole = Chipper(tmp_path / "index")
    thin = read_index(tmp_path / "index", columns=["chipid"])
    for options in ({}, {"items": scene.item}):
        assert _same(Chipper(thin, **options), whole, len(thin) - 1)
    assert _same(Chipper(read_index(tmp_path / "index").drop_columns("chip_size")), whole)
