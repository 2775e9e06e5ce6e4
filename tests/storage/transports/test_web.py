from __future__ import annotations

import contextlib
import gzip
import os
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from servers.range_server import Fault, RangeServer
from stacchip.errors import (
    AccessDenied,
    AssetChanged,
    ObjectNotFound,
    StorageError,
    StorageTimeout,
    UsageError,
)
from stacchip.storage import Identity, Storage, StorageOptions
from stacchip.storage.transports import web

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import Answer, Request

PASSING_FAULTS = {
    "408": Fault(status=408),
    "429": Fault(status=429),
    "500": Fault(status=500),
    "502": Fault(status=502),
    "503": Fault(status=503),
    "504": Fault(status=504),
    "reset": Fault(reset=True),
    "cut": Fault(cut_at=100),
    "cut at once": Fault(cut_at=0),
    "silence": Fault(hang_s=1.0),
}


def test_reads_give_the_bytes_and_the_identity(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    assert storage.read(url) == content
    blob = storage.read_range(url, 1000, 5000)
    assert bytes(blob.data) == content[1000:6000]
    assert blob.identity == storage.stat(url)
    assert blob.identity.size_bytes == len(content)
    assert blob.identity.etag
    assert storage.bytes_read == len(content) + 5000
    assert storage.requests == server.requests == 3
    assert server.bytes == storage.bytes_read


def test_a_range_ends_with_the_object(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    (server.root / "empty.bin").write_bytes(b"")
    assert bytes(storage.read_range(url, len(content) - 7, 100).data) == content[-7:]
    beyond = storage.read_range(url, len(content) + 5, 100)
    assert (bytes(beyond.data), beyond.identity.size_bytes) == (b"", len(content))
    nothing = storage.read_range(server.url("empty.bin"), 0, 65536)
    assert (bytes(nothing.data), nothing.identity.size_bytes) == (b"", 0)
    assert storage.read(server.url("empty.bin")) == b""
    assert storage.read_range(url, 10, 0).identity.size_bytes == len(content)


@pytest.mark.parametrize(
    "name", ["a b.bin", "ä/ö.bin", "a+b&c=d.bin", "100%25.bin", "a'(1)[2].bin"]
)
def test_names_with_odd_characters_are_found(
    server: RangeServer, storage: Storage, name: str
) -> None:
    file = server.root / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(name.encode())
    assert storage.read(server.url(name)) == name.encode()
    if "%" not in name:  # also as a person would type it
        assert storage.read(f"{server.url()}{name}") == name.encode()


def test_ranges_come_in_order_joined_and_at_the_same_time(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    server.delay_s = 0.2
    ranges = [(i * 40_000, 10_000) for i in range(24)][::-1]
    ranges += [(500, 100), (500, 100), (400, 300), (10_000, 0), (10_100, 50)]
    start = time.monotonic()
    parts = storage.read_ranges(url, ranges)
    assert time.monotonic() - start < 4  # 4.8 s one after the other
    assert [bytes(part) for part in parts] == [content[a : a + n] for a, n in ranges]
    assert server.requests == 24  # ranges near the first one are fetched with it


def test_a_fault_that_passes_costs_an_attempt_and_no_byte(
    server: RangeServer, content: bytes
) -> None:
    def read(name: str, fault: Fault) -> None:
        storage = Storage(options=StorageOptions(timeout_s=0.5, deadline_s=20.0))
        path, url = f"/{name}.bin", server.url(f"{name}.bin")
        (server.root / f"{name}.bin").write_bytes(content)
        server.script(path, [fault] * 2)
        assert bytes(storage.read_range(url, 5, 200_000).data) == content[5:200_005], name
        assert server.by_path[path] == storage.requests == 3, name
        server.script(path, [fault])
        assert storage.read(url) == content, name
        server.script(path, [fault])
        assert storage.stat(url).size_bytes == len(content), name

    with ThreadPoolExecutor(len(PASSING_FAULTS)) as pool:
        list(pool.map(read, PASSING_FAULTS, PASSING_FAULTS.values()))


def test_one_request_in_ten_failing_gives_the_same_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    storage = Storage()
    draw = random.Random(1)
    ranges = [(draw.randrange(len(content)), draw.randrange(1, 60_000)) for _ in range(300)]
    with RangeServer(tmp_path, fail_rate=0.1, seed=2) as server, ThreadPoolExecutor(16) as pool:
        url = server.url("a.bin")
        blobs = list(pool.map(lambda r: storage.read_range(url, *r), ranges))
        assert server.failed > 15
    assert all(
        bytes(blob.data) == content[a : a + n] for blob, (a, n) in zip(blobs, ranges, strict=True)
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, ObjectNotFound),
        (410, ObjectNotFound),
        (401, AccessDenied),
        (403, AccessDenied),
        (400, StorageError),
        (501, StorageError),
    ],
)
def test_a_refusal_is_raised_at_once_with_its_status(
    server: RangeServer, storage: Storage, status: int, error: type[StorageError]
) -> None:
    server.always("/a.bin", Fault(status=status, body=b"<html>long</html>"))
    for read in (storage.read, lambda url: storage.read_range(url, 0, 10)):
        with pytest.raises(error, match=f"HTTP {status}") as caught:
            read(server.url("a.bin"))
        assert caught.value.status == status
        assert caught.value.href == server.url("a.bin")
    assert server.requests == 2


def test_exists_asks_and_does_not_guess(server: RangeServer, storage: Storage) -> None:
    assert storage.exists(server.url("a.bin"))
    assert not storage.exists(server.url("none.bin"))
    server.always("/a.bin", Fault(status=403))
    with pytest.raises(AccessDenied):
        storage.exists(server.url("a.bin"))


def test_the_attempts_end_and_name_the_last_failure(server: RangeServer) -> None:
    storage = Storage(options=StorageOptions(max_attempts=3))
    server.always("/a.bin", Fault(status=502))
    with pytest.raises(StorageError, match=r"3 attempts failed.*HTTP 502 Bad Gateway") as caught:
        storage.read_range(server.url("a.bin"), 0, 10)
    assert caught.value.status == 502
    assert not isinstance(caught.value, StorageTimeout)
    assert server.requests == 3


# -- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["seconds", "date", "date by the server's clock"])
def test_retry_after_is_kept(
    server: RangeServer, storage: Storage, content: bytes, form: str
) -> None:
    headers = {"Retry-After": "1"}
    if form == "date":  # whole seconds: 2 s ahead is between 1 and 2
        headers = {"Retry-After": formatdate(time.time() + 2, usegmt=True)}
    if form == "date by the server's clock":
        then = time.time() - 86_400
        headers = {
            "Date": formatdate(then, usegmt=True),
            "Retry-After": formatdate(then + 1, usegmt=True),
        }
    server.script("/a.bin", [Fault(status=429 if form == "seconds" else 503, headers=headers)])
    assert bytes(storage.read_range(server.url("a.bin"), 0, 10).data) == content[:10]
    first, second = server.times_s("/a.bin")
    assert 0.95 <= second - first < 20


def test_a_busy_server_does_not_use_up_the_attempts(server: RangeServer, content: bytes) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2))
    busy = Fault(status=429, headers={"Retry-After": "0"})
    server.script("/a.bin", [busy] * 3 + [Fault(status=503)])
    assert bytes(storage.read_range(server.url("a.bin"), 0, 10).data) == content[:10]


