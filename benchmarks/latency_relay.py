"""A relay in front of a server that delays every request.

It knows no HTTP. A request begins when the client speaks after the server, or for the first time.
The relay holds back the bytes of the request for the delay; then both directions flow freely. A
signature stays valid, since no byte changes and `Host` names the relay, as the client intended. A
client that waits for `100 Continue` before it sends a body pays the delay twice, as with a distant
server. The kernel moves the bytes (`splice`, Linux), so that the relay takes little time on the
cores that it shares with the contenders.

The relay does not limit the bandwidth. `latency_server.py` serves local files in the same way.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPE_BYTES = 1 << 20
"""Bytes that the kernel moves at a time: the most that an unprivileged process may request."""

_F_SETPIPE_SZ = 1031  # Linux's number; `fcntl` has the name only on Linux


@dataclass
class Counts:
    """Counts of what was relayed so far.

    Attributes:
        requests: Number of times a client spoke after the server.
        to_server: Bytes sent to the server.
        to_client: Bytes sent to the client.
    """

    requests: int = 0
    to_server: int = 0
    to_client: int = 0

    def __sub__(self, before: Counts) -> Counts:
        return Counts(
            self.requests - before.requests,
            self.to_server - before.to_server,
            self.to_client - before.to_client,
        )


class Exchange:
    """A client's connection, with its own connection to the server behind the relay."""

    def __init__(
        self, client: socket.socket, server: socket.socket, delay_s: float, counts: Counts
    ) -> None:
        self._client = client
        self._server = server
        self._delay_s = delay_s
        self._counts = counts
        self._server_spoke_last = True
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Carry both directions until both have ended."""
        back = threading.Thread(target=self._carry, args=(self._server, self._client), daemon=True)
        back.start()
        self._carry(self._client, self._server)
        back.join()
        self._client.close()
        self._server.close()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        """Carry one direction until it ends, and end it for the other side, too."""
        out, into = os.pipe()
        fcntl.fcntl(into, _F_SETPIPE_SZ, PIPE_BYTES)
        # a side that breaks off ends the exchange: the other side notices by itself
        with contextlib.suppress(OSError):
            while count := os.splice(source.fileno(), into, PIPE_BYTES):
                self._wait_for_turn(source, count)
                while count:
                    count -= os.splice(out, target.fileno(), count)
        os.close(out)
        os.close(into)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _wait_for_turn(self, speaker: socket.socket, count: int) -> None:
        """Hold back the bytes that begin a request, and count."""
        # threads may add at the same moment: that loses one count in thousands
        if speaker is self._server:
            self._server_spoke_last = True
            self._counts.to_client += count
            return
        self._counts.to_server += count
        if self._server_spoke_last:
            self._server_spoke_last = False
            self._counts.requests += 1
            time.sleep(self._delay_s)


class Relay:
    """A relay that runs as a process of its own.

    Attributes:
        url: Its address.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read_line()

    def count(self) -> Counts:
        """Return what the relay has relayed since it began."""
        self._process.send_signal(signal.SIGUSR1)
        return Counts(**json.loads(self._read_line()))

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def relay(upstream: str, delay_s: float) -> Iterator[Relay]:
    """Run a relay on a free port.

    Args:
        upstream: The server behind the relay, `http://host:port`.
        delay_s: Seconds to hold back each request.
    """
    command = [sys.executable, "-m", "benchmarks.latency_relay", upstream]
    process = subprocess.Popen(
        [*command, "--delay-ms", str(delay_s * 1e3)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Relay(process)
    finally:
        process.terminate()
        process.communicate()


def _relay_forever(upstream: tuple[str, int], delay_s: float) -> None:
    counts = Counts()

    def tell(*_: object) -> None:
        # unbuffered: a reader may ask again before `print` returns, which then fails
        os.write(sys.stdout.fileno(), f"{json.dumps(asdict(counts))}\n".encode())

    signal.signal(signal.SIGUSR1, tell)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        print("http://{}:{}".format(*listener.getsockname()), flush=True)
        while True:
            client, _ = listener.accept()
            try:
                server = socket.create_connection(upstream)
            except OSError:
                client.close()
                continue
            exchange = Exchange(client, server, delay_s, counts)
            threading.Thread(target=exchange.run, daemon=True).start()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream", help="http://host:port")
    parser.add_argument("--delay-ms", type=float, default=30.0)
    options = parser.parse_args()
    host, _, port = options.upstream.removeprefix("http://").rstrip("/").partition(":")
    _relay_forever((host, int(port)), options.delay_ms / 1e3)
