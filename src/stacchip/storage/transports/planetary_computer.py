"""Planetary Computer: sign hrefs when they are read, with tokens that are renewed.

Its imagery lies in Azure containers, which answer only to a shared access signature. Tokens are
free, are valid for one container, and expire after about 45 minutes.
https://planetarycomputer.microsoft.com/docs/concepts/sas/

`obstore.auth.planetary_computer` gives such tokens to obstore's Azure client. The hrefs of the
catalogue are web addresses, though, and are read as such: one transport then reads all of them, and
a token that the store refuses is renewed at once, which obstore's clients cannot be asked to do.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from stacchip.errors import AccessDenied, StorageError
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.href import split_href
from stacchip.storage.limits import Bound
from stacchip.storage.origin import web_origin
from stacchip.storage.redaction import redact
from stacchip.storage.retry import persist
from stacchip.storage.transports import web

if TYPE_CHECKING:
    from stacchip.storage.options import StorageOptions

ENDPOINT = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
ENDPOINT_VARIABLE = "STACCHIP_PC_SAS_URL"
"""The environment variable that names another token service.

Only the command line reads our other variables. This one also applies when stacchip is used as a
library, since the code that makes a `Storage` does not know which token service it will need.
"""
HOST_SUFFIX = ".blob.core.windows.net"
_HOST = re.compile(rf"([a-z0-9-]+){re.escape(HOST_SUFFIX)}")
_CONTAINER = re.compile(r"/+([A-Za-z0-9$_-]+)(?=/|$)")
RENEW_BEFORE_S = 60.0
LARGEST_ANSWER = Bound(64 * 1024)


@dataclass
class _Token:
    """The signature for one container; `query` is "" if the container needs none."""

    query: str = ""
    ends_at_s: float = 0.0  # time.time()
    failed_at_s: float = 0.0
    failure: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __repr__(self) -> str:
        return f"_Token(ends_at_s={self.ends_at_s})"


class Signer:
    """Signs hrefs of Planetary Computer's containers; one serves all threads of a process.

    Args:
        ask_again_s: How long to leave a service alone after all attempts failed, so that it is not
            asked again for each file.
    """

    def __init__(self, *, ask_again_s: float = 30.0) -> None:
        self.ask_again_s = ask_again_s
        # by endpoint, account and container
        self._tokens: PerProcess[dict[tuple[str, str, str], _Token]] = PerProcess(dict)

    def sign(self, href: str, options: StorageOptions) -> str:
        """Return an href with a signature, if it is in a container that Planetary Computer knows.

        An href that is signed already, and any other, is returned unchanged. So is one of http, to
        which no token goes, unless the token service itself is one of http. Threads that need the
        same token wait for one request.

        Raises:
            StorageError: The token service did not answer.
        """
        found = self._find_token(href)
        if found is None:
            return href
        key, token = found
        if token.ends_at_s <= time.time():
            with token.lock:
                if token.ends_at_s <= time.time():
                    try:
                        self._fetch(token, key, options)
                    except StorageError as error:
                        raise _failure_of(error, href) from error
        if not token.query:
            return href
        return f"{href}{'&' if '?' in href else '?'}{token.query}"

    def renew(self, href: str, refused: str) -> bool:
        """Drop the token that signed `refused`; False if none did, so that nothing can be renewed.

        Args:
            href: The unsigned href.
            refused: The signed one, which the store answered with 403.
        """
        found = self._find_token(href)
        if found is None:
            return False
        token = found[1]
        with token.lock:
            if not token.query:
                return False
            if refused.endswith(token.query):  # else another thread has renewed it
                token.ends_at_s = 0.0
        return True

    def _fetch(self, token: _Token, key: tuple[str, str, str], options: StorageOptions) -> None:
        if token.failure and time.time() < token.failed_at_s + self.ask_again_s:
            raise StorageError(token.failure, href=redact("/".join(key)))
        try:
            token.query, token.ends_at_s = _fetch_token(key, options)
        except AccessDenied:
            raise  # at the first attempt
        except StorageError as error:
            token.failed_at_s, token.failure = time.time(), str(error)
            raise
        token.failure = ""

    def _find_token(self, href: str) -> tuple[tuple[str, str, str], _Token] | None:
        """Return the (possibly empty) token for an href; None if it is not to be signed."""
        if HOST_SUFFIX not in href or "\\" in href:  # parsers differ in what a backslash ends
            return None
        origin = web_origin(href)  # as the request reads it: "https://evil.org\\@a.blob..."
        host = None if origin is None else _HOST.fullmatch(origin.host)
        split = split_href(href)
        container = _CONTAINER.match(split.path)
        if host is None or container is None or re.search(r"(^|&)sig=", split.query):
            return None
        endpoint = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
        if origin is None or (origin.scheme != "https" and not _is_plain(endpoint)):
            return None  # everybody on the way could read the token
        key = (endpoint.rstrip("/"), host[1], container[1])
        return key, self._tokens.get().setdefault(key, _Token())


def _is_plain(endpoint: str) -> bool:
    """Return True for a token service that sends its tokens over http itself."""
    service = web_origin(endpoint)
    return service is not None and service.scheme == "http"


def _failure_of(error: StorageError, href: str) -> StorageError:
    """Return the error of a file whose token was not given: it names the file first."""
    shown = redact(href)
    return type(error)(
        f"{shown} cannot be read: Planetary Computer gave no token to sign its address. {error} "
        "Without a token, in Python, Storage(sign=None) reads public files, and Storage(sign=...) "
        "signs by a function of yours.",
        href=shown,
        status=error.status,
    )


SIGNER = Signer()
"""The signer of every `Storage(sign="auto")`."""


def _fetch_token(key: tuple[str, str, str], options: StorageOptions) -> tuple[str, float]:
    """Ask for a token, and return its query and when to renew it."""
    url = "/".join(key)
    options = replace(options, headers={})  # those for the file's server are not for this one
    try:
        blob = persist(lambda until_s: web.get(url, options, until_s, LARGEST_ANSWER), url, options)
    except AccessDenied:
        raise
    except StorageError as error:
        if error.status in (400, 404):  # not one of theirs: an account of the user's own
            return "", float("inf")
        raise
    try:
        answer = json.loads(bytes(blob.data))
        query, expiry = answer["token"], answer["msft:expiry"]
        ends_at_s = datetime.fromisoformat(expiry).timestamp()
    except (ValueError, KeyError, TypeError):
        query = None  # and the error, whose text may hold a token, is dropped
    if isinstance(query, str) and query:
        return query.lstrip("?"), ends_at_s - RENEW_BEFORE_S
    shown = redact(url)
    raise StorageError(f"{shown} did not answer with a token and its expiry.", href=shown)
