"""Which files are of an index, and which are not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import make_table, make_tables
from stacchip.errors import IndexFormatError, ObjectNotFound
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.index.files.layout import (
    CHIPS,
    MANIFEST,
    RECORDS,
    chips_in_folder,
    chips_name,
    find_files,
    index_href,
    is_file,
    read_manifest,
)
from stacchip.storage import Storage

STORAGE = Storage()


def names(folder: Path) -> list[str]:
    files = find_files(index_href(folder), STORAGE)
    return [os.path.relpath(entry.href, folder) for entry in files.chips]


@settings(deadline=None)
@given(st.lists(st.text(max_size=130), unique=True, max_size=20))
def test_no_two_sources_share_a_file(platforms):
    found = [chips_name(platform) for platform in platforms]
    assert len(set(found)) == len(set(platforms))
    assert len({name.lower() for name in found}) == len(set(found)), "on disks that ignore case"
    for name in found:
        assert "/" not in name
        assert len(name.encode()) < 255
        assert not name.startswith((".", "_"))


def test_the_files_of_a_written_index_are_found(tmp_path):
    write_index(make_table(), tmp_path / "one")
    assert names(tmp_path / "one") == [CHIPS]
    merge_indexes([tmp_path / "one", *[write(tmp_path, n) for n in range(2)]], tmp_path / "all")
    assert names(tmp_path / "all") == [
        chips_name("landsat-c2l2-sr"),
        chips_name("sentinel-2-l2a"),
    ]
    assert read_manifest(str(tmp_path / "all"), STORAGE) == names(tmp_path / "all")


def write(folder: Path, number: int) -> Path:
    path = folder / f"part-{number}"
    write_index(make_tables(number + 1)[number], path)
    return path


def test_hidden_files_and_folders_are_passed_over_and_subfolders_are_not(tmp_path):
    write_index(make_table(), tmp_path / "a" / "b")
    for hidden in ("_other/chips.parquet", ".stage/chips.parquet", "a/.x.parquet", "a/_x.parquet"):
        path = tmp_path / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not parquet at all")
    assert names(tmp_path) == [f"a/b/{CHIPS}"]
    assert read_index(tmp_path).num_rows == 12


@pytest.mark.parametrize("path", ["/a/b", "/a/b/", "/a/./b", Path("/a/b")])
def test_a_local_index_has_one_address(path):
    assert index_href(path) == "/a/b"


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/a/index.parquet", True),
        ("/a/index.GEOPARQUET", True),
        ("s3://b/index.parquet", True),
        ("https://h/index.parquet?sig=a.b", True),
        ("/a/index", False),
        ("s3://b/parquet", False),
        ("https://h/index?file=a.parquet", False),
    ],
)
def test_the_name_says_whether_an_index_is_a_file(href, expected):
    assert is_file(href) is expected


def test_a_folder_whose_name_ends_in_parquet_is_a_folder(tmp_path):
    folder = tmp_path / "chips.parquet"
    write_index(make_table(), tmp_path / "index")
    (tmp_path / "index").rename(folder)
    assert not is_file(str(folder))
    assert read_index(folder).num_rows == 12


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["_index.json"], ["_items.parquet"]])
def test_a_folder_without_chips_is_not_an_index(tmp_path, files):
    for name in files:
        (tmp_path / name).write_text(json.dumps({"files": []}))
    with pytest.raises(ObjectNotFound, match="There is no index"):
        find_files(str(tmp_path), STORAGE)


@pytest.mark.parametrize(
    "name", ["none.parquet", "none/chips.geoparquet", "chips.parquet/x.parquet"]
)
def test_a_single_file_that_is_absent_is_not_an_index(tmp_path, name):
    write_index(make_table(), tmp_path / "chips.parquet")
    path = tmp_path / name
    for read in (read_index, lambda path: find_files(str(path), STORAGE)):
        with pytest.raises(ObjectNotFound) as caught:
            read(path)
        assert str(caught.value) == (
            f"There is no index at {path}: there is no such file. Give the folder or parquet file "
            "that an index was written to."
        )
        assert caught.value.href == str(path)


def test_a_single_remote_file_is_not_looked_for():
    href = "http://127.0.0.1:9/index.parquet"  # nothing listens there
    assert [entry.href for entry in find_files(href, STORAGE).chips] == [href]


def test_an_index_that_lacks_a_file_is_refused_until_it_is_there(tmp_path):
    write_index(make_table(), tmp_path)
    (tmp_path / CHIPS).rename(tmp_path / "aside")
    with pytest.raises(IndexFormatError, match=r"chips\.parquet is missing"):
        find_files(str(tmp_path), STORAGE)
    (tmp_path / "aside").rename(tmp_path / CHIPS)
    assert names(tmp_path) == [CHIPS]


def test_a_subfolder_with_a_manifest_must_have_chips(tmp_path):
    write_index(make_table(), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / MANIFEST).write_text(json.dumps({"files": [CHIPS]}))
    with pytest.raises(IndexFormatError, match="not complete"):
        find_files(str(tmp_path), STORAGE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', "not json"])
def test_a_broken_manifest_is_named(tmp_path, text):
    write_index(make_table(), tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(IndexFormatError, match=r"_index\.json is not a list of an index's files"):
        read_index(tmp_path)


def test_an_index_without_a_manifest_is_read(tmp_path):
    write_index(make_table(), tmp_path)
    (tmp_path / MANIFEST).unlink()
    assert read_manifest(str(tmp_path), STORAGE) is None
    assert read_index(tmp_path).num_rows == 12


def test_files_of_others_are_told_from_ours(tmp_path):
    write_index(make_table(), tmp_path)
    for name in ("mine.parquet", "chips-naip.parquet", "x.txt", "_y.parquet"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "z.parquet").write_bytes(b"")
    href = str(tmp_path)
    assert sorted(chips_in_folder(href, STORAGE)) == ["chips-naip.parquet", CHIPS]
    assert chips_in_folder(href, STORAGE, strangers=True) == ["mine.parquet"]


def test_records_are_found_in_every_folder(tmp_path):
    for number in range(3):
        write(tmp_path, number)
    files = find_files(str(tmp_path), STORAGE)
    assert [os.path.relpath(entry.href, tmp_path) for entry in files.records] == [
        f"part-{number}/{RECORDS}" for number in range(3)
    ]
