"""A small HTTP/1.1 file server on loopback that answers ranges and fails on purpose.

```python
with RangeServer(folder, delay_s=0.03, fail_rate=0.1, seed=0) as server:
    server.script("/a/b.tif", [Fault(status=503, headers={"Retry-After": "1"}), Fault(cut_at=100)])
    read(server.url("a/b.tif"))
    server.requests, server.bytes, [request.time_s for request in server.log]
```

It uses threads and plain sockets, not `http.server`, so that a test of many concurrent megabyte
ranges measures the reader and not the server (about 0.1 ms a request). Folders below the root act
like path-style S3 buckets for GET, HEAD, PUT and DELETE of one object.
"""

from __future__ import annotations

import os
import random
import re
import socket
import ssl
import struct
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from servers.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass(frozen=True)
class Fault:
    """The faults of one answer, which may be combined. `Fault()` is a sound answer."""

    status: int | None = None  # answer with this status, `headers` and `body`
    headers: Mapping[str, str] = field(default_factory=dict)  # also added to a sound answer
    body: bytes = b""
    reset: bool = False  # a TCP reset instead of an answer
    cut_at: int | None = None  # close the connection after this many bytes of the body
    hang_s: float = 0.0  # send nothing for this long, then close
    delay_s: float = 0.0  # answer this much later
    ignore_range: bool = False  # 200 and the whole file
    shift_range: int = 0  # 206 with the bytes (and Content-Range) this much further on
    drip_s: float = 0.0  # send the body one byte at a time, this far apart
    etag: str | None = None  # replaces the file's ETag; "" leaves it out


@dataclass(frozen=True)
class Request:
    """One request as the server saw it, with header names in lower case."""

    method: str
    target: str  # as the client sent it
    path: str  # decoded, without the query
    query: str
    headers: Mapping[str, str]
    body: bytes
    time_s: float  # time.monotonic() of its arrival


Answer = tuple[int, "Mapping[str, str]", bytes]


