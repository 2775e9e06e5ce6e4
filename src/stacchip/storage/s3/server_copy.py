"""Let S3 copy from one bucket into another (CopyObject), so that no byte goes through this machine.

This is tried if both buckets are in one S3 service, with the keys that may write to the target.
S3 may refuse these keys even an object that is public (a role whose policy names its own bucket
only), and some services cannot copy at all. The caller then copies through this machine.

Copies within one bucket, in any kind of store, are `Storage.copy`'s own, through obstore. obstore
has no copy between buckets, hence boto3 here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from stacchip.runtime.per_process import PerProcess
from stacchip.storage.deadline import call_within
from stacchip.storage.href import parse_href
from stacchip.storage.redaction import redact
from stacchip.storage.s3.client import open_client

if TYPE_CHECKING:
    from stacchip.storage import Storage
    from stacchip.storage.href import Location

_log = logging.getLogger(__name__)
# docs.aws.amazon.com, CopyObject: larger objects have to be copied in parts
_LARGEST: Final = 5 << 30
# the answers that mean that no copy between the two buckets will succeed
_REFUSALS: Final = (400, 401, 403, 405, 501)
# copies run in many threads; adding to a set is atomic
_REFUSED: PerProcess[set[tuple[str, str]]] = PerProcess(set)


def copy_by_store(
    source: str, target: str, storage: Storage, *, refused: set[tuple[str, str]] | None = None
) -> bool:
    """Let the store copy an object; return False, with nothing written, if it did not.

    The copy appears whole or not at all, and is of the version that was there when this began.

    Args:
        source: An href.
        target: An href.
        storage: Reads the source's identity, and knows how to reach both.
        refused: Pairs of buckets between which a copy was refused, so that it is not tried again
            for each file; by default those of this process.

    Raises:
        StorageError: The source does not exist, or the store does not give its identity.
    """
    refused = _REFUSED.get() if refused is None else refused
    origin, place = parse_href(source), parse_href(target)
    between = (origin.root, place.root)
    if between in refused or not _have_one_service(source, target, storage):
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
        call_within(
            lambda: _ask_for_copy(client, origin, place, version.etag or "", bool(pays)),
            time.monotonic() + storage.options_for(target).deadline_s,
        )
    except (BotoCoreError, ClientError, TimeoutError) as error:
        code, status = _read_answer(error)
        if status in _REFUSALS:
            refused.add(between)
        _log.info("the store does not copy %s (%s): it goes through us", redact(source), code)
        return False
    return True


def _ask_for_copy(client: Any, origin: Location, place: Location, etag: str, pays: bool) -> None:
    client.copy_object(
        CopySource={"Bucket": origin.root, "Key": origin.key},
        CopySourceIfMatch=etag,
        Bucket=place.root,
        Key=place.key,
        # by default tags are copied too, and reading them takes a right of its own
        TaggingDirective="REPLACE",
        **({"RequestPayer": "requester"} if pays else {}),
    )


def _have_one_service(source: str, target: str, storage: Storage) -> bool:
    """Return True if both are in one S3 service, and the keys for writing may be used to read."""
    if {parse_href(source).scheme, parse_href(target).scheme} != {"s3"}:
        return False
    there, here = (storage.options_for(href).with_environment() for href in (source, target))
    is_public = bool(there.skip_signature)
    return (
        there.endpoint == here.endpoint
        and not here.skip_signature
        and (is_public or there.access_key_id == here.access_key_id)
    )


def _read_answer(error: Any) -> tuple[str, int | None]:
    """Return code and HTTP status of the store's answer, without its text, which may show a key."""
    answer = getattr(error, "response", {})
    code = answer.get("Error", {}).get("Code", type(error).__name__)
    return str(code), answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
