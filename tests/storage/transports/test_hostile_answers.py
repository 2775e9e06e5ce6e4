"""Web servers that mean harm: answers without end, in drips, that lie, or that lead elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import pickle
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from servers.range_server import Fault, RangeServer
from servers.raw_server import RawServer
from stacchip.errors import (
    LimitExceeded,
    NotAllowed,
    StacchipError,
    StorageError,
    StorageTimeout,
)
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


OK = b"HTTP/1.1 200 OK\r\n"
PART = b"HTTP/1.1 206 Partial Content\r\n"
LIMIT = 1 << 20
PIECE = bytes(1 << 18)
FAULT = "not HTTP|HTTP 103|a time-out"


def impatient(**more: Any) -> Storage:
    """Storage that gives up soon, and reads at most 1 MiB."""
    limits = Limits(file_bytes=LIMIT, document_bytes=LIMIT)
    given = {"timeout_s": 5.0, "deadline_s": 0.6, "max_attempts": 2, "limits": limits, **more}
    return Storage(options=StorageOptions(**given))


def then(start: bytes, *pieces: bytes) -> Iterator[bytes]:
    """Yield the begin of an answer, and what follows it again and again."""
    yield start
    yield from itertools.cycle(pieces)


def bomb(of_bytes: int) -> Iterator[bytes]:
    body = gzip.compress(bytes(of_bytes), 1)
    yield OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def members() -> Iterator[bytes]:
    """A body of empty members of gzip, of which there is no end."""
    return then(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000)


# what is answered, and the error that says so: nothing of it may last, or fill the memory
ENDLESS: dict[str, tuple[Callable[[], Iterable[bytes]], type[StacchipError], str]] = {
    "headers": (lambda: then(OK, b"a: b\r\n" * 1000), StorageError, FAULT),
    "one header": (lambda: then(OK + b"a: ", b"b" * 1000), StorageError, FAULT),
    "a status line": (lambda: then(b"HTTP/1.1 200 ", b"OK" * 1000), StorageError, FAULT),
    "informational answers": (
        lambda: then(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), StorageError, "not HTTP"
    ),
    "early hints": (
        lambda: then(b"", b"HTTP/1.1 103 Early\r\na: b\r\n\r\n" * 1000), StorageError, FAULT
    ),
    "a body without a size": (lambda: then(OK + b"\r\n", PIECE), LimitExceeded, "file_bytes"),
    "a body of a huge size": (
        lambda: then(OK + b"Content-Length: 99999999999999\r\n\r\n", PIECE), LimitExceeded, "file_b"
    ),
    "chunks": (
        lambda: then(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"40000\r\n" + PIECE + b"\r\n"),
        LimitExceeded, "file_bytes",
    ),
    "chunks of a byte": (
        lambda: then(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 99 + b"\r\na\r\n"),
        StorageError, FAULT,
    ),
    "a chunk's line": (
        lambda: then(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 1000), StorageError, FAULT
    ),
    "trailers": (
        lambda: then(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1000),
        StorageError, FAULT,
    ),
    "a gzip bomb": (lambda: bomb(8 << 20), LimitExceeded, "file_bytes"),
    "members of gzip": (members, StorageError, "cut off|a time-out"),
    "an error document": (
        lambda: then(b"HTTP/1.1 404 No\r\n\r\n", PIECE), StorageError, "Nothing is at"
    ),
    "a redirect's body": (
        lambda: then(b"HTTP/1.1 302 No\r\nLocation: /a.bin\r\n\r\n", PIECE),
        StorageError, "redirects too often|a time-out",
    ),
    "garbage": (lambda: then(b"", b"\xff" * 1000), StorageError, FAULT),
}  # fmt: skip


def test_an_answer_without_end_is_an_error_soon() -> None:
    def read(name: str) -> float:
        answer, error, why = ENDLESS[name]
        with RawServer(lambda _: answer()) as server:
            start_s = time.monotonic()
            with pytest.raises(error, match=why):
                impatient(deadline_s=1.0).read(server.url("a.bin"))
            return time.monotonic() - start_s

    for name in ENDLESS:
        assert read(name) < 20, name


# a piece every 50 ms: no wait is long, and the answer never ends
DRIPS: dict[str, tuple[bytes, bytes]] = {
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (OK + b"a: ", b"b"),
    "headers": (OK, b"a: b\r\n"),
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (OK + b"Content-Length: 5000\r\n\r\n", b"x"),
    "a body without a size": (OK + b"\r\n", b"x"),
    "a part": (PART + b"Content-Range: bytes 0-4999/5000\r\nContent-Length: 5000\r\n\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's line": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    "gzip": (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
}


def test_an_answer_in_drips_ends_with_the_deadline() -> None:
    def read(name: str) -> None:
        start, drip = DRIPS[name]
        with RawServer(lambda _: then(start, drip), pause_s=0.05) as server:
            start_s = time.monotonic()
            with pytest.raises(StorageTimeout, match=r"within 0\.6 s"):
                impatient().read_range(server.url("a.bin"), 0, 5000) if name == "a part" else (
                    impatient().read(server.url("a.bin"))
                )
            assert time.monotonic() - start_s < 15, name

    with ThreadPoolExecutor(len(DRIPS)) as pool:
        list(pool.map(read, DRIPS))


def test_a_body_is_read_as_far_as_it_was_announced(content: bytes) -> None:
    """What follows is no answer to the next request either."""
    heads = {
        "whole": OK + b"Content-Length: 100\r\n\r\n",
        "part": PART + b"Content-Range: bytes 0-99/1000\r\nContent-Length: 100\r\n\r\n",
    }
    for head in heads.values():
        with RawServer(lambda _, head=head: [head + content[:100], *[PIECE] * 3]) as server:  # type: ignore[misc]
            storage = impatient(deadline_s=5.0)
            for _ in range(3):
                blob = storage.read_range(server.url("a.bin"), 0, 100)
                assert bytes(blob.data) == content[:100]


@pytest.mark.parametrize(
    "head",
    [
        b"", b"<html>no HTTP at all</html>\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\x12\x04\0\0\0\0\0\0\0" + bytes(32),
        b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 0 Zero\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 99 Low\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 1000 High\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 -200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 600 What\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 2\xb20 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02\0\x01",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nxx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
        OK + b"Content-Length: 10\r\n\r\nxx", b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)  # fmt: skip
def test_what_is_not_http_is_tried_again_and_then_an_error(head: bytes) -> None:
    with RawServer(lambda _: [head]) as server:
        with pytest.raises(StorageError, match=r"attempts failed|HTTP 600"):
            impatient(deadline_s=5.0).read(server.url("a.bin"))
        again = 1 if b" 600 " in head else 2
        assert len(server.heads) == again


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 100\r\nContent-Length: 50\r\n", b"Content-Length: 50, 100\r\n",
        b"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ],
)  # fmt: skip
def test_two_lengths_never_give_other_bytes(line: bytes) -> None:
    """Whichever counts (RFC 9112, 6.3), the bytes are whole, or it is an error."""
    body = b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n" if b"chunked" in line else b"x" * 100
    told = PART + b"Content-Range: bytes 0-99/1000\r\n" + line + b"\r\n"
    with RawServer(lambda _: [told + body]) as server:
        try:
            data = bytes(impatient(deadline_s=5.0).read_range(server.url("a.bin"), 0, 100).data)
        except StorageError:
            return
        assert data == b"x" * 100


@pytest.mark.parametrize("name", ["ETag", "Last-Modified", "Date", "Content-Type", "X-Odd"])
@pytest.mark.parametrize(
    "value",
    [
        b"", b"\0", b"a\rb", b"a\r b: c", b"\xff\xfe", "é".encode(), b'"\x1b[31m"', b'"a\0b"',
        b"x" * 9000, b"9" * 9000, b"Thu, 99 Foo 9999 99:99:99 GMT", b'"' + b"\xe9" * 20 + b'"',
        b"Wed, 01 May 2024 10:00:00 +9999999999",
    ],
)  # fmt: skip
def test_odd_bytes_in_a_header_change_no_bytes_and_raise_no_foreign_error(
    name: str, value: bytes
) -> None:
    line = name.encode() + b": " + value + b"\r\n"
    told = PART + line + b"Content-Range: bytes 0-99/1000\r\nContent-Length: 100\r\n\r\n"
    with RawServer(lambda _: [told + b"x" * 100]) as server:
        storage = impatient(deadline_s=5.0)
        try:
            blob = storage.read_range(server.url("a.bin"), 0, 100)
            again = storage.read_range(server.url("a.bin"), 0, 100, expect=blob.identity)
        except StacchipError:
            return
        assert bytes(blob.data) == bytes(again.data) == b"x" * 100
        assert len(str(blob.identity)) < 2000


@pytest.mark.parametrize("name", [b"\0", b"", b"a b", b"\xff", b"a\rb", b"\x1b[31m", b" a"])
def test_an_odd_name_of_a_header_raises_no_foreign_error(name: bytes) -> None:
    told = OK + name + b": b\r\nContent-Length: 3\r\n\r\nabc"
    with RawServer(lambda _: [told]) as server, contextlib.suppress(StorageError):
        assert impatient(deadline_s=5.0).read(server.url("a.bin")) == b"abc"


# -- where an answer leads ------------------------------------------------------------------------


LOCAL = ["http://127.0.0.1:9/a", "http://[::1]/a", "http://169.254.169.254/latest", "//127.1/a",
         "http://localhost./a", "http://2130706433/", "http://0x7f.1/", "http://[::ffff:7f00:1]/",
         "http://user@127.0.0.1/", "http://metadata.google.internal/"]  # fmt: skip


def test_a_server_elsewhere_leads_to_nothing_on_this_machine(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The proxy stands for a server elsewhere: this machine has no other name for it."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    for target in LOCAL:
        server.always("/old", Fault(status=302, headers={"Location": target}))
        with pytest.raises(NotAllowed, match=r"far\.invalid/old redirects to .*allow_local=True"):
            impatient().read("http://far.invalid/old")
        server.always("/older", Fault(status=307, headers={"Location": "/old"}))
        with pytest.raises(NotAllowed):
            impatient().read("http://far.invalid/older")
    for target in ("file:///etc/passwd", "ftp://h/a", "gopher://h/", "/vsimem/a", "data:,a"):
        server.always("/old", Fault(status=302, headers={"Location": target}))
        with pytest.raises(StorageError):
            impatient().read("http://far.invalid/old")
    server.always("/old", Fault(status=302, headers={"Location": server.url("a.bin")}))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    allowed = impatient(allow_local=True, limits=Limits(), deadline_s=5.0)
    assert allowed.read("http://far.invalid/old") == content


def test_a_server_of_this_machine_leads_to_nothing_here_by_way_of_one_elsewhere(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    with RangeServer(server.root) as elsewhere:
        monkeypatch.setenv("http_proxy", elsewhere.url())
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        back = Fault(status=302, headers={"Location": server.url("a.bin")})
        server.always("/old", Fault(status=302, headers={"Location": "http://far.invalid/old"}))
        elsewhere.always("/old", back)
        with pytest.raises(NotAllowed, match=r"far\.invalid/old redirects to 127\.0\.0\.1"):
            impatient().read(server.url("old"))
        server.always("/here", back)
        assert impatient(deadline_s=5.0).read(server.url("here")) == content
        allowed = impatient(allow_local=True, deadline_s=5.0)
        assert allowed.read(server.url("old")) == content


NOWHERE = [
    "http://[", "http://", "//", "http://h:port/", "http://h:99999/", "\xff", "?", "http:///a",
    "http://\u00e9\0/", "http://" + "a" * 70 + ".example/",
]  # fmt: skip


def test_a_redirect_to_no_address_is_an_error(server: RangeServer) -> None:
    for target in NOWHERE:
        server.always("/old", Fault(status=302, headers={"Location": target}))
        with pytest.raises(StacchipError):
            impatient().read(server.url("old"))


def test_a_name_that_resolves_to_this_machine_is_refused(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Whoever owns a name says where it leads, each time that it is asked for."""
    resolve = socket.getaddrinfo

    def poisoned(host: str, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == "tiles.example" else host, *more, **named)

    url = f"http://tiles.example:{server.port}/a.bin"
    monkeypatch.setattr(socket, "getaddrinfo", poisoned)
    for verb in (Storage.read, Storage.stat, Storage.open, Storage.exists):
        storage = impatient()
        storage.name_server(None)  # what follows is named by items
        with pytest.raises(NotAllowed, match=r"tiles\.example resolves to 127\.0\.0\.1"):
            verb(storage, url)
    server.always("/old", Fault(status=302, headers={"Location": url}))
    with pytest.raises(NotAllowed):
        impatient().read(server.url("old"))
    assert server.requests == 1  # the redirect alone
    assert impatient(allow_local=True, deadline_s=5.0).read(url) == content


