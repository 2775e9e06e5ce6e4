"""Multipart uploads that a killed job left in an S3 store, and that would be paid for for ever.

Until a multipart upload is completed nothing is visible under the object's name, and its parts stay
in the store until somebody aborts it. Listing uploads is not among the verbs of `stacchip.storage`,
so this speaks to S3 through boto3, which is an extra: where it is not installed, the remedy is a
lifecycle rule of the bucket (`AbortIncompleteMultipartUpload`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stacchip.errors import StorageError
from stacchip.storage import redact
from stacchip.storage.s3.client import open_client

if TYPE_CHECKING:
    from collections.abc import Collection

    from stacchip.storage import StorageOptions

_log = logging.getLogger(__name__)


def abort_orphans(
    folder: str, options: StorageOptions, *, only: Collection[str] | None = None
) -> int:
    """Abort the unfinished uploads of objects below a folder.

    A job calls this before it writes there for the first time. An upload of another job that is at
    work on the same item is aborted too: that job notices, and finds or writes the object again.

    Args:
        folder: An `s3://` href; anywhere else there is nothing to abort.
        options: How the store is reached.
        only: Hrefs of the objects that are the job's own, where others write to the folder, too.

    Returns:
        How many uploads were aborted.

    Raises:
        StorageError: The store refused to list or to abort them.
    """
    parts = urlsplit(folder)
    if parts.scheme != "s3":
        return 0
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # an extra
    except ImportError:
        _log.warning(
            "boto3 is not installed: unfinished uploads below %s are not looked for. "
            "Install 'stacchip[processors]', or give the bucket a lifecycle rule.",
            redact(folder),
        )
        return 0
    try:
        client = open_client(options.with_environment())
        keys = None if only is None else {urlsplit(href).path.lstrip("/") for href in only}
        return _abort(client, parts.netloc, parts.path.lstrip("/"), keys)
    except (BotoCoreError, ClientError) as error:
        failure = StorageError(
            f"Unfinished uploads below {redact(folder)} cannot be listed or aborted: "
            f"{type(error).__name__}. Allow s3:ListBucketMultipartUploads and "
            "s3:AbortMultipartUpload.",
            href=redact(folder),
        )
    raise failure  # not chained: the text of the original may show a key


def _abort(client: Any, bucket: str, prefix: str, keys: Collection[str] | None) -> int:
    aborted = 0
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for upload in page.get("Uploads", []):
            if not upload["Key"].startswith(prefix):  # a store that ignores the prefix
                continue
            if keys is not None and upload["Key"] not in keys:
                continue
            _abort_one(client, bucket, upload["Key"], upload["UploadId"])
            _log.info("aborted an unfinished upload of s3://%s/%s", bucket, upload["Key"])
            aborted += 1
    return aborted


def _abort_one(client: Any, bucket: str, key: str, upload_id: str) -> None:
    from botocore.exceptions import ClientError

    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
            raise  # else somebody else was quicker
