"""Connections: deadlines, keep-alive, proxies, and what urllib3 logs."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import urllib3
from urllib3.util import parse_url

from servers.range_server import Fault
from servers.raw_server import RawServer
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.transports.web_connection import KEEP_ALIVE, authorization, request

if TYPE_CHECKING:
    from servers.range_server import RangeServer


def ask(url: str, *, within_s: float = 5.0, timeout_s: float = 5.0) -> bytes:
    options = StorageOptions(timeout_s=timeout_s)
    answer = request("GET", parse_url(url), {}, options, time.monotonic() + within_s)
    return answer.read()


def test_a_request_is_sent_once_and_redirects_are_left_to_the_caller(server: RangeServer) -> None:
    server.always("/moved", Fault(status=302, headers={"Location": "/a.bin"}))
    server.always("/busy", Fault(status=503))
    for path, status in (("moved", 302), ("busy", 503)):
        until_s = time.monotonic() + 5
        answer = request("GET", parse_url(server.url(path)), {}, StorageOptions(), until_s)
        assert answer.status == status
        answer.read()
    assert server.requests == 2


@pytest.mark.parametrize(
    "fault",
    [Fault(hang_s=30), Fault(delay_s=30), Fault(drip_s=0.05)],
    ids=["silence", "late", "a byte now and then"],
)
def test_the_deadline_ends_every_wait(server: RangeServer, fault: Fault) -> None:
    server.always("/a.bin", fault)
    start = time.monotonic()
    with pytest.raises((urllib3.exceptions.HTTPError, OSError)):
        ask(server.url("a.bin"), within_s=0.5, timeout_s=60)
    assert time.monotonic() - start < 15


def test_silence_ends_sooner_than_the_deadline(server: RangeServer) -> None:
    server.always("/a.bin", Fault(hang_s=30))
    start = time.monotonic()
    with pytest.raises((urllib3.exceptions.HTTPError, OSError)):
        ask(server.url("a.bin"), within_s=60, timeout_s=0.3)
    assert time.monotonic() - start < 15


def test_no_request_begins_after_its_deadline(server: RangeServer) -> None:
    with pytest.raises(TimeoutError):
        ask(server.url("a.bin"), within_s=-1)
    assert server.requests == 0


def test_requests_of_threads_keep_their_own_deadlines(server: RangeServer) -> None:
    """A deadline belongs to a thread, also when the connection had another one before."""
    ask(server.url("a.bin"))
    server.always("/slow", Fault(delay_s=1.0, status=200, body=b"late"))
    outcomes = {}

    def read(within_s: float) -> None:
        try:
            outcomes[within_s] = ask(server.url("slow"), within_s=within_s)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            outcomes[within_s] = type(error)

    threads = [threading.Thread(target=read, args=(within_s,)) for within_s in (0.3, 20.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes[20.0] == b"late"
    assert isinstance(outcomes[0.3], type)


def test_connections_are_kept_alive_by_the_kernel() -> None:
    """The options are those of this system, and a socket takes them."""
    with socket.socket() as plain:
        for level, option, value in KEEP_ALIVE:
            plain.setsockopt(level, option, value)
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert len(KEEP_ALIVE) >= 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/a", {}),
        ("http://user:pw@example.com/a", {"authorization": "Basic dXNlcjpwdw=="}),
        ("http://user:p%40ss@example.com/a", {"authorization": "Basic dXNlcjpwQHNz"}),
        ("http://user:p%C3%A9@example.com/a", {"authorization": "Basic dXNlcjpww6k="}),
    ],
)
def test_user_and_password_become_a_header(url: str, expected: dict[str, str]) -> None:
    assert authorization(parse_url(url)) == expected


def test_the_proxy_is_that_of_the_environment_at_the_time(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    server.route("/a.bin", lambda _: (200, {}, content))
    storage = Storage()
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.port}")  # without a scheme
    assert storage.read("http://far.invalid/a.bin") == content
    assert server.log[-1].target == "http://far.invalid/a.bin"
    monkeypatch.delenv("http_proxy")
    assert storage.read(server.url("a.bin")) == content
    assert server.log[-1].target == "/a.bin"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert storage.read(server.url("a.bin")) == content


def test_urllib3_logs_no_signature_even_for_users_of_its_own(
    server: RangeServer, caplog: pytest.LogCaptureFixture
) -> None:
    href = server.url("a.bin") + "?sig=SECRET&se=2030"
    with caplog.at_level(logging.DEBUG, logger="urllib3"):
        Storage().read(href)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert "SECRET" not in caplog.text


def test_a_range_is_read_into_memory_that_is_used_again_and_others_are_not(
    server: RangeServer,
) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB
    (server.root / "b.bin").write_bytes(data)
    storage, url = Storage(), server.url("b.bin")
    part = storage.read_range(url, 100, 1 << 20).data
    assert isinstance(part, memoryview)
    assert part == data[100 : 100 + (1 << 20)]
    small = storage.read_range(url, 0, 1000).data
    assert isinstance(small, bytes)
    assert small == data[:1000]
    parts = [storage.read_range(url, start, 1 << 20).data for start in (0, 1000, 2000)]
    assert [bytes(each[:4]) for each in parts] == [data[s : s + 4] for s in (0, 1000, 2000)]
    assert part == data[100 : 100 + (1 << 20)]  # still its own


def test_answers_that_only_inform_are_skipped() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 9\r\n\r\n"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    informing = [hints, b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 199 X\r\n\r\n", hints]
    with RawServer(lambda _: [*informing, whole]) as server:
        assert ask(server.url("a")) == b"abc"
    with RawServer(lambda _: [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", whole]) as server:
        answer = request("GET", parse_url(server.url("a")), {}, StorageOptions(), soon())
        assert answer.status == 101
        answer.close()
    with (
        RawServer(lambda _: [hints * 100] * 200) as server,
        pytest.raises(urllib3.exceptions.HTTPError, match="EndlessAnswer"),
    ):
        ask(server.url("a"))


def soon() -> float:
    return time.monotonic() + 5
