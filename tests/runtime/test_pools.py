from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from stacchip.runtime import pools

POOLS = [pools.fetchers, pools.openers, pools.requesters, pools.decoders]


def test_a_task_may_wait_for_tasks_of_the_pools_below_its_own() -> None:
    """With every thread of a pool busy, the next pool still serves them."""
    order = [pools.fetchers(), pools.openers(), pools.requesters(), pools.decoders()]
    calls, done = 40, threading.Semaphore(0)

    def descend(level: int) -> None:
        if level == len(order):
            return
        ended = threading.Event()

        def run() -> None:
            descend(level + 1)
            ended.set()

        order[level].submit(run)
        assert ended.wait(20)

    def start() -> None:
        descend(1)
        done.release()

    for _ in range(calls):
        order[0].submit(start)
    assert all(done.acquire(timeout=20) for _ in range(calls))


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_is_one_for_all_threads(pool) -> None:
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(pool())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(workers) for workers in seen} == {id(pool())}


def test_there_are_no_more_decoders_than_cores() -> None:
    cores = pools.core_count()
    assert 1 <= cores <= (os.cpu_count() or 1)
    if not hasattr(os, "sched_setaffinity"):
        return
    script = (
        "import os, threading\n"
        "from stacchip.runtime import pools\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "gate, names = threading.Semaphore(0), set()\n"
        "for _ in range(9):\n"
        "    pools.decoders().submit(\n"
        "        lambda: [names.add(threading.current_thread().name), gate.release()])\n"
        "assert all(gate.acquire(timeout=9) for _ in range(9))\n"
        "assert len(names) == 1 == pools.core_count(), names\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_forked_child_has_threads_of_its_own() -> None:
    script = (
        "import os, threading\n"
        "from stacchip.runtime.concurrently import map_concurrently\n"
        "assert map_concurrently(abs, range(9)) == list(range(9))\n"
        "before = threading.active_count()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    threading.Timer(20, os._exit, (9,)).start()\n"
        "    right = map_concurrently(abs, range(9)) == list(range(9))\n"
        "    os._exit(0 if right else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert map_concurrently(abs, range(9)) == list(range(9))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_a_forked_child_ends_without_waiting_for_its_parents_threads() -> None:
    script = (
        "import os, sys, threading, time\n"
        "from stacchip.runtime.pools import fetchers\n"
        "fetchers().submit(lambda: time.sleep(60))\n"
        "time.sleep(0.1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    threading.Thread.join = lambda *_: os._exit(9)\n"
        "    sys.exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
