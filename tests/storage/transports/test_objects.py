from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

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
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import Answer, Request
    from servers.seaweedfs import SeaweedFS

MIB = 1024 * 1024
needs_server = pytest.mark.servers


@pytest.fixture
def s3(seaweed: SeaweedFS) -> Storage:
    """Storage with the keys of a real S3 server's owner."""
    return Storage(options=seaweed.options)


@pytest.fixture
def posing(server: RangeServer, content: bytes) -> RangeServer:
    """A web server that poses as S3, with `s3://bucket/a.bin`."""
    (server.root / "bucket").mkdir()
    (server.root / "bucket" / "a.bin").write_bytes(content)
    return server


def pose(server: RangeServer, **options: object) -> Storage:
    """Storage that uses a web server as S3."""
    defaults: dict[str, object] = {
        "endpoint": server.url(),
        "skip_signature": True,
        "timeout_s": 0.5,
        "deadline_s": 20.0,
    }
    return Storage(options=StorageOptions(**{**defaults, **options}))  # type: ignore[arg-type]


# -- a real store ---------------------------------------------------------------------------------


@needs_server
def test_what_is_written_is_read_whole_and_in_ranges(s3: Storage, content: bytes) -> None:
    href = "s3://private/ranges/a.bin"
    s3.write(href, content)
    assert s3.read(href) == content
    blob = s3.read_range(href, 1000, 5000)
    assert bytes(blob.data) == content[1000:6000]
    assert blob.identity == s3.stat(href)
    assert blob.identity.etag
    ranges = [(900_000, 99), (5, 10), (900_100, 50), (0, 5), (0, 0)]
    parts = s3.read_ranges(href, ranges, expect=blob.identity)
    assert [bytes(part) for part in parts] == [content[a : a + n] for a, n in ranges]
    assert bytes(s3.read_range(href, len(content) - 3, 99).data) == content[-3:]
    beyond = s3.read_range(href, len(content) + 3, 99)
    assert (bytes(beyond.data), beyond.identity.size_bytes) == (b"", len(content))
    with s3.open(href) as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == content[-5:]


@needs_server
def test_a_changed_object_of_the_same_size_is_noticed(s3: Storage) -> None:
    href = "s3://private/changed/a.bin"
    s3.write(href, b"before")
    expect = s3.stat(href)
    s3.write(href, b"after!")
    with pytest.raises(AssetChanged) as caught:
        s3.read_range(href, 0, 6, expect=expect)
    assert caught.value.status == 412 or caught.value.facts["expected"] == expect


@needs_server
@pytest.mark.parametrize("name", ["a b.bin", "ä%20ö.bin", "a+b&c=d#e?f.bin", "a'(1)[2].bin"])
def test_keys_with_odd_characters_are_kept(s3: Storage, name: str) -> None:
    href = f"s3://private/odd/{name}"
    s3.write(href, name.encode())
    assert s3.read(href) == name.encode()
    assert href in [entry.href for entry in s3.list("s3://private/odd")]
    s3.delete(href)
    assert not s3.exists(href)
    s3.delete(href)


@needs_server
def test_more_than_a_page_of_keys_is_listed(s3: Storage) -> None:
    hrefs = [f"s3://private/many/{i % 7}/{i:05}.txt" for i in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda href: s3.write(href, b"x" * (len(href) % 5)), hrefs))
    s3.write("s3://private/manyother.txt", b"")
    entries = list(s3.list("s3://private/many"))
    assert sorted(entry.href for entry in entries) == sorted(hrefs)
    assert all(entry.size_bytes == len(entry.href) % 5 for entry in entries)
    assert list(s3.list("s3://private/none")) == []


@needs_server
def test_large_objects_go_up_in_parts(s3: Storage, seaweed: SeaweedFS, tmp_path: Path) -> None:
    data = os.urandom(20 * MIB + 7)
    (tmp_path / "large.bin").write_bytes(data)
    s3.write("s3://private/large/a.bin", tmp_path / "large.bin")
    s3.write("s3://private/large/b.bin", data)
    s3.write("s3://private/large/small.bin", tmp_path / "large.bin")
    for name in ("a", "b"):
        href = f"s3://private/large/{name}.bin"
        assert s3.read(href) == data
        etag = s3.stat(href).etag or ""
        assert etag.endswith('-3"')  # S3 counts the parts


