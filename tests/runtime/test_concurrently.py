from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from stacchip.runtime.concurrently import map_concurrently, stream_concurrently
from stacchip.runtime.pools import REQUESTERS


def test_results_come_in_order_and_calls_overlap() -> None:
    def wait(i: int) -> int:
        time.sleep(0.4 - i * 0.016)
        return i

    start = time.monotonic()
    assert map_concurrently(wait, range(20)) == list(range(20))
    assert time.monotonic() - start < 4  # 5 s one after the other


def test_an_error_is_raised_and_calls_that_have_not_begun_are_dropped() -> None:
    done = []
    gate = threading.Event()

    def fail_last(i: int) -> None:
        if i == REQUESTERS * 3:
            raise KeyError(i)
        gate.wait(30)
        done.append(i)

    with pytest.raises(KeyError):
        map_concurrently(fail_last, range(REQUESTERS * 3 + 1))
    gate.set()
    time.sleep(0.2)
    assert len(done) <= REQUESTERS


def test_a_stream_keeps_order_and_looks_ahead_no_further_than_allowed() -> None:
    started = []

    def note(i: int) -> int:
        started.append(i)
        return i

    stream = stream_concurrently(note, range(50), ahead=3)
    assert next(stream) == 0
    time.sleep(0.1)
    assert len(started) <= 4
    assert list(stream) == list(range(1, 50))


def test_waiting_threads_do_not_hold_up_the_end_of_the_process() -> None:
    script = (
        "import time, threading\n"
        "from stacchip.runtime.concurrently import map_concurrently\n"
        "threading.Thread(target=map_concurrently, args=(time.sleep, [30, 30, 30]), daemon=True)"
        ".start()\n"
        "time.sleep(0.3)\n"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
    assert time.monotonic() - start < 10
