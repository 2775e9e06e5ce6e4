"""Indexes in folders that the user may not enter, or may not list."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from index.tables import make_table, rows_of
from kills import files_of
from stacchip.errors import AccessDenied, StacchipError
from stacchip.index import (
    add_headers,
    merge_indexes,
    read_index,
    read_records,
    remove,
    write_index,
)
from stacchip.raster.cache import DiskCache
from users import without_privileges


@pytest.fixture
def folder(monkeypatch):
    """A folder that all may enter, as they may not enter pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        monkeypatch.setattr("tempfile.tempdir", name)
        write_index(make_table("old"), Path(name, "index"))
        write_index(make_table("new"), Path(name, "new"))
        yield Path(name)


CALLS = {
    "read_index": lambda index, _: read_index(index),
    "read_index of a file": lambda index, _: read_index(index / "chips.parquet"),
    "read_records": lambda index, _: list(read_records(index)),
    "write_index": lambda index, other: write_index(read_index(other), index),
    "write a file": lambda index, other: write_index(read_index(other), f"{index}.parquet"),
    "merge_indexes": lambda index, other: merge_indexes(other, index),
    "merge_indexes from there": lambda index, other: merge_indexes(index, other.parent / "merged"),
    "remove": lambda index, _: remove(index, platform="sentinel-2-l2a"),
    "add_headers": lambda index, _: add_headers(index),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("place", ["inside", "a" * 300])
def test_an_index_that_cannot_be_looked_at_is_an_error_that_names_it(folder, name, place):
    locked = folder / "locked" if place == "inside" else folder / place
    if place == "inside":
        shutil.copytree(folder / "index", locked / "index")
        locked.chmod(0)
    with without_privileges(), pytest.raises(StacchipError, match=locked.name[:100]) as caught:
        CALLS[name](locked / "index", folder / "new")
    if place == "inside":
        assert type(caught.value) is AccessDenied
        locked.chmod(0o755)
        assert files_of(locked / "index") == files_of(folder / "index")


def test_an_index_whose_folder_may_not_be_listed_stays_as_it_is(folder):
    """It is not taken for an empty folder."""
    index = folder / "index"
    before = files_of(index)
    index.chmod(0o333)
    with without_privileges(), pytest.raises(AccessDenied, match="Check its permissions"):
        write_index(read_index(folder / "new"), index)
    index.chmod(0o755)
    assert files_of(index) == before


@pytest.mark.parametrize("name", [".stacchip-stage-0123456789abcdef", "lost+found"])
def test_a_folder_of_the_system_or_another_user_in_an_index_does_not_matter(folder, name):
    index = folder / "index"
    index.chmod(0o777)
    (index / name).mkdir(mode=0)
    with without_privileges():
        assert len(rows_of(read_index(index))) == 12
        write_index(read_index(folder / "new"), index)
        assert rows_of(read_index(index)) == rows_of(read_index(folder / "new"))


def test_a_folder_that_may_hold_files_of_an_index_is_named(folder):
    index = folder / "index"
    (index / "year=2020").mkdir(mode=0)
    with without_privileges(), pytest.raises(AccessDenied, match="index/year=2020") as caught:
        read_index(index)
    assert caught.value.href == str(index / "year=2020")


def test_a_cache_that_may_not_be_looked_at_holds_no_block(folder):
    (folder / "cache").mkdir(mode=0)
    with without_privileges():
        assert not DiskCache(folder / "cache", 1000).has((0, 1, 2, 3, 4, 5))