@needs_server
def test_copies_within_and_across_stores(s3: Storage, tmp_path: Path) -> None:
    data = os.urandom(20 * MIB + 7)
    s3.write("s3://private/copy/a.bin", data)
    before = s3.bytes_read
    s3.copy("s3://private/copy/a.bin", "s3://private/copy/b.bin")
    assert s3.bytes_read == before  # the store copied
    s3.copy("s3://private/copy/b.bin", "s3://other-bucket/c.bin")
    s3.copy("s3://other-bucket/c.bin", tmp_path / "d.bin")
    s3.copy(tmp_path / "d.bin", "s3://private/copy/e.bin")
    assert s3.read("s3://private/copy/e.bin") == (tmp_path / "d.bin").read_bytes() == data
    with pytest.raises(ObjectNotFound):
        s3.copy("s3://private/copy/none.bin", "s3://private/copy/f.bin")
    with pytest.raises(ObjectNotFound):
        s3.copy("s3://private/copy/none.bin", tmp_path / "f.bin")
    s3.write("s3://private/copy/empty.bin", b"")
    s3.copy("s3://private/copy/empty.bin", "s3://other-bucket/empty.bin")
    assert s3.read("s3://other-bucket/empty.bin") == b""


@needs_server
def test_many_streams_from_store_to_store_do_not_wait_for_each_other(s3: Storage) -> None:
    data = os.urandom(10 * MIB)
    s3.write("s3://private/streams/a.bin", data)
    with ThreadPoolExecutor(8) as pool:
        futures = [
            pool.submit(s3.copy, "s3://private/streams/a.bin", f"s3://other-bucket/streams/{i}")
            for i in range(8)
        ]
        for future in futures:
            future.result(timeout=60)
    assert s3.read("s3://other-bucket/streams/7") == data


@needs_server
def test_a_refusal_says_what_to_do(seaweed: SeaweedFS, s3: Storage) -> None:
    s3.write("s3://private/secret.bin", b"secret")
    s3.write("s3://public-bucket/open.bin", b"open")
    wrong = StorageOptions(
        endpoint=seaweed.endpoint, access_key_id="test", secret_access_key="WRONGSECRET"
    )
    unknown = StorageOptions(
        endpoint=seaweed.endpoint, access_key_id="NOBODY", secret_access_key="WRONGSECRET"
    )
    for options in (wrong, unknown, seaweed.anonymous):
        with pytest.raises(AccessDenied, match=r"HTTP 403.*skip_signature=True") as caught:
            Storage(options=options).read_range("s3://private/secret.bin", 0, 3)
        assert caught.value.status == 403
        assert "WRONGSECRET" not in str(caught.value)
    anybody = Storage(options=seaweed.anonymous)
    assert anybody.read("s3://public-bucket/open.bin") == b"open"
    assert [entry.href for entry in anybody.list("s3://public-bucket")] == [
        "s3://public-bucket/open.bin"
    ]
    with pytest.raises(AccessDenied):
        anybody.write("s3://public-bucket/b.bin", b"")


