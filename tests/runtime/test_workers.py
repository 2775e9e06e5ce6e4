from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from stacchip.runtime.workers import Workers


def test_no_more_threads_than_allowed_and_none_before_they_are_needed() -> None:
    seen, gate = set(), threading.Barrier(4)

    def note() -> None:
        seen.add(threading.current_thread().name)
        gate.wait(30)

    workers = Workers("few", 3)
    before = threading.active_count()
    for _ in range(3):
        workers.submit(note)
    gate.wait(30)
    assert len(seen) == 3
    done = threading.Event()
    workers.submit(done.set)
    assert done.wait(30)
    assert threading.active_count() <= before + 3


def test_what_is_under_way_ends_before_the_interpreter_does_and_the_rest_is_dropped() -> None:
    script = (
        "import sys, threading, time\n"
        "from stacchip.runtime.workers import Workers\n"
        "workers, begun = Workers('last', 1), threading.Event()\n"
        "def work():\n"
        "    begun.set()\n"
        "    time.sleep(0.2)\n"
        "    sys.stdout.write('done ')\n"
        "for _ in range(3): workers.submit(work)\n"
        "begun.wait()\n"
    )
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", script], check=True, timeout=20, capture_output=True, text=True
        )
        assert run.stdout == "done "


def test_a_task_that_hangs_holds_up_the_end_for_half_a_second_only() -> None:
    script = (
        "import time\n"
        "from stacchip.runtime.workers import Workers\n"
        "Workers('slow', 1).submit(lambda: time.sleep(30))\n"
        "time.sleep(0.05)\n"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
    assert time.monotonic() - start < 10


def test_if_no_thread_can_be_started_the_existing_ones_do_the_work(monkeypatch) -> None:
    workers = Workers("scarce", 3)
    gate, done = threading.Event(), threading.Semaphore(0)
    workers.submit(lambda: [gate.wait(30), done.release()])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(4):
        workers.submit(done.release)
    gate.set()
    assert all(done.acquire(timeout=30) for _ in range(5))
    with pytest.raises(RuntimeError):
        Workers("none", 1).submit(print)