def test_a_wait_beyond_the_deadline_is_not_begun(server: RangeServer) -> None:
    storage = Storage(options=StorageOptions(deadline_s=60))
    server.always("/a.bin", Fault(status=503, headers={"Retry-After": "3600"}))
    start = time.monotonic()
    with pytest.raises(StorageTimeout, match=r"HTTP 503.*a request to wait 3600 s") as caught:
        storage.read(server.url("a.bin"))
    assert time.monotonic() - start < 20
    assert caught.value.status == 503


LASTING_FAULTS = {
    "503": (Fault(status=503), "HTTP 503 Service Unavailable"),
    "silence": (Fault(hang_s=30), "a time-out"),
    "drip": (Fault(drip_s=0.05), "a time-out"),
    "reset": (Fault(reset=True), "failed connection"),
    "cut": (Fault(cut_at=3), "a short read"),
}


def test_the_deadline_holds_and_the_error_names_the_last_failure(
    server: RangeServer, content: bytes
) -> None:
    storage = Storage(options=StorageOptions(deadline_s=0.7, max_attempts=1000, timeout_s=30))

    def read(name: str) -> None:
        fault, reason = LASTING_FAULTS[name]
        (server.root / f"{name}.bin").write_bytes(content)
        server.always(f"/{name}.bin", fault)
        start = time.monotonic()
        with pytest.raises(StorageTimeout, match=reason) as caught:
            storage.read_range(server.url(f"{name}.bin"), 0, 1000)
        assert time.monotonic() - start < 15, name
        assert "0.7 s" in str(caught.value)
        assert caught.value.status == fault.status

    with ThreadPoolExecutor(len(LASTING_FAULTS)) as pool:
        list(pool.map(read, LASTING_FAULTS))