@needs_server
def test_endpoint_and_keys_come_from_the_environment(
    seaweed: SeaweedFS, s3: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.write("s3://private/env.bin", b"found")
    storage = Storage()
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    assert storage.read("s3://private/env.bin") == b"found"
    assert storage.read("/vsis3/private/env.bin") == b"found"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    with pytest.raises(AccessDenied):
        storage.read("s3://private/env.bin")
    # a token of the environment does not go with keys that were given
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert Storage(options=seaweed.options).read("s3://private/env.bin") == b"found"


@needs_server
def test_buckets_can_have_options_of_their_own(seaweed: SeaweedFS, s3: Storage) -> None:
    s3.write("s3://private/own.bin", b"own")
    storage = Storage(options=seaweed.anonymous, overrides={"s3://private/": seaweed.options})
    assert storage.read("s3://private/own.bin") == b"own"


# -- a web server that poses as S3, to see and to spoil the requests ------------------------------


PASSING_FAULTS = {
    "429": Fault(status=429),
    "500": Fault(status=500),
    "502": Fault(status=502),
    "503": Fault(status=503, body=b"<Error><Code>SlowDown</Code></Error>"),
    "504": Fault(status=504),
    "400": Fault(status=400, body=b"<Error><Code>RequestTimeout</Code></Error>"),
    "reset": Fault(reset=True),
    "cut": Fault(cut_at=100),
    "silence": Fault(hang_s=1),
}


def test_a_fault_that_passes_costs_an_attempt_and_no_byte(
    posing: RangeServer, content: bytes
) -> None:
    def read(name: str, fault: Fault) -> None:
        storage, path = pose(posing), f"/bucket/{name}.bin"
        (posing.root / "bucket" / f"{name}.bin").write_bytes(content)
        posing.script(path, [fault] * 2)
        blob = storage.read_range(f"s3:/{path}", 5, 200_000)
        assert bytes(blob.data) == content[5:200_005], name
        assert posing.by_path[path] == storage.requests == 3, name
        posing.script(path, [fault])
        assert storage.read(f"s3:/{path}") == content, name
        posing.script(f"/bucket/new-{name}.bin", [fault])
        storage.write(f"s3://bucket/new-{name}.bin", b"written")
        assert (posing.root / "bucket" / f"new-{name}.bin").read_bytes() == b"written", name

    with ThreadPoolExecutor(len(PASSING_FAULTS)) as pool:
        list(pool.map(read, PASSING_FAULTS, PASSING_FAULTS.values()))


def test_one_request_in_ten_failing_gives_the_same_bytes(
    posing: RangeServer, content: bytes
) -> None:
    storage = pose(posing)
    posing.fail_rate = 0.1
    ranges = [(i * 3000, 2000 + i) for i in range(300)]
    with ThreadPoolExecutor(16) as pool:
        blobs = list(pool.map(lambda r: storage.read_range("s3://bucket/a.bin", *r), ranges))
    assert posing.failed > 15
    assert all(
        bytes(blob.data) == content[a : a + n] for blob, (a, n) in zip(blobs, ranges, strict=True)
    )


LASTING_FAULTS = {
    "503": (Fault(status=503, body=b"<Error><Code>SlowDown</Code></Error>"), "HTTP 503.*SlowDown"),
    "silence": (Fault(hang_s=30), "a time-out"),
    "drip": (Fault(drip_s=0.05), "time-out|short read"),
    "reset": (Fault(reset=True), "failed connection"),
    "cut": (Fault(cut_at=5), "short read"),
}


def test_the_deadline_holds_and_the_error_names_the_last_failure(
    posing: RangeServer, content: bytes
) -> None:
    storage = pose(posing, deadline_s=0.7, max_attempts=1000, timeout_s=30)

    def read(name: str) -> None:
        fault, reason = LASTING_FAULTS[name]
        (posing.root / "bucket" / f"{name}.bin").write_bytes(content)
        posing.always(f"/bucket/{name}.bin", fault)
        start = time.monotonic()
        with pytest.raises(StorageTimeout, match=reason) as caught:
            storage.read_range(f"s3://bucket/{name}.bin", 0, 1000)
        assert time.monotonic() - start < 15, name
        assert caught.value.status == fault.status

    with ThreadPoolExecutor(len(LASTING_FAULTS)) as pool:
        list(pool.map(read, LASTING_FAULTS))


def test_odd_answers_are_errors_and_never_wrong_bytes(posing: RangeServer, content: bytes) -> None:
    storage = pose(posing, max_attempts=2)
    for fault in (Fault(shift_range=7), Fault(ignore_range=True)):
        posing.script("/bucket/a.bin", [fault])  # such an answer may pass
        blob = storage.read_range("s3://bucket/a.bin", 0, 100)
        assert bytes(blob.data) == content[:100]
        posing.script("/bucket/a.bin", [fault] * 2)
        with pytest.raises(StorageError, match="did not send the requested range"):
            storage.read_range("s3://bucket/a.bin", 0, 100)
    with pytest.raises(UsageError, match="not a key"):
        storage.read("s3://bucket/a//b.bin")
    posing.script("/bucket/a.bin", [Fault(status=400, body=b"<Code>ExpiredToken</Code>")])
    with pytest.raises(AccessDenied, match="ExpiredToken"):
        storage.read("s3://bucket/a.bin")


def test_the_reader_pays_only_if_that_was_agreed(posing: RangeServer) -> None:
    keys = {"access_key_id": "a", "secret_access_key": "b", "skip_signature": False}
    payer = pose(posing, requester_pays=True, **keys)
    payer.read_range("s3://bucket/a.bin", 0, 10)
    payer.stat("s3://bucket/a.bin")
    assert [r.headers["x-amz-request-payer"] for r in posing.log] == ["requester"] * 2
    assert "x-amz-request-payer" in posing.log[0].headers["authorization"]  # and it is signed
    posing.reset_counters()
    pose(posing, **keys).read_range("s3://bucket/a.bin", 0, 10)
    assert "x-amz-request-payer" not in posing.log[0].headers


def test_conditions_and_headers_are_sent(posing: RangeServer) -> None:
    storage = pose(posing, headers={"X-Who": "me"})
    expect = storage.stat("s3://bucket/a.bin")
    storage.read_range("s3://bucket/a.bin", 0, 10, expect=expect)
    assert posing.log[-1].headers["if-match"] == expect.etag
    assert posing.log[-1].headers["x-who"] == "me"
    assert "authorization" not in posing.log[-1].headers
    posing.script("/bucket/a.bin", [Fault(etag='"other"')])
    with pytest.raises(AssetChanged):
        storage.read_range("s3://bucket/a.bin", 0, 10, expect=expect)


def test_keys_that_were_given_go_without_a_token_of_the_environment(
    posing: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-key")
    keys = {"access_key_id": "a", "secret_access_key": "b", "skip_signature": False}
    pose(posing, **keys).stat("s3://bucket/a.bin")
    assert "x-amz-security-token" not in posing.log[-1].headers
    pose(posing, session_token="own", **keys).stat("s3://bucket/a.bin")
    assert posing.log[-1].headers["x-amz-security-token"] == "own"


def test_a_part_of_the_range_is_never_taken_for_the_whole(
    posing: RangeServer, content: bytes
) -> None:
    told = {"Content-Range": f"bytes 0-49/{len(content)}", "Last-Modified": MODIFIED}
    posing.route("/bucket/a.bin", lambda _: (206, told, content[:50]))
    with pytest.raises(StorageError, match="did not send the requested range"):
        pose(posing, max_attempts=2).read_range("s3://bucket/a.bin", 0, 100)


def test_a_bucket_in_another_region_is_found(posing: RangeServer, content: bytes) -> None:
    def answer(request: Request) -> Answer:
        region = {"x-amz-bucket-region": "us-west-2"}
        if "/us-west-2/s3/" in request.headers.get("authorization", ""):
            return 206, {"Content-Range": "bytes 0-9/99", "Last-Modified": MODIFIED}, content[:10]
        return 301, region, b"<Error><Code>PermanentRedirect</Code></Error>"

    posing.route("/far-bucket", answer)
    storage = pose(posing, skip_signature=False, access_key_id="a", secret_access_key="b")
    for _ in range(2):
        assert bytes(storage.read_range("s3://far-bucket/a.bin", 0, 10).data) == content[:10]
    # a wrong request, the question for the region, a right one; the second time only a right one
    assert [r.method for r in posing.log] == ["GET", "HEAD", "GET", "GET"]
    posing.route("/lost-bucket", lambda _: (301, {}, b""))
    with pytest.raises(StorageError, match=r"region=\.\.\."):
        storage.read("s3://lost-bucket/a.bin")


MODIFIED = "Sat, 01 Jan 2022 00:00:00 GMT"


def test_a_listing_goes_on_after_a_failure(posing: RangeServer) -> None:
    keys = [f"x/{i:04}" for i in range(25)]

    def answer(request: Request) -> Answer:
        def find(name: str) -> str:
            match = re.search(rf"{name}=([^&]*)", request.query)
            return match[1].replace("%2F", "/") if match else ""

        token = find("continuation-token") or find("start-after")
        page = [key for key in keys if key > token][:10]
        items = "".join(
            f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2022-01-01T00:00:00.000Z"
            "</LastModified><ETag>e</ETag></Contents>"
            for key in page
        )
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if page[9:] else ""
        return 200, {}, f"<ListBucketResult>{items}{more}</ListBucketResult>".encode()

    posing.route("/listed", answer)
    posing.script("/listed", [Fault(status=503), Fault(), Fault(reset=True), Fault(status=500)])
    entries = [entry.href for entry in pose(posing).list("s3://listed/x")]
    assert entries == [f"s3://listed/{key}" for key in keys]


class Multipart:
    """The four verbs of a multipart upload, for parts that fail and uploads that are dropped."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.failures = Counter[int]()
        self.fail_each = 0
        self.events: list[str] = []
        self.lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        part = re.search(r"partNumber=(\d+)", request.query)
        with self.lock:
            if part:
                number = int(part[1])
                if self.failures[number] < self.fail_each:
                    self.failures[number] += 1
                    return 503, {}, b"<Error><Code>SlowDown</Code></Error>"
                self.parts[number] = request.body
                return 200, {"ETag": f'"{number}"'}, b""
            if request.method == "POST" and "uploads" in request.query:
                self.events.append("begin")
                result = "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                return 200, {}, f"{result}</InitiateMultipartUploadResult>".encode()
            if request.method == "POST":
                self.events.append("complete")
                result = "<CompleteMultipartUploadResult><ETag>e</ETag>"
                return 200, {}, f"{result}</CompleteMultipartUploadResult>".encode()
            self.events.append("abort" if request.method == "DELETE" else request.method)
            return 204, {}, b""


def test_a_part_that_fails_is_sent_again(posing: RangeServer) -> None:
    upload = Multipart()
    upload.fail_each = 1
    posing.route("/bucket/large.bin", upload.answer)
    data = os.urandom(20 * MIB)
    pose(posing).write("s3://bucket/large.bin", data)
    assert b"".join(upload.parts[n] for n in sorted(upload.parts)) == data
    assert upload.events == ["begin", "complete"]


def test_an_upload_that_cannot_go_on_is_taken_back(posing: RangeServer) -> None:
    upload = Multipart()
    upload.fail_each = 1000
    posing.route("/bucket/large.bin", upload.answer)
    with pytest.raises(StorageError, match="503"):
        pose(posing, max_attempts=2).write("s3://bucket/large.bin", os.urandom(20 * MIB))
    assert upload.events == ["begin", "abort"]


def test_an_upload_whose_source_fails_is_taken_back(posing: RangeServer) -> None:
    upload = Multipart()
    posing.route("/bucket/large.bin", upload.answer)
    (posing.root / "source.bin").write_bytes(os.urandom(40 * MIB))
    posing.script("/source.bin", [Fault(), Fault(), Fault(status=403), Fault()])
    with pytest.raises(AccessDenied) as caught:
        pose(posing).copy(posing.url("source.bin"), "s3://bucket/large.bin")
    assert caught.value.href == posing.url("source.bin")
    assert upload.events == ["begin", "abort"]


# -- Google and Azure, as far as their public reads go --------------------------------------------


def test_google_and_azure_are_read_through_the_same_verbs(
    posing: RangeServer, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")
    storage = pose(posing)
    (posing.root / "acc").mkdir()
    for href in ("gs://bucket/a.bin", "az://bucket/a.bin", "abfs://bucket@acc.dfs.core/a.bin"):
        posing.script("/bucket/a.bin", [Fault(status=503)])
        blob = storage.read_range(href, 7, 100)
        assert bytes(blob.data) == content[7:107]
        with pytest.raises(ObjectNotFound):
            storage.read(href.replace("a.bin", "none.bin"))
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    named = pose(posing, account="acc")
    assert bytes(named.read_range("abfs://bucket/a.bin", 7, 100).data) == content[7:107]
    posing.always("/bucket/a.bin", Fault(status=403))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")
    for href, word in (("gs://bucket/a.bin", "GOOGLE_"), ("az://bucket/a.bin", "AZURE_")):
        with pytest.raises(AccessDenied, match=word):
            storage.read(href)
