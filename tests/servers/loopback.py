"""The life of a server on loopback: a thread for each connection, and an end to all of them."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class LoopbackServer:
    """Accepts connections while the `with` statement lasts; a subclass has `serve`.

    Attributes:
        port: The port that it listens on.
        connections: How many connections it accepted.
        stopping: Set when it ends.
    """

    port: int

    def __init__(self) -> None:
        self.connections = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends; an OSError is its end, too."""
        raise NotImplementedError

    def replace(self, connection: socket.socket, by: socket.socket) -> None:
        """Keep another socket of one connection."""
        with self._lock:
            self._open.discard(connection)
            self._open.add(by)

    def drop_connections(self) -> None:
        """Close all connections, as servers do with idle ones."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._acceptor.join()
        self.drop_connections()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                self._threads.add(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                self.serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
                self._threads.discard(threading.current_thread())
