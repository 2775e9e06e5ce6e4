"""`PerProcess` by itself; test_per_process.py tests what storage makes of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import pytest

from stacchip.runtime.per_process import PerProcess


def test_a_value_is_made_once_for_all_threads() -> None:
    made = []

    def make() -> list[int]:
        time.sleep(0.05)
        made.append(1)
        return []

    state, seen = PerProcess(make), []
    threads = [threading.Thread(target=lambda: seen.append(state.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(value is seen[0] for value in seen)


def test_nothing_is_made_before_it_is_needed() -> None:
    made = []
    state = PerProcess(lambda: made.append(1) or {})
    assert not made
    assert not state.was_used_before_fork
    assert state.get() == {}
    assert made


def test_a_value_that_could_not_be_made_is_made_the_next_time() -> None:
    outcomes = [OSError("too many files"), None]

    def make() -> str:
        if error := outcomes.pop(0):
            raise error
        return "made"

    state = PerProcess(make)
    with pytest.raises(OSError, match="too many"):
        state.get()
    assert state.get() == "made"


def in_fork(script: str) -> None:
    """Run a script whose child process exits with 0 if all is well."""
    ending = (
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert state.get() is mine and not state.was_used_before_fork\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script + ending], check=True, timeout=60)


BEGINNING = """
import gc, os, threading, time
from stacchip.runtime.per_process import PerProcess
"""


def test_a_child_makes_a_value_of_its_own() -> None:
    in_fork(
        BEGINNING
        + """
state, unused = PerProcess(lambda: [os.getpid()]), PerProcess(dict)
mine = state.get()
child = os.fork()
if child == 0:
    right = state.get() == [os.getpid()] and state.was_used_before_fork
    right = right and state.get() is state.get() and not unused.was_used_before_fork
    os._exit(0 if right else 1)
"""
    )


def test_a_lock_held_in_the_parent_does_not_hold_up_a_child() -> None:
    in_fork(
        BEGINNING
        + """
slow = PerProcess(lambda: time.sleep(0.5) or "made")
state = PerProcess(threading.Lock)
mine = state.get()
threading.Thread(target=slow.get).start()
time.sleep(0.1)
child = 0
with mine:
    child = os.fork()
    if child == 0:
        threading.Timer(20, os._exit, (9,)).start()
        free = state.get().acquire(timeout=5)
        os._exit(0 if free and slow.get() == "made" else 1)
"""
    )


def test_a_child_does_not_finalise_what_its_parent_uses() -> None:
    """Even when the state itself goes: a finaliser could close the parent's connection."""
    in_fork(
        BEGINNING
        + """
read, write = os.pipe()
class Loud:
    def __del__(self): os.write(write, b"x")
state, other = PerProcess(list), PerProcess(Loud)
mine, _ = state.get(), other.get()
child = os.fork()
if child == 0:
    del other, _
    gc.collect()
    os.set_blocking(read, False)
    try: os._exit(1 if os.read(read, 1) else 2)
    except BlockingIOError: os._exit(0)
"""
    )


def test_a_state_that_is_no_longer_used_is_freed() -> None:
    freed = threading.Event()

    class Value:
        def __del__(self) -> None:
            freed.set()

    state = PerProcess(Value)
    state.get()
    del state
    gc.collect()
    assert freed.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_a_child_of_a_child_starts_anew_too() -> None:
    in_fork(
        BEGINNING
        + """
state = PerProcess(lambda: [os.getpid()])
mine = state.get()
child = os.fork()
if child == 0:
    state.get()
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if state.get() == [os.getpid()] else 1)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
"""
    )
