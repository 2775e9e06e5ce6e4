"""Which options apply to an href, and what is counted."""

from __future__ import annotations

import os
import pickle
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from servers.range_server import Fault, RangeServer
from stacchip.errors import AccessDenied, UsageError
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.href import parse_href
from stacchip.storage.requester import Counters, Requester

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


# -- headers of `Storage(options=...)` are for one server


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.bin").write_bytes(b"0123")
    with RangeServer(tmp_path / "elsewhere") as running:
        yield running


def mine(**fields: Any) -> Storage:
    return Storage(options=StorageOptions(headers={"X-Key": "mine"}, **fields))


def keys_seen(server: RangeServer) -> set[str | None]:
    return {request.headers.get("x-key") for request in server.log}


def test_headers_go_to_the_server_that_is_asked_first(
    server: RangeServer, elsewhere: RangeServer
) -> None:
    storage = mine()
    storage.read_range(server.url("a.bin"), 0, 4)
    for each in (storage, pickle.loads(pickle.dumps(storage))):
        each.read(elsewhere.url("a.bin"))
        each.read_range(server.url("a.bin"), 0, 4)
        assert each.options_for(server.url("x")).headers
        assert not each.options_for(elsewhere.url("x")).headers
    assert keys_seen(server) == {"mine"}
    assert keys_seen(elsewhere) == {None}


def test_headers_go_to_the_server_that_is_named_first(
    server: RangeServer, elsewhere: RangeServer
) -> None:
    storage = mine()
    storage.name_server(server.url("catalogue.json"))
    storage.name_server(elsewhere.url("a.bin"))
    storage.read(elsewhere.url("a.bin"))
    storage.read_range(server.url("a.bin"), 0, 4)
    assert (keys_seen(server), keys_seen(elsewhere)) == ({"mine"}, {None})


@pytest.mark.parametrize("named", [None, "/data/item.json", "item.json"])
def test_headers_go_to_no_server_that_items_of_this_machine_name(
    server: RangeServer, named: str | None
) -> None:
    storage = mine()
    storage.name_server(named)
    storage.read_range(server.url("a.bin"), 0, 4)
    assert keys_seen(server) == {None}


def test_headers_go_to_the_endpoint_alone(server: RangeServer, elsewhere: RangeServer) -> None:
    storage = mine(endpoint=server.url(), region="us-east-1", skip_signature=True)
    storage.read(elsewhere.url("a.bin"))
    storage.exists("s3://bucket/a.bin")
    assert (keys_seen(server), keys_seen(elsewhere)) == ({"mine"}, {None})


def test_headers_of_overrides_go_where_they_say_and_do_not_name_a_server(
    server: RangeServer, elsewhere: RangeServer
) -> None:
    other = StorageOptions(headers={"X-Key": "other"})
    storage = Storage(
        options=StorageOptions(headers={"X-Key": "mine"}), overrides={elsewhere.url(""): other}
    )
    storage.read(elsewhere.url("a.bin"))
    storage.read_range(server.url("a.bin"), 0, 4)
    assert (keys_seen(server), keys_seen(elsewhere)) == ({"mine"}, {"other"})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_that_headers_were_kept_back_and_how_to_send_them(
    server: RangeServer, elsewhere: RangeServer, status: int
) -> None:
    storage = mine()
    storage.read_range(server.url("a.bin"), 0, 4)
    elsewhere.always("/a.bin", Fault(status=status))
    remedy = f"overrides={{'{elsewhere.url('')}': StorageOptions(headers="
    with pytest.raises(AccessDenied, match=re.escape(remedy)) as caught:
        storage.read(elsewhere.url("a.bin"))
    assert server.url().rstrip("/") in str(caught.value)
    assert caught.value.status == status
    server.always("/a.bin", Fault(status=status))
    with pytest.raises(AccessDenied) as caught:
        storage.read(server.url("a.bin"))
    assert "not sent" not in str(caught.value)


def test_a_server_written_as_a_user_of_another_is_refused(
    server: RangeServer, elsewhere: RangeServer
) -> None:
    override = Storage(overrides={server.url().rstrip("/"): StorageOptions(headers={"X-Key": "a"})})
    named = mine()
    named.name_server(server.url())
    for storage in (override, named):
        for user in (f"127.0.0.1:{server.port}", "127.0.0.1"):
            with pytest.raises(UsageError, match="before an '@'"):
                storage.read(f"http://{user}@127.0.0.1:{elsewhere.port}/a.bin")
    assert not elsewhere.log


def test_headers_for_every_server_are_refused() -> None:
    with pytest.raises(UsageError, match="names no server"):
        Storage(overrides={"https://": StorageOptions(headers={"X-Key": "a"})})
    every = Storage(overrides={"https://": named("web")})
    assert every.options_for("https://example.com/a").region == "web"


# -- credentials of Azure are for accounts that the user named


MINE, THEIRS = (f"abfs://c@{name}.dfs.core.windows.net/a.tif" for name in ("mine", "theirs"))


def is_signed(storage: Storage, href: str) -> bool:
    requester, place = storage._requester, parse_href(href)
    return requester._is_own_account(place, requester.options_for(place))


@pytest.mark.parametrize(
    "storage",
    [
        Storage(options=StorageOptions(account="mine")),
        Storage(overrides={"abfs://c@mine.dfs.core.windows.net/": StorageOptions()}),
    ],
    ids=["options", "overrides"],
)
def test_an_account_that_was_named_gets_credentials_and_another_does_not(storage: Storage) -> None:
    assert not is_signed(storage, THEIRS)
    assert is_signed(storage, MINE)
    assert is_signed(storage, "az://c/a.tif"), "the account of the options"


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"])
def test_the_account_of_the_environment_gets_credentials(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "mine")
    storage = Storage()
    assert (is_signed(storage, THEIRS), is_signed(storage, MINE)) == (False, True)


def test_the_account_of_the_first_address_gets_credentials_if_none_was_named() -> None:
    storage = Storage()
    storage.name_server(MINE)
    assert (is_signed(storage, THEIRS), is_signed(storage, MINE)) == (False, True)
    of_items = Storage()
    of_items.name_server(None)
    assert not is_signed(of_items, MINE)


@pytest.mark.parametrize(
    "href",
    [
        "s3://user:pw@bucket/a", "s3://evil.org:80/a", "s3://evil.org?/a", "s3://evil#/a",
        "s3://../a", "s3://%2e%2e/a", "s3://a b/c", "gs://a@b/c", "az://c?x/a",
        "abfs://c@evil%2eorg/a", "abfs://c@ev?il.dfs.core.windows.net/a",
        "abfs://a@b@mine.dfs.core.windows.net/a", "s3://b\\evil.org/a", "s3://b\na/c",
    ],
)  # fmt: skip
def test_a_bucket_container_or_account_that_leads_elsewhere_is_refused(href: str) -> None:
    with pytest.raises(UsageError, match="names no"):
        Storage().read(href)
