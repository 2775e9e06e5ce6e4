"""HTTP(S) connections: urllib3's, kept open by the process, with one deadline for every wait."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import os
import socket
import ssl
import sys
import time
import urllib.request
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import urllib3
import urllib3.connection
from urllib3.exceptions import NameResolutionError
from urllib3.util import Timeout, Url, make_headers, parse_url

from stacchip.runtime.memory import MemoryPool
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.foreign_logs import keep_secrets_out
from stacchip.storage.transports.host_lookup import look_up, refuse_local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stacchip.storage.options import StorageOptions

LONGEST_CONNECT_S = 10.0
# what http.client takes for the head of one answer, and the informational ones before it
LARGEST_HEAD = 1024 * 1024
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


class Guard(Enum):
    """Which names may resolve to an address of this machine."""

    NONE = "all"
    NAMED = "those that the user named"
    ALL = "none"


_RECEIVED = MemoryPool(192 << 20, slab_bytes=0)


class EndlessAnswerError(http.client.HTTPException):
    """A server sends far more than its answer can need, such as headers without end."""


@dataclass
class _Patience:
    """How long one answer may take from now on, and how many bytes of any kind it may send."""

    until_s: float
    left_bytes: int = LARGEST_HEAD


_patience: ContextVar[_Patience] = ContextVar("patience")


def begin_request(until_s: float) -> None:
    """Give this thread's next request a deadline (`time.monotonic()`), as `request` does."""
    _patience.set(_Patience(until_s))


def keep_deadlines(manager: urllib3.PoolManager, guard: Guard) -> None:
    """Let the connections of another library, such as requests, keep the deadlines of its threads.

    Args:
        manager: Makes the connections; each request needs a `begin_request`.
        guard: Which names may resolve to an address of this machine.
    """
    manager.pool_classes_by_scheme = dict(_POOLS[guard])


def expect_body(most_bytes: int) -> None:
    """Allow this thread's last answer to send a body, with the frames of its chunks."""
    _patience.get().left_bytes = 8 * most_bytes + LARGEST_HEAD


def hurry(within_s: float) -> None:
    """Let this thread's last answer end sooner than its request had to."""
    patience = _patience.get()
    patience.until_s = min(patience.until_s, time.monotonic() + within_s)


