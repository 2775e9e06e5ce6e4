"""What boto3 is asked for, against a web server that poses as S3: needs no S3 server."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from servers.range_server import Fault
from stacchip.errors import ObjectNotFound, StorageError
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.s3.client import open_client
from stacchip.storage.s3.orphaned_uploads import abort_orphans
from stacchip.storage.s3.server_copy import copy_by_store

if TYPE_CHECKING:
    from servers.range_server import Answer, RangeServer, Request

pytest.importorskip("boto3")

LISTED = """<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult><Bucket>archive</Bucket><IsTruncated>false</IsTruncated>
<Upload><Key>naip/a/red.tif</Key><UploadId>1</UploadId></Upload>
<Upload><Key>naip/a/nir.tif</Key><UploadId>2</UploadId></Upload>
<Upload><Key>other/b.tif</Key><UploadId>3</UploadId></Upload>
</ListMultipartUploadsResult>"""
COPIED = '<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>'
TARGET = "s3://archive/copied/red.tif"


@pytest.fixture
def options(server: RangeServer) -> StorageOptions:
    return StorageOptions(
        endpoint=server.url(), region="us-east-1", deadline_s=10,
        access_key_id="KEYID", secret_access_key="SECRETKEY",
    )  # fmt: skip


@pytest.fixture
def source(server: RangeServer) -> str:
    """An object of 1 MiB in `public-bucket`."""
    (server.root / "public-bucket" / "scene").mkdir(parents=True)
    (server.root / "a.bin").rename(server.root / "public-bucket" / "scene" / "red band.tif")
    return "s3://public-bucket/scene/red band.tif"


class Uploads:
    """Answers requests about the unfinished uploads of a bucket."""

    def __init__(self, listed: str = LISTED) -> None:
        self.listed = listed
        self.aborted: list[str] = []
        self.gone: set[str] = set()

    def __call__(self, request: Request) -> Answer:
        if request.method == "GET":
            return 200, {"Content-Type": "application/xml"}, self.listed.encode()
        upload = request.query.rpartition("uploadId=")[2]
        if upload in self.gone:
            return 404, {}, b"<Error><Code>NoSuchUpload</Code></Error>"
        self.aborted.append(upload)
        return 204, {}, b""


@pytest.fixture
def uploads(server: RangeServer) -> Uploads:
    answers = Uploads()
    server.route("/archive", answers)
    return answers


# -- unfinished uploads ----------------------------------------------------------------------------


def test_only_uploads_below_the_folder_are_aborted(
    uploads: Uploads, options: StorageOptions
) -> None:
    assert abort_orphans("s3://archive/naip/", options) == 2  # the server ignores the prefix
    assert uploads.aborted == ["1", "2"]


def test_a_folder_whose_name_begins_alike_is_left_alone(
    server: RangeServer, options: StorageOptions
) -> None:
    uploads = Uploads(LISTED.replace("other/b.tif", "naip-2/b.tif"))
    server.route("/archive", uploads)
    assert abort_orphans("s3://archive/naip", options) == 2
    assert uploads.aborted == ["1", "2"]
    assert "prefix=naip%2F&" in server.log[0].query + "&"


def test_only_uploads_of_the_objects_named_are_aborted(
    uploads: Uploads, options: StorageOptions
) -> None:
    only = ["s3://archive/naip/a/nir.tif", "s3://archive/naip/a/blue.tif"]
    assert abort_orphans("s3://archive/naip/", options, only=only) == 1
    assert uploads.aborted == ["2"]


def test_an_upload_that_another_job_aborted_is_no_error(
    uploads: Uploads, options: StorageOptions
) -> None:
    uploads.gone = {"1"}
    abort_orphans("s3://archive/naip/", options)
    assert uploads.aborted == ["2"]


def test_a_store_that_refuses_to_list_is_an_error_without_secrets(
    server: RangeServer, options: StorageOptions
) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>KEYID SECRETKEY</Message></Error>"
    server.route("/archive", lambda _: (403, {}, body))
    with pytest.raises(StorageError, match="s3:AbortMultipartUpload") as caught:
        abort_orphans("s3://archive/naip/", options)
    assert "KEY" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("folder", ["/data/archive", "https://example.com/a", "gs://bucket/a"])
def test_other_places_have_no_uploads_to_abort(
    folder: str, server: RangeServer, options: StorageOptions
) -> None:
    assert abort_orphans(folder, options) == 0
    assert server.requests == 0


def test_without_boto3_a_warning_says_what_is_left_undone() -> None:
    script = (
        "import sys\n"
        "sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from stacchip.storage import Storage, StorageOptions\n"
        "from stacchip.storage.s3.orphaned_uploads import abort_orphans\n"
        "from stacchip.storage.s3.server_copy import copy_by_store\n"
        "assert abort_orphans('s3://archive/naip/', StorageOptions()) == 0\n"
        "keys = StorageOptions(access_key_id='a', secret_access_key='b')\n"
        "assert not copy_by_store('s3://a/b', 's3://c/d', Storage(options=keys))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )
    assert "boto3 is not installed" in run.stderr
    assert "lifecycle rule" in run.stderr


# -- copies inside the store -----------------------------------------------------------------------


def test_the_store_is_asked_to_copy_the_version_that_is_there(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    server.route("/archive", lambda _: (200, {}, COPIED.encode()))
    storage = Storage(options=options)
    assert copy_by_store(source, TARGET, storage, refused=set())
    put = server.log[-1]
    assert (put.method, put.path) == ("PUT", "/archive/copied/red.tif")
    assert put.headers["x-amz-copy-source"] == "public-bucket/scene/red%20band.tif"
    assert put.headers["x-amz-copy-source-if-match"] == storage.stat(source).etag
    assert put.headers["x-amz-tagging-directive"] == "REPLACE"
    assert "x-amz-request-payer" not in put.headers
    assert all(request.method != "GET" for request in server.log)  # no byte came here


def test_the_reader_pays_for_a_copy_too(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    server.route("/archive", lambda _: (200, {}, COPIED.encode()))
    paying = StorageOptions(**{**vars(options), "requester_pays": True})
    storage = Storage(options=options, overrides={"s3://public-bucket/": paying})
    assert copy_by_store(source, TARGET, storage, refused=set())
    assert server.log[-1].headers["x-amz-request-payer"] == "requester"


@pytest.mark.parametrize(
    ("status", "is_remembered"), [(403, True), (405, True), (501, True), (409, False), (412, False)]
)
def test_a_refusal_of_the_buckets_is_remembered_and_one_of_the_object_is_not(
    server: RangeServer, source: str, options: StorageOptions, status: int, is_remembered: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    server.always("/archive/copied/red.tif", Fault(status=status, body=b"<Error>SECRET</Error>"))
    refused: set[tuple[str, str]] = set()
    with caplog.at_level(logging.INFO):
        assert not copy_by_store(source, TARGET, Storage(options=options), refused=refused)
    assert refused == ({("public-bucket", "archive")} if is_remembered else set())
    assert "it goes through us" in caplog.text
    assert "SECRET" not in caplog.text


def test_what_was_refused_is_not_asked_again(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    refused = {("public-bucket", "archive")}
    assert not copy_by_store(source, TARGET, Storage(options=options), refused=refused)
    assert server.requests == 0


@pytest.mark.parametrize(
    "override",
    [
        {"skip_signature": True, "access_key_id": None, "secret_access_key": None},
        {"endpoint": "http://127.0.0.1:9"},
        {"access_key_id": "ANOTHER"},
    ],
)
def test_keys_are_never_shown_to_another_service_or_owner(
    server: RangeServer, source: str, options: StorageOptions, override: dict[str, object]
) -> None:
    target = StorageOptions(**{**vars(options), **override})
    storage = Storage(options=options, overrides={"s3://archive/": target})
    assert not copy_by_store(source, TARGET, storage, refused=set())
    assert server.requests == 0


def test_a_public_source_is_copied_with_the_keys_of_the_target(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    server.route("/archive", lambda _: (200, {}, COPIED.encode()))
    public = StorageOptions(endpoint=server.url(), region="us-east-1", skip_signature=True)
    storage = Storage(options=public, overrides={"s3://archive/": options})
    assert copy_by_store(source, TARGET, storage, refused=set())
    assert "Credential=KEYID/" in server.log[-1].headers["authorization"]
    assert "authorization" not in server.log[0].headers  # the look at the source


def test_a_source_that_is_gone_is_an_error(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    with pytest.raises(ObjectNotFound, match=r"gone\.tif"):
        copy_by_store(
            "s3://public-bucket/gone.tif", TARGET, Storage(options=options), refused=set()
        )


@pytest.mark.parametrize("pair", [("/data/a.tif", TARGET), ("s3://a/b", "gs://c/d")])
def test_only_s3_copies_by_itself(pair: tuple[str, str], options: StorageOptions) -> None:
    assert not copy_by_store(*pair, Storage(options=options), refused=set())


def test_keys_with_marks_of_web_addresses_are_copied_under_their_own_names(
    server: RangeServer, source: str, options: StorageOptions
) -> None:
    server.route("/archive", lambda _: (200, {}, COPIED.encode()))
    (server.root / "public-bucket" / "a#1?b.tif").write_bytes(b"x")
    target = "s3://archive/copied/a#1?b.tif"
    storage = Storage(options=options)
    assert copy_by_store("s3://public-bucket/a#1?b.tif", target, storage, refused=set())
    assert server.log[-1].path == "/archive/copied/a#1?b.tif"
    assert server.log[-1].headers["x-amz-copy-source"] == "public-bucket/a%231%3Fb.tif"


# -- the client ------------------------------------------------------------------------------------


def test_a_client_is_kept_for_its_options(options: StorageOptions) -> None:
    assert open_client(options) is open_client(options)
    other = StorageOptions(**{**vars(options), "region": "eu-central-1"})
    assert open_client(other) is not open_client(options)
    assert open_client(other).meta.region_name == "eu-central-1"


def test_a_service_of_ones_own_is_addressed_by_path(options: StorageOptions) -> None:
    at_home = StorageOptions(region="eu-central-1", access_key_id="a", secret_access_key="b")
    url = open_client(at_home).generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "k"}
    )
    assert url.startswith("https://bucket.s3.")
    url = open_client(options).generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "k"}
    )
    assert url.startswith(f"{options.endpoint.rstrip('/')}/bucket/k?")  # type: ignore[union-attr]
