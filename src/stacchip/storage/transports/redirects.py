"""Where a redirect may lead: never away from HTTP, and to this machine only from itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from stacchip.errors import StorageError
from stacchip.storage.local_hosts import is_local_host, local_refusal
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from urllib3.util import Url


def require_http(url: str, target: str) -> None:
    """Refuse a redirect away from HTTP.

    One from https to http is followed: credentials go to the first scheme, host and port alone.

    Raises:
        StorageError: It leads there.
    """
    if urlsplit(target).scheme.lower() not in ("http", "https"):
        text = f"{redact(url)} redirects away from HTTP, to {redact(target)}: it is not followed."
        raise StorageError(text, href=redact(url))


def join(url: str, location: str) -> str:
    """Return the address that a redirect leads to.

    Raises:
        StorageError: It is none.
    """
    try:
        return urljoin(url, location)
    except ValueError:  # brackets that hold no IPv6 address
        text = f"{redact(url)} redirects to what is no address."
    raise StorageError(text, href=redact(url))


def refuse_local(url: str, target: Url) -> None:
    """Refuse a redirect from another host to one that only this machine can reach.

    Raises:
        NotAllowed: It leads there.
    """
    if is_local_host(target.host or ""):
        raise local_refusal(f"{redact(url)} redirects to {target.host}", redact(url))
