"""Unfinished uploads, on a real S3 server."""

from __future__ import annotations

import boto3
import pytest

from servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS
from stacchip.storage import Storage
from stacchip.storage.s3.orphaned_uploads import abort_orphans

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with SeaweedFS(tmp_path_factory.mktemp("weed"), buckets=("archive",)) as server:
        yield server


@pytest.fixture(scope="module")
def s3(store):
    return boto3.client(
        "s3", endpoint_url=store.endpoint, region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
    )  # fmt: skip


def begin(s3, key, parts=2):
    upload = s3.create_multipart_upload(Bucket="archive", Key=key)["UploadId"]
    for number in range(1, parts + 1):
        s3.upload_part(
            Bucket="archive", Key=key, UploadId=upload, PartNumber=number, Body=b"x" * 5_242_880
        )
    return upload


def unfinished(s3):
    answer = s3.list_multipart_uploads(Bucket="archive")
    return {upload["Key"] for upload in answer.get("Uploads", [])}


def test_unfinished_uploads_of_an_item_are_aborted_and_no_others(store, s3):
    for key in ("naip/m_1/a.tif", "naip/m_1/b.tif", "naip/m_10/a.tif"):
        begin(s3, key)
    assert abort_orphans("s3://archive/naip/m_1/", store.options) == 2
    assert unfinished(s3) == {"naip/m_10/a.tif"}
    assert abort_orphans("s3://archive/naip/m_1/", store.options) == 0
    assert abort_orphans("s3://archive/naip/", store.options) == 1
    assert unfinished(s3) == set()


def test_only_the_uploads_of_the_objects_named_are_aborted(store, s3):
    for number in (1, 2, 10):
        begin(s3, f"cubes/cube_{number}.npz")
    own = ["s3://archive/cubes/cube_1.npz", "s3://archive/cubes/cube_3.npz"]
    assert abort_orphans("s3://archive/cubes/", store.options, only=own) == 1
    assert unfinished(s3) == {"cubes/cube_2.npz", "cubes/cube_10.npz"}
    assert abort_orphans("s3://archive/cubes/", store.options) == 2


def test_an_unfinished_upload_shows_no_object(store, s3):
    begin(s3, "naip/m_2/a.tif")
    assert list(Storage(options=store.options).list("s3://archive/naip/m_2/")) == []
    assert abort_orphans("s3://archive/naip/m_2/", store.options) == 1


def test_other_places_have_nothing_to_abort(tmp_path, store):
    assert abort_orphans(f"{tmp_path}/", store.options) == 0
    assert abort_orphans("gs://bucket/folder/", store.options) == 0
