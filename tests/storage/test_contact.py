"""What the log says of hosts that do not answer."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from stacchip.errors import StorageError
from stacchip.storage import Storage, StorageOptions
from stacchip.storage.contact import host_of, note_answer, report_failure, watched
from stacchip.storage.failure import TransientError
from stacchip.storage.retry import persist


def failing(times: int, status: int | None = None):
    """Return an attempt that fails so many times, then succeeds."""
    errors = [TransientError("it is gone", status) for _ in range(times)]

    def attempt(_until_s: float) -> str:
        if errors:
            raise errors.pop()
        return "done"

    return attempt


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts no connection: its queue is full. Yields its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a.tif"
        for each in waiting:
            each.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_the_first_failure_of_a_host_is_a_warning_and_the_next_ones_are_not(said):
    for _ in range(3):
        persist(failing(2), "https://first.example.com/a?sig=SECRET", StorageOptions())
    assert said() == [
        "first.example.com cannot be reached: it is gone; trying up to 8 times, for at most 120 s"
    ]


def test_a_blip_of_a_host_that_has_answered_is_no_warning(said):
    persist(failing(0), "https://blip.example.com/a", StorageOptions())
    persist(failing(1), "https://blip.example.com/a", StorageOptions())
    assert said() == []


def test_a_host_that_has_failed_for_seconds_is_named_once_a_minute(said):
    options = StorageOptions()
    note_answer("busy.example.com")
    told = [report_failure("busy.example.com", "HTTP 503", s, options) for s in (1.0, 3.0, 9.0)]
    assert told == [False, True, False]
    assert said()[0].startswith("busy.example.com fails: HTTP 503; trying up to 8 times")


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_refused_connection_is_told_at_once(scheme, said):
    port = closed_port()
    endpoint = None if scheme == "http" else f"http://127.0.0.1:{port}"
    href = f"http://127.0.0.1:{port}/a.tif" if scheme == "http" else "s3://bucket/a.tif"
    options = StorageOptions(endpoint=endpoint, skip_signature=True, max_attempts=2)
    start = time.monotonic()
    with pytest.raises(StorageError):
        Storage(options=options).read(href)
    assert time.monotonic() - start < 20
    (line,) = said()
    assert line.startswith(f"127.0.0.1:{port} cannot be reached: a failed connection")


def test_a_host_that_does_not_answer_is_told_while_it_is_waited_for(silent, said):
    options = StorageOptions(deadline_s=0.6)
    with watched(host_of(silent, options), options, silence_s=0.2), pytest.raises(StorageError):
        Storage(options=options).read(silent)
    assert "has not answered for 0 s" in said()[0]


def test_a_host_that_answers_is_not_watched(said):
    options = StorageOptions()
    persist(failing(0), "https://quick.example.com/a", options)
    with watched("quick.example.com", options, silence_s=0.0):
        time.sleep(0.05)
    assert said() == []
