"""Abort multipart uploads that a killed job left in an S3 store, where they are still billed.

Nothing is visible under the object's name until a multipart upload is completed, and its parts
stay in the store until someone aborts it. obstore cannot list uploads, so this uses boto3, which is
an extra. Without boto3 the remedy is a lifecycle rule of the bucket
(`AbortIncompleteMultipartUpload`).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from stacchip.errors import StorageError, StorageTimeout
from stacchip.storage.deadline import call_within
from stacchip.storage.href import parse_href
from stacchip.storage.redaction import redact
from stacchip.storage.s3.client import open_client

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from stacchip.storage import StorageOptions

_log = logging.getLogger(__name__)


def abort_orphans(
    folder: str, options: StorageOptions, *, only: Collection[str] | None = None
) -> int:
    """Abort the unfinished uploads of objects below a folder.

    A job calls this before it first writes a file to the folder. (A job that only links files does
    not.) An upload of another job that works on the same item is aborted too: that job notices, and
    finds or writes the object again.

    Args:
        folder: An `s3://` href; in any other place there is nothing to abort.
        options: Options of the store.
        only: Hrefs of the job's own objects, if other jobs write to the folder too.

    Returns:
        The number of uploads aborted.

    Raises:
        StorageError: The store refused to list or to abort them.
    """
    place = parse_href(folder)
    if place.scheme != "s3":
        return 0
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # an extra
    except ImportError:
        _log.warning(
            "boto3 is not installed: unfinished uploads below %s are not aborted. "
            "Install 'stacchip[processors]', or give the bucket a lifecycle rule.",
            redact(folder),
        )
        return 0
    try:
        client = open_client(options.with_environment())
        keys = None if only is None else {parse_href(href).key for href in only}
        return _abort(client, place.root, f"{place.key}/" if place.key else "", keys, options)
    except TimeoutError as error:
        raise StorageTimeout(
            f"The store did not answer within {options.deadline_s:g} s when it was asked for "
            f"unfinished uploads below {redact(folder)}. Try later.",
            href=redact(folder),
        ) from error
    except (BotoCoreError, ClientError) as error:
        failure = StorageError(
            f"Unfinished uploads below {redact(folder)} could not be listed or aborted: "
            f"{type(error).__name__}. Allow s3:ListBucketMultipartUploads and "
            "s3:AbortMultipartUpload.",
            href=redact(folder),
        )
    raise failure  # not chained: the text of the original may show a key


def _abort(
    client: Any,
    bucket: str,
    prefix: str,
    keys: Collection[str] | None,
    options: StorageOptions,
) -> int:
    aborted = 0
    for upload in _list_uploads(client, bucket, prefix, options):
        if not upload["Key"].startswith(prefix):  # some stores ignore the prefix
            continue
        if keys is not None and upload["Key"] not in keys:
            continue
        _abort_one(client, bucket, upload["Key"], upload["UploadId"], options.deadline_s)
        _log.info("aborted an unfinished upload of %r", f"s3://{bucket}/{upload['Key']}")
        aborted += 1
    return aborted


def _list_uploads(
    client: Any, bucket: str, prefix: str, options: StorageOptions
) -> Iterator[dict[str, str]]:
    """Yield the unfinished uploads that a store lists; each page of some has the whole deadline.

    Raises:
        TimeoutError: Nothing more was listed in time, also if empty pages go on for ever.
        LimitExceeded: There are too many.
        StorageError: The answer does not say what they are.
    """
    lister = client.get_paginator("list_multipart_uploads")
    pages = iter(lister.paginate(Bucket=bucket, Prefix=prefix))
    shown = f"s3://{bucket}/{prefix}"
    until_s = time.monotonic() + options.deadline_s
    count = 0
    while page := call_within(lambda: next(pages, None), until_s):
        uploads = page.get("Uploads", [])
        count += len(uploads)
        if count > options.limits.listed:
            what = f"{shown} lists {count} unfinished uploads or more"
            raise options.limits.exceeded("listed", what, href=shown)
        for upload in uploads:
            if not {"Key", "UploadId"} <= upload.keys():
                raise StorageError(
                    f"{shown}: the store lists an unfinished upload without its key or its id. "
                    "Check StorageOptions(endpoint=...).",
                    href=shown,
                )
            yield upload
        if uploads:
            until_s = time.monotonic() + options.deadline_s


def _abort_one(client: Any, bucket: str, key: str, upload_id: str, within_s: float) -> None:
    from botocore.exceptions import ClientError

    try:
        call_within(
            lambda: client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id),
            time.monotonic() + within_s,
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
            raise  # otherwise another job aborted it first
