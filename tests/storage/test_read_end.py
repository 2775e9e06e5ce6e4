"""The end of an object is read in one request where the server understands it."""

from __future__ import annotations

import pytest

from servers.range_server import Fault, RangeServer
from servers.seaweedfs import SeaweedFS
from stacchip.errors import ObjectNotFound
from stacchip.storage import Storage


@pytest.mark.parametrize("length", [0, 1, 1000, 1 << 20, 1 << 21])
def test_the_end_comes_with_the_size(
    server: RangeServer, storage: Storage, content: bytes, length: int
) -> None:
    for href in (server.url("a.bin"), str(server.root / "a.bin")):
        blob = storage.read_end(href, length)
        start = max(0, len(content) - length)
        assert (bytes(blob.data), blob.start) == (content[start:], start)
        assert blob.identity == storage.stat(href)
    ways = [request.method for request in server.log]
    assert ways[:1] == (["GET"] if length else ["HEAD"])


def whole(request: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"0123456789"


def from_the_start(request: object) -> tuple[int, dict[str, str], bytes]:
    """A server that takes the last bytes for the first."""
    asked = request.headers.get("range")  # type: ignore[attr-defined]
    if asked == "bytes=-4":
        return 206, {"Content-Range": "bytes 0-4/10"}, b"01234"
    if asked is None:
        return 200, {}, b"0123456789"
    return 206, {"Content-Range": "bytes 6-9/10"}, b"6789"


def refusing(request: object) -> tuple[int, dict[str, str], bytes]:
    asked = request.headers.get("range", "")  # type: ignore[attr-defined]
    if asked.startswith("bytes=-"):
        return 416, {"Content-Range": "bytes */10"}, b""
    return from_the_start(request)


def unmeasured(request: object) -> tuple[int, dict[str, str], bytes]:
    asked = request.headers.get("range", "")  # type: ignore[attr-defined]
    if asked.startswith("bytes=-"):
        return 206, {"Content-Range": "bytes 6-9/*"}, b"6789"
    return from_the_start(request)


@pytest.mark.parametrize("answer", [whole, from_the_start, refusing, unmeasured])
def test_servers_that_do_not_understand_are_asked_otherwise(
    server: RangeServer, storage: Storage, answer: object
) -> None:
    server.route("/b.bin", answer)  # type: ignore[arg-type]
    blob = storage.read_end(server.url("b.bin"), 4)
    assert bytes(blob.data) == b"6789"
    assert (blob.start, blob.identity.size_bytes) == (6, 10)


def test_an_empty_object_has_an_empty_end(server: RangeServer, storage: Storage) -> None:
    (server.root / "empty.bin").write_bytes(b"")
    assert bytes(storage.read_end(server.url("empty.bin"), 10).data) == b""


def test_a_failing_server_is_asked_again(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    server.script("a.bin", [Fault(status=503), Fault(cut_at=-1)])
    assert bytes(storage.read_end(server.url("a.bin"), 100).data) == content[-100:]


def test_what_is_not_there_is_said(server: RangeServer, storage: Storage) -> None:
    with pytest.raises(ObjectNotFound):
        storage.read_end(server.url("nothing.bin"), 10)


def test_an_object_store_sends_the_end(seaweed: SeaweedFS) -> None:
    storage = Storage(options=seaweed.options)
    storage.write("s3://private/end/a.bin", b"0123456789")
    storage.write("s3://private/end/empty.bin", b"")
    for length, expected in ((4, b"6789"), (10, b"0123456789"), (99, b"0123456789")):
        blob = storage.read_end("s3://private/end/a.bin", length)
        assert bytes(blob.data) == expected
        assert blob.start == 10 - len(expected)
        assert blob.identity == storage.stat("s3://private/end/a.bin")
    assert bytes(storage.read_end("s3://private/end/empty.bin", 4).data) == b""
    with pytest.raises(ObjectNotFound):
        storage.read_end("s3://private/end/nothing.bin", 4)
