"""Whether a place can be written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacchip.errors import StorageError, UsageError
from stacchip.storage import Storage
from stacchip.storage.writable import PROBE, require_writable
from storage.small_store import SmallStore
from users import without_privileges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store() -> Iterator[SmallStore]:
    with SmallStore() as store:
        yield store


def test_a_bucket_that_takes_an_object_keeps_none(store):
    require_writable("s3://bucket/archive/", store.storage)
    puts, *deletions = store.requests
    assert puts.startswith(f"PUT /bucket/archive/{PROBE}")
    assert len(deletions) == 1


def test_an_object_that_may_not_be_deleted_is_left(store):
    store.delete_status, store.code = 403, "AccessDenied"
    require_writable("s3://bucket", store.storage)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "s3://bucket/a cannot be written to: the bucket is not there. Make"),
        (403, "AccessDenied", "s3://bucket/a cannot be written to: the store refuses it. Access"),
        (400, "InvalidBucketName", "s3://bucket/a cannot be written to: the store refuses it."),
    ],
)
def test_a_bucket_that_is_not_there_or_refuses_is_misuse(store, status, code, words):
    store.put_status, store.code = status, code
    with pytest.raises(UsageError) as caught:
        require_writable("s3://bucket/a", store.storage)
    assert str(caught.value).startswith(words)
    assert caught.value.status == status
    assert "..." not in str(caught.value).replace("./archive", "")


def test_a_store_that_is_busy_is_not_misuse(store):
    store.put_status, store.code = 503, "SlowDown"
    with pytest.raises(StorageError):
        require_writable("s3://bucket/a", store.storage)


def test_a_folder_is_looked_at_and_nothing_is_made(tmp_path):
    require_writable(tmp_path / "deep" / "archive", Storage())
    require_writable(f"file://{tmp_path}/archive", Storage())
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/archive cannot be written to: .*file is a file"):
        require_writable(tmp_path / "file" / "archive", Storage())


@pytest.fixture
def read_only(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_to_is_refused(read_only):
    """What counts is the user who would write, not the one who started the program."""
    refused = r"/archive cannot be written to: access to .* was refused. Check its permissions"
    with without_privileges(), pytest.raises(UsageError, match=refused):
        require_writable(read_only / "archive", Storage())


def test_a_web_server_takes_nothing():
    with pytest.raises(UsageError, match="cannot be written to"):
        require_writable("https://example.com/archive", Storage())
