"""STAC APIs that mean harm: answers without end, in drips, and names that lead to this machine."""

from __future__ import annotations

import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from servers.raw_server import RawServer
from stacchip.errors import NotAllowed, StacchipError, StorageError
from stacchip.items import search_items
from stacchip.storage import StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\n"
# the begin of an answer, and what follows it again and again
DRIPS = {
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (OK + b"a: ", b"b"),
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (OK + b"Content-Length: 5000\r\n\r\n", b" "),
    "a chunk's line": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}
ENDLESS = {
    "headers": (OK, b"a: b\r\n" * 1000),
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a body": (OK + b"\r\n", b" " * 100_000),
    "an error document": (b"HTTP/1.1 404 No\r\n\r\n", b" " * 100_000),
}


def search(server: RawServer, **more: Any) -> list[Any]:
    given = {"timeout_s": 5.0, "deadline_s": 0.7, "max_attempts": 2, **more}
    return list(search_items(server.url("api"), ids=["a"], options=StorageOptions(**given)))


def then(start: bytes, piece: bytes) -> Iterator[bytes]:
    return itertools.chain([start], itertools.repeat(piece))


def test_an_api_that_answers_in_drips_ends_with_the_deadline() -> None:
    def ask(name: str) -> None:
        with RawServer(lambda _: then(*DRIPS[name]), pause_s=0.05) as server:
            start_s = time.monotonic()
            with pytest.raises(StorageError, match=r"within 0\.7 s"):
                search(server)
            assert time.monotonic() - start_s < 15, name

    ask("a body")  # pystac-client is imported once
    with ThreadPoolExecutor(len(DRIPS)) as pool:
        list(pool.map(ask, DRIPS))


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_is_an_error_soon(name: str) -> None:
    with RawServer(lambda _: then(*ENDLESS[name])) as server:
        start_s = time.monotonic()
        with pytest.raises(StacchipError):
            search(server, deadline_s=2.0)
        assert time.monotonic() - start_s < 15


def test_a_redirect_to_no_address_is_an_error() -> None:
    told = b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda _: [told]) as server, pytest.raises(StorageError):
        search(server)


def test_a_name_that_an_api_leads_to_may_not_be_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve = socket.getaddrinfo

    def poisoned(host: str, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host.endswith(".example") else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", poisoned)
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://hidden.example/\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda _: [moved]) as server:
        address = server.url("api").replace("127.0.0.1", "api.example")  # the user's own alias
        with pytest.raises(NotAllowed, match=r"hidden\.example resolves to 127\.0\.0\.1"):
            list(search_items(address, ids=["a"], options=StorageOptions(deadline_s=2.0)))
        assert len(server.heads) == 1
