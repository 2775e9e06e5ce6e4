"""Which chips of an index a run takes, and where it reads their pixels."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from cubes.cube_world import ITEMS, PER_ITEM, PLATFORM, World, make_item, make_world
from stacchip.cubes.imagery import Imagery
from stacchip.errors import ChipNotFound, UsageError
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


def test_each_wanted_chip_is_a_row(local):
    chipper = Imagery(local.index, PLATFORM).open(Storage())
    assert len(chipper) == ITEMS * PER_ITEM


def test_only_the_assets_of_the_bands_are_cut(local):
    chipper = Imagery(local.index, PLATFORM, bands=("red", "swir16")).open(Storage())
    assert sorted(chipper[0][2]) == ["red", "swir16"]


def test_an_unknown_platform_needs_its_bands(local):
    with pytest.raises(UsageError, match="name them"):
        _ = Imagery(local.index, "planetscope").platform_bands
    named = Imagery(local.index, "planetscope", bands=("analytic:3",))
    assert named.platform_bands.names == ("analytic:3",)


def test_no_chip_within_the_limits_is_an_error_that_names_the_index(local):
    with pytest.raises(ChipNotFound, match=r"'naip' in .*merged"):
        Imagery(local.index, "naip").open(Storage())


def test_one_chip_size_is_chosen_if_the_index_has_several(tmp_path):
    item = make_item(0, str(tmp_path / "data"), tmp_path, Storage())
    parts = [str(tmp_path / str(size)) for size in (32, 64)]
    for size, part in zip((32, 64), parts, strict=True):
        write_index(NoStatsChipIndexer(item, size).create_index(), part)
    both = str(tmp_path / "both")
    merge_indexes(parts, both)
    with pytest.raises(UsageError, match="chips of 32, 64 pixels"):
        Imagery(both, PLATFORM).open(Storage())
    chosen = Imagery(both, PLATFORM, chip_size=64).open(Storage())
    assert set(chosen.rows.table["chip_size"].to_pylist()) == {64}


def test_chips_without_a_bbox_are_left_out(local, tmp_path):
    table = read_index(local.index)
    column = table["bbox"].to_pylist()
    column[7] = None
    bbox = table.schema.field("bbox")
    place = table.schema.get_field_index("bbox")
    outside = table.set_column(place, bbox, pa.array(column, bbox.type))
    write_index(outside, str(tmp_path / "outside"))
    chipper = Imagery(str(tmp_path / "outside"), PLATFORM).open(Storage())
    assert len(chipper) == ITEMS * PER_ITEM - 1
    assert table["chipid"][7].as_py() not in chipper.rows.table["chipid"].to_pylist()


def test_pixels_come_from_the_archive_that_data_names(local):
    at_home = Imagery(local.index, PLATFORM, bands=("blue",))
    archived = Imagery(local.index, PLATFORM, data=local.data, bands=("blue",))
    for row in (0, ITEMS * PER_ITEM - 1):
        ours, theirs = (each.open(Storage())[row][2]["blue"] for each in (archived, at_home))
        np.testing.assert_array_equal(ours, theirs)


def test_imagery_is_a_value_that_can_be_sent_and_keeps_its_old_addresses(local):
    from stacchip.cubes.prechip import Imagery as OfPrechip
    from stacchip.processors.prechip import Imagery as Before

    imagery = Imagery(local.index, PLATFORM, bands=("blue",))
    assert pickle.loads(pickle.dumps(imagery)) == imagery
    assert Before is OfPrechip is Imagery


def test_the_index_may_be_a_table_of_any_library(local):
    table = read_index(local.index)
    named = Imagery(local.index, PLATFORM).open(Storage())
    for index in (table, table.to_pandas(), table.drop_columns(["bbox", "chipid"])):
        chipper = Imagery(index, PLATFORM, bands=("blue",)).open(Storage())
        assert chipper.rows.table["chipid"].equals(named.rows.table["chipid"])
    with pytest.raises(ChipNotFound, match="in a table; it has chips of"):
        Imagery(table, "naip").open(Storage())
