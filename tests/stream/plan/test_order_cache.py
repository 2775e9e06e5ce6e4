"""Order files are made once, and again where they are not what they should be."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stacchip.errors import StorageError
from stacchip.stream.plan.order_cache import OrderCache
from stacchip.stream.plan.order_file import NARROW, OrderWriter

PARTS = ("areas",)


class Maker:
    """Writes an order file, and counts how often."""

    def __init__(self, seconds: float = 0) -> None:
        self.made: list[Path] = []
        self._seconds = seconds

    def __call__(self, path: Path) -> None:
        self.made.append(path)
        time.sleep(self._seconds)
        with OrderWriter(path, NARROW) as writer:
            writer.add_chips(np.ones(1000, NARROW))
            writer.finish("mine", np.empty(0, np.int64), {})


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STACCHIP_CACHE_DIR", str(tmp_path / "caches"))
    return tmp_path / "caches" / "orders"


def test_a_file_is_made_once(folder) -> None:
    make = Maker()
    paths = [OrderCache().find("mine", make, parts=PARTS).path for _ in range(3)]
    assert paths == [folder / "mine.order"] * 3
    assert len(make.made) == 1
    assert [file.name for file in folder.iterdir()] == ["mine.order"]


def change(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(path.read_bytes()[:-8]), lambda path: change(path, 12_100)],
    ids=["cut off", "areas"],
)
def test_a_damaged_file_is_made_again(folder, damage) -> None:
    make = Maker()
    damage(OrderCache().find("mine", make, parts=PARTS).path)
    found = OrderCache().find("mine", make, parts=PARTS)
    assert (found.chips["row"].tolist(), len(make.made)) == ([1] * 1000, 2)


def test_a_file_with_damaged_chips_is_made_again_once_they_were_looked_at(folder) -> None:
    make, cache = Maker(), OrderCache()
    change(cache.find("mine", make, parts=PARTS).path, 4100)
    found = OrderCache().find("mine", make, parts=PARTS)
    with pytest.raises(StorageError, match="make the stream again"):
        found.records(np.array([0]))
    found = cache.find("mine", make, parts=PARTS)
    assert (found.records(np.arange(1000))["row"].tolist(), len(make.made)) == ([1] * 1000, 2)


def test_a_copy_finds_the_file_and_makes_it_again_if_it_is_gone(folder) -> None:
    make, cache = Maker(), OrderCache()
    path = cache.find("mine", make, parts=PARTS).path
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.find("mine", make, parts=PARTS).path, len(make.made)) == (path, 1)
    path.unlink()
    assert (copy.find("mine", make, parts=PARTS).path, len(make.made)) == (path, 2)


def test_whoever_needs_a_file_at_the_same_time_waits_for_the_first(folder) -> None:
    make, start = Maker(0.2), threading.Barrier(4)

    def find(_: int) -> int:
        start.wait()
        return len(OrderCache().find("mine", make, parts=PARTS).chips)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find, range(4))) == [1000] * 4
    assert len(make.made) == 1
    assert [file.name for file in folder.iterdir()] == ["mine.order"], "no lock is left"


def test_without_a_folder_it_lasts_as_long_as_the_process(tmp_path) -> None:
    (tmp_path / "file").touch()
    script = (
        "import logging\n"
        "from stream.plan.test_order_cache import Maker, OrderCache, PARTS\n"
        "logging.basicConfig()\n"
        "cache, make = OrderCache(), Maker()\n"
        "paths = [cache.find('mine', make, parts=PARTS).path for _ in range(2)]\n"
        "print(paths[0].exists(), len(make.made), paths[0])\n"
    )
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    own = {
        "STACCHIP_CACHE_DIR": str(tmp_path / "file"),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(places),
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **own}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there, made, path = done.stdout.split()
    assert (there, made, Path(path).parents[1]) == ("True", "1", tmp_path)
    assert not Path(path).exists()
    assert done.stderr.count("for this process and its workers only") == 1


def test_an_index_that_cannot_be_read_is_no_reason_to_write_elsewhere(folder, caplog) -> None:
    def fail(_: Path) -> None:
        raise StorageError("gone", href="s3://bucket/index")

    with pytest.raises(StorageError, match="gone"):
        OrderCache().find("mine", fail, parts=PARTS)
    assert caplog.text == ""
    assert list(folder.iterdir()) == []


def test_old_files_go_when_another_is_made(folder) -> None:
    make = Maker()
    OrderCache().find("mine", make, parts=PARTS)
    old = folder / "old.order"
    old.touch()
    os.utime(old, (0, time.time() - 31 * 24 * 3600))
    (folder / "mine.order").unlink()
    OrderCache().find("mine", make, parts=PARTS)
    assert [file.name for file in folder.iterdir()] == ["mine.order"]
