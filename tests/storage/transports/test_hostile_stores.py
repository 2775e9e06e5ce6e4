"""Object stores that mean harm; what obstore itself reads without a limit, no test can hold."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest

from servers.range_server import Fault, RangeServer
from servers.raw_server import RawServer
from stacchip.errors import LimitExceeded, StorageError, StorageTimeout
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.range_server import Answer, Request

SCHEMES = ("s3", "gs", "az")
FOUND = b'ETag: "a"\r\nLast-Modified: Wed, 01 May 2024 10:00:00 GMT\r\n'
KEYS = {
    "s3": "<ListBucketResult>{}<IsTruncated>false</IsTruncated></ListBucketResult>",
    "gs": "<ListBucketResult>{}<IsTruncated>false</IsTruncated></ListBucketResult>",
    "az": "<EnumerationResults><Blobs>{}</Blobs><NextMarker/></EnumerationResults>",
}
KEY = (
    '<Contents><Key>{}</Key><Size>1</Size><ETag>"a"</ETag>'
    "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
)
BLOB = (
    "<Blob><Name>{}</Name><Properties><Content-Length>1</Content-Length><Etag>a</Etag>"
    "<Content-Type>a/b</Content-Type>"
    "<Last-Modified>Wed, 01 May 2024 10:00:00 GMT</Last-Modified></Properties></Blob>"
)


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")


def use(server: RangeServer | RawServer, **more: Any) -> Storage:
    """Storage that takes a server for all three kinds of stores, and gives up soon."""
    given = {
        "endpoint": server.url().rstrip("/"), "skip_signature": True, "region": "us-east-1",
        "timeout_s": 5.0, "deadline_s": 0.7, "max_attempts": 2, **more,
    }  # fmt: skip
    return Storage(options=StorageOptions(**given))


# -- listings --------------------------------------------------------------------------------------


def lists(scheme: str, *keys: str) -> bytes:
    form = BLOB if scheme == "az" else KEY
    return KEYS[scheme].format("".join(map(form.format, keys))).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "key",
    [
        "folder/../x", "folder/a/..", "folder/./x", "folder/a//b", "../x", "/etc/passwd", "other/x",
        "folderx/y", "Folder/x", "s3://other/x", "folder/http://127.0.0.1/x", "folder/a\0b",
        "folder/&#0;", "folder/\x1b[31mx", "folder/a\nb", "folder/\udcff", "folder/" + "k" * 5000,
        "folder/" + "k" * (1 << 20), "",
    ],
    ids=lambda key: ascii(key)[:20],
)  # fmt: skip
def test_a_listing_gives_nothing_but_what_is_below_the_folder(
    server: RangeServer, scheme: str, key: str
) -> None:
    for path in ("/bucket", "/acc"):
        server.route(path, lambda _: (200, {}, lists(scheme, "folder/ok.bin", key)))
    try:
        found = [
            entry.href for entry in use(server, deadline_s=5.0).list(f"{scheme}://bucket/folder")
        ]
    except StorageError as error:
        assert "\x1b" not in str(error)
        assert len(str(error)) < 500
    else:
        assert found == [f"{scheme}://bucket/folder/ok.bin"]  # Azure's keys are filtered by obstore


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_folder_that_a_console_made_is_not_an_object_in_itself(
    server: RangeServer, scheme: str
) -> None:
    body = lists(scheme, "folder/", "folder/a b+%25.bin", "folder/sub/é.bin")
    for path in ("/bucket", "/acc"):
        server.route(path, lambda _: (200, {}, body))
    found = [entry.href for entry in use(server, deadline_s=5.0).list(f"{scheme}://bucket/folder/")]
    here = f"{scheme}://bucket/folder"
    assert found == [f"{here}/a b+%25.bin", f"{here}/sub/é.bin"]


def test_a_listing_without_end_is_an_error(server: RangeServer) -> None:
    numbers = itertools.count()

    def answer(pages_of: int) -> Any:
        def page(_: Request) -> Answer:
            keys = "".join(KEY.format(f"folder/{next(numbers):09}") for _ in range(pages_of))
            more = f"<NextContinuationToken>{next(numbers)}</NextContinuationToken>"
            return 200, {}, f"<ListBucketResult>{keys}{more}</ListBucketResult>".encode()

        return page

    server.route("/new", answer(1000))
    server.route("/empty", answer(0))
    server.route("/same", lambda _: (200, {}, lists("s3", "folder/a").replace(
        b"<IsTruncated>false</IsTruncated>", b"<NextContinuationToken>a</NextContinuationToken>"
    )))  # fmt: skip
    storage = use(server, deadline_s=5.0, limits=Limits(listed=3000))
    with pytest.raises(LimitExceeded, match="listed"):
        list(storage.list("s3://new/folder"))
    with pytest.raises(StorageError, match="again and again"):
        list(storage.list("s3://same/folder"))
    start_s = time.monotonic()
    with pytest.raises(StorageTimeout):
        list(use(server).list("s3://empty/folder"))
    assert time.monotonic() - start_s < 10


# -- objects ---------------------------------------------------------------------------------------


def huge(told: bytes) -> Iterator[bytes]:
    """Answer with the begin of an object of 100 GB."""
    yield told + FOUND + b"\r\n"
    yield from itertools.repeat(bytes(1 << 18))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "told",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n",
        (b"HTTP/1.1 206 Part\r\nContent-Length: 99999999999\r\n"
        b"Content-Range: bytes 0-99999999998/99999999999\r\n"),
        (b"HTTP/1.1 206 Part\r\nContent-Length: 99999999999\r\n"
        b"Content-Range: bytes 0-999/99999999999\r\n"),
        b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-999/99999999999\r\n",
    ],
    ids=["all of it", "another range", "more than told", "no size"],
)  # fmt: skip
def test_a_huge_object_is_not_read_further_than_asked(scheme: str, told: bytes) -> None:
    with RawServer(lambda _: huge(told)) as server:
        storage = use(server, deadline_s=5.0, limits=Limits(file_bytes=1 << 20))
        href = f"{scheme}://bucket/a.bin"
        with pytest.raises((LimitExceeded, StorageError)):
            storage.read(href)
        with pytest.raises(StorageError):
            storage.read_range(href, 0, 1000)


VERBS = {
    "read": lambda storage, place: storage.read(place),
    "range": lambda storage, place: storage.read_range(place, 0, 1000),
    "list": lambda storage, place: list(storage.list(place)),
    "delete": lambda storage, place: storage.delete(place),
    "write": lambda storage, place: storage.write(place, b"x"),
    "write in parts": lambda storage, place: storage.write(place, bytes(9 << 20)),
    "copy": lambda storage, place: storage.copy(place, f"{place}2"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_store_that_answers_in_drips_ends_with_the_deadline(verb: str) -> None:
    drips = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + FOUND
    end = b"" if verb == "write" else b"\r\n"  # the head alone answers it
    if verb == "range":
        drips = drips.replace(b"200", b"206") + b"Content-Range: bytes 0-999/1000\r\n"
    pieces = lambda _: itertools.chain([drips + end], itertools.repeat(b"x"))  # noqa: E731
    with RawServer(pieces, pause_s=0.05) as server:
        start_s = time.monotonic()
        with pytest.raises(StorageTimeout, match=r"within 0\.7 s"):
            VERBS[verb](use(server), "s3://bucket/a.bin")
        assert time.monotonic() - start_s < 15


@pytest.mark.parametrize("size", [100, 9 << 20])
def test_an_upload_to_a_store_that_never_answers_ends(server: RangeServer, size: int) -> None:
    server.always("/bucket/a.bin", Fault(delay_s=30))
    start_s = time.monotonic()
    with pytest.raises(StorageTimeout):
        use(server).write("s3://bucket/a.bin", bytes(size))
    assert time.monotonic() - start_s < 15


# -- redirects -------------------------------------------------------------------------------------


def test_no_signature_follows_a_redirect_to_another_host(
    server: RangeServer, tmp_path: Path, content: bytes
) -> None:
    """Other headers do, with the session token: `object_clients` says so."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.bin").write_bytes(content)
    with RangeServer(tmp_path / "other") as other:
        server.always("/bucket/a.bin", Fault(status=307, headers={"Location": other.url("a.bin")}))
        keys = {"access_key_id": "KEY", "secret_access_key": "SECRET", "session_token": "TOKEN"}
        storage = use(server, deadline_s=5.0, skip_signature=None, **keys)
        assert storage.read("s3://bucket/a.bin") == content
        assert "KEY" in server.log[0].headers["authorization"]
        assert "authorization" not in other.log[0].headers
        assert "SECRET" not in str(other.log)
