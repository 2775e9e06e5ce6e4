"""Tasks of one caller in a pool that others use as well."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from stacchip.runtime.tasks import Tasks
from stacchip.runtime.workers import Workers


@pytest.fixture(scope="module")
def pool() -> Workers:
    return Workers("test-tasks", 4)


def test_all_tasks_are_done_after_waiting(pool):
    done = []

    def work(number: int) -> None:
        time.sleep(0.001 * (number % 3))
        done.append(number)

    tasks = Tasks(pool)
    for number in range(50):
        tasks.submit(partial(work, number))
    tasks.wait()
    assert sorted(done) == list(range(50))
    tasks.wait()
    tasks.submit(partial(work, 50))
    tasks.wait()
    assert len(done) == 51


def test_the_first_error_is_raised_once_when_all_are_done(pool):
    done = []

    def fail(number: int) -> None:
        raise ValueError(number)

    def work() -> None:
        time.sleep(0.05)
        done.append(1)

    one_thread = Workers("test-tasks-in-order", 1)
    tasks = Tasks(one_thread)
    tasks.submit(partial(fail, 1))
    tasks.submit(partial(fail, 2))
    tasks.submit(work)
    with pytest.raises(ValueError, match="1"):
        tasks.wait()
    assert done == [1]
    tasks.wait()
    tasks.submit(work)
    tasks.wait()
    assert done == [1, 1]


def test_nobody_waits_for_the_tasks_of_others(pool):
    gate = threading.Event()
    slow, fast = Tasks(pool), Tasks(pool)
    slow.submit(lambda: gate.wait(60))
    done = []
    fast.submit(lambda: done.append(1))
    fast.wait()
    assert done == [1]
    gate.set()
    slow.wait()


def test_an_error_belongs_to_its_caller(pool):
    def fail() -> None:
        raise KeyError("mine")

    mine, others = Tasks(pool), Tasks(pool)
    mine.submit(fail)
    others.submit(lambda: None)
    others.wait()
    with pytest.raises(KeyError, match="mine"):
        mine.wait()
