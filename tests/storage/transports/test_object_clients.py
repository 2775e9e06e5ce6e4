from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import StorageError, UsageError
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.href import parse_href
from stacchip.storage.transports.object_clients import (
    StaticKeys,
    find_region,
    known_region,
    open_store,
    shorten,
)

if TYPE_CHECKING:
    from servers.range_server import RangeServer

PLACE = parse_href("s3://bucket/a.tif")
OPTIONS = StorageOptions(region="us-west-2", skip_signature=True)


@given(st.floats(1, 1000), st.floats(0, 1000))
def test_an_attempt_is_never_given_much_more_time_than_is_left(
    longest_s: float, left_s: float
) -> None:
    limit_s = shorten(longest_s, min(left_s, longest_s))
    assert limit_s <= max(left_s + 0.5, 0.25)
    assert limit_s >= min(left_s, longest_s) / 2


def test_few_limits_serve_all_attempts() -> None:
    limits = {shorten(120.0, left / 10) for left in range(1201)}
    assert len(limits) <= 12


def test_a_client_is_shared_by_what_has_the_same_options() -> None:
    first = open_store(PLACE, OPTIONS, 30.0, "read")
    other_key = parse_href("s3://bucket/b.tif")
    same = StorageOptions(region="us-west-2", skip_signature=True)
    assert open_store(other_key, same, 30.0, "read") is first
    for place, options, timeout_s, mode in (
        (parse_href("s3://bucket2/a.tif"), OPTIONS, 30.0, "read"),
        (PLACE, StorageOptions(region="eu-central-1", skip_signature=True), 30.0, "read"),
        (PLACE, OPTIONS, 32.0, "read"),
        (PLACE, OPTIONS, 30.0, "put"),
        (
            PLACE,
            StorageOptions(region="us-west-2", skip_signature=True, headers={"X-A": "1"}),
            30.0,
            "read",
        ),
    ):
        assert open_store(place, options, timeout_s, mode) is not first  # type: ignore[arg-type]


def test_threads_get_one_client() -> None:
    place, seen = parse_href("s3://at-once/a"), []
    threads = [
        threading.Thread(target=lambda: seen.append(open_store(place, OPTIONS, 30.0, "read")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store is seen[0] for store in seen)


@pytest.mark.parametrize(
    ("href", "remedy"),
    [
        ("gs://bucket/a.tif", "Check StorageOptions"),
        ("s3://bucket/a.tif", "Check StorageOptions"),
        ("az://container/a.tif", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("abfs://container/a.tif", "account="),
    ],
)
def test_options_that_make_no_client_are_an_error_without_the_secrets(
    href: str, remedy: str
) -> None:
    options = StorageOptions(headers={"Authorization": "SECRET\n"}, skip_signature=True)
    with pytest.raises(UsageError, match=remedy) as caught:
        Storage(options=options).read(href)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_keys_are_not_shown() -> None:
    keys = StaticKeys("KEYID", "SECRETKEY", "TOKEN")
    assert repr(keys) == "StaticKeys(***)"
    assert keys() == {
        "access_key_id": "KEYID",
        "secret_access_key": "SECRETKEY",
        "token": "TOKEN",
        "expires_at": None,
    }


def test_a_region_that_was_found_is_remembered_for_its_bucket_and_service(
    server: RangeServer,
) -> None:
    server.route("/far", lambda _: (403, {"x-amz-bucket-region": "eu-north-1"}, b""))
    options = StorageOptions(
        endpoint=server.url(), region="us-east-1", headers={"Authorization": "Bearer SECRET"}
    )
    place = parse_href("s3://far/a.tif")
    assert known_region(place, options) == "us-east-1"
    find_region(place, options, "us-east-1", until_s=float("inf"))
    assert known_region(place, options) == "eu-north-1"
    assert known_region(parse_href("s3://near/a.tif"), options) == "us-east-1"
    elsewhere = StorageOptions(endpoint="http://127.0.0.1:9", region="us-east-1")
    assert known_region(place, elsewhere) == "us-east-1"
    (request,) = server.log
    assert (request.method, request.path) == ("HEAD", "/far")
    assert "authorization" not in request.headers


@pytest.mark.parametrize("headers", [{}, {"x-amz-bucket-region": "us-east-1"}])
def test_a_region_that_is_not_named_is_an_error_with_the_remedy(
    server: RangeServer, headers: dict[str, str]
) -> None:
    server.route("/lost", lambda _: (301, headers, b""))
    options = StorageOptions(endpoint=server.url(), region="us-east-1")
    with pytest.raises(StorageError, match=r"StorageOptions\(region=\.\.\.\)"):
        find_region(parse_href("s3://lost/a"), options, "us-east-1", until_s=float("inf"))
