"""An index grows in a folder where other tools named the files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from index.tables import make_tables, rows_of
from servers.range_server import RangeServer
from stacchip.errors import UsageError
from stacchip.index import (
    append_to_index,
    compact_index,
    merge_indexes,
    read_index,
    remove,
    write_index,
)
from stacchip.index.files.layout import read_manifest
from stacchip.storage import Storage

STORAGE = Storage()
TABLES = make_tables(4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an index of ours and one of another tool's, and no `_index.json`."""
    path = tmp_path / "index"
    path.mkdir()
    pq.write_table(TABLES[0], path / "chips.parquet")
    pq.write_table(TABLES[1], path / "part 0.parquet")
    return path


def files_of(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}


def test_a_manifest_that_an_append_makes_names_all_files(folder: Path) -> None:
    append_to_index(folder, TABLES[2])
    wanted = {"chips.parquet", "part 0.parquet", "chips-sentinel-2-l2a.part-000001.parquet"}
    assert set(read_manifest(str(folder), STORAGE) or ()) == wanted
    with RangeServer(folder.parent) as server:
        found = read_index(server.url("index"), storage=STORAGE)
    assert rows_of(found) == rows_of(read_index(folder))
    assert set(found["item_id"].to_pylist()) == {"item-000", "item-001", "item-002"}


def test_a_manifest_that_a_removal_makes_names_all_files(folder: Path) -> None:
    append_to_index(folder, TABLES[2])
    (folder / "_index.json").unlink()
    for part in folder.glob("*part-0*"):
        part.unlink()
    remove(folder, item_id="item-000")
    with RangeServer(folder.parent) as server:
        found = read_index(server.url("index"), storage=STORAGE)
    assert set(found["item_id"].to_pylist()) == {"item-001"}


def test_files_that_a_manifest_names_are_written_again_by_compact(folder: Path) -> None:
    append_to_index(folder, TABLES[2])
    before = read_index(folder)
    compact_index(folder)
    assert not list(folder.glob("*part*"))
    assert set(rows_of_text(read_index(folder))) == set(rows_of_text(before))


def rows_of_text(table: object) -> list[str]:
    return [str(row) for row in rows_of(table)]


@pytest.mark.parametrize("name", ["a%2fb.parquet", "a%5Cb.parquet", "a\nb.parquet"])
def test_a_name_that_no_manifest_can_list_is_refused_before_anything_is_written(
    folder: Path, name: str
) -> None:
    (folder / "part 0.parquet").rename(folder / name)
    before = files_of(folder)
    for change in (
        lambda: append_to_index(folder, TABLES[2]),
        lambda: remove(folder, item_id="item-001"),
        lambda: remove(folder, platform=TABLES[1]["platform"][0].as_py()),
    ):
        with pytest.raises(UsageError, match=r"cannot list a name like that\. Rename the file"):
            change()
        assert files_of(folder) == before
    assert len(read_index(folder)) == 24


@pytest.mark.parametrize("name", ["a%2fb.parquet", "a%5Cb.parquet", "a\\b.parquet", "a\tb.parquet"])
def test_a_name_that_no_manifest_can_list_cannot_be_chosen(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name the file of 1 sources"):
        write_index(TABLES[0], tmp_path, name=name)
    assert not list(tmp_path.iterdir())


def test_nothing_to_add_is_said_as_such(tmp_path: Path) -> None:
    write_index(TABLES[0], tmp_path / "index")
    with pytest.raises(UsageError, match="There is nothing to add: give at least one"):
        append_to_index(tmp_path / "index", [])
    with pytest.raises(UsageError, match="There is nothing to merge: give at least one"):
        merge_indexes([], tmp_path / "merged")
