from __future__ import annotations

import io
import os
import random
from typing import TYPE_CHECKING

import pytest

from stacchip.errors import AssetChanged, LimitExceeded, ObjectNotFound, StorageError
from stacchip.storage import Blob, Identity
from stacchip.storage.limits import Bound, Limits
from stacchip.storage.remote_file import PAGE, TAIL, ExactFile, PagedFile

if TYPE_CHECKING:
    from servers.range_server import RangeServer
    from stacchip.storage import Storage


def test_it_reads_as_a_file_does(server: RangeServer, storage: Storage) -> None:
    data = os.urandom(3_000_001)
    (server.root / "b.bin").write_bytes(data)
    draw = random.Random(3)
    plain = io.BytesIO(data)
    with storage.open(server.url("b.bin")) as file:
        assert file.readable()
        assert file.seekable()
        for _ in range(300):
            whence = draw.choice([0, 1, 2])
            offset = {0: draw.randrange(len(data)), 1: draw.randrange(99), 2: -draw.randrange(999)}
            assert file.seek(offset[whence], whence) == plain.seek(offset[whence], whence)
            size = draw.choice([0, 1, 10, 70_000, 500_000])
            assert file.read(size) == plain.read(size)
            assert file.tell() == plain.tell()
        assert file.seek(5) == 5
        assert file.read() == data[5:]
        assert file.read(10) == b""
        file.seek(10)
        buffer = bytearray(20)
        assert file.readinto(buffer) == 20
        assert buffer == data[10:30]
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_headers_cost_one_request_and_reading_on_few(server: RangeServer, storage: Storage) -> None:
    (server.root / "b.bin").write_bytes(os.urandom(20_000_000))
    with storage.open(server.url("b.bin")) as file:
        file.read(100)
        file.seek(2000)
        file.read(3000)
        assert server.requests == 1
        file.seek(0)
        while file.read(64 * 1024):
            pass
        assert server.requests < 15
        server.reset_counters()
        file.seek(-8, io.SEEK_END)
        file.read(8)
        assert server.requests == 0  # it was kept


def test_a_change_under_an_open_file_is_noticed(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    with storage.open(server.url("a.bin")) as file:
        (server.root / "a.bin").write_bytes(content[::-1])
        file.seek(500_000)
        with pytest.raises(AssetChanged):
            file.read(10)


def test_what_is_not_there_cannot_be_opened(server: RangeServer, storage: Storage) -> None:
    with pytest.raises(ObjectNotFound):
        storage.open(server.url("none.bin"))
    (server.root / "empty.bin").write_bytes(b"")
    with storage.open(server.url("empty.bin")) as file:
        assert file.read() == b""


def test_an_object_without_a_size_is_read_whole(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    def answer(request: object) -> tuple[int, dict[str, str], bytes]:
        if "range" in request.headers:  # type: ignore[attr-defined]
            return 206, {"Content-Range": "bytes 0-65535/*"}, content[:65536]
        return 200, {}, content

    server.route("/a.bin", answer)
    with storage.open(server.url("a.bin")) as file:
        file.seek(-3, io.SEEK_END)
        assert file.read() == content[-3:]


def test_an_exact_file_fetches_what_is_read_and_no_more(
    server: RangeServer, storage: Storage
) -> None:
    data = os.urandom(2_000_000)
    (server.root / "b.bin").write_bytes(data)
    file = ExactFile.open(storage, server.url("b.bin"))
    before = storage.bytes_read
    assert before == TAIL
    file.seek(-TAIL, io.SEEK_END)
    assert file.read() == data[-TAIL:]
    assert storage.bytes_read == before  # the end is kept
    file.seek(100)
    assert file.read(1000) == data[100:1100]
    assert file.read(10) == data[1100:1110]
    assert storage.bytes_read == before + 1010
    file.seek(len(data) - TAIL - 5)
    assert file.read(10) == data[len(data) - TAIL - 5 :][:10]
    file.seek(5, io.SEEK_END)
    assert file.read(10) == b""
    other = file.reopen()
    assert (other.tell(), other.read(3)) == (0, data[:3])


def test_an_exact_file_of_another_version_is_noticed(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    file = ExactFile.open(storage, server.url("a.bin"))
    (server.root / "a.bin").write_bytes(content[::-1])
    with pytest.raises(AssetChanged):
        file.read(10)


def test_a_small_or_unmeasured_object_is_kept_whole(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    (server.root / "small.bin").write_bytes(b"0123456789")
    small = ExactFile.open(storage, server.url("small.bin"))
    requests = storage.requests
    assert (small.size, small.read(4), small.read()) == (10, b"0123", b"456789")
    assert storage.requests == requests

    def answer(request: object) -> tuple[int, dict[str, str], bytes]:
        if "range" in request.headers:  # type: ignore[attr-defined]
            return 206, {"Content-Range": "bytes 0-0/*"}, content[:1]
        return (200, {}, content) if request.method == "GET" else (405, {}, b"")  # type: ignore[attr-defined]

    server.route("/a.bin", answer)
    assert ExactFile.open(storage, server.url("a.bin")).read() == content


def test_an_open_file_shows_no_secret(server: RangeServer, storage: Storage) -> None:
    href = server.url("a.bin") + "?sig=SECRET"
    for file in (storage.open(href), ExactFile.open(storage, href)):
        assert "SECRET" not in repr(file)
        assert "a.bin" in repr(file)


class _Short:
    """A reader of an object that is said to be larger than it is."""

    def __init__(self, said: int, there: int) -> None:
        self.said, self.there = said, there

    def read_range(self, href: str, start: int, length: int, *, expect: object = None) -> Blob:
        return Blob(bytes(max(0, min(length, self.there - start))), Identity(self.said), start)

    def read_end(self, href: str, length: int) -> Blob:
        return self.read_range(href, max(0, self.said - length), length)


@pytest.mark.parametrize("there", [0, 10, PAGE, 2 * PAGE, 4 * PAGE - 1])
def test_less_than_the_object_is_said_to_have_is_an_error(there: int) -> None:
    reader = _Short(4 * PAGE + TAIL, there)
    with pytest.raises(StorageError, match="came in place of"):
        PagedFile(reader, "https://a.example/b.bin").pread(0, 4 * PAGE)
    with pytest.raises(StorageError, match="came in place of"):
        ExactFile(reader, "https://a.example/b.bin", Identity(reader.said), b"").pread(0, 4 * PAGE)


def test_no_read_is_larger_than_its_bound_whatever_size_the_object_is_said_to_have() -> None:
    reader = _Short(10**15, 10 * PAGE)
    file = PagedFile(reader, "https://a.example/b.bin", Bound(4 * PAGE, "file_bytes", Limits()))
    assert len(file.read(4 * PAGE)) == 4 * PAGE
    for size in (-1, 4 * PAGE + 1, 10**14):
        with pytest.raises(LimitExceeded, match="file_bytes"):
            file.read(size)
    assert file.tell() == 4 * PAGE
    exact = ExactFile.open(_Short(10**15, 10**15), "https://a.example/b.bin")
    assert len(exact.pread(10**15 - TAIL, 10**14)) == TAIL
