"""A server of raw sockets that changes its sound answers as a mutant says."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import struct
import threading
import time
import zlib
from typing import Any, Final

_ENDLESS_BYTES: Final = 600 << 20
_DRIPS: Final = 30
_BOMB: Final = gzip.compress(bytes(200 << 20), 1)[:-8]


class AnswerServer:
    """Serves files, and a STAC API below `api`, one list of changes after another.

    Args:
        files: Content by path.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files
        self._changes: list[list[Any]] = []
        self._answered = 0
        self._turn = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, changes: list[list[Any]]) -> str:
        """Take the changes of the next answers; return the address of the files' folder."""
        self._turn += 1
        self._changes, self._answered = changes, 0
        # each mutant has addresses of its own: nothing that a client remembers meets another
        return f"http://127.0.0.1:{self._port}/{self._turn}/"

    def end(self) -> None:
        """Let the answers that are still being sent end."""
        self._turn += 1

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            connection.settimeout(20)
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    part = connection.recv(65536)
                    if not part:
                        return
                    buffer += part
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                while length and len(buffer) < int(length[1]):
                    buffer += connection.recv(65536)
                buffer = buffer[int(length[1]) :] if length else buffer
                if not self._answer(connection, head.decode("latin-1")):
                    return

    def _answer(self, connection: socket.socket, head: str) -> bool:
        """Answer one request; return whether the connection may be used again."""
        turn = self._turn
        changes: list[Any] = []
        if self._changes:
            changes = self._changes[min(self._answered, len(self._changes) - 1)]
        self._answered += 1
        answer = _Answer(*self._sound(head))
        for name, *rest in changes:
            getattr(answer, f"do_{name}")(*rest)
        if answer.is_reset:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        if answer.is_closed:
            return False
        raw = answer.raw(is_head=head.startswith("HEAD"))
        if answer.is_hanging:
            time.sleep(2)
        if answer.is_dripping:
            connection.sendall(raw[:-_DRIPS])
            for place in range(len(raw) - _DRIPS, len(raw)):
                connection.sendall(raw[place : place + 1])
                time.sleep(0.2)
                if self._turn != turn:
                    return False
        else:
            connection.sendall(raw)
        sent = 0
        while answer.is_endless and sent < _ENDLESS_BYTES and self._turn == turn:
            connection.sendall(bytes(1 << 18))
            sent += 1 << 18
        return not (answer.is_cut or answer.is_endless)

    def _sound(self, head: str) -> tuple[str, dict[str, str], bytes, bytes]:
        """Return status line, headers, body, and the whole file."""
        _, target, *_ = head.split(" ", 2)
        path = target.partition("?")[0].split("/", 2)[-1]
        if path.startswith("api"):
            return self._api(path, target)
        whole = self._files.get(path)
        if whole is None:
            return "HTTP/1.1 404 Not Found", {"Content-Length": "0"}, b"", b""
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{zlib.crc32(whole)}"',
            "Last-Modified": "Wed, 01 May 2024 10:00:00 GMT",
            "Accept-Ranges": "bytes",
        }
        asked = re.search(r"(?i)\r\nrange: *bytes=(\d*)-(\d*)", head)
        if asked is None:
            return "HTTP/1.1 200 OK", {**headers, "Content-Length": str(len(whole))}, whole, whole
        start = int(asked[1]) if asked[1] else max(0, len(whole) - int(asked[2]))
        stop = min(len(whole), int(asked[2]) + 1) if asked[1] and asked[2] else len(whole)
        if start >= len(whole):
            headers |= {"Content-Range": f"bytes */{len(whole)}", "Content-Length": "0"}
            return "HTTP/1.1 416 Range Not Satisfiable", headers, b"", whole
        headers |= {
            "Content-Range": f"bytes {start}-{stop - 1}/{len(whole)}",
            "Content-Length": str(stop - start),
        }
        return "HTTP/1.1 206 Partial Content", headers, whole[start:stop], whole

    def _api(self, path: str, target: str) -> tuple[str, dict[str, str], bytes, bytes]:
        here = f"http://127.0.0.1:{self._port}/{target.split('/')[1]}/api"
        core, search = (
            "https://api.stacspec.org/v1.0.0/core",
            "https://api.stacspec.org/v1.0.0/item-search",
        )
        page: dict[str, Any] = {
            "type": "Catalog", "id": "api", "stac_version": "1.0.0", "description": "x",
            "conformsTo": [core, search],
            "links": [
                {"rel": "self", "href": here},
                {"rel": "root", "href": here},
                {"rel": "search", "href": f"{here}/search", "type": "application/geo+json",
                 "method": "GET"},
                {"rel": "search", "href": f"{here}/search", "type": "application/geo+json",
                 "method": "POST"},
            ],
        }  # fmt: skip
        if path.startswith("api/search"):
            features = [json.loads(self._files["item.json"])]
            page = {"type": "FeatureCollection", "features": features, "links": []}
        body = json.dumps(page).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        return "HTTP/1.1 200 OK", headers, body, body


