"""Columns are added to an index on disk, and no value is lost or doubled in silence."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from index.tables import make_header, make_table
from stacchip import Split
from stacchip.errors import IndexFormatError, IndexReplaced, ObjectNotFound, UsageError
from stacchip.index import (
    SCHEMA,
    add_column,
    append_to_index,
    compact_index,
    concat_indexes,
    merge_indexes,
    read_index,
    read_records,
    read_runs,
    remove,
    write_index,
)
from stacchip.index.recorded_splits import read_splits, write_splits
from stacchip.storage import Storage


@pytest.fixture
def index(tmp_path):
    """An index of two sources, with 12 chips each and headers of their files."""
    both = concat_indexes([make_table("a"), make_table("b", platform="landsat", zone=1)])
    headers = {"a": {"red": make_header()}}
    write_index(both, tmp_path / "index", headers=headers)
    return tmp_path / "index"


def bytes_of(folder):
    """The content of each file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def numbers_of(rows: pa.Table) -> pa.ChunkedArray:
    return pc.add(rows["chip_index_x"], pc.multiply(rows["chip_index_y"], 10))


# -- the three forms of values


def test_a_function_of_rows_gives_a_column(index):
    before = read_index(index)
    added = add_column(index, numbers_of, "number", columns=["chip_index_x", "chip_index_y"])
    assert (added.names, added.chips, added.missing) == (("number",), 24, 0)
    found = read_index(index)
    assert found.column_names == [*SCHEMA.names, "number"]
    assert found["number"].to_pylist() == numbers_of(before).to_pylist()
    assert found.select(SCHEMA.names).equals(before)


def test_a_function_may_give_several_columns(index):
    def split(rows: pa.Table) -> pa.Table:
        x = rows["chip_index_x"].to_numpy()
        return pa.table({"split": np.where(x < 2, "train", "test"), "weight": x / 4})

    assert add_column(index, split).names == ("split", "weight")
    found = read_index(index, where=pc.field("split") == "train")
    assert set(found["weight"].to_pylist()) == {0, 0.25}


def test_an_array_gives_values_in_the_order_of_the_rows(index):
    add_column(index, np.arange(24), "place")
    assert read_index(index)["place"].to_pylist() == list(range(24))


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "polars", "duckdb", "mapping"])
def test_a_table_of_any_library_gives_values_by_chipid(index, library):
    rows = read_index(index, columns=["chipid", "platform"]).to_pandas()
    frame = rows.assign(label=np.arange(24)).sample(frac=1, random_state=0)
    connection = duckdb.connect()
    connection.register("frame", frame)
    values = {
        "pyarrow": lambda: pa.Table.from_pandas(frame),
        "pandas": lambda: frame,
        "polars": lambda: pl.from_pandas(frame),
        "duckdb": lambda: connection.sql("select * from frame"),
        "mapping": lambda: {name: frame[name].tolist() for name in frame},
    }[library]()
    add_column(index, values)
    assert read_index(index)["label"].to_pylist() == list(range(24))


def test_a_table_gives_values_by_the_place_of_chips(index):
    keys = ["platform", "item_id", "chip_size", "chip_index_x", "chip_index_y"]
    rows = read_index(index, columns=keys)
    add_column(
        index, rows.append_column("label", pa.array(range(24))).take(list(range(23, -1, -1)))
    )
    assert read_index(index)["label"].to_pylist() == list(range(24))


def test_categories_and_wide_numbers_are_keys_as_well(index):
    frame = read_index(index, columns=["chipid", "platform", "chip_size"]).to_pandas()
    frame = frame.astype({"platform": "category", "chip_size": "int64"})
    add_column(index, frame.assign(label="x"))
    assert read_index(index)["label"].to_pylist() == ["x"] * 24


def test_chips_that_share_a_key_share_the_value(index):
    add_column(index, pd.DataFrame({"item_id": ["b", "a"], "region": ["north", "south"]}),
               on="item_id")  # fmt: skip
    found = read_index(index, columns=["item_id", "region"])
    assert {tuple(row.values()) for row in found.to_pylist()} == {("a", "south"), ("b", "north")}


def test_one_of_several_columns_is_named(index):
    frame = read_index(index, columns=["chipid"]).to_pandas().assign(one=1, two=2)
    assert add_column(index, frame, "two").names == ("two",)


# -- what does not match


