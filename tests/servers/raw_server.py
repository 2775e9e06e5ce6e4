"""A server on loopback that sends the bytes a test gives it, however little they are HTTP."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from servers.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class RawServer(LoopbackServer):
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
        super().__init__()
        self._answer = answer
        self._pause_s = pause_s
        self._waits = waits
        self.heads: list[str] = []

    def url(self, path: str = "") -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)  # a client that neither asks nor reads ends the connection
        self.heads.append(_read_head(connection) if self._waits else "")
        for piece in self._answer(self.heads[-1]):
            connection.sendall(piece)
            if self.stopping.wait(self._pause_s):
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