class _Answer:
    """One answer, and the changes that may be made to it: a method each."""

    def __init__(self, status: str, headers: dict[str, str], body: bytes, whole: bytes) -> None:
        self.status = status
        self.headers: list[tuple[str, str]] = list(headers.items())
        self.lines: list[str] = []
        self.body = body
        self.whole = whole
        self.garbage: bytes | None = None
        self.is_reset = self.is_closed = self.is_hanging = self.is_dripping = False
        self.is_endless = self.is_cut = self.is_twice = False

    def raw(self, *, is_head: bool) -> bytes:
        if self.garbage is not None:
            return self.garbage
        lines = [self.status, *(f"{name}: {value}" for name, value in self.headers), *self.lines]
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        whole = head + (b"" if is_head else self.body)
        return whole * 2 if self.is_twice else whole

    def do_status(self, line: str) -> None:
        self.status = line

    def do_header(self, name: str, value: str) -> None:
        self.do_drop(name)
        self.headers.append((name, value))

    def do_drop(self, name: str) -> None:
        self.headers = [pair for pair in self.headers if pair[0] != name]
        self.is_cut |= name == "Content-Length"  # then the end of the connection ends the body

    def do_line(self, line: str) -> None:
        self.lines.append(line)

    def do_body(self, text: str) -> None:
        self.body = text.encode("latin-1", "replace")
        self._set_length()

    def do_shift(self, by: int) -> None:
        at = self.whole.find(self.body) if self.body else 0
        self.body = self.whole[at + by : at + by + len(self.body)]

    def do_cut(self, length: int) -> None:
        self.body, self.is_cut = self.body[:length], True

    def do_more(self, length: int) -> None:
        self.body += b"\xee" * length

    def do_garbage(self, text: str) -> None:
        self.garbage, self.is_cut = text.encode("latin-1", "replace"), True

    def do_redirect(self, status: int, location: str) -> None:
        self.status = f"HTTP/1.1 {status} Moved"
        self.do_header("Location", location)

    def do_encode(self, how: str) -> None:
        made = {
            "gzip": lambda: gzip.compress(self.body),
            "deflate": lambda: zlib.compress(self.body),
            "gzip-bomb": lambda: _BOMB,
            "gzip-cut": lambda: gzip.compress(self.body)[:-20],
            "gzip-broken": lambda: gzip.compress(self.body)[:20] + b"\xff" * 50,
            "raw": lambda: zlib.compress(self.body)[2:-4],
        }
        self.body = made[how]()
        self.do_header("Content-Encoding", "gzip" if how.startswith("gzip") else "deflate")
        self._set_length()

    def do_chunks(self, how: str) -> None:
        self.do_drop("Content-Length")
        self.do_header("Transfer-Encoding", "chunked")
        size = f"{len(self.body):x}".encode()
        self.body = {
            "sound": size + b"\r\n" + self.body + b"\r\n0\r\n\r\n",
            "huge": b"ffffffffffffffff\r\n" + self.body,
            "negative": b"-5\r\n" + self.body + b"\r\n0\r\n\r\n",
            "garbage": b"zz\r\n" + self.body,
            "no end": size + b"\r\n" + self.body + b"\r\n",
            "long line": b"0" * 100_000 + size + b"\r\n" + self.body + b"\r\n0\r\n\r\n",
        }[how]

    def do_twice(self) -> None:
        self.is_twice = True

    def do_reset(self) -> None:
        self.is_reset = True

    def do_close(self) -> None:
        self.is_closed = True

    def do_hang(self) -> None:
        self.is_hanging = True

    def do_drip(self) -> None:
        self.is_dripping = True

    def do_endless(self) -> None:
        self.is_endless = True
        self.do_header("Content-Length", "99999999999")

    def _set_length(self) -> None:
        self.do_header("Content-Length", str(len(self.body)))
        self.is_cut = False
