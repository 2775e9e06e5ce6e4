"""Copies in parts, from a reader of ranges that is a plain object."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import AssetChanged, ObjectNotFound, StorageError, UsageError
from stacchip.storage import Blob, Identity, Storage
from stacchip.storage.copying import PART, PARTS_AHEAD, read_file_parts, read_parts

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import RangeServer

SIZE = 5 * PART + 1234
WHOLE = bytes(range(256)) * (SIZE // 256 + 1)


class Object:
    """An object whose reads are counted, and of which some fail."""

    def __init__(self, failing: dict[int, Exception] | None = None) -> None:
        self.identity = Identity(SIZE, '"a"')
        self.failing = failing or {}
        self.starts: list[int] = []
        self.under_way, self.most_under_way = 0, 0
        self.lock = threading.Lock()

    def stat(self, href: str, /) -> Identity:
        return self.identity

    def read_blob(self, href: str, /) -> Blob:
        return Blob(WHOLE[:SIZE], self.identity)

    def read_range(
        self, href: str, start: int, length: int, /, *, expect: Identity | None = None
    ) -> Blob:
        with self.lock:
            self.starts.append(start)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        time.sleep(0.02)
        with self.lock:
            self.under_way -= 1
        if start in self.failing:
            raise self.failing[start]
        assert start == 0 or expect == self.identity
        return Blob(WHOLE[start : min(start + length, SIZE)], self.identity, start)


def parts_of(source: Object):
    first = source.read_range("a", 0, PART)
    return read_parts(source, "a", first, SIZE)


def test_an_object_is_read_in_parts_in_order_a_few_at_a_time() -> None:
    source = Object()
    parts = list(parts_of(source))
    assert [len(part) for part in parts] == [PART] * 5 + [1234]
    assert b"".join(parts) == WHOLE[:SIZE]
    assert sorted(source.starts) == list(range(0, SIZE, PART))
    assert 1 < source.most_under_way <= PARTS_AHEAD + 1


def test_no_more_is_read_than_is_used() -> None:
    source = Object()
    parts = parts_of(source)
    next(parts)
    next(parts)
    time.sleep(0.1)
    assert len(source.starts) <= 2 + PARTS_AHEAD
    parts.close()
    before = len(source.starts)
    time.sleep(0.1)
    assert len(source.starts) == before


def test_a_part_that_fails_ends_the_copy_after_the_parts_before_it() -> None:
    source = Object({3 * PART: StorageError("HTTP 500")})
    received = []
    with pytest.raises(StorageError, match="500"):
        received.extend(part.tobytes() for part in parts_of(source))
    assert received == [] or b"".join(received) == WHOLE[: 3 * PART]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1])
def test_files_of_every_size_are_copied_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(WHOLE[:size])
    assert b"".join(read_file_parts(tmp_path / "a.bin")) == WHOLE[:size]
    Storage().copy(tmp_path / "a.bin", tmp_path / "new" / "b.bin")
    assert (tmp_path / "new" / "b.bin").read_bytes() == WHOLE[:size]


def test_a_source_that_changes_leaves_no_target(server: RangeServer, tmp_path: Path) -> None:
    versions = count(1)

    def answer(request):
        if request.method == "HEAD":
            return 200, {"Content-Length": str(3 * PART)}, b""
        start = int(request.headers["range"].partition("=")[2].partition("-")[0])
        end = min(start + PART, 3 * PART)
        told = {"Content-Range": f"bytes {start}-{end - 1}/{3 * PART}"}
        return 206, {**told, "ETag": f'"{next(versions)}"'}, WHOLE[start:end]

    server.route("/changing.bin", answer)
    target = tmp_path / "copies" / "a.bin"
    with pytest.raises(AssetChanged):
        Storage().copy(server.url("changing.bin"), target)
    assert list(target.parent.iterdir()) == []


def test_a_source_without_a_size_is_copied_whole(server: RangeServer, tmp_path: Path) -> None:
    data = WHOLE[:100_000]

    def answer(request):
        if "range" in request.headers:
            return 206, {"Content-Range": f"bytes 0-{len(data) - 1}/*"}, data
        return 200, {}, data

    server.route("/stream.bin", answer)
    Storage().copy(server.url("stream.bin"), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == data


def test_what_cannot_be_copied_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound):
        Storage().copy(tmp_path / "none", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="a web server cannot be written to"):
        Storage().copy(tmp_path / "none", "https://example.com/a")