class _TimedStream(io.RawIOBase):
    """A socket's stream that ends at a deadline.

    urllib3's time-outs bound each wait only: a server that sends a byte now and then, in the head
    or the body of its answer, would hold a thread for ever.
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._idle_s = sock.gettimeout() or math.inf
        self._patience = _patience.get()
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        patience = self._patience
        self._sock.settimeout(min(self._idle_s, _left_s(patience.until_s)))
        got: int | None = self._raw.readinto(buffer)
        self.has_ended |= got == 0
        patience.left_bytes -= got or 0
        if patience.left_bytes < 0:
            raise EndlessAnswerError
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._stream = _TimedStream(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._stream, BUFFER)

    def begin(self) -> None:
        """Read the head; http.client takes one that breaks off for a whole one without a body."""
        super().begin()
        if self._stream.has_ended:
            raise http.client.IncompleteRead(b"")

    def _read_status(self) -> tuple[str, int, str]:
        # http.client skips "100 Continue", but no other answer that only informs (RFC 9110, 15.2);
        # 101 says that what follows is not HTTP
        version, status, reason = super()._read_status()  # type: ignore[misc]  # undeclared
        informs = HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK
        return version, HTTPStatus.CONTINUE if informs else status, reason

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

    def _read_next_chunk_size(self) -> int:
        # http.client takes "-1" for a chunk that lasts until the connection is closed
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # undeclared
        if size < 0:
            raise ValueError(size)
        return size


class _PlainConnection(urllib3.connection.HTTPConnection):
    response_class = _TimedResponse
    guard = Guard.ALL

    def _new_conn(self) -> socket.socket:
        return _dial(self, super()._new_conn, self.guard)


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _TimedResponse
    guard = Guard.ALL

    def _new_conn(self) -> socket.socket:
        return _dial(self, super()._new_conn, self.guard)


def _pools(guard: Guard) -> dict[str, Any]:
    """Return the classes of pools whose connections are guarded so, by scheme."""
    kinds = {
        "http": (urllib3.HTTPConnectionPool, _PlainConnection),
        "https": (urllib3.HTTPSConnectionPool, _TlsConnection),
    }
    pools = {}
    for scheme, (pool, connection) in kinds.items():
        guarded = type(connection.__name__, (connection,), {"guard": guard})
        pools[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": guarded})
    return pools


_POOLS = {guard: _pools(guard) for guard in Guard}


def _dial(
    connection: urllib3.connection.HTTPConnection,
    dial: Callable[[], socket.socket],
    guard: Guard,
) -> socket.socket:
    """Look a host up, and dial its addresses one after the other until the deadline.

    urllib3 would look the name up without a time limit. The addresses are judged before one is
    dialled: whoever owns a name can let it resolve to an address of this machine.
    """
    name, until_s = connection._dns_host, _patience.get().until_s  # noqa: SLF001 - no other way
    try:
        addresses = look_up(name, connection.port, until_s)
    except socket.gaierror as error:
        raise NameResolutionError(name, connection, error) from error
    if guard is not Guard.NONE:
        refuse_local(name, addresses, is_named=guard is Guard.NAMED)
    try:
        for address in addresses[:-1]:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                return _dial_one(connection, address, dial, until_s)
        return _dial_one(connection, addresses[-1], dial, until_s)
    finally:
        connection._dns_host = name  # noqa: SLF001 - as above


def _dial_one(
    connection: urllib3.connection.HTTPConnection,
    address: str,
    dial: Callable[[], socket.socket],
    until_s: float,
) -> socket.socket:
    connection.timeout = min(LONGEST_CONNECT_S, _left_s(until_s))
    connection._dns_host = address  # noqa: SLF001 - as above
    return dial()


def request(
    method: str,
    url: Url,
    headers: Mapping[str, str],
    options: StorageOptions,
    until_s: float,
    *,
    is_named: bool = False,
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
        is_named: Whether the user named the server.

    Raises:
        urllib3.exceptions.HTTPError: Any failure; its text may hold the URL.
        ValueError: A header cannot be sent.
    """
    left_s = _left_s(until_s)
    patience = _Patience(until_s)
    _patience.set(patience)
    environment = tuple(os.environ.get(name) for name in PROXIES)
    proxy = _find_proxy(url.scheme or "", url.netloc or "", environment)
    # a proxy looks the host up itself, and reaches what it may
    is_free = options.allow_local or proxy is not None
    guard = Guard.NONE if is_free else Guard.NAMED if is_named else Guard.ALL
    key = (url.scheme == "https", proxy, options.max_connections, guard)
    answer = _manager(*key).urlopen(
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
    patience.left_bytes = sys.maxsize  # the head has ended
    return answer


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


_MANAGERS: PerProcess[dict[tuple[bool, str | None, int, Guard], urllib3.PoolManager]] = PerProcess(
    dict
)


def _manager(
    is_tls: bool, proxy: str | None, max_connections: int, guard: Guard
) -> urllib3.PoolManager:
    """Return the process's connections; for each host, the one used last is used next."""
    managers, key = _MANAGERS.get(), (is_tls, proxy, max_connections, guard)
    manager = managers.get(key)
    if manager is None:  # two threads may both make one: the first stays
        manager = managers.setdefault(key, _make_manager(*key))
    return manager


def _make_manager(
    is_tls: bool, proxy: str | None, max_connections: int, guard: Guard
) -> urllib3.PoolManager:
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
    keep_deadlines(manager, guard)
    return manager
