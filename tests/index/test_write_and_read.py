from __future__ import annotations

import dataclasses
import json
import re
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_header, make_item, make_table, make_tables, rows_of
from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import DuplicateChips, IndexFormatError, ObjectNotFound, UsageError
from stacchip.index import (
    SCHEMA,
    Selection,
    concat_indexes,
    embedded_items,
    index_of,
    merge_indexes,
    read_index,
    read_records,
    remove,
    scan_index,
    write_headers,
    write_index,
)
from stacchip.index.files.layout import chips_name
from stacchip.storage import Storage


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_index_is_a_folder_with_chips_and_records(tmp_path, table):
    write_index(table, tmp_path / "index")
    assert set(files_of(tmp_path / "index")) == {"chips.parquet", "_items.parquet", "_index.json"}
    assert rows_of(read_index(tmp_path / "index")) == rows_of(table)


@pytest.mark.parametrize("name", ["~", "~nobody"])
def test_a_tilde_names_a_folder_like_any_other(tmp_path, monkeypatch, table, name):
    monkeypatch.chdir(tmp_path)
    write_index(table, f"{name}/i")
    assert read_index(f"{name}/i").equals(read_index(tmp_path / name / "i"))


def test_each_source_has_a_file_of_its_own(tmp_path):
    tables = make_tables(6)
    write_index(concat_indexes(tables), tmp_path)
    assert {name for name in files_of(tmp_path) if name.startswith("chips")} == {
        "chips-landsat-c2l2-sr.parquet",
        "chips-sentinel-2-l2a.parquet",
    }
    assert rows_of(read_index(tmp_path)) == rows_of(concat_indexes(tables))


@pytest.mark.parametrize("name", ["../x", "LANDSAT 8", "a/b", "ü", "x" * 300, ""])
def test_any_source_name_gives_a_safe_file_name(tmp_path, name):
    assert re.fullmatch(r"chips-[a-z0-9._-]*\.parquet", chips_name(name))
    table = concat_indexes([make_table("a", platform=name), make_table("b", platform="other")])
    write_index(table, tmp_path)
    assert read_index(tmp_path, platform=name).num_rows == 12


def test_names_that_differ_only_in_case_have_different_files():
    assert chips_name("Landsat").lower() != chips_name("landsat").lower()


def test_a_single_file_has_its_items_in_the_metadata(tmp_path, table):
    write_index(table, tmp_path / "index.parquet")
    assert set(files_of(tmp_path)) == {"index.parquet"}
    assert set(embedded_items(read_index(tmp_path / "index.parquet"))) == {
        ("sentinel-2-l2a", "item-1")
    }


def test_the_same_arguments_give_the_same_bytes(tmp_path, table):
    for name in ("one", "two"):
        write_index(table, tmp_path / name, headers={"item-1": {"red": make_header()}})
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_an_index_that_is_there_is_replaced(tmp_path):
    write_index(concat_indexes(make_tables(4)), tmp_path)
    write_index(make_table("new", platform="naip"), tmp_path)
    assert set(read_index(tmp_path)["item_id"].to_pylist()) == {"new"}
    assert [record.item_id for record in read_records(tmp_path)] == ["new"]
    assert len([name for name in files_of(tmp_path) if name.startswith("chips")]) == 1


def test_a_source_keeps_its_file(tmp_path):
    write_index(make_table("a", platform="a"), tmp_path)
    write_index(
        concat_indexes([make_table("a", platform="a"), make_table("b", platform="b")]), tmp_path
    )
    assert {name for name in files_of(tmp_path) if name.startswith("chips")} == {
        "chips.parquet", "chips-b.parquet",
    }  # fmt: skip
    assert set(pq.read_table(tmp_path / "chips.parquet")["platform"].to_pylist()) == {"a"}


def test_an_empty_index_is_one(tmp_path):
    write_index(SCHEMA.empty_table(), tmp_path)
    assert read_index(tmp_path).schema.names == SCHEMA.names
    assert read_records(tmp_path) == []


