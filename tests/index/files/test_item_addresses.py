"""An index inside an archive in a folder names its items relative to itself."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.errors import ItemNotFound
from stacchip.index import (
    merge_indexes,
    read_index,
    read_records,
    remove,
    scan_index,
    write_headers,
    write_index,
)
from stacchip.index.files.item_addresses import read_addresses, store_addresses
from stacchip.indexer import Indexer
from stacchip.items import load_items

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """An archive of two items in a folder, whose name is relative to the working folder."""
    folder = tmp_path / "archive"
    for item_id in ("scene-1", "scene-2"):
        scene = make_scene(folder / "unknown" / item_id, item_id)
        (scene.folder / "item.json").rename(scene.folder / "stac_item.json")
    monkeypatch.chdir(tmp_path)
    return folder


def index_of(archive: Path, item_id: str) -> pa.Table:
    (item,) = load_items(archive / "unknown" / item_id / "stac_item.json")
    return Indexer(item, 256).create_index()


def place_of(item_id: str) -> str:
    return f"archive/index/unknown/{item_id}"


def cut(index: object) -> np.ndarray:
    return Chipper(index, assets=["red"]).cut_row(0).array


def stored(path: Path) -> str:
    """Return everything that a parquet file says about places, as text."""
    table = pq.read_table(path)
    texts = [str(value) for value in (table.schema.metadata or {}).values()]
    for name in ("item_href", "item"):
        texts += (
            [str(each) for each in table[name].to_pylist()] if name in table.schema.names else []
        )
    return "\n".join(texts)


def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move the archive, and work in another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "archive", elsewhere / "moved")
    monkeypatch.chdir(elsewhere)
    return elsewhere / "moved"


def test_an_index_of_each_item_moves_with_its_archive(archive, tmp_path, monkeypatch):
    write_index(index_of(archive, "scene-1"), place_of("scene-1"), name="index_scene-1.parquet")
    expected = cut(place_of("scene-1"))
    folder = archive / "index/unknown/scene-1"
    for file in folder.glob("*.parquet"):
        assert str(tmp_path) not in stored(file)
        hrefs = pq.read_table(file)["item_href"].unique().to_pylist()
        assert hrefs == ["../../../unknown/scene-1/stac_item.json"]
    moved = move(tmp_path, monkeypatch)
    place = "moved/index/unknown/scene-1"
    item = str(moved / "unknown/scene-1/stac_item.json")
    assert read_index(place)["item_href"].unique().to_pylist() == [item]
    assert next(scan_index(place, columns=["item_href"]))["item_href"][0].as_py() == item
    assert read_records(place)[0].item_href == item
    for index in (place, f"{place}/index_scene-1.parquet", read_index(place)):
        np.testing.assert_array_equal(cut(index), expected)


def test_merged_indexes_inside_an_archive_move_with_it(archive, tmp_path, monkeypatch):
    for item_id in ("scene-1", "scene-2"):
        write_index(index_of(archive, item_id), place_of(item_id))
    merge_indexes("archive/index", "archive/merged")
    write_index(read_index("archive/merged"), "archive/one.parquet")
    expected = cut("archive/merged")
    assert str(tmp_path) not in stored(archive / "merged/_items.parquet")
    assert str(tmp_path) not in stored(archive / "one.parquet")
    move(tmp_path, monkeypatch)
    np.testing.assert_array_equal(cut("moved/merged"), expected)
    np.testing.assert_array_equal(cut("moved/one.parquet"), expected)
    remove("moved/merged", item_id="scene-2")
    write_headers("moved/merged", {})
    np.testing.assert_array_equal(cut("moved/merged"), expected)
    merge_indexes("moved/index", "outside")
    np.testing.assert_array_equal(cut("outside"), expected)


def test_an_index_outside_an_archive_can_be_moved_away_from_it(archive, tmp_path, monkeypatch):
    write_index(index_of(archive, "scene-1"), "mine")
    expected = cut("mine")
    assert (
        read_index("mine")["item_href"][0].as_py()
        == pq.read_table("mine/chips.parquet")["item_href"][0].as_py()
    )
    shutil.move("mine", tmp_path / "away")
    np.testing.assert_array_equal(cut("away"), expected)


def test_a_condition_on_the_address_is_one_on_what_is_read(archive):
    write_index(index_of(archive, "scene-1"), place_of("scene-1"))
    item = str(archive / "unknown/scene-1/stac_item.json")
    found = read_index(place_of("scene-1"), where=pc.field("item_href") == item)
    assert found.num_rows == read_index(place_of("scene-1")).num_rows > 0


def test_records_hold_no_link_to_where_the_item_was(archive):
    write_index(index_of(archive, "scene-1"), place_of("scene-1"))
    (text,) = pq.read_table(archive / "index/unknown/scene-1/_items.parquet")["item"].to_pylist()
    assert not [link for link in json.loads(text)["links"] if link["rel"] == "self"]
    assert json.loads(text)["assets"]["red"]["href"] == "./red.tif"


@pytest.mark.parametrize(
    ("href", "folder", "kept"),
    [
        ("/a/naip/m/stac_item.json", "/a/index/naip/m", "../../../naip/m/stac_item.json"),
        ("/a/naip/m/stac_item.json", "/a", "./naip/m/stac_item.json"),
        ("/a/naip/m/stac_item.json", "/ab", "/a/naip/m/stac_item.json"),
        ("/a/naip/m/item.json", "/a/index", "/a/naip/m/item.json"),
        ("/a/naip/m/stac_item.json", "s3://b/index", "/a/naip/m/stac_item.json"),
        ("s3://b/naip/m/stac_item.json", "/a/index", "s3://b/naip/m/stac_item.json"),
        ("s3://b/naip/m/stac_item.json", "s3://b/index", "s3://b/naip/m/stac_item.json"),
        (None, "/a/index", None),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "large", "dictionary"])
def test_only_addresses_within_one_archive_are_relative(href, folder, kept, kind):
    kinds = {
        "plain": pa.string(),
        "large": pa.large_string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    rows = pa.table({"item_href": pa.array([href, href]).cast(pa.string()).cast(kinds[kind])})
    there = store_addresses(rows, folder)
    assert there["item_href"].to_pylist() == [kept, kept]
    assert there.schema == rows.schema
    assert read_addresses(there, f"{folder}/chips.parquet")["item_href"].to_pylist() == [href] * 2


def test_an_archive_that_was_copied_into_a_bucket_names_its_items_there():
    rows = pa.table({"item_href": ["../../../naip/m/stac_item.json"]})
    found = read_addresses(rows, "s3://b/archive/index/naip/m/index_m.parquet")
    assert found["item_href"].to_pylist() == ["s3://b/archive/naip/m/stac_item.json"]


def test_a_path_of_another_tool_is_left_alone():
    rows = pa.table({"item_href": ["items/a.json", "/data/a.json"]})
    assert read_addresses(rows, "/index/chips.parquet") is rows


def test_rows_that_another_tool_read_tell_what_is_lacking(archive):
    write_index(index_of(archive, "scene-1"), place_of("scene-1"))
    rows = pq.read_table(archive / "index/unknown/scene-1/chips.parquet").to_pandas()
    stranger = rows.assign(item_id="scene-3")  # this process remembers the items it indexed
    with pytest.raises(ItemNotFound, match=r"is relative to the file of its index.*mountpath="):
        Chipper(stranger)[0]
    assert Chipper(rows, mountpath=archive, assets=["red"])[0][2]["red"].shape == (1, 256, 256)
