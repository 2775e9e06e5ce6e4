"""Copies within one S3 service do not pass this machine, unless the store refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stacchip.collect.transfer import Original, copy_file
from stacchip.errors import ObjectNotFound
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.s3 import server_copy

pytestmark = pytest.mark.servers

DATA = bytes(range(256)) * 40_000  # 10 MB: two parts if it passes this machine


@pytest.fixture
def source(outside):
    href = "s3://public-bucket/scene/red band.tif"
    outside.storage.write(href, DATA)
    outside.proxy.forget()
    return Original(href, len(DATA))


def proxied(outside, **options) -> StorageOptions:
    environment = outside.store.environment
    return StorageOptions(
        endpoint=outside.proxy.url, region="us-east-1",
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment["AWS_SECRET_ACCESS_KEY"], **options,
    )  # fmt: skip


def fetched(outside) -> int:
    """Requests for the source's bytes."""
    return sum(
        request.method == "GET" and request.path.startswith("/public-bucket/")
        for request in outside.proxy.requests()
    )


def test_the_store_copies_from_bucket_to_bucket(outside, source):
    target = "s3://archive/copied/red.tif"
    copy_file(source, target, Storage(options=proxied(outside)))
    assert outside.storage.read(target) == DATA
    assert fetched(outside) == 0


def test_a_copy_that_is_refused_is_not_tried_again(outside, source):
    outside.proxy.set(
        fail_rate=1, fail_status=403, fail_methods=("PUT",), fail_prefix="/archive/", fail_count=1
    )
    storage, refused = Storage(options=proxied(outside)), set()
    for number in range(2):
        target = f"s3://archive/refused/{number}.tif"
        assert not server_copy.copy_by_store(source.href, target, storage, refused=refused)
        assert not outside.storage.exists(target)
    assert refused == {("public-bucket", "archive")}
    assert sum(request.method == "PUT" for request in outside.proxy.requests()) == 1


def test_a_copy_that_fails_comes_through_us(outside, source):
    outside.proxy.set(
        fail_rate=1, fail_status=409, fail_methods=("PUT",), fail_prefix="/archive/", fail_count=1
    )
    target = "s3://archive/failed/red.tif"
    copy_file(source, target, Storage(options=proxied(outside)))
    assert outside.storage.read(target) == DATA
    assert fetched(outside) >= 2


def test_what_another_service_has_comes_through_us(outside, source):
    by_another_name = outside.store.options
    storage = Storage(options=proxied(outside), overrides={"s3://archive/": by_another_name})
    target = "s3://archive/elsewhere/red.tif"
    copy_file(source, target, storage)
    assert outside.storage.read(target) == DATA
    assert fetched(outside) >= 2


def test_keys_go_to_no_other_service(outside, source):
    ours, unsigned = (
        proxied(outside),
        StorageOptions(endpoint=outside.proxy.url, region="us-east-1"),
    )
    for there, here in (
        (ours, replace(unsigned, skip_signature=True)),
        (replace(ours, access_key_id="another"), ours),
    ):
        storage = Storage(options=there, overrides={"s3://archive/": here})
        assert not server_copy.copy_by_store(source.href, "s3://archive/a/red.tif", storage)
    assert not outside.proxy.requests()


def test_copies_inside_the_store_can_be_switched_off(outside, source):
    copy_file(source, "s3://archive/a/b.tif", Storage(options=proxied(outside)), by_store=False)
    assert outside.storage.read("s3://archive/a/b.tif") == DATA
    assert fetched(outside) >= 2


def test_a_source_that_is_gone_is_named(outside, source):
    gone = Original("s3://public-bucket/scene/gone.tif", None)
    with pytest.raises(ObjectNotFound, match=r"gone\.tif"):
        copy_file(gone, "s3://archive/copied/gone.tif", Storage(options=proxied(outside)))