def some_values(index, chips: slice, **columns) -> pd.DataFrame:
    return read_index(index, columns=["chipid"]).to_pandas()[chips].assign(label=1, **columns)


def test_chips_without_a_value_are_refused_or_null(index):
    before = bytes_of(index)
    with pytest.raises(UsageError, match=r"4 of 24 chips have no value, such as item_id=a .*null"):
        add_column(index, some_values(index, slice(20)))
    assert bytes_of(index) == before
    assert add_column(index, some_values(index, slice(20)), missing="null").missing == 4
    assert read_index(index)["label"].null_count == 4


def test_values_without_a_chip_are_refused_or_left_out(index):
    values = some_values(index, slice(None))
    values = pd.concat([values, pd.DataFrame({"chipid": ["c-0-0", "c-0-1"], "label": [1, 2]})])
    with pytest.raises(UsageError, match=r"2 values are of no chip.*item_id=c chip_index_x=0"):
        add_column(index, values)
    assert add_column(index, values, unknown="ignore").unknown == 2
    assert read_index(index).num_rows == 24


def test_a_key_of_another_type_finds_the_chips_that_have_it(index):
    add_column(index, pa.array([300, 1, None] * 8), "lab")
    values = {"lab": pa.array([1, 2], pa.int8()), "v": [10, 20]}
    added = add_column(index, values, on="lab", missing="null", unknown="ignore")
    assert (added.missing, added.unknown) == (16, 1)
    assert read_index(index)["v"].to_pylist() == [None, 10, None] * 8
    with pytest.raises(UsageError, match=r"'lab' .* type string, and that of the index int64"):
        add_column(index, {"lab": ["1"], "w": [1]}, on="lab", missing="null")


def test_a_key_that_is_there_twice_is_refused(index):
    values = some_values(index, slice(None))
    with pytest.raises(UsageError, match=r"2 rows of the values repeat a key.*chip_index_y"):
        add_column(index, pd.concat([values, values[:2]]))


def test_a_key_of_several_chips_is_refused(tmp_path):
    both = concat_indexes([make_table("a"), make_table("a", platform="landsat")])
    write_index(both, tmp_path / "index")
    values = make_table("a").select(["chipid"]).append_column("label", pa.array(range(12)))
    with pytest.raises(UsageError, match=r"of several chips.*platform and chip_size"):
        add_column(tmp_path / "index", values)


def test_a_key_that_is_null_is_refused(index):
    values = some_values(index, slice(None))
    values.loc[3, "chipid"] = None
    with pytest.raises(UsageError, match="null in 1 rows"):
        add_column(index, values)


def test_another_number_of_values_is_refused(index):
    with pytest.raises(UsageError, match="23 values, and the index has 24 chips"):
        add_column(index, np.arange(23), "label")
    with pytest.raises(UsageError, match="returned 1 values for 12 rows"):
        add_column(index, lambda rows: [1], "label")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.arange(24), {}, "a name"),
        (np.arange(24), {"name": "chip_size"}, "a column of every index"),
        (np.arange(24), {"name": "x", "on": "chipid"}, "on= names the key of a table"),
        (np.arange(24), {"name": "x", "columns": ["chipid"]}, "columns= names"),
        (np.arange(24), {"name": "x", "missing": "drop"}, "missing must be"),
        (
            numbers_of,
            {"name": "x", "columns": ["nowhere"]},
            "no column 'nowhere'",
        ),
        (pd.DataFrame({"label": [1]}), {}, "does not tell whose"),
        (pd.DataFrame({"chipid": ["a-0-0"]}), {}, "no column to add"),
        (pd.DataFrame({"chipid": ["a-0-0"], "x": [1]}), {"name": "y"}, "no column 'y'"),
        (pd.DataFrame({"x": ["a"], "y": [1]}), {"on": "x"}, "no column 'x'"),
        (pd.DataFrame({"chip_size": ["a"], "y": [1]}), {"on": "chip_size"}, "has type"),
        (object(), {"name": "x"}, "makes no column"),
        (np.arange(24), {"name": "__index_level_0__"}, "No column can have the name '__index_lev"),
        (np.arange(24), {"name": ""}, "No column can have the name ''"),
        (pa.table([[1], [2], [3]], ["chip_size", "v", "v"]), {"on": "chip_size"}, "'v'.* twice"),
        (pa.table([[1], [2]], ["chip_size", "v"]), {"on": ["chip_size"] * 2}, "'chip_size'.*twice"),
        (make_table().select(["bbox", "chipid"]), {"on": "bbox", "name": "chipid"}, "by which no"),
        ({"chipid": ["a-0-0"], "v": [1, 2]}, {}, "dict makes no table"),
    ],
)
def test_wrong_arguments_are_refused(index, values, options, message):
    before = bytes_of(index)
    with pytest.raises(UsageError, match=message):
        add_column(index, values, **options)
    assert bytes_of(index) == before