def test_duplicates_are_refused_and_named(tmp_path, table):
    with pytest.raises(DuplicateChips, match=r"'chip_index_x': 0.*twice|2 times"):
        write_index(pa.concat_tables([table, table.slice(0, 1)]), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_two_chip_sizes_of_an_item_are_no_duplicates(tmp_path):
    table = concat_indexes([make_table(), make_table(chip_size=128)])
    write_index(table, tmp_path)
    assert read_index(tmp_path, chip_size=128).num_rows == 12
    assert len(read_records(tmp_path)) == 1


def test_a_folder_with_other_parquet_files_is_refused(tmp_path, table):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "mine.parquet")
    with pytest.raises(UsageError, match=r"mine\.parquet"):
        write_index(table, tmp_path)
    assert set(files_of(tmp_path)) == {"mine.parquet"}


def test_other_files_of_the_folder_stay(tmp_path, table):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "sub").mkdir()
    write_index(table, tmp_path)
    write_index(table, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "sub").is_dir()


def test_the_file_with_chips_can_be_named(tmp_path, table):
    for _ in range(2):
        write_index(table, tmp_path, name="index_item-1.parquet")
    assert set(files_of(tmp_path)) == {"index_item-1.parquet", "_items.parquet", "_index.json"}
    assert read_index(tmp_path / "index_item-1.parquet").num_rows == 12
    for name in ("_hidden.parquet", "a/b.parquet", "chips.csv"):
        with pytest.raises(UsageError, match="cannot name"):
            write_index(table, tmp_path, name=name)


def test_a_name_of_the_file_with_chips_is_not_remembered(tmp_path, table):
    for name, expected in (("a.parquet", "a.parquet"), ("b.parquet", "b.parquet"), (None, None)):
        write_index(table, tmp_path, name=name)
        (chips,) = set(files_of(tmp_path)) - {"_items.parquet", "_index.json"}
        assert chips == (expected or chips_name("sentinel-2-l2a"))
        assert rows_of(read_index(tmp_path)) == rows_of(table)


@pytest.mark.parametrize("platforms", [["naip"], ["naip", "linz"]])
def test_an_empty_index_replaces_any_other(tmp_path, platforms):
    write_index(concat_indexes([make_table(name, platform=name) for name in platforms]), tmp_path)
    write_index(SCHEMA.empty_table(), tmp_path)
    assert set(files_of(tmp_path)) == {"chips.parquet", "_items.parquet", "_index.json"}
    assert read_index(tmp_path).num_rows == 0
    assert read_records(tmp_path) == []


def test_a_single_file_takes_no_headers(tmp_path, table):
    with pytest.raises(UsageError, match="folder"):
        write_index(table, tmp_path / "a.parquet", headers={"item-1": {"red": make_header()}})


def test_a_table_that_is_no_index_is_refused(tmp_path, table):
    with pytest.raises(IndexFormatError, match="crs"):
        write_index(table.drop_columns("crs"), tmp_path / "index")
    assert not (tmp_path / "index").exists()


# --- records


def test_records_hold_items_and_headers(tmp_path, table):
    header = make_header()
    write_index(table, tmp_path, headers={"item-1": {"red": header}})
    (record,) = read_records(tmp_path)
    assert (record.platform, record.item_id) == ("sentinel-2-l2a", "item-1")
    assert record.item == embedded_items(table)["sentinel-2-l2a", "item-1"]
    assert record.item_href == "https://example.com/item-1.json"
    found = record.headers["red"]
    for field in dataclasses.fields(header):
        one, other = getattr(found, field.name), getattr(header, field.name)
        assert (one == other).all() if hasattr(one, "all") else one == other


def test_items_can_be_given(tmp_path):
    table = make_table("a").replace_schema_metadata(None)
    write_index(table, tmp_path, items=[make_item("a", nir="nir.tif"), make_item("stranger")])
    (record,) = read_records(tmp_path)
    assert set(record.item["assets"]) == {"nir"}