def test_the_deadline_holds_if_even_the_head_comes_a_byte_at_a_time() -> None:
    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 90:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    storage = Storage(options=StorageOptions(deadline_s=0.7))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        start = time.monotonic()
        with pytest.raises(StorageTimeout, match="a time-out"):
            storage.read(f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin")
        assert time.monotonic() - start < 15
        thread.join()


def test_a_header_that_cannot_be_sent_is_an_error_that_does_not_show_it(
    server: RangeServer,
) -> None:
    storage = Storage(options=StorageOptions(headers={"Authorization": "Bearer SECRET\nX: y"}))
    with pytest.raises(UsageError, match="header") as caught:
        storage.read(server.url("a.bin"))
    assert "SECRET" not in str(caught.value)
    assert server.requests == 0


def test_a_host_that_is_not_there_is_an_error_soon() -> None:
    storage = Storage(options=StorageOptions(deadline_s=0.7))
    start = time.monotonic()
    with pytest.raises(StorageError, match=r"no host|connection"):
        storage.read("http://host.invalid/a.bin")
    with pytest.raises(StorageTimeout, match="refused"):
        storage.read("http://127.0.0.1:1/a.bin")
    assert time.monotonic() - start < 20
    for url in ("http:///a.bin", "http://h:99999/a.bin"):
        with pytest.raises(UsageError, match="host"):
            storage.read(url)


# -- versions -------------------------------------------------------------------------------------


def test_a_rewrite_of_the_same_size_is_noticed(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    expect = storage.read_range(url, 0, 100).identity
    assert bytes(storage.read_range(url, 100, 50, expect=expect).data) == content[100:150]
    assert server.log[-1].headers["if-match"] == expect.etag
    (server.root / "a.bin").write_bytes(content[::-1])
    for read in (
        lambda: storage.read_range(url, 100, 50, expect=expect),
        lambda: storage.read_ranges(url, [(0, 10), (500_000, 10)], expect=expect),
    ):
        with pytest.raises(AssetChanged, match="Refresh the headers") as caught:
            read()
        assert caught.value.facts["expected"] == expect
    size_only = Identity(len(content))
    assert bytes(storage.read_range(url, 0, 3, expect=size_only).data) == content[::-1][:3]


def test_a_server_that_ignores_if_match_is_caught_by_its_etag(
    server: RangeServer, storage: Storage
) -> None:
    url = server.url("a.bin")
    expect = storage.stat(url)
    server.route(
        "/a.bin", lambda _: (206, {"ETag": '"other"', "Content-Range": "bytes 0-2/1048576"}, b"abc")
    )
    with pytest.raises(AssetChanged) as caught:
        storage.read_range(url, 0, 3, expect=expect)
    assert caught.value.facts["found"].etag == '"other"'


def test_weak_etags_are_compared_but_not_sent(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    server.script("/a.bin", [Fault(etag='W/"v1"'), Fault(etag='W/"v1"'), Fault(etag='W/"v2"')])
    expect = storage.read_range(url, 0, 10).identity
    assert bytes(storage.read_range(url, 10, 10, expect=expect).data) == content[10:20]
    assert "if-match" not in server.log[-1].headers
    with pytest.raises(AssetChanged):
        storage.read_range(url, 10, 10, expect=expect)


def test_without_an_etag_the_time_of_modification_counts(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    server.always("/a.bin", Fault(etag=""))
    expect = storage.read_range(url, 0, 10).identity
    assert expect.etag is None
    os.utime(server.root / "a.bin", (0, 0))
    with pytest.raises(AssetChanged):
        storage.read_range(url, 0, 10, expect=expect)


LONG_AGO = {
    "Last-Modified": "Wed, 01 May 2024 10:00:00 GMT",
    "Date": "Thu, 02 May 2024 08:00:00 GMT",
}


def test_mirrors_that_tag_a_file_differently_serve_one_version(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    server.script("/a.bin", [Fault(etag=f'"{i}"', headers=LONG_AGO) for i in (1, 2, 1, 2, 1, 2)])
    expect = storage.read_range(url, 0, 10).identity
    # the second mirror refuses the tag of the first, and is asked without it
    assert bytes(storage.read_range(url, 10, 10, expect=expect).data) == content[10:20]
    parts = storage.read_ranges(url, [(0, 9), (300_000, 9)])
    assert [bytes(part) for part in parts] == [content[:9], content[300_000:300_009]]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Last-Modified": "Wed, 01 May 2024 10:00:01 GMT"}, "it was changed a second later"),
        ({"Date": LONG_AGO["Last-Modified"]}, "it may change again within the second"),
        ({"Last-Modified": "some day"}, "no time is known"),
    ],
)
def test_another_tag_is_another_version_if_its_time_does_not_say_the_same(
    server: RangeServer, storage: Storage, headers: dict[str, str], why: str
) -> None:
    url = server.url("a.bin")
    server.script("/a.bin", [Fault(etag='"1"', headers=LONG_AGO)])
    expect = storage.read_range(url, 0, 10).identity
    server.always("/a.bin", Fault(etag='"2"', headers={**LONG_AGO, **headers}))
    with pytest.raises(AssetChanged) as caught:
        storage.read_range(url, 0, 10, expect=expect)
    assert caught.value.facts["found"].etag == '"2"', why


def test_a_server_that_refuses_its_own_tag_is_asked_without_it(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    def answer(request: Request) -> Answer:
        headers = {"ETag": '"own"', "Content-Range": f"bytes 0-2/{len(content)}"}
        return (412, {}, b"") if "if-match" in request.headers else (206, headers, content[:3])

    server.route("/own.bin", answer)
    url = server.url("own.bin")
    expect = storage.read_range(url, 0, 3).identity
    for _ in range(2):
        assert bytes(storage.read_range(url, 0, 3, expect=expect).data) == content[:3]
    # the first read finds out, and the second sends no tag
    assert ["if-match" in request.headers for request in server.log] == [False, True, False, False]


@pytest.mark.parametrize(
    ("identity", "etag", "size"), [("size", '"2"', 3), ("none", '"2"', 3), ("none", '"2"', 9)]
)
def test_versions_are_compared_as_strictly_as_the_options_say(
    server: RangeServer, identity: Literal["size", "none"], etag: str, size: int
) -> None:
    url = server.url("a.bin")
    headers = {"ETag": etag, "Content-Range": f"bytes 0-1/{size}"}
    server.route("/a.bin", lambda request: (206, headers, b"ab"))
    expect = Identity(3, '"1"')
    with pytest.raises(AssetChanged, match="is not the version"):
        Storage().read_range(url, 0, 2, expect=expect)
    storage = Storage(overrides={server.url(): StorageOptions(identity=identity)})
    assert storage.read_range(url, 0, 2, expect=expect).data == b"ab"
    assert "if-match" not in server.log[-1].headers


def test_sizes_must_agree_even_if_tags_need_not(server: RangeServer, storage: Storage) -> None:
    lax = Storage(options=StorageOptions(identity="size"))
    with pytest.raises(AssetChanged):
        lax.read_range(server.url("a.bin"), 0, 3, expect=Identity(5))


@pytest.mark.parametrize(
    "form", ["Bytes 2-4/{}", "BYTES 2-4/{}", "bytes=2-4/{}", " bytes  2-4/{} "]
)
def test_the_unit_of_a_range_may_be_written_in_other_ways(
    server: RangeServer, storage: Storage, content: bytes, form: str
) -> None:
    headers = {"Content-Range": form.format(len(content))}
    server.route("/a.bin", lambda request: (206, headers, content[2:5]))
    blob = storage.read_range(server.url("a.bin"), 2, 3)
    assert (bytes(blob.data), blob.identity.size_bytes) == (content[2:5], len(content))


@pytest.mark.parametrize(
    ("status", "text"),
    [(202, "202 Accepted. The server does not have the file"), (204, "204"), (205, "205")],
)
def test_a_success_without_the_file_is_an_error(
    server: RangeServer, storage: Storage, tmp_path: Path, status: int, text: str
) -> None:
    server.route("/a.bin", lambda request: (status, {}, b"soon" if status == 202 else b""))
    url = server.url("a.bin")
    for act in (
        lambda: storage.read(url),
        lambda: storage.read_range(url, 0, 4),
        lambda: storage.stat(url),
        lambda: storage.copy(url, tmp_path / "copy.bin"),
    ):
        with pytest.raises(StorageError, match=text):
            act()
    assert not (tmp_path / "copy.bin").exists()


@pytest.mark.parametrize("headers", [{}, {"Content-Range": "bytes 0-2/5"}])
def test_a_part_that_nobody_asked_for_is_not_the_whole(
    server: RangeServer, headers: dict[str, str]
) -> None:
    storage = Storage(options=StorageOptions(max_attempts=1))
    server.route("/a.bin", lambda request: (206, headers, b"abc"))
    with pytest.raises(StorageError, match="a part of what was requested"):
        storage.read(server.url("a.bin"))
    server.route("/a.bin", lambda request: (206, {"Content-Range": "bytes 0-2/3"}, b"abc"))
    assert bytes(storage.read(server.url("a.bin"))) == b"abc"


def test_parts_of_two_versions_are_never_mixed(server: RangeServer, storage: Storage) -> None:
    server.script("/a.bin", [Fault(), Fault(etag='"new"'), Fault()])
    with pytest.raises(AssetChanged):
        storage.read_ranges(server.url("a.bin"), [(0, 9), (300_000, 9), (600_000, 9)])


# -- servers that answer oddly --------------------------------------------------------------------


def test_an_ignored_range_is_cut_out(server: RangeServer, storage: Storage, content: bytes) -> None:
    url = server.url("a.bin")
    server.always("/a.bin", Fault(ignore_range=True))
    for start, length in [(0, 100), (5000, 100), (len(content) - 10, 100), (len(content) + 9, 5)]:
        blob = storage.read_range(url, start, length)
        assert bytes(blob.data) == content[start : start + length]
        assert blob.identity.size_bytes == len(content)


@pytest.mark.parametrize("start", [0, 500_000, 20_000_000])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/html; charset=utf-8"}])
def test_a_log_in_page_in_place_of_a_known_file_is_named(
    server: RangeServer, storage: Storage, start: int, headers: dict[str, str]
) -> None:
    page = b"<!DOCTYPE html><html><title>Log in</title></html>"
    server.route("/a.bin", lambda request: (200, headers, page))
    with pytest.raises(StorageError, match="web page") as caught:
        storage.read_range(server.url("a.bin"), start, 100, expect=Identity(30_000_000, '"a"'))
    assert not isinstance(caught.value, AssetChanged)
    assert ("text/html" in str(caught.value)) is bool(headers)
    assert caught.value.status == 200


def test_a_shorter_file_in_place_of_a_known_one_has_changed(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    server.always("/a.bin", Fault(ignore_range=True))
    with pytest.raises(AssetChanged):
        storage.read_range(server.url("a.bin"), 3, 4, expect=Identity(2 * len(content)))


def test_an_ignored_range_far_into_a_large_file_is_an_error(
    server: RangeServer, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (server.root / "large.bin").open("wb") as file:
        file.truncate(web.LARGEST_UNASKED + 1000)
    server.always("/large.bin", Fault(ignore_range=True))
    url = server.url("large.bin")
    assert bytes(storage.read_range(url, 0, 65536).data) == bytes(65536)
    with pytest.raises(StorageError, match="ignores ranges"):
        storage.read_range(url, web.LARGEST_UNASKED, 100)


@pytest.mark.parametrize("shift", [1, -1, 1000])
def test_another_range_than_requested_is_never_taken(
    server: RangeServer, content: bytes, shift: int
) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2))
    server.script("/a.bin", [Fault(shift_range=shift)])  # a cache that is restarted answers so
    blob = storage.read_range(server.url("a.bin"), 5000, 100)
    assert bytes(blob.data) == content[5000:5100]
    assert server.requests == 2
    server.script("/a.bin", [Fault(shift_range=shift)] * 2)
    with pytest.raises(StorageError, match=r"2 attempts failed.* another range"):
        storage.read_range(server.url("a.bin"), 5000, 100)


def test_a_part_of_the_range_is_a_short_read(server: RangeServer, content: bytes) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2))
    answers = [(content[:50], 49), (content[:100], 99)]

    def answer(_: Request) -> Answer:
        body, last = answers.pop(0)
        return 206, {"Content-Range": f"bytes 0-{last}/{len(content)}"}, body

    server.route("/a.bin", answer)
    assert bytes(storage.read_range(server.url("a.bin"), 0, 100).data) == content[:100]
    assert not answers


def test_parts_lie_in_memory_of_their_own_for_as_long_as_anyone_looks(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    """Their memory is used again, but only after the last view is gone."""
    size, url = 600_000, server.url("a.bin")
    blobs = [storage.read_range(url, start, size) for start in range(0, 5000, 1000)]
    kept = memoryview(blobs[2].data)[100:200]
    expected = [content[start : start + size] for start in range(0, 5000, 1000)]
    assert [bytes(blob.data) for blob in blobs] == expected
    places = {address_of(blob.data) for blob in blobs}
    own = address_of(blobs[2].data)
    del blobs
    later = [storage.read_range(url, start, size) for start in range(400_000, 405_000, 1000)]
    assert bytes(kept) == content[2100:2200]
    found = {address_of(blob.data) for blob in later}
    assert own not in found
    assert len(found & places) == 4


@pytest.mark.parametrize("fault", ["cut", "cut at once", "reset", "503"])
def test_a_large_part_that_breaks_off_is_requested_again(
    server: RangeServer, storage: Storage, content: bytes, fault: str
) -> None:
    server.script("/a.bin", [PASSING_FAULTS[fault], Fault(cut_at=599_999)])
    assert bytes(storage.read_range(server.url("a.bin"), 7, 600_000).data) == content[7:600_007]
    assert storage.requests == 3


def test_a_whole_object_that_is_answered_as_a_part_is_read(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    last = len(content) - 1
    headers = {"Content-Range": f"bytes 0-{last}/{len(content)}"}
    server.route("/a.bin", lambda _: (206, headers, content))
    assert storage.read(server.url("a.bin")) == content


def address_of(data: bytes | memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).ctypes.data)


def test_a_refused_head_is_made_up_for_by_a_range(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    for status in (403, 405, 501):
        server.script("/a.bin", [Fault(status=status)])
        assert storage.stat(server.url("a.bin")).size_bytes == len(content)
        assert [request.method for request in server.log[-2:]] == ["HEAD", "GET"]


def test_compression_that_was_not_requested(server: RangeServer, storage: Storage) -> None:
    body = gzip.compress(b'{"type": "Feature"}')
    server.route("/item.json", lambda _: (200, {"Content-Encoding": "gzip"}, body))
    url = server.url("item.json")
    assert storage.read(url) == b'{"type": "Feature"}'
    with pytest.raises(StorageError, match="compresses"):
        storage.read_range(url, 0, 5)
    server.route("/item.json", lambda _: (200, {"Content-Encoding": "br"}, body))
    with pytest.raises(StorageError, match=r"encoding that cannot be read \(br\)"):
        storage.read(url)


def test_an_answer_larger_than_allowed_is_refused(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    assert storage.read(url, limit_bytes=len(content)) == content
    with pytest.raises(StorageError, match="larger than"):
        storage.read(url, limit_bytes=len(content) - 1)


def test_a_range_that_is_there_is_not_past_the_end(server: RangeServer) -> None:
    storage = Storage(options=StorageOptions(max_attempts=1))
    told = {"Content-Range": "bytes */1000"}
    server.always("/a.bin", Fault(status=416, headers=told))
    for verb in (storage.open, lambda url: storage.read_range(url, 999, 1)):
        with pytest.raises(StorageError, match="contradicts itself"):
            verb(server.url("a.bin"))
    assert storage.read_range(server.url("a.bin"), 1000, 1).identity.size_bytes == 1000


def test_a_server_that_does_not_speak_http_is_an_error(server: RangeServer) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2))
    fault = Fault(status=200, headers={f"X-{i}": "y" for i in range(300)})
    server.script("/a.bin", [fault])
    assert len(storage.read(server.url("a.bin"))) == 1 << 20
    server.always("/a.bin", fault)
    with pytest.raises(StorageError, match=r"2 attempts failed.* not HTTP"):
        storage.read(server.url("a.bin"))


# -- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept_also_after_refusals(server: RangeServer, storage: Storage) -> None:
    url = server.url("a.bin")
    server.script("/a.bin", [Fault(status=503, body=b"busy"), Fault(status=429)])
    for start in range(20):
        storage.read_range(url, start * 1000, 1000)
    assert not storage.exists(server.url("none"))
    assert server.connections == 1


def test_readers_at_the_same_time_keep_a_connection_each(
    server: RangeServer, content: bytes
) -> None:
    storage, url = Storage(), server.url("a.bin")  # patient: a time-out costs a connection
    with ThreadPoolExecutor(32) as pool:
        parts = pool.map(lambda i: storage.read_range(url, i * 1000, 1000).data, range(640))
        assert b"".join(parts) == content[:640_000]
    assert server.connections <= 32


def test_https_goes_through_the_tunnel_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("https_proxy", f"http://me:p%40ss@127.0.0.1:{listener.getsockname()[1]}")
        heads: list[bytes] = []

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        storage = Storage(options=StorageOptions(max_attempts=1))
        with pytest.raises(StorageError, match="the proxy refused"):
            storage.read("https://far.invalid/a.bin?sig=SIGNATURE")
        thread.join()
    assert heads[0].startswith(b"CONNECT far.invalid:443 HTTP/1.")
    assert b"Basic bWU6cEBzcw==" in heads[0]
    assert b"SIGNATURE" not in heads[0]


def test_a_connection_that_the_server_closed_is_replaced(
    server: RangeServer, storage: Storage, content: bytes
) -> None:
    url = server.url("a.bin")
    for _ in range(3):
        assert bytes(storage.read_range(url, 0, 10).data) == content[:10]
        server.drop_connections()
        time.sleep(0.1)
    assert storage.requests == 3  # without an attempt wasted on a dead connection
    assert server.connections == 3


def test_redirects_are_followed_without_the_credentials(
    tmp_path: Path, server: RangeServer, content: bytes
) -> None:
    storage = Storage(options=StorageOptions(headers={"Authorization": "Bearer secret"}))
    with RangeServer(tmp_path / "www") as other:
        moved = {"Location": other.url("a.bin")}
        server.always("/old.bin", Fault(status=302, headers=moved, body=b"moved"))
        blob = storage.read_range(server.url("old.bin"), 10, 10)
        assert bytes(blob.data) == content[10:20]
        assert server.log[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.log[0].headers
        assert other.log[0].headers["range"] == "bytes=10-19"
        server.always("/loop.bin", Fault(status=301, headers={"Location": "/loop.bin"}))
        with pytest.raises(StorageError, match="redirects too often"):
            storage.read(server.url("loop.bin"))
        server.always("/file.bin", Fault(status=301, headers={"Location": "file:///etc/passwd"}))
        with pytest.raises(StorageError, match="away from HTTP"):
            storage.read(server.url("file.bin"))


def test_a_password_in_the_url_is_sent_as_a_header(server: RangeServer, storage: Storage) -> None:
    url = server.url("a.bin").replace("http://", "http://me:p%40ss@")
    storage.read_range(url, 0, 10)
    assert server.log[0].headers["authorization"] == "Basic bWU6cEBzcw=="
    assert server.log[0].target == "/a.bin"


def test_a_header_is_sent_once_whatever_its_case() -> None:
    """The password of an address comes before a header of the options."""
    options = StorageOptions(headers={"Authorization": "Bearer A", "USER-AGENT": "me"}, timeout_s=5)
    heads: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            heads.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        href = f"http://me:pw@127.0.0.1:{listener.getsockname()[1]}/a.bin"
        with pytest.raises(ObjectNotFound):
            Storage(options=options).read(href)
        thread.join()
    lines = heads[0].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"authorization")] == [
        b"authorization: basic bwu6chc="
    ]
    assert [line for line in lines if line.startswith(b"user-agent")] == [b"user-agent: me"]


def test_a_proxy_of_the_environment_is_used(
    server: RangeServer, storage: Storage, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "direct.invalid")
    assert bytes(storage.read_range("http://far.invalid/a.bin", 0, 9).data) == content[:9]
    assert server.log[0].target == "http://far.invalid/a.bin"
    assert server.log[0].headers["host"] == "far.invalid"
    assert server.log[0].headers["proxy-authorization"].startswith("Basic ")
    with pytest.raises(StorageError, match=r"no host|connection"):
        Storage(options=StorageOptions(deadline_s=0.5)).read("http://direct.invalid/a.bin")


def test_https_is_read_if_its_certificate_is_trusted(tmp_path: Path, content: bytes) -> None:
    pem = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", pem,
         "-out", tmp_path / "cert.pem", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    (tmp_path / "a.bin").write_bytes(content)
    script = (
        "import sys, hashlib; from stacchip.storage import Storage, StorageOptions\n"
        "s = Storage(options=StorageOptions(headers={'X-Key': 'secret'}))\n"
        "parts = s.read_ranges(sys.argv[1], [(0, 99), (5*10**5, 10**5)])\n"
        "print(hashlib.sha256(b''.join(parts)).hexdigest())"
    )
    import hashlib

    expected = hashlib.sha256(content[:99] + content[500_000:600_000]).hexdigest()
    with RangeServer(tmp_path) as plain, RangeServer(tmp_path, certificate=pem) as server:
        assert server.url("a.bin").startswith("https")
        with pytest.raises(StorageError, match=r"certificate of 127\.0\.0\.1 is not trusted"):
            Storage().read(server.url("a.bin"))
        told = subprocess.run(
            [sys.executable, "-c", script, server.url("a.bin")],
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "cert.pem")},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert told.stdout.strip() == expected
        assert {request.headers["x-key"] for request in server.log} == {"secret"}
        # a redirect to http is one to another server
        server.always("/a.bin", Fault(status=302, headers={"Location": plain.url("a.bin")}))
        told = subprocess.run(
            [sys.executable, "-c", script, server.url("a.bin").replace("//", "//me:pw@")],
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "cert.pem")},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert told.stdout.strip() == expected
        assert len(plain.log) == 2
        assert not any({"x-key", "authorization"} & set(each.headers) for each in plain.log)


