"""Copying by the store itself: S3's CopyObject, from one bucket into another.

Not a byte comes here, where a copy through this machine takes each down and up again. It is tried
where one S3 service has both buckets, with the keys that write: these may be refused what anybody
may read (a role whose policy names its own bucket only), and some services cannot do it at all.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stacchip.storage import redact
from stacchip.storage.s3.client import open_client

if TYPE_CHECKING:
    from stacchip.storage import Storage

_log = logging.getLogger(__name__)
# docs.aws.amazon.com, CopyObject: what is larger has to be copied in parts
_LARGEST: Final = 5 << 30
# pairs of buckets between which a copy was refused: it is not tried again for each file
_REFUSALS: Final = (400, 401, 403, 405, 501)
_refused: set[tuple[str, str]] = set()


def copy_by_store(source: str, target: str, storage: Storage) -> bool:
    """Let the store copy an object; whether it did. Where it did not, nothing was written.

    The copy appears whole or not at all, and is of the version that was there when this began.

    Args:
        source: An href.
        target: An href.
        storage: How both are reached.

    Raises:
        StorageError: The source is not there, or cannot be looked at.
    """
    origin, place = urlsplit(source), urlsplit(target)
    between = (origin.netloc, place.netloc)
    if between in _refused or not _have_one_service(source, target, storage):
        return False
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # an extra

        client = open_client(storage.options_for(target).with_environment())
    except ImportError:
        return False
    version = storage.stat(source)
    if version.etag is None or version.size_bytes is None or version.size_bytes > _LARGEST:
        return False
    pays = storage.options_for(source).with_environment().requester_pays
    try:
        client.copy_object(
            CopySource={"Bucket": origin.netloc, "Key": origin.path.lstrip("/")},
            CopySourceIfMatch=version.etag,
            Bucket=place.netloc,
            Key=place.path.lstrip("/"),
            # tags would be copied by default, which takes a right of its own to read them
            TaggingDirective="REPLACE",
            **({"RequestPayer": "requester"} if pays else {}),
        )
    except (BotoCoreError, ClientError) as error:
        code, status = _read_answer(error)
        if status in _REFUSALS:
            _refused.add(between)
        _log.info("%s is not copied by the store (%s): it goes through us", redact(source), code)
        return False
    return True


def _have_one_service(source: str, target: str, storage: Storage) -> bool:
    """Whether one S3 service has both, and the keys that write to it may be shown for reading."""
    if not source.startswith("s3://") or not target.startswith("s3://"):
        return False
    there, here = (storage.options_for(href).with_environment() for href in (source, target))
    is_public = bool(there.skip_signature)
    return (
        there.endpoint == here.endpoint
        and not here.skip_signature
        and (is_public or there.access_key_id == here.access_key_id)
    )


def _read_answer(error: Any) -> tuple[str, int | None]:
    """Code and HTTP status of what the store answered, without the text, which may show a key."""
    answer = getattr(error, "response", {})
    code = answer.get("Error", {}).get("Code", type(error).__name__)
    return str(code), answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