def test_items_that_are_not_at_hand_have_no_record(tmp_path):
    write_index(make_table("a").replace_schema_metadata(None), tmp_path)
    assert read_records(tmp_path) == []
    assert read_index(tmp_path).num_rows == 12


def test_records_are_found_by_id_and_source(tmp_path):
    write_index(
        concat_indexes([make_table("a"), make_table("a", platform="landsat"), make_table("b")]),
        tmp_path,
    )  # fmt: skip
    assert len(read_records(tmp_path)) == 3
    assert [r.platform for r in read_records(tmp_path, item_ids=["a"])] == [
        "landsat",
        "sentinel-2-l2a",
    ]
    assert len(read_records(tmp_path, item_ids=["a"], platform="landsat")) == 1


def test_headers_can_be_added_and_replaced(tmp_path, table):
    write_index(table, tmp_path, headers={"item-1": {"red": make_header('"old"')}})
    chips = (tmp_path / "chips.parquet").read_bytes()
    write_headers(tmp_path, {"item-1": {"red": make_header('"new"'), "nir": make_header()}})
    (record,) = read_records(tmp_path)
    assert record.headers["red"].identity.etag == '"new"'
    assert set(record.headers) == {"red", "nir"}
    assert (tmp_path / "chips.parquet").read_bytes() == chips


# --- reading


def test_only_the_columns_asked_for_are_there(tmp_path, table):
    write_index(table, tmp_path)
    found = read_index(tmp_path, columns=["item_id", "chipid"], bbox=(-180, -90, 180, 90))
    assert found.column_names == ["item_id", "chipid"]
    assert b"geo" not in found.schema.metadata
    with pytest.raises(UsageError, match="clouds"):
        read_index(tmp_path, columns=["clouds"])


def test_an_unknown_filter_is_refused(tmp_path, table):
    write_index(table, tmp_path)
    with pytest.raises(UsageError, match="cloud_max"):
        read_index(tmp_path, cloud_max=0.1)


def test_what_was_read_knows_where_from(tmp_path, table, monkeypatch):
    write_index(table, tmp_path / "index")
    monkeypatch.chdir(tmp_path)
    assert index_of(read_index("index")) == str(tmp_path / "index")
    assert index_of(table) is None


