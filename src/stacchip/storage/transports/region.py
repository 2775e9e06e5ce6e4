"""The region of an S3 bucket, asked of the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stacchip.storage.transports import web

if TYPE_CHECKING:
    from stacchip.storage.options import StorageOptions

GLOBAL_ENDPOINT = "https://s3.amazonaws.com"


def find_bucket_region(bucket: str, options: StorageOptions, until_s: float) -> str | None:
    """The region that a bucket lies in, or None where the store does not tell.

    S3 names it in a header of every answer to HEAD, also where it refuses access.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    url = f"{(options.endpoint or GLOBAL_ENDPOINT).rstrip('/')}/{bucket}"
    public = replace(options, headers={})
    with web.send("HEAD", url, {}, public, until_s) as answer:
        answer.read()
        return answer.headers.get("x-amz-bucket-region")
