"""Errors of urllib3 and of sockets, as ours: whether another attempt may succeed."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError, LocationValueError

from stacchip.errors import StacchipError, StorageError, UsageError
from stacchip.storage.failure import TransientError
from stacchip.storage.href import split_href
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def translating(url: str, act: Callable[[], T]) -> T:
    """Use a connection, and turn its errors into ours.

    The original is not chained: its text can hold a signed URL.

    Raises:
        TransientError: Another attempt may succeed.
        StorageError: No attempt can succeed.
        UsageError: The URL or a header cannot be sent.
    """
    failure: Exception
    try:
        return act()
    except (HTTPError, http.client.HTTPException, OSError, ValueError, MemoryError) as error:
        failure = failure_of(error, url)
    raise failure


def failure_of(error: BaseException, url: str) -> Exception:  # noqa: PLR0911, C901 - a table of cases
    """Translate an error of urllib3 or of a socket: a `TransientError`, or the error to raise."""
    shown = redact(url)
    # urllib3 wraps the errors of sockets and parsers
    while isinstance(error, HTTPError) and (inner := error.__cause__ or error.__context__):
        error = inner
    if isinstance(error, StacchipError):
        return error
    if isinstance(error, LocationValueError):
        return UsageError(f"{shown!r} has no host, or an impossible port.")
    if isinstance(error, MemoryError):
        return StorageError(f"{shown} does not fit into memory.", href=shown)
    if isinstance(error, ssl.SSLCertVerificationError):
        host = split_href(url).hostname
        text = f"{shown}: the certificate of {host} is not trusted ({error.verify_message})."
        return StorageError(text, href=shown)
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        return StorageError(f"{shown}: there is no host {split_href(url).hostname}.", href=shown)
    if isinstance(error, TimeoutError):
        return TransientError("a time-out")
    if isinstance(error, http.client.IncompleteRead):
        return TransientError("a short read")
    if isinstance(error, OSError):  # http.client.RemoteDisconnected too
        is_proxy = str(error).startswith("Tunnel connection failed")
        otherwise = "the proxy refused it" if is_proxy else "the connection was closed"
        return TransientError(f"a failed connection ({(error.strerror or otherwise).lower()})")
    if isinstance(error, ValueError) and not isinstance(error, http.client.HTTPException):
        return UsageError(f"{shown!r}: a header has a character that HTTP does not allow.")
    return TransientError(f"an answer that is not HTTP ({type(error).__name__})")
