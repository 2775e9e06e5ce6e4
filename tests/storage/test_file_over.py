"""A file takes the place of one version of another, and of no other version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stacchip.errors import AssetChanged, StorageTimeout, UsageError
from stacchip.storage import Storage
from stacchip.storage.file_over import file_over
from storage.small_store import SmallStore

PART = 8 * 1024 * 1024


def test_a_local_file_is_written_over_the_version_that_was_seen_alone(tmp_path: Path) -> None:
    storage, href = Storage(), str(tmp_path / "folder/a.txt")
    storage.write_over(href, b"one", None)
    seen = storage.stat(href)
    with pytest.raises(AssetChanged):
        storage.write_over(href, b"other", None)
    storage.write_over(href, b"second", seen)
    with pytest.raises(AssetChanged):
        storage.write_over(href, b"third", seen)
    assert storage.read(href) == b"second"
    storage.delete(href)
    with pytest.raises(AssetChanged):
        storage.write_over(href, b"third", seen)
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_bytes_may_be_those_of_a_file(tmp_path: Path) -> None:
    storage = Storage()
    for content in (b"", b"chips"):
        (tmp_path / "a").write_bytes(content)
        storage.write_over(tmp_path / f"b{len(content)}", tmp_path / "a", None)
        assert storage.read(tmp_path / f"b{len(content)}") == content


def test_a_file_that_fails_while_it_is_written_takes_no_place(tmp_path: Path) -> None:
    def fail() -> None:
        with file_over(tmp_path / "folder/a.txt", None, Storage()) as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_store_gets_a_file_in_one_request_with_the_time_limit_of_its_parts() -> None:
    with SmallStore() as store:
        store.pause_s = 0.5
        options = replace(store.storage.options, deadline_s=0.25, max_attempts=1)
        storage = Storage(options=options)
        with file_over("s3://cubes/large", None, storage) as path:
            path.write_bytes(bytes(7 * PART + 1))
        assert store.requests == ["PUT /cubes/large"]
        with pytest.raises(StorageTimeout), file_over("s3://cubes/small", None, storage) as path:
            path.write_bytes(b"small")


def test_nothing_is_written_over_on_a_web_server() -> None:
    with pytest.raises(UsageError, match="cannot be written to"):
        Storage().write_over("https://example.com/a", b"one", None)
