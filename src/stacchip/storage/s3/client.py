"""boto3, for operations of S3 that `stacchip.storage` has no verb for. It is an extra."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stacchip.storage.foreign_logs import keep_secrets_out

if TYPE_CHECKING:
    from stacchip.storage import StorageOptions


@lru_cache(maxsize=8)
def open_client(options: StorageOptions) -> Any:
    """Return a client of a store; boto3 looks for keys that the options do not give.

    Its time limits are those of a wait: callers give each request a deadline (`call_within`), since
    boto3 has none for a request with all its attempts, or for an answer that comes byte by byte.

    Raises:
        ImportError: boto3 is not installed.
    """
    import boto3
    from botocore.config import Config

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint,
        region_name=options.region or "us-east-1",
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        aws_session_token=options.session_token,
        config=Config(
            retries={"mode": "standard", "max_attempts": 8},
            connect_timeout=min(10, options.deadline_s),
            read_timeout=min(60, options.deadline_s),
            max_pool_connections=64,  # rows, items and files are processed at the same time
            s3={"addressing_style": "path"} if options.endpoint else {},
        ),
    )
    keep_secrets_out()
    return client
