"""A server on loopback that sends the bytes a test gives it, however little they are HTTP."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class RawServer:
    """Sends the pieces that a function makes of the head of a request, and closes the connection.

    ```python
    with RawServer(lambda head: [b"HTTP/1.1 200 OK\\r\\n", *repeat(b"a: b\\r\\n")]) as server:
        read(server.url("a.tif"))
    ```

    Args:
        answer: Called with the head of each request; the pieces may be without end.
        pause_s: How long to wait after each piece.
        waits: Wait for the request; if not, the head is "".
    """

    def __init__(
        self,
        answer: Callable[[str], Iterable[bytes]],
        *,
        pause_s: float = 0.0,
        waits: bool = True,
    ) -> None:
        self._answer = answer
        self._pause_s = pause_s
        self._waits = waits
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.heads: list[str] = []

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def url(self, path: str = "") -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._acceptor.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)  # a client that neither asks nor reads ends the connection
        with contextlib.suppress(OSError), connection:
            self.heads.append(_read_head(connection) if self._waits else "")
            for piece in self._answer(self.heads[-1]):
                connection.sendall(piece)
                if self._stopping.wait(self._pause_s):
                    return


def _read_head(connection: socket.socket) -> str:
    """Read a request; return its head, or raise an OSError if the client has closed."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        head += part
    head, _, body = head.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head.decode("latin-1")
