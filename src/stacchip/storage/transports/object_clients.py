"""Clients of object stores: one for each bucket and set of options, kept by the process.

obstore's clients follow redirects, up to ten, and have no option against it. They drop
`Authorization` on the way to another host, and never go from https to http. The headers of the
options and the session token of S3 (`x-amz-security-token`, which is of no use without the secret
key) do follow. So an endpoint that redirects to another host shares these with it: name only
endpoints that you trust with them.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from stacchip.errors import StorageError, UsageError
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.redaction import redact
from stacchip.storage.transports import web

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from stacchip.storage.href import Location
    from stacchip.storage.options import StorageOptions

_REGION = re.compile("[a-z0-9-]{1,40}")  # it becomes a part of the host
# names of buckets and containers in all stores ($web, $root), and ARNs of access points
_NAME: Final = re.compile(r"[A-Za-z0-9._$:-]{0,255}")
_GLOBAL_ENDPOINT = "https://s3.amazonaws.com"
# "put" and "parts" do not limit silence: a store is silent while it receives. "parts" also retries.
Mode = Literal["read", "put", "parts"]


@dataclass(frozen=True)
class _StoreKey:
    """The values that determine a client; equal keys share one client and its connections."""

    scheme: str
    root: str
    account: str | None
    options: StorageOptions
    headers: tuple[tuple[str, str], ...]  # StorageOptions leaves them out of its hash
    timeout_s: float
    mode: Mode


_STORES: PerProcess[dict[_StoreKey, ObjectStore]] = PerProcess(dict)
# the regions found for buckets, by endpoint and bucket
_REGIONS: PerProcess[dict[tuple[str | None, str], str]] = PerProcess(dict)


def shorten(longest_s: float, left_s: float) -> float:
    """Return the time limit of an attempt: the whole time allowed, or the time left, rounded down.

    Each of obstore's clients has one fixed limit. Rounding to powers of two keeps them few.

    Example:
        >>> shorten(120.0, 120.0), shorten(120.0, 100.0)
        (120.0, 64.0)
    """
    if left_s >= longest_s - 0.5:
        return longest_s
    return float(2.0 ** math.floor(math.log2(max(left_s, 0.25))))


def open_store(
    location: Location, options: StorageOptions, timeout_s: float, mode: Mode
) -> ObjectStore:
    """Return the client for a bucket; it is made once in each process.

    Raises:
        StorageError: This is a forked child whose parent used a client: obstore would wait for ever
            for threads that the fork did not copy.
    """
    if _STORES.was_used_before_fork:
        raise StorageError(
            f"{location.scheme}://{location.root} cannot be used in a process that was forked "
            "after its parent had used an object store: a fork does not copy the client's threads. "
            "Start workers with multiprocessing_context='forkserver' (or 'spawn').",
            href=f"{location.scheme}://{location.root}",
        )
    for name in (location.root, location.account or ""):
        if not _NAME.fullmatch(name):  # obstore panics
            raise UsageError(
                f"{redact(location.href)[:200]!r} has a bucket, container or account whose name "
                "holds characters that no store allows. Check where the address comes from."
            )
    headers = tuple(sorted(options.headers.items()))
    key = _StoreKey(
        location.scheme,
        location.root,
        location.account,
        options,
        headers,
        timeout_s,
        mode,
    )
    stores = _STORES.get()
    store = stores.get(key)
    if store is None:  # two threads may both make one: the first stays
        store = stores.setdefault(key, _make_store(location, options, timeout_s, mode))
    return store


def _make_store(
    location: Location, options: StorageOptions, timeout_s: float, mode: Mode
) -> ObjectStore:
    client: dict[str, Any] = {
        "allow_http": (options.endpoint or "").startswith("http://"),
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(10.0, timeout_s)),
        "pool_max_idle_per_host": str(options.max_connections),
        "user_agent": "stacchip",
    }
    if mode == "read":
        client["read_timeout"] = timedelta(seconds=min(options.timeout_s, timeout_s))
    if options.headers:
        client["default_headers"] = dict(options.headers)
    retry: Any = {
        "max_retries": options.max_attempts - 1 if mode == "parts" else 0,
        "retry_timeout": timedelta(seconds=options.deadline_s),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=15),
            "base": 2,
        },
    }
    shared: dict[str, Any] = {"client_options": client, "retry_config": retry}
    make = {"s3": _make_s3, "gs": _make_gcs, "az": _make_azure}[location.scheme]
    try:
        return make(location, options, shared)
    except (BaseError, ValueError):
        pass  # not chained: the text may show a key
    remedy = "Check StorageOptions and the variables of the store."
    if location.scheme == "az" and not location.account:
        remedy = (
            "Name the account: in the href (abfs://container@account.dfs.core.windows.net/key), "
            "by StorageOptions(account=...), or in AZURE_STORAGE_ACCOUNT_NAME."
        )
    raise UsageError(
        f"The options for {location.scheme}://{location.root}, with those of the environment, are "
        f"incomplete or contradict themselves. {remedy}"
    )


def _make_s3(location: Location, options: StorageOptions, shared: dict[str, Any]) -> ObjectStore:
    config: Any = {
        "skip_signature": bool(options.skip_signature),
        "request_payer": bool(options.requester_pays),
    }
    if options.region:
        config["region"] = options.region
    if options.endpoint:
        # the more specific of the two keys: AWS_ENDPOINT_URL_S3 as a variable outranks the other
        config["aws_endpoint_url_s3"] = options.endpoint.rstrip("/")
    if options.access_key_id and not options.skip_signature:
        # not as configuration: obstore would add a session token from the environment
        shared["credential_provider"] = StaticKeys(
            options.access_key_id, options.secret_access_key or "", options.session_token
        )
    return S3Store(location.root, config=config, **shared)


def _make_gcs(location: Location, options: StorageOptions, shared: dict[str, Any]) -> ObjectStore:
    config: Any = {}
    if options.skip_signature is not None:
        config["skip_signature"] = options.skip_signature
    if options.endpoint:
        config["base_url"] = options.endpoint.rstrip("/")
    return GCSStore(location.root, config=config, **shared)


def _make_azure(location: Location, options: StorageOptions, shared: dict[str, Any]) -> ObjectStore:
    config: Any = {}
    if options.skip_signature is not None:
        config["skip_signature"] = options.skip_signature
    if options.endpoint:
        config["endpoint"] = options.endpoint.rstrip("/")
    account = location.account or options.account or os.environ.get("AZURE_STORAGE_ACCOUNT")
    if account:
        config["account_name"] = account
    return AzureStore(location.root, config=config, **shared)


@dataclass(frozen=True)
class StaticKeys:
    """Fixed S3 keys, as a credential provider of obstore."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None

    def __repr__(self) -> str:
        return "StaticKeys(***)"

    def __call__(self) -> Any:
        """Return the keys."""
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": self.session_token,
            "expires_at": None,
        }


def known_region(location: Location, options: StorageOptions) -> str | None:
    """Return the region that a bucket turned out to be in, else the one of the options."""
    return _REGIONS.get().get((options.endpoint, location.root)) or options.region


def find_region(
    location: Location, options: StorageOptions, tried: str | None, until_s: float
) -> None:
    """Ask S3 for the region of a bucket that is not in the one tried, and remember it.

    S3 names it in a header of every answer to HEAD, even if it refuses access.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html

    Raises:
        StorageError: The store names no region, or the one that was tried.
    """
    url = f"{(options.endpoint or _GLOBAL_ENDPOINT).rstrip('/')}/{location.root}"
    plain = replace(options, headers={})
    with web.send("HEAD", url, {}, plain, until_s, is_named=True) as answer:
        answer.read()
        found = answer.headers.get("x-amz-bucket-region")
    if found is None or found == tried or not _REGION.fullmatch(found):
        raise StorageError(
            f"{location.scheme}://{location.root} is in another region, which the store does not "
            "name. Pass StorageOptions(region=...).",
            href=redact(location.href),
        )
    _REGIONS.get()[options.endpoint, location.root] = found