@pytest.mark.parametrize("form", ["index", "./index", "index/", "../{}/index"])
def test_relative_paths_lead_to_an_index(tmp_path, table, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    path = form.format(tmp_path.name)
    write_index(table, path)
    assert read_index(path).num_rows == 12
    assert read_index(f"file://{tmp_path}/index").num_rows == 12


def test_a_tree_of_folders_is_an_index(tmp_path):
    tables = make_tables(5)
    for table in tables:
        row = table.slice(0, 1).to_pylist()[0]
        write_index(table, tmp_path / row["platform"] / row["item_id"])
    assert rows_of(read_index(tmp_path)) == rows_of(concat_indexes(tables))
    assert len(read_records(tmp_path)) == 5
    assert read_index(tmp_path / "sentinel-2-l2a").num_rows == 3 * 12


def test_items_of_plain_files_come_along(tmp_path):
    for table in make_tables(3):
        pq.write_table(table, tmp_path / f"{table['item_id'][0]}.parquet")
    assert sorted(embedded_items(read_index(tmp_path))) == [
        ("landsat-c2l2-sr", "item-001"),
        ("sentinel-2-l2a", "item-000"),
        ("sentinel-2-l2a", "item-002"),
    ]
    (key,) = embedded_items(read_index(tmp_path, item_id="item-001"))
    assert key == ("landsat-c2l2-sr", "item-001")


def test_files_that_lack_newer_columns_can_be_filtered_by_them(tmp_path, table):
    pq.write_table(table.drop_columns(["snow_percentage"]), tmp_path / "old.parquet")
    import pyarrow.compute as pc

    assert read_index(tmp_path, where=pc.field("snow_percentage").is_null()).num_rows == 12


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(ObjectNotFound, match="nowhere"):
        read_index(tmp_path / "nowhere")
    with pytest.raises(ObjectNotFound, match="nowhere"):
        read_index(tmp_path / "nowhere.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ObjectNotFound, match="no parquet file"):
        read_index(tmp_path / "empty")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>not found</html>" * 10])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    (tmp_path / "broken.parquet").write_bytes(content)
    with pytest.raises(IndexFormatError, match=r"broken\.parquet is not a parquet file"):
        read_index(tmp_path)


def test_a_truncated_file_is_an_error(tmp_path, table):
    pq.write_table(table, tmp_path / "chips.parquet")
    whole = (tmp_path / "chips.parquet").read_bytes()
    (tmp_path / "chips.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IndexFormatError):
        read_index(tmp_path)


def test_a_parquet_file_of_something_else_is_no_index(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(IndexFormatError, match=r"other\.parquet: .*column 'chipid' is absent"):
        read_index(tmp_path)


def test_an_index_that_lacks_a_file_is_refused(tmp_path):
    write_index(concat_indexes(make_tables(4)), tmp_path)
    (tmp_path / "chips-landsat-c2l2-sr.parquet").unlink()
    with pytest.raises(IndexFormatError, match=r"chips-landsat-c2l2-sr\.parquet is missing"):
        read_index(tmp_path)


def test_a_manifest_that_is_none_is_named(tmp_path, table):
    write_index(table, tmp_path)
    (tmp_path / "_index.json").write_text('{"flies": []}')
    with pytest.raises(IndexFormatError, match=r"_index\.json"):
        read_index(tmp_path)


# --- what is read of a file


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One file of 40 row groups: an item each, at places and times of its own."""
    folder = tmp_path_factory.mktemp("large")
    tables = [
        make_table(f"item-{i:03d}", day=i, zone=1 + i, chips=(20, 20), platform="ab"[i // 20])
        for i in range(40)
    ]
    with pq.ParquetWriter(folder / "chips.parquet", SCHEMA) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(SCHEMA.metadata))
    with RangeServer(folder) as server:
        yield server, concat_indexes(tables)


def bytes_for(server, **filters):
    storage = Storage()
    table = read_index(server.url("chips.parquet"), storage=storage, **filters)
    return table, storage.bytes_read


def test_all_of_a_remote_file_is_read_where_nothing_is_filtered(large):
    server, rows = large
    assert read_index(server.url("chips.parquet")).select(SCHEMA.names).equals(rows)


@pytest.mark.parametrize(
    ("filters", "items"),
    [
        ({"item_id": "item-007"}, ["item-007"]),
        ({"datetime": "2024-01-08"}, ["item-007"]),
        ({"bbox": (-141, 35, -140.9, 40)}, ["item-006"]),
        ({"geometry": shapely.Point(-140.9, 36.1).buffer(0.1)}, ["item-006"]),
        ({"platform": "a", "datetime": "2024-01-05/2024-01-06"}, ["item-004", "item-005"]),
    ],
    ids=str,
)
def test_row_groups_without_a_match_are_not_loaded(large, filters, items):
    server, rows = large
    found, read = bytes_for(server, **filters)
    assert found["item_id"].unique().to_pylist() == items
    expected = Selection(**filters).apply(rows)
    assert found.select(SCHEMA.names).equals(expected.select(SCHEMA.names))
    # the end of the file with its footer, and one or two of 40 row groups
    whole = bytes_for(server)[1]
    assert read < whole / 4


def test_columns_that_are_not_asked_for_are_not_loaded(large):
    server, _ = large
    _, whole = bytes_for(server)
    _, part = bytes_for(server, columns=["item_id", "datetime"])
    assert part < whole / 4


def test_an_index_is_scanned_by_row_group(large):
    server, rows = large
    parts = list(
        scan_index(server.url("chips.parquet"), platform="b", columns=["chipid", "item_id"])
    )
    assert [len(part) for part in parts] == [400] * 20
    assert pa.concat_tables(parts)["chipid"].to_pylist() == rows["chipid"].to_pylist()[8000:]


# --- places


@pytest.mark.servers
def test_an_index_lives_in_an_object_store(seaweed, tmp_path):
    storage = Storage(options=seaweed.options)
    table = concat_indexes(make_tables(4))
    place = "s3://private/some/index"
    write_index(table, place, headers={"item-000": {"red": make_header()}}, storage=storage)
    names = {entry.href.rpartition("/")[2] for entry in storage.list(place)}
    assert len(names) == 4
    assert rows_of(read_index(place, storage=storage)) == rows_of(table)
    assert read_index(f"{place}/", platform="landsat-c2l2-sr", storage=storage).num_rows == 24
    assert set(read_records(place, item_ids=["item-000"], storage=storage)[0].headers) == {"red"}
    write_index(make_table("new"), place, storage=storage)
    assert read_index(place, storage=storage)["item_id"].unique().to_pylist() == ["new"]


def test_an_index_is_read_from_a_web_server_which_cannot_be_listed(tmp_path):
    table = concat_indexes(make_tables(4))
    write_index(table, tmp_path / "index")
    with RangeServer(tmp_path) as server:
        assert rows_of(read_index(server.url("index"))) == rows_of(table)
        assert len(read_records(server.url("index"))) == 4
        (tmp_path / "index" / "_index.json").unlink()
        with pytest.raises(ObjectNotFound, match=r"chips\.parquet"):
            read_index(server.url("index"))
    with pytest.raises(UsageError, match="written"):
        write_index(table, "http://127.0.0.1:9/index")


def test_no_secret_is_written_with_an_index(tmp_path):
    signed = "https://example.com/a.json?X-Amz-Signature=secret"
    table = make_table("a")
    item = make_item("a", red="https://example.com/r.tif?X-Amz-Signature=secret")
    position = table.column_names.index("item_href")
    write_index(
        table.set_column(position, "item_href", pa.array([signed] * 12)), tmp_path, items=[item]
    )
    (record,) = read_records(tmp_path)
    assert "secret" not in json.dumps(record.item)
    assert "secret" not in str(read_index(tmp_path)["item_href"].to_pylist())


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "x" * 300, "x" * 300 + ".parquet"])
def test_a_path_that_no_file_can_have_is_refused(name, tmp_path):
    path = f"{tmp_path}/{name}"
    uses = (
        read_index, Chipper, partial(write_index, SCHEMA.empty_table()),
        partial(merge_indexes, [tmp_path]), partial(remove, platform="naip"),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(UsageError, match="cannot be the path of an index"):
            use(path)


def test_a_name_that_no_index_can_hold_is_refused(tmp_path):
    write_index(SCHEMA.empty_table(), tmp_path / "index")
    many = [f"item-{number}" for number in range(2000)]
    for wanted, shown in (
        ({"platform": ["\ud800"]}, r"platform= takes text without .* got '\\ud800'\. Mend"),
        ({"item_id": 5}, r"item_id= takes text .* got 5\."),
        ({"item_id": 5.5}, r"item_id= takes text .* got 5\.5\."),
        ({"item_id": [*many, b"\xff", "\ud800"]}, r"item_id= takes text .* got b'\\xff'\."),
        ({"chip_size": 1 << 70}, r"chip_size= takes whole numbers .* got 118059"),
    ):
        with pytest.raises(UsageError, match=shown) as caught:
            read_index(tmp_path / "index", **wanted)
        assert len(str(caught.value)) < 200


def test_no_table_at_all_is_not_put_together():
    with pytest.raises(UsageError, match="no table"):
        concat_indexes([])
