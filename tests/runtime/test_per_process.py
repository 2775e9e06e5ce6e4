"""Child processes, by fork and by spawn, of a parent that used storage."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from servers.range_server import RangeServer

SCRIPT = """
import json, multiprocessing, sys, time
from stacchip.storage import Storage, StorageOptions

storage = Storage(options=StorageOptions(endpoint=sys.argv[2], skip_signature=True))
href = sys.argv[3]

def read(send):
    start = time.monotonic()
    try:
        parts = storage.read_ranges(href, [(0, 5), (500_000, 5), (900_000, 5)])
        told = bytes(parts[1]).hex()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    send.send((time.monotonic() - start, told))

if __name__ == "__main__":
    storage.read_ranges(href, [(0, 5), (500_000, 5), (900_000, 5)])
    context = multiprocessing.get_context(sys.argv[1])
    receive, send = context.Pipe()
    children = [context.Process(target=read, args=(send,)) for _ in range(2)]
    for child in children:
        child.start()
    answers = [receive.recv() if receive.poll(30) else (30, "nothing") for _ in children]
    for child in children:
        child.join(5)
        child.kill()
    # and the parent goes on as before
    after = storage.read_range(href, 500_000, 5)
    print(json.dumps([answers, bytes(after.data).hex()]))
"""


def run(tmp_path: Path, method: str, endpoint: str, href: str) -> list[tuple[float, str]]:
    script = tmp_path / "children.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), method, endpoint, href],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers, after = json.loads(done.stdout)
    assert after == PART
    return [(seconds, told) for seconds, told in answers]


PART = bytes((500_000 + i) % 256 for i in range(5)).hex()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_web_is_read_in_any_child(tmp_path: Path, server: RangeServer, method: str) -> None:
    answers = run(tmp_path, method, server.url(), server.url("a.bin"))
    assert [told for _, told in answers] == [PART, PART]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_object_stores_are_read_in_a_spawned_child(
    tmp_path: Path, server: RangeServer, method: str
) -> None:
    (server.root / "bucket").mkdir()
    (server.root / "a.bin").rename(server.root / "bucket" / "a.bin")
    answers = run(tmp_path, method, server.url(), "s3://bucket/a.bin")
    assert [told for _, told in answers] == [PART, PART]


def test_a_forked_child_of_an_object_stores_reader_fails_at_once_with_the_remedy(
    tmp_path: Path, server: RangeServer
) -> None:
    (server.root / "bucket").mkdir()
    (server.root / "a.bin").rename(server.root / "bucket" / "a.bin")
    for seconds, told in run(tmp_path, "fork", server.url(), "s3://bucket/a.bin"):
        assert seconds < 10  # not after the 30 s that nothing comes
        assert told.startswith("StorageError")
        assert "multiprocessing_context='forkserver'" in told


def test_a_fork_before_the_first_read_leaves_all_well(tmp_path: Path, server: RangeServer) -> None:
    (server.root / "bucket").mkdir()
    (server.root / "a.bin").rename(server.root / "bucket" / "a.bin")
    script = tmp_path / "early.py"
    script.write_text(
        SCRIPT.replace(
            "    storage.read_ranges(href, [(0, 5), (500_000, 5), (900_000, 5)])\n    context",
            "    context",
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), "fork", server.url(), "s3://bucket/a.bin"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert [told for _, told in json.loads(done.stdout)[0]] == [PART, PART]


def test_nothing_keeps_the_process_from_ending(tmp_path: Path, server: RangeServer) -> None:
    """Not even a request that hangs on another thread."""
    from servers.range_server import Fault

    server.always("/hang.bin", Fault(hang_s=60))
    script = (
        "import sys, threading, time; from stacchip.storage import Storage\n"
        "s = Storage(); ranges = [(0, 9), (10**6, 9), (2*10**6, 9)]\n"
        "threading.Thread(target=s.read_ranges, args=(sys.argv[1], ranges), daemon=True).start()\n"
        "time.sleep(0.5)\n"
    )
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script, server.url("hang.bin")],
        check=True, timeout=30,
    )  # fmt: skip
    assert time.monotonic() - start < 10


def test_importing_opens_nothing() -> None:
    script = (
        "import sys, threading, stacchip.storage as s\n"
        "s.Storage()\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not {'torch', 'rasterio', 'pandas', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