def test_a_table_in_memory_is_left_to_its_library():
    with pytest.raises(UsageError, match="give its path"):
        add_column(make_table("a"), numbers_of, "number")


def test_a_type_that_no_index_keeps_is_refused(index):
    with pytest.raises(IndexFormatError, match="'label'"):
        add_column(index, pa.array([[("a", 1)]] * 24, pa.map_(pa.string(), pa.int64())), "label")
    with pytest.raises(IndexFormatError, match="65,537 bytes"):
        add_column(index, ["x" * 65_537] * 24, "label")


def test_values_of_a_function_have_the_type_that_it_returned_first(index):
    def change(rows: pa.Table) -> pa.Array:
        kind = pa.int8() if rows["platform"][0].as_py() == "landsat" else pa.int64()
        return pa.array([1] * len(rows), kind)

    add_column(index, change, "label")
    assert read_index(index).schema.field("label").type == pa.int8()
    with pytest.raises(IndexFormatError, match="'other'"):
        add_column(index, lambda rows: rows["chipid"] if "a-0-0" in rows["chipid"].to_pylist()
                   else rows["chip_index_x"], "other")  # fmt: skip


# -- what stays


def test_a_column_is_replaced_only_if_asked(index):
    add_column(index, np.arange(24), "label")
    with pytest.raises(UsageError, match=r"has a column 'label' already: pass replace=True"):
        add_column(index, np.zeros(24), "label")
    add_column(index, np.zeros(24), "label", replace=True)
    assert read_index(index)["label"].to_pylist() == [0.0] * 24


def test_records_stay_as_they_are(index):
    before = (index / "_items.parquet").read_bytes()
    add_column(index, numbers_of, "number")
    assert (index / "_items.parquet").read_bytes() == before
    assert len(list(read_records(index))) == 2
    expected = {"_index.json", "_items.parquet", "chips-landsat.parquet",
                "chips-sentinel-2-l2a.parquet"}  # fmt: skip
    assert {path.name for path in index.iterdir() if path.is_file()} >= expected


@pytest.mark.parametrize("geometry", ["wkb", "none"])
def test_a_single_file_keeps_its_items(tmp_path, geometry):
    path = tmp_path / "index.parquet"
    write_index(make_table("a"), path, geometry=geometry)
    before = read_index(path)
    add_column(path, numbers_of, "number")
    found = read_index(path)
    assert found.select(SCHEMA.names).equals(before)
    assert found.schema.metadata == before.schema.metadata
    assert ("geometry" in pq.read_schema(path).names) == (geometry == "wkb")


def test_an_index_that_grew_keeps_the_numbers_of_its_rows(index):
    append_to_index(index, make_table("c", day=3))
    append_to_index(index, make_table("d", day=4, platform="landsat"))
    remove(index, item_id="a")
    before = read_index(index)
    names = {path.name for path in index.iterdir()}
    add_column(index, np.arange(36), "place")
    found = read_index(index)
    assert found["place"].to_pylist() == list(range(36))
    assert found.select(SCHEMA.names).equals(before)
    assert {name for name in names if "_removed" not in name} <= {
        path.name for path in index.iterdir()
    }
    assert not duckdb.sql(f"from '{index}/chips*.parquet' where item_id = 'a'").fetchall()
    assert {record.item_id for record in read_records(index)} == {"b", "c", "d"}
    compact_index(index)
    assert sorted(read_index(index)["place"].to_pylist()) == list(range(36))


def test_runs_are_known_thereafter(tmp_path):
    write_index(make_table("a", chips=(260, 260)), tmp_path / "index", geometry="none")
    before = read_runs(tmp_path / "index")
    add_column(tmp_path / "index", np.arange(67_600), "place")
    assert read_runs(tmp_path / "index").equals(before)
    found = read_index(tmp_path / "index", where=pc.field("place") == 60_000, columns=["place"])
    assert found.num_rows == 1


