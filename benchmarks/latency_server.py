"""A file server with ranges that starts every answer a fixed time after its request.

It shares the cores with the contenders, so it must cost next to nothing. One thread per connection
sleeps and then hands the range to the kernel (`sendfile`), so that no byte of a body passes through
Python. `python -m benchmarks.latency_server` measures its cost.

Only the time to the first byte is that of a remote store: loopback does not limit the bandwidth,
and connections open without delay.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import socket
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(rb"range:\s*bytes=(\d*)-(\d*)\s*$", re.IGNORECASE | re.MULTILINE)
_CLOSE = re.compile(rb"connection:\s*close", re.IGNORECASE)


class RangeHandler(socketserver.BaseRequestHandler):
    """Answer GET and HEAD on one connection for as long as the client keeps it."""

    server: LatencyServer

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                received = self.request.recv(65536)
                if not received:
                    return
                buffer += received
                continue
            head, buffer = buffer[: end + 2].replace(b"\r\n", b"\n"), buffer[end + 4 :]
            try:
                self._answer(head)
            except (BrokenPipeError, ConnectionResetError):
                return
            if _CLOSE.search(head):
                return

    def _answer(self, head: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path == b"/__stats":
            body = f'{{"requests": {self.server.requests}, "bytes": {self.server.sent_bytes}}}'
            self._send(b"200 OK", len(body), b"", body.encode())
            return
        time.sleep(self.server.delay_s)
        self.server.requests += 1
        opened = self.server.open_file(path.split(b"?")[0].decode())
        if opened is None:
            self._send(b"404 Not Found", 0)
            return
        descriptor, size, validators = opened
        start, length, status = _select_range(head, size)
        if status.startswith(b"206"):
            validators += b"Content-Range: bytes %d-%d/%d\r\n" % (start, start + length - 1, size)
        self._send(status, length, validators)
        if method == b"HEAD":
            return
        self.server.sent_bytes += length
        while length > 0:
            sent = os.sendfile(self.request.fileno(), descriptor, start, length)
            start, length = start + sent, length - sent

    def _send(self, status: bytes, length: int, headers: bytes = b"", body: bytes = b"") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nAccept-Ranges: bytes\r\n" % (status, length)
        self.request.sendall(head + headers + b"\r\n" + body)


def _select_range(head: bytes, size: int) -> tuple[int, int, bytes]:
    """Return the first byte, the length and the status line of a request's answer."""
    found = _RANGE.search(head)
    if found is None:
        return 0, size, b"200 OK"
    first, last = found.groups()
    if not first:
        length = min(size, int(last))
        return size - length, length, b"206 Partial Content"
    start = int(first)
    stop = min(size, int(last) + 1) if last else size
    if start >= stop:
        return 0, 0, b"416 Range Not Satisfiable"
    return start, stop - start, b"206 Partial Content"


class LatencyServer(socketserver.ThreadingTCPServer):
    """Serve one folder; count requests and bytes (`GET /__stats`, which is not delayed)."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, root: Path, port: int, delay_s: float) -> None:
        super().__init__(("127.0.0.1", port), RangeHandler)
        self.root = root.resolve()
        self.delay_s = delay_s
        self.requests = 0
        self.sent_bytes = 0
        self._files: dict[str, tuple[int, int, bytes]] = {}
        self._lock = threading.Lock()

    def open_file(self, path: str) -> tuple[int, int, bytes] | None:
        """Return descriptor, size and validators of a file under the root, or None."""
        known = self._files.get(path)
        if known is not None:
            return known
        target = (self.root / path.lstrip("/")).resolve()
        if not target.is_relative_to(self.root) or not target.is_file():
            return None
        with self._lock:
            if path not in self._files:
                descriptor = os.open(target, os.O_RDONLY)
                facts = os.fstat(descriptor)
                etag = b'ETag: "%x-%x"\r\n' % (facts.st_size, facts.st_mtime_ns)
                self._files[path] = (descriptor, facts.st_size, etag)
        return self._files[path]


@contextmanager
def serve(root: Path, delay_s: float, port: int = 0) -> Iterator[str]:
    """Run the server as a process of its own, by default on a free port, and yield its address."""
    command = [sys.executable, "-m", "benchmarks.latency_server", "serve", str(root)]
    process = subprocess.Popen(
        [*command, "--delay-ms", str(delay_s * 1e3), "--port", str(port)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def _serve_forever(root: Path, port: int, delay_s: float) -> None:
    with LatencyServer(root, port, delay_s) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


def measure_cost(size_mb: int = 1, requests: int = 3000, connections: int = 16) -> dict[str, float]:
    """Measure the server's cost: CPU milliseconds per megabyte, and gigabytes per second.

    A child process serves a file without delay; threads here read ranges and drop them.
    """
    import tempfile

    size = size_mb * 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_bytes(os.urandom(size * 8))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with serve(Path(folder), 0.0) as url:
            address = url.removeprefix("http://").split(":")
            begin = time.perf_counter()
            each = requests // connections
            threads = [
                threading.Thread(target=_drain, args=((address[0], int(address[1])), each, size))
                for _ in range(connections)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 0.1 s or more of this is the interpreter's own start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    megabytes = each * connections * size_mb
    return {
        "cpu_ms_per_mb": round(cpu / megabytes * 1e3, 3),
        "gb_per_s": round(megabytes / seconds / 1e3, 2),
    }


def _drain(address: tuple[str, int], requests: int, size: int) -> None:
    buffer = bytearray(1 << 20)
    with socket.create_connection(address) as connection:
        for index in range(requests):
            start = (index % 8) * size
            stop = start + size - 1
            connection.sendall(
                b"GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n" % (start, stop)
            )
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            left = size - (len(head) - head.index(b"\r\n\r\n") - 4)
            while left > 0:
                left -= connection.recv_into(buffer, min(left, len(buffer)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["serve", "cost"], nargs="?", default="cost")
    parser.add_argument("root", nargs="?", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=30.0)
    options = parser.parse_args()
    if options.task == "serve":
        _serve_forever(options.root, options.port, options.delay_ms / 1e3)
    else:
        print(measure_cost())