def test_a_name_that_the_user_names_may_be_this_machine(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    resolve, here = socket.getaddrinfo, {"tiles.internal", "other.internal"}

    def aliased(host: str, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host in here else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", aliased)
    url = f"http://tiles.internal:{server.port}/a.bin"
    prefix = {f"http://tiles.internal:{server.port}/": StorageOptions(deadline_s=5.0)}
    first, told, told_first = impatient(), impatient(), impatient()
    told.name_server("https://example.com/index")
    told.name_server(url)
    told_first.name_server(url)
    told_first.name_server(None)
    for storage in (first, told, told_first, Storage(overrides=prefix)):
        assert storage.read(url) == content
        assert storage.stat(url).size_bytes == len(content)
        again = pickle.loads(pickle.dumps(storage))
        assert bytes(again.read_range(url, 5, 5).data) == content[5:10]
        for elsewhere in (
            f"http://tiles.internal:{server.port + 1}/a",
            url.replace("tiles", "other"),
        ):
            with pytest.raises(NotAllowed):
                storage.read(elsewhere)
    moved = {"Location": url.replace("tiles", "other")}
    server.always("/old", Fault(status=302, headers=moved))
    with pytest.raises(NotAllowed):
        first.read(url.replace("a.bin", "old"))


# -- on the way ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\na: ", b"HTTP/1.1 407 No\r\na: "])
def test_a_proxy_that_is_slow_to_connect_ends_with_the_deadline(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    with RawServer(lambda _: then(start, b"b"), pause_s=0.05) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        start_s = time.monotonic()
        with pytest.raises(StorageError):
            impatient().read("https://far.invalid/a.bin")
        assert time.monotonic() - start_s < 10
        assert proxy.heads[0].startswith("CONNECT far.invalid:443")


def test_a_handshake_in_drips_ends_with_the_deadline() -> None:
    """A record of TLS that comes byte by byte."""
    with RawServer(lambda _: then(b"\x16\x03\x03\x40\0", b"\2"), waits=False, pause_s=0.05) as slow:
        start_s = time.monotonic()
        with pytest.raises(StorageError):
            impatient().read(slow.url("a.bin").replace("http:", "https:"))
        assert time.monotonic() - start_s < 10
