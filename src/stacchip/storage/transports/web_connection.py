"""HTTP(S) connections: urllib3's, kept open by the process, with one deadline for every wait."""

from __future__ import annotations

import http.client
import io
import math
import os
import socket
import ssl
import time
import urllib.request
from contextvars import ContextVar
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import urllib3
import urllib3.connection
from urllib3.util import Timeout, Url, make_headers, parse_url

from stacchip.runtime.memory import MemoryPool
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.foreign_logs import keep_secrets_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.storage.options import StorageOptions

LONGEST_CONNECT_S = 10.0
# of each, up to 32 connections stay open: a process often may open 1,024 files
MOST_HOSTS = 16
POOLED = range(
    256 * 1024, 8 * 1024 * 1024
)  # malloc is quick with smaller ones, and larger ones are rare
BUFFER = 64 * 1024  # one call reads the head of an answer and most blocks
NO_RETRIES = urllib3.Retry(False, redirect=False)  # our retries are tenacity's, in every transport
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
# Gateways drop connections after 4 minutes of silence: probes of the kernel keep them open, and
# urllib3 replaces those that it finds dead. macOS calls TCP_KEEPIDLE TCP_KEEPALIVE.
KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, option, value)
        for option, value in (
            (getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None)), 45),
            (getattr(socket, "TCP_KEEPINTVL", None), 10),
            (getattr(socket, "TCP_KEEPCNT", None), 3),
        )
        if option is not None
    ),
]

_RECEIVED = MemoryPool(192 << 20, slab_bytes=0)
_until_s: ContextVar[float] = ContextVar("until_s")


class _TimedStream(io.RawIOBase):
    """A socket's stream that ends at a deadline.

    urllib3's time-outs bound each wait only: a server that sends a byte now and then, in the head
    or the body of its answer, would hold a thread for ever.
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._idle_s = sock.gettimeout() or math.inf
        self._until_s = _until_s.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(min(self._idle_s, _left_s(self._until_s)))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedStream(sock, self.fp.detach()), BUFFER)

    def read(self, amt: int | None = None) -> Any:
        """Read the body; the body of a range is a view of memory from the pool."""
        size = self.length or 0
        if self.status != HTTPStatus.PARTIAL_CONTENT or amt is not None or size not in POOLED:
            return super().read(amt)
        memory = _RECEIVED.array((size,), np.dtype(np.uint8)).data
        got = self.readinto(memory)
        if got < size:
            raise http.client.IncompleteRead(bytes(memory[:got]), size - got)
        return memory


class _PlainConnection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def request(
    method: str, url: Url, headers: Mapping[str, str], options: StorageOptions, until_s: float
) -> urllib3.BaseHTTPResponse:
    """Send a request without a body; the caller reads the answer's body and closes the answer.

    Redirects are not followed, and nothing is tried again. If the environment names a proxy, the
    request goes through it.

    Args:
        method: "GET" or "HEAD".
        url: The address; its user and password are not sent.
        headers: The headers to send.
        options: `timeout_s` for each wait, and `max_connections`.
        until_s: The time (`time.monotonic()`) by which the body must have arrived.

    Raises:
        urllib3.exceptions.HTTPError: Any failure; its text may hold the URL.
        ValueError: A header cannot be sent.
    """
    left_s = _left_s(until_s)
    _until_s.set(until_s)
    environment = tuple(os.environ.get(name) for name in PROXIES)
    proxy = _find_proxy(url.scheme or "", url.netloc or "", environment)
    return _manager(url.scheme == "https", proxy, options.max_connections).urlopen(
        method,
        url._replace(auth=None).url,
        headers=headers,
        retries=NO_RETRIES,
        redirect=False,
        timeout=Timeout(
            connect=min(LONGEST_CONNECT_S, left_s), read=min(options.timeout_s, left_s)
        ),
        preload_content=False,
    )


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def authorization(url: Url) -> dict[str, str]:
    """Return the header for user and password in a URL, or none if it has none."""
    return basic_authorization(url.auth)


def basic_authorization(userinfo: str | None) -> dict[str, str]:
    """Return the header for `user:password` as an address has it, or none without it."""
    if not userinfo:
        return {}
    # each percent-encoded byte as one character: urllib3 turns them into bytes again
    return make_headers(basic_auth=unquote(userinfo, "latin-1"))


@lru_cache(maxsize=1024)
def _find_proxy(scheme: str, netloc: str, _environment: tuple[str | None, ...]) -> str | None:
    """Return the proxy for a host; kept until the environment changes: a look-up takes 0.1 ms."""
    proxies = urllib.request.getproxies_environment()
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # undeclared
    proxy = proxies.get(scheme)
    if not proxy or bypass(netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


_MANAGERS: PerProcess[dict[tuple[bool, str | None, int], urllib3.PoolManager]] = PerProcess(dict)


def _manager(is_tls: bool, proxy: str | None, max_connections: int) -> urllib3.PoolManager:
    """Return the process's connections; for each host, the one used last is used next."""
    managers, key = _MANAGERS.get(), (is_tls, proxy, max_connections)
    manager = managers.get(key)
    if manager is None:  # two threads may both make one: the first stays
        manager = managers.setdefault(key, _make_manager(*key))
    return manager


def _make_manager(is_tls: bool, proxy: str | None, max_connections: int) -> urllib3.PoolManager:
    keep_secrets_out()
    given: dict[str, Any] = {
        "num_pools": MOST_HOSTS,
        "maxsize": max_connections,
        "socket_options": [*urllib3.connection.HTTPConnection.default_socket_options, *KEEP_ALIVE],
    }
    if is_tls:  # one for all: reading the certificates takes 50 ms
        given["ssl_context"] = ssl.create_default_context()
    if proxy is None:
        manager = urllib3.PoolManager(**given)
    else:
        own = {f"proxy-{name}": value for name, value in authorization(parse_url(proxy)).items()}
        manager = urllib3.ProxyManager(proxy, proxy_headers=own, **given)
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return manager
