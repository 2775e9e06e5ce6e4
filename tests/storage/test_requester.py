"""Which options apply to an href, and what is counted."""

from __future__ import annotations

import os
import pickle
import threading
from typing import TYPE_CHECKING

import pytest

from servers.range_server import Fault
from stacchip.errors import AccessDenied
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.href import parse_href
from stacchip.storage.requester import Counters, Requester

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import RangeServer


def named(name: str) -> StorageOptions:
    return StorageOptions(region=name)


OVERRIDES = {
    "s3://bucket/": named("bucket"),
    "s3://bucket/deep/": named("deep"),
    "s3a://other/": named("other"),
    "https://example.com/": named("web"),
    "abfs://container@account.dfs.core.windows.net/": named("azure"),
    "/data/": named("local"),
}


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("s3://bucket/a.tif", "bucket"),
        ("s3://bucket/deep/a.tif", "deep"),
        ("s3://bucket/deeper/a.tif", "bucket"),
        ("s3a://bucket/deep/a.tif", "deep"),
        ("/vsis3/bucket/deep/a.tif", "deep"),
        ("s3://other/a.tif", "other"),
        ("s3://bucket2/a.tif", "default"),
        ("gs://bucket/a.tif", "default"),
        ("https://example.com/a.tif", "web"),
        ("https://example.com.evil.org/a.tif", "default"),
        ("http://example.com/a.tif", "default"),
        ("abfss://container@account.dfs.core.windows.net/a.tif", "azure"),
        ("abfss://container@another.dfs.core.windows.net/a.tif", "default"),
        ("/data/a.tif", "local"),
        ("file:///data/a.tif", "local"),
        ("data/a.tif", "default"),
    ],
)
def test_the_longest_prefix_decides(href: str, name: str) -> None:
    for overrides in (OVERRIDES, dict(reversed(OVERRIDES.items()))):
        requester = Requester(named("default"), overrides, None)
        assert requester.options_for(parse_href(href)).region == name
        storage = Storage(options=named("default"), overrides=overrides)
        assert storage.options_for(href).region == name


def test_every_attempt_is_counted_and_every_byte_once(server: RangeServer) -> None:
    storage = Storage(options=StorageOptions(timeout_s=5))
    server.script("/a.bin", [Fault(status=503), Fault(reset=True)])
    storage.read_range(server.url("a.bin"), 0, 100)
    assert (storage.requests, storage.bytes_read) == (3, 100)
    storage.read_ranges(server.url("a.bin"), [(0, 10), (20, 10)])  # joined: one request
    assert (storage.requests, storage.bytes_read) == (4, 130)
    storage.stat(server.url("a.bin"))
    assert (storage.requests, storage.bytes_read) == (5, 130)
    assert server.requests == 5


def test_a_refusal_is_counted_once_and_signs_nothing_again(server: RangeServer) -> None:
    signed = []

    def sign(href: str) -> str:
        signed.append(href)
        return f"{href}?sig={len(signed)}"

    storage = Storage(sign=sign)
    server.always("/a.bin", Fault(status=403))
    with pytest.raises(AccessDenied):
        storage.read(server.url("a.bin"))
    assert storage.requests == server.requests == len(signed) == 1


def test_each_attempt_is_signed_afresh(server: RangeServer) -> None:
    """A signature may end while a busy server is waited for."""
    signed = []

    def sign(href: str) -> str:
        signed.append(href)
        return f"{href}?sig={len(signed)}"

    server.script("/a.bin", [Fault(status=503)] * 2)
    Storage(sign=sign).read(server.url("a.bin"))
    assert [request.query for request in server.log] == ["sig=1", "sig=2", "sig=3"]


def test_counts_of_many_threads_add_up() -> None:
    counters = Counters()
    threads = [
        threading.Thread(target=lambda: [counters.add(1, 3) for _ in range(2000)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counters.requests, counters.bytes_read) == (16_000, 48_000)
    again = pickle.loads(pickle.dumps(counters))
    assert (again.requests, again.bytes_read) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_others_count_goes_on_counting(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    storage, done = Storage(), threading.Event()

    def keep_counting() -> None:
        while not done.is_set():
            storage.read_range(tmp_path / "a", 0, 1)

    thread = threading.Thread(target=keep_counting)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                threading.Timer(20, os._exit, (9,)).start()
                before = storage.bytes_read
                storage.read_range(tmp_path / "a", 0, 5)
                os._exit(0 if storage.bytes_read == before + 5 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        thread.join()
