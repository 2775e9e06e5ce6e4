"""Records, manifests and metadata of an index are checked like anything else from outside."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_header, make_item, make_table
from stacchip.errors import IndexFormatError, LimitExceeded, UsageError
from stacchip.index import (
    append_to_index,
    merge_indexes,
    read_index,
    read_records,
    write_index,
)
from stacchip.index.files.item_records import ItemRecord, from_table, to_table
from stacchip.storage import Limits, Storage, StorageOptions


@pytest.fixture
def folder(tmp_path):
    write_index(make_table(), tmp_path / "index", headers={"item-1": {"red": make_header()}})
    return tmp_path / "index"


def change_record(folder, **changes):
    """Write `_items.parquet` again, with other values in its one row."""
    (row,) = pq.read_table(folder / "_items.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist([{**row, **changes}]), folder / "_items.parquet")


def change_header(folder, **changes):
    (row,) = pq.read_table(folder / "_items.parquet").to_pylist()
    (asset,) = row["assets"]
    header = json.loads(asset["header"]) | changes
    schema = pq.read_schema(folder / "_items.parquet")
    row["assets"] = [{**asset, "header": json.dumps(header)}]
    pq.write_table(pa.Table.from_pylist([row], schema), folder / "_items.parquet")


def append_anew(folder):
    append_to_index(folder, make_table(), duplicates="replace")


@pytest.mark.parametrize("name", ["platform", "item_id"])
def test_records_without_keys_are_no_foreign_error(folder, name) -> None:
    table = pq.read_table(folder / "_items.parquet")
    place = table.column_names.index(name)
    lists = pa.array([[each] for each in table[name].to_pylist()])
    for odd in (table.drop_columns(name), table.set_column(place, name, lists)):
        pq.write_table(odd, folder / "_items.parquet")
        for look in (read_records, append_anew):
            with pytest.raises((IndexFormatError, UsageError)):
                look(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"item": "no JSON"},
        {"item": "[1]"},
        {"item": "[" * 200_000},
        {"item": '{"a": [' + "[]," * (10 << 20) + "0]}"},  # 30 MB of text, 1 GB of lists
        {"item": None},
        {"item": 5},
        {"item_id": None},
        {"item_id": 7},
        {"platform": None},
        {"assets": "red"},
        {"assets": [{"key": None, "header": "{}", "arrays": []}]},
        {"assets": [{"key": "red"}]},
        {"assets": [5]},
    ],
    ids=lambda each: str(each)[:30],
)
def test_an_odd_record_is_an_error_that_names_its_file(folder, changes) -> None:
    change_record(folder, **changes)
    with pytest.raises(IndexFormatError, match=r"_items\.parquet"):
        read_records(folder)
    try:
        merge_indexes(folder, f"{folder}-merged")
    except IndexFormatError as error:
        assert "_items.parquet" in str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {"height": -1},
        {"height": 0},
        {"width": 10**9},
        {"width": 1e300},
        {"width": "512"},
        {"block_height": 0},
        {"block_width": None},
        {"count": 2**40},
        {"dtype": "uint17"},
        {"dtype": "object"},
        {"dtype": 5},
        {"nodata": "none"},
        {"fill": None},
        {"byteorder": "="},
        {"validity": "perhaps"},
        {"transform": "[1, 2]"},
        {"transform": "[NaN, 0, 0, 0, 1, 0]"},
        {"transform": "x"},
        {"scales": "[]"},
        {"shifts": '["a"]'},
        {"alpha": 9},
        {"bits": -8},
        {"size_bytes": "many"},
        {"is_tiled": "yes"},
        {"crs": 4326},
        {"mask": "[]"},
    ],
    ids=str,
)
def test_an_odd_header_is_an_error_that_names_its_file(folder, changes) -> None:
    change_header(folder, **changes)
    with pytest.raises(IndexFormatError, match=r"_items\.parquet"):
        read_records(folder)


def test_a_header_of_fewer_blocks_than_its_image_is_refused() -> None:
    table = to_table([ItemRecord("p", "a", make_item("a"), None, {"red": make_header()})])
    (row,) = table.to_pylist()
    arrays = [
        (key, value[:-4] if key == "block_lengths" else value)
        for key, value in row["assets"][0]["arrays"]
    ]
    row["assets"][0]["arrays"] = arrays
    with pytest.raises(IndexFormatError, match="4 blocks, and 12 bytes"):
        list(from_table(pa.Table.from_pylist([row], table.schema)))


@pytest.mark.parametrize("name", ["codec_tags", "mask"])
def test_a_header_of_endless_tags_is_refused_before_they_are_lists(name) -> None:
    table = to_table([ItemRecord("p", "a", make_item("a"), None, {"red": make_header()})])
    (row,) = table.to_pylist()
    (asset,) = row["assets"]
    bomb = b"[" + b"[]," * 200_000 + b"0]"
    facts = {key: value for key, value in json.loads(asset["header"]).items() if key != name}
    arrays = [pair for pair in asset["arrays"] if pair[0] != name]
    row["assets"] = [{**asset, "header": json.dumps(facts), "arrays": [*arrays, (name, bomb)]}]
    with pytest.raises(IndexFormatError, match="more than 100,000 parts"):
        list(from_table(pa.Table.from_pylist([row], table.schema)))


def test_a_manifest_of_endless_lists_is_refused_before_they_are_there(folder) -> None:
    (folder / "_index.json").write_text('{"files": [' + "[]," * 1_600_000 + "0]}")
    with pytest.raises(IndexFormatError, match=r"_index\.json .*more than 3,000,000 parts"):
        read_records(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"files": 5}',
        '{"files": [5]}',
        '{"files": ["../../etc/passwd"]}',
        '{"files": ["../other/chips.parquet"]}',
        '{"files": ["/etc/chips.parquet"]}',
        '{"files": ["https://elsewhere/chips.parquet"]}',
        '{"files": ["file:chips.parquet/../x.parquet"]}',
        '{"files": ["..%2fchips.parquet"]}',
        '{"files": ["a%2Fchips.parquet"]}',
        '{"files": ["\\ud800.parquet"]}',
        '{"files": [".hidden.parquet"]}',
        '{"files": ["chips.parquet"], "format": "3"}',
        '{"files": ["chips.parquet"], "format": "1"}',
        '{"files": ["chips.parquet"], "format": 3.0}',
        '{"files": ["chips.parquet"], "format": 1.0}',
        '{"files": ["chips.parquet"], "format": true}',
        '{"files": ["chips.parquet"], "format": null}',
        '{"files": ["chips.parquet"], "format": 0}',
        "[" * 200_000,
        "\xff\xfe",
    ],
    ids=lambda text: text[:30],
)
def test_an_odd_manifest_is_an_error_that_names_it(folder, text) -> None:
    (folder / "_index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(IndexFormatError, match=r"_index\.json"):
        read_index(folder)


@pytest.mark.parametrize(
    "metadata",
    [
        {"stacchip:items": "["},
        {"stacchip:items": "[" * 200_000},
        {"stacchip:items": '{"p/5": {"id": 5}}'},
        {"stacchip:items": b"\xff"},
        {"stacchip:index": b"\xff\xfe"},
        {"geo": "no JSON"},
        {"geo": "[" * 200_000},
        {"geo": '{"columns": {"geometry": {"crs": 5}}}'},
        {"geo": '{"columns": 5, "primary_column": [1]}'},
        {"geo": b"\xff"},
    ],
    ids=str,
)
def test_odd_metadata_of_a_table_and_of_a_file_are_ignored_or_refused(tmp_path, metadata) -> None:
    table = make_table().replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    for attempt in (
        lambda: read_index(tmp_path / "a.parquet").num_rows,
        lambda: write_index(table, tmp_path / "index") or read_index(tmp_path / "index").num_rows,
    ):
        try:
            assert attempt() == table.num_rows
        except IndexFormatError as error:
            assert "rite" in str(error), "it says what to do"


def test_text_that_is_not_utf8_is_refused_in_files_of_other_tools(tmp_path) -> None:
    table = make_table()
    place = table.schema.get_field_index("item_id")
    broken = pa.array([b"\xff"] * table.num_rows, pa.binary())
    broken = pa.StringArray.from_buffers(len(broken), *broken.buffers()[1:])
    table = table.set_column(place, "item_id", broken)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(IndexFormatError, match=r"a\.parquet is damaged: .*UTF8"):
        read_index(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["geo", "stacchip:items"])
def test_metadata_that_would_fill_the_memory_is_refused_before_it_is_lists(name, tmp_path) -> None:
    """A file of 60 MB took 2 GB and half a minute to open."""
    text = b'{"a":[' + b"[]," * 100_000 + b"0]}"
    pq.write_table(make_table().replace_schema_metadata({name: text}), tmp_path / "a.parquet")
    storage = Storage(options=StorageOptions(limits=Limits(document_bytes=len(text))))
    with pytest.raises(LimitExceeded, match=rf"metadata '{name}' of \S*a\.parquet has 300,0\d\d"):
        read_index(tmp_path / "a.parquet", storage=storage)