def test_a_web_server_is_not_written_to(server: RangeServer, storage: Storage) -> None:
    url = server.url("a.bin")
    for act in (
        lambda: storage.write(url, b""),
        lambda: storage.delete(url),
        lambda: list(storage.list(url)),
        lambda: storage.copy("/tmp/a", url),
    ):
        with pytest.raises(UsageError, match="a web server cannot be"):
            act()
    assert server.requests == 0


def test_options_of_the_longest_prefix_count(server: RangeServer) -> None:
    storage = Storage(
        overrides={
            server.url("a"): StorageOptions(headers={"X-Who": "long"}),
            server.url(""): StorageOptions(headers={"X-Who": "short"}),
        }
    )
    storage.exists(server.url("a.bin"))
    storage.exists(server.url("b.bin"))
    assert [request.headers["x-who"] for request in server.log] == ["long", "short"]
    assert storage.options_for("/tmp/a") == StorageOptions()


def test_copies_from_the_web_are_whole(
    tmp_path: Path, server: RangeServer, storage: Storage
) -> None:
    data = os.urandom(30_000_000)
    (server.root / "b.bin").write_bytes(data)
    server.script("/b.bin", [Fault(), Fault(cut_at=1000), Fault(status=503)])
    storage.copy(server.url("b.bin"), tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == data
    server.script("/b.bin", [Fault(), Fault()])
    server.always("/b.bin", Fault(etag='"changed"'))
    with pytest.raises(AssetChanged):
        storage.copy(server.url("b.bin"), tmp_path / "c.bin")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["b.bin"]