class RangeServer(LoopbackServer):
    """A server of the files below `root`; see the module's docstring.

    Args:
        root: The folder to serve.
        delay_s: How long every answer takes at least.
        fail_rate: Share of requests answered 503, reset or cut, drawn from `seed`.
        seed: Of the random failures.
        certificate: A PEM file with key and certificate: answer HTTPS.
    """

    def __init__(
        self,
        root: Path | str,
        delay_s: float = 0.0,
        fail_rate: float = 0.0,
        seed: int = 0,
        certificate: Path | None = None,
    ) -> None:
        super().__init__()
        self.root = Path(root).resolve()
        self.delay_s = delay_s
        self.fail_rate = fail_rate
        self._random = random.Random(seed)
        self._scripts: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._routes: dict[str, Callable[[Request], Answer]] = {}
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.reset_counters()

    # -- what a test sets and reads ----------------------------------------------------------

    def url(self, path: str = "") -> str:
        """Return the URL of a file, given relative to the root."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/{quote(path.lstrip('/'))}"

    def script(self, path: str, faults: Iterable[Fault]) -> None:
        """Queue answers for the next requests of a path; later answers are sound again."""
        with self._lock:
            self._scripts[_key(path)].extend(faults)

    def always(self, path: str, fault: Fault | None) -> None:
        """Answer every request of a path like this (None: soundly) once its script is used up."""
        with self._lock:
            if fault is None:
                self._always.pop(_key(path), None)
            else:
                self._always[_key(path)] = fault

    def route(self, path: str, answer: Callable[[Request], Answer]) -> None:
        """Let a function return (status, headers, body) for a path and all paths below it."""
        self._routes[_key(path)] = answer

    def reset_counters(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.requests = 0
            self.bytes = 0  # bytes of bodies sent
            self.failed = 0  # answers with a fault
            self.connections = 0
            self.by_path: Counter[str] = Counter()
            self.log: list[Request] = []

    def times_s(self, path: str) -> list[float]:
        """Return the arrival times of a path's requests, by time.monotonic()."""
        with self._lock:
            return [request.time_s for request in self.log if request.path == _key(path)]

    # -- one connection ----------------------------------------------------------------------

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            connection = self._secure(connection, self._tls)
        with connection, connection.makefile("rb") as stream:
            while not self.stopping.is_set():
                request = _read_request(stream, connection)
                if request is None or not self._answer(connection, request):
                    return

    def _secure(self, connection: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        """Wrap a connection in TLS; the plain one must not be used any more."""
        try:
            secured = tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise
        self.replace(connection, secured)
        return secured

    # -- one request -------------------------------------------------------------------------

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; return False if the connection must be closed."""
        fault = self._next_fault(request)
        wait_s = self.delay_s + fault.delay_s + fault.hang_s
        if wait_s and self.stopping.wait(wait_s):
            return False
        if fault.hang_s:
            return False
        if fault.reset:
            # zero linger: close() sends RST, not FIN
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault.status is not None:
            return self._send(connection, request, fault.status, fault.headers, fault.body)
        route = self._find_route(request.path)
        if route is not None:
            status, headers, body = route(request)
            return self._send(connection, request, status, headers, body, fault.cut_at)
        file = Path(os.path.realpath(f"{self.root}{request.path}"))
        if file != self.root and self.root not in file.parents:
            return self._send(connection, request, 404)
        if request.method == "PUT":
            return self._put(connection, request, file)
        if not file.is_file():
            return self._send(connection, request, 404)
        if request.method == "DELETE":
            file.unlink()
            return self._send(connection, request, 204)
        return self._send_file(connection, request, file, fault)

    def _next_fault(self, request: Request) -> Fault:
        with self._lock:
            self.requests += 1
            self.by_path[request.path] += 1
            self.log.append(request)
            queue = self._scripts.get(request.path)
            if queue:
                fault = queue.popleft()
            elif request.path in self._always:
                fault = self._always[request.path]
            elif self._random.random() < self.fail_rate:
                fault = self._random.choice(
                    [Fault(status=503), Fault(reset=True), Fault(cut_at=-1)]
                )
            else:
                return Fault()
            self.failed += 1
            return fault

    def _find_route(self, path: str) -> Callable[[Request], Answer] | None:
        while path:
            if path in self._routes:
                return self._routes[path]
            path = path.rpartition("/")[0]
        return None

    def _put(self, connection: socket.socket, request: Request, file: Path) -> bool:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(request.body)
        return self._send(connection, request, 200, {"ETag": _etag(file.stat())})

    def _send(
        self,
        connection: socket.socket,
        request: Request,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        cut_at: int | None = None,
    ) -> bool:
        """Send bytes as an answer."""
        connection.sendall(_head(status, {"Content-Length": str(len(body)), **(headers or {})}))
        if request.method == "HEAD":
            return True
        end = len(body) if cut_at is None else (len(body) // 2 if cut_at < 0 else cut_at)
        self._count(len(body[:end]))  # before it is sent, since the client may ask at once
        connection.sendall(body[:end])
        return cut_at is None

    def _send_file(
        self, connection: socket.socket, request: Request, file: Path, fault: Fault
    ) -> bool:
        """Send a file or a range of it."""
        with file.open("rb") as opened:
            facts = os.fstat(opened.fileno())
            etag = _etag(facts) if fault.etag is None else fault.etag
            headers = {
                "Accept-Ranges": "bytes",
                "Last-Modified": formatdate(facts.st_mtime, usegmt=True),
                "Content-Type": "application/octet-stream",
            }
            if etag:
                headers["ETag"] = etag
            if request.headers.get("if-match", etag) not in (etag, "*"):
                return self._send(connection, request, 412)
            asked = None if fault.ignore_range else request.headers.get("range")
            span = _span(asked, facts.st_size)
            if span is None:
                size = {"Content-Range": f"bytes */{facts.st_size}"}
                return self._send(connection, request, 416, size)
            start, end = span[0] + fault.shift_range, span[1] + fault.shift_range
            if asked:
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{facts.st_size}"
            headers["Content-Length"] = str(end - start)
            connection.sendall(_head(206 if asked else 200, {**headers, **fault.headers}))
            if request.method == "HEAD":
                return True
            if fault.cut_at is not None:
                end = start + ((end - start) // 2 if fault.cut_at < 0 else fault.cut_at)
            self._count(end - start)  # before it is sent, since the client may ask at once
            if fault.drip_s:
                self._drip(connection, opened.read()[start:end], fault.drip_s)
            elif end > start:
                connection.sendfile(opened, start, end - start)
            return fault.cut_at is None

    def _drip(self, connection: socket.socket, body: bytes, drip_s: float) -> None:
        for i in range(len(body)):
            connection.sendall(body[i : i + 1])
            if self.stopping.wait(drip_s):
                return

    def _count(self, sent_bytes: int) -> None:
        with self._lock:
            self.bytes += sent_bytes


def _key(path: str) -> str:
    return "/" + path.strip("/")


def _etag(facts: os.stat_result) -> str:
    return f'"{facts.st_size:x}-{facts.st_mtime_ns:x}"'


def _span(asked: str | None, size: int) -> tuple[int, int] | None:
    """Return the requested range as (start, end), or None if it cannot be satisfied."""
    if not asked:
        return 0, size
    match = RANGE.match(asked)
    if not match or match[1] == match[2] == "":
        return None
    if match[1] == "":
        return max(0, size - int(match[2])), size
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    return (start, end) if start < end else None


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _read_request(stream: object, connection: socket.socket) -> Request | None:
    """Read one request; return None if the client has closed the connection."""
    line = stream.readline()  # type: ignore[attr-defined]  # a BufferedReader
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while line := stream.readline().strip():  # type: ignore[attr-defined]
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = stream.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
    local = target
    if target.startswith("http://"):  # a request to a proxy
        local = "/" + target.removeprefix("http://").partition("/")[2]
    path, _, query = local.partition("?")
    return Request(method, target, unquote(path), query, headers, body, time.monotonic())