def test_an_index_of_another_tool_gets_a_column(tmp_path):
    (tmp_path / "index").mkdir()
    pq.write_table(make_table("a"), tmp_path / "index" / "mine.parquet", row_group_size=5)
    add_column(tmp_path / "index", numbers_of, "number")
    assert read_index(tmp_path / "index")["number"].to_pylist()[-1] == 23
    assert merge_indexes(tmp_path / "index", tmp_path / "merged").chips == 12


def test_an_index_without_chips_gets_a_column(tmp_path):
    write_index(SCHEMA.empty_table(), tmp_path / "index")
    add_column(tmp_path / "index", pa.array([], pa.string()), "split")
    assert read_index(tmp_path / "index").schema.field("split").type == pa.string()


def test_a_tree_of_indexes_is_refused(tmp_path):
    write_index(make_table("a"), tmp_path / "tree" / "one")
    with pytest.raises(UsageError, match="subfolders"):
        add_column(tmp_path / "tree", numbers_of, "number")


def test_nothing_is_made_where_there_is_no_index(tmp_path):
    with pytest.raises(ObjectNotFound):
        add_column(tmp_path / "index", numbers_of, "number")
    assert not (tmp_path / "index").exists()


def test_progress_is_told_of_each_file(index):
    told = []
    add_column(index, numbers_of, "number", progress=lambda *args: told.append(args))
    assert [count for _, count in told] == [2, 2]


def test_metadata_of_files_stays_and_is_added_to(index):
    add_column(index, numbers_of, "number", metadata=lambda _: {b"mine": b"1"})
    add_column(index, numbers_of, "other", metadata=lambda there: {b"yours": there[b"mine"]})
    for file in index.glob("chips*.parquet"):
        metadata = pq.read_schema(file).metadata
        assert (metadata[b"mine"], metadata[b"yours"]) == (b"1", b"1")
        assert b"geo" in metadata


def test_metadata_that_was_added_to_a_written_file_stays(tmp_path):
    path = tmp_path / "index.parquet"
    with pq.ParquetWriter(path, SCHEMA) as writer:
        writer.write_table(make_table("a").replace_schema_metadata(SCHEMA.metadata))
        writer.add_key_value_metadata({"mine": "1"})
    add_column(path, numbers_of, "number")
    assert pq.read_metadata(path).metadata[b"mine"] == b"1"


def test_the_rule_of_a_split_goes_with_its_column(index):
    rule = Split(cell_km=5, buffer_km=0).rule
    names = ("one", "other")
    rules = write_splits(dict.fromkeys(names, rule))
    add_column(index, lambda rows: pa.table(dict.fromkeys(names, rows["chipid"])),
               metadata=lambda _: rules)  # fmt: skip
    add_column(index, numbers_of, "number")
    file = index / "chips-landsat.parquet"
    assert set(read_splits(pq.read_metadata(file).metadata, "it")) == {"one", "other"}
    add_column(index, numbers_of, "one", replace=True)
    assert set(read_splits(pq.read_metadata(file).metadata, "it")) == {"other"}


@pytest.mark.servers
def test_an_index_in_an_object_store_gets_a_column(seaweed):
    storage, href = Storage(options=seaweed.options), "s3://private/columns/index"
    write_index(make_table("a"), href, storage=storage)
    append_to_index(href, make_table("b", zone=1), storage=storage)
    remove(href, item_id="a", storage=storage)
    before = read_index(href, storage=storage)
    add_column(href, np.arange(12), "place", storage=storage)
    found = read_index(href, storage=storage)
    assert found.select(SCHEMA.names).equals(before)
    assert found["place"].to_pylist() == list(range(12))
    assert not [entry.href for entry in storage.list(href) if "next-" in entry.href]


@pytest.mark.servers
def test_a_column_is_not_added_to_an_index_that_others_changed_meanwhile(seaweed):
    storage, href = Storage(options=seaweed.options), "s3://private/overtaken-columns/index"
    write_index(make_table("a"), href, storage=storage)

    def change(rows: pa.Table) -> pa.Array:
        append_to_index(href, make_table("b", zone=1), storage=storage)
        return rows["chip_index_x"]

    with pytest.raises(IndexReplaced):
        add_column(href, change, "x", storage=storage)
    found = read_index(href, storage=storage)
    assert (found.column_names, found.num_rows) == (SCHEMA.names, 24)
