from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from failures import failures_of
from kills import files_of, left_by_kills
from raster.dying import BLOCKS, fill, key_of
from scenes import write_band
from servers.range_server import RangeServer
from stacchip.errors import AssetChanged
from stacchip.raster import Window, open_reader, read_header
from stacchip.raster.blocks import blocks_of
from stacchip.raster.cache import BlockCache, Caches, DiskCache
from stacchip.raster.fetch import start_fetching
from stacchip.storage import Storage

WINDOW = Window(100, 100, 200, 200)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "files").mkdir()
    write_band(tmp_path / "files" / "red.tif", 10, (600, 700))
    with RangeServer(tmp_path / "files") as running:
        yield running


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_decoded_blocks_are_read_once(server):
    cache = BlockCache(1 << 20)
    reader = open_reader(server.url("red.tif"), Storage(), caches=Caches(decoded=cache))
    first = reader.read(WINDOW)
    server.reset_counters()
    np.testing.assert_array_equal(reader.read(WINDOW), first)
    part = reader.read(Window(120, 130, 50, 20))
    np.testing.assert_array_equal(part, first[:, 20:70, 30:50])
    assert server.requests == 0
    assert cache.hits == 9 + 2


def test_decoded_blocks_are_bounded_and_shared_by_threads(server):
    limit = 6 * 128 * 128 * 4
    cache = BlockCache(limit)
    reader = open_reader(server.url("red.tif"), Storage(), caches=Caches(decoded=cache))
    expected = open_reader(server.url("red.tif"), Storage()).read(Window(0, 0, 600, 700))
    most = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            row, col = rng.integers(0, 500), rng.integers(0, 600)
            pixels = reader.read(Window(row, col, 90, 80))
            np.testing.assert_array_equal(pixels, expected[:, row : row + 90, col : col + 80])
            most.append(cache.held_bytes)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    assert 0 < max(most) <= limit
    assert cache.hits > 0


def test_a_block_cache_in_another_process_starts_empty():
    cache = BlockCache(100)
    cache.put(("a",), np.zeros(10, np.uint8))
    again = pickle.loads(pickle.dumps(cache))
    assert (again.limit_bytes, again.held_bytes) == (100, 0)


def test_a_second_epoch_asks_no_store(server, tmp_path):
    caches = Caches(encoded=DiskCache(tmp_path / "cache", 1 << 30))
    header = read_header(Storage(), server.url("red.tif"))
    reader = open_reader(server.url("red.tif"), Storage(), header=header, caches=caches)
    first = reader.read(WINDOW)
    server.reset_counters()
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.read(WINDOW), first)
    assert server.requests == 0


def test_revalidation_asks_once_and_notices_a_change(server, tmp_path):
    storage, url = Storage(), server.url("red.tif")
    header = read_header(storage, url)

    def open_cached(*, revalidate: bool):
        disk = DiskCache(tmp_path / "cache", 1 << 30, revalidate=revalidate)
        return open_reader(url, storage, header=header, caches=Caches(encoded=disk))

    first = open_cached(revalidate=True).read(WINDOW)
    server.reset_counters()
    reader = open_cached(revalidate=True)
    for _ in range(3):
        np.testing.assert_array_equal(reader.read(WINDOW), first)
    assert {request.method for request in server.log} == {"HEAD"}
    assert 1 <= server.requests <= 9  # blocks in flight at the same time may all ask
    os.utime(server.root / "red.tif", ns=(0, 0))
    np.testing.assert_array_equal(open_cached(revalidate=False).read(WINDOW), first)
    with pytest.raises(AssetChanged):
        open_cached(revalidate=True).read(WINDOW)


def test_a_file_written_anew_has_other_blocks(server, tmp_path):
    caches = Caches(BlockCache(1 << 20), DiskCache(tmp_path / "cache", 1 << 30))
    url = server.url("red.tif")
    open_reader(url, Storage(), caches=caches).read(WINDOW)
    write_band(server.root / "red.tif", 10, (600, 700), dtype="uint16")
    pixels = open_reader(url, Storage(), caches=caches).read(WINDOW)
    np.testing.assert_array_equal(pixels, open_reader(url, Storage()).read(WINDOW))


@pytest.mark.parametrize("damage", [lambda data: data[:10], lambda data: bytes(len(data))])
def test_a_damaged_file_of_the_cache_is_fetched_again(tmp_path, damage):
    write_band(tmp_path / "red.tif", 10, (600, 700), compress="none", predictor=1)
    caches = Caches(encoded=DiskCache(tmp_path / "cache", 1 << 30))
    with RangeServer(tmp_path) as server:
        reader = open_reader(server.url("red.tif"), Storage(), caches=caches)
        first = reader.read(WINDOW)
        for path in (tmp_path / "cache").rglob("*"):
            if path.is_file() and path.name != "kept-bytes":
                path.write_bytes(damage(path.read_bytes()))
        for _ in range(2):
            np.testing.assert_array_equal(reader.read(WINDOW), first)
        server.reset_counters()
        np.testing.assert_array_equal(reader.read(WINDOW), first)
        assert server.requests == 0  # what was fetched again is kept


def test_a_folder_that_cannot_be_made_is_told_once_and_costs_no_chip(server, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file")
    caches = Caches(encoded=DiskCache(tmp_path / "cache" / "blocks", 1 << 30))
    reader = open_reader(server.url("red.tif"), Storage(), caches=caches)
    expected = open_reader(server.url("red.tif"), Storage()).read(WINDOW)
    np.testing.assert_array_equal(reader.read(WINDOW), expected)
    reader.read(WINDOW)
    assert len([r for r in caplog.records if "blocks are not kept" in r.message]) == 1


def test_sparse_blocks_of_an_image_and_of_its_mask_are_told_apart(tmp_path):
    path = tmp_path / "masked.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", width=256, height=256, count=3, dtype="uint8", tiled=True,
            blockxsize=128, blockysize=128, compress="deflate", SPARSE_OK=True, crs="EPSG:32629",
            transform=Affine(10, 0, 500_000, 0, -10, 4_200_000),
        ) as out,
    ):  # fmt: skip
        window = rasterio.windows.Window(0, 0, 128, 128)
        out.write(np.full((3, 128, 128), 7, np.uint8), window=window)
        out.write_mask(np.full((128, 128), 255, np.uint8), window=window)
    caches = Caches(decoded=BlockCache(1 << 24))
    reader = open_reader(str(path), Storage(), caches=caches)
    plain = open_reader(str(path), Storage())
    sparse = Window(130, 130, 50, 50)
    for _ in range(2):
        np.testing.assert_array_equal(reader.read_valid(sparse), plain.read_valid(sparse))
        np.testing.assert_array_equal(reader.read(sparse), plain.read(sparse))


def test_a_forked_child_has_a_lock_of_its_own():
    cache = BlockCache(1 << 20)
    cache.put(("a",), np.zeros(8))
    with cache._kept.get().lock:  # as when another thread is at it
        child = os.fork()
        if not child:
            os._exit(0 if cache.get(("a",)) is None else 1)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
    assert (done, status) == (child, 0)


def test_local_files_are_not_kept_on_disk_again(server, tmp_path):
    caches = Caches(encoded=DiskCache(tmp_path / "cache", 1 << 30))
    open_reader(str(server.root / "red.tif"), Storage(), caches=caches).read(WINDOW)
    assert not (tmp_path / "cache").exists()


class LateCache(DiskCache):
    """A cache in which each block comes to be kept right after it was first asked for."""

    def __init__(self, folder, limit_bytes):
        super().__init__(folder, limit_bytes)
        self.asked = set()

    def has(self, key):
        was_asked = key in self.asked
        self.asked.add(key)
        return was_asked or super().has(key)


def test_a_block_that_another_process_keeps_meanwhile_is_read_all_the_same(server, tmp_path):
    disk = LateCache(tmp_path / "cache", 1 << 30)
    reader = open_reader(server.url("red.tif"), Storage(), caches=Caches(encoded=disk))
    reader.read(Window(100, 100, 1, 1))
    disk.asked.clear()
    blocks = blocks_of(reader.header, WINDOW, [0])
    handled = []
    start_fetching(
        [reader.address(block) for block in blocks], lambda at, _: handled.append(at.block)
    ).wait()
    assert sorted(handled) == blocks
    assert len(disk.asked) == len(blocks)


def test_the_folder_is_bounded_for_several_processes(server, tmp_path):
    code = f"""
        import sys
        import numpy as np
        from stacchip.raster import Window, open_reader
        from stacchip.raster.cache import Caches, DiskCache
        from stacchip.storage import Storage
        caches = Caches(encoded=DiskCache({str(tmp_path / "cache")!r}, 100_000))
        reader = open_reader({server.url("red.tif")!r}, Storage(), caches=caches)
        expected = np.arange(1, 600 * 700 + 1, dtype=np.uint32).reshape(600, 700)
        rng = np.random.default_rng(int(sys.argv[1]))
        for _ in range(60):
            row, col = rng.integers(0, 500), rng.integers(0, 600)
            pixels = reader.read(Window(row, col, 90, 80))[0]
            assert (pixels == expected[row : row + 90, col : col + 80]).all()
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(seed)])
        for seed in range(3)
    ]
    most, done = 0, threading.Event()
    while not done.wait(0.05):
        with contextlib.suppress(FileNotFoundError):  # a file went while we looked
            most = max(most, folder_bytes(tmp_path / "cache"))
        if all(process.poll() is not None for process in processes):
            done.set()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert 20_000 < most <= 100_000
    assert not list((tmp_path / "cache").rglob("*.part"))


# --- the caches by themselves


def test_blocks_used_last_are_kept_in_memory():
    cache = BlockCache(limit_bytes=100)
    for key in "abc":
        cache.put((key,), np.zeros(30, np.uint8))
    assert cache.get(("a",)) is not None  # used now
    cache.put(("d",), np.zeros(30, np.uint8))
    assert [cache.get((key,)) is not None for key in "abcd"] == [True, False, True, True]
    assert (cache.held_bytes, cache.hits) == (90, 4)


def test_a_block_that_is_larger_than_the_cache_is_not_kept():
    cache = BlockCache(limit_bytes=100)
    cache.put(("a",), np.zeros(30, np.uint8))
    cache.put(("b",), np.zeros(101, np.uint8))
    assert cache.get(("a",)) is not None
    assert cache.get(("b",)) is None


def test_a_block_that_is_kept_again_counts_once():
    cache = BlockCache(limit_bytes=100)
    cache.put(("a",), np.zeros(30, np.uint8))
    cache.put(("a",), np.ones(60, np.uint8))
    assert cache.held_bytes == 60
    assert cache.get(("a",)).all()


def test_the_oldest_blocks_make_room_on_disk(tmp_path):
    disk = DiskCache(tmp_path / "cache", 10_000)
    keys = [key_of(number, 2000) for number in range(6)]
    for age, key in enumerate(keys[:4]):
        disk.put(key, bytes(2000))
        path = disk._path(key)
        os.utime(path, ns=(age * 10**9, age * 10**9))
    assert disk.get(keys[0]) == bytes(2000)  # used now
    disk.put(keys[4], bytes(2000))
    # those go that make the folder smaller than 80 % of its limit
    assert [disk.has(key) for key in keys] == [True, False, False, True, True, False]
    assert folder_bytes(tmp_path / "cache") <= 10_000


def test_a_block_larger_than_the_room_that_is_ever_made_is_not_kept(tmp_path):
    disk = DiskCache(tmp_path / "cache", 10_000)
    disk.put(key_of("small", 1000), bytes(1000))
    disk.put(key_of("large", 9000), bytes(9000))
    assert disk.has(key_of("small", 1000))
    assert not disk.has(key_of("large", 9000))


@pytest.mark.parametrize("damage", [b"", b"x", bytes(2004)])
def test_a_damaged_block_is_removed(tmp_path, damage):
    disk = DiskCache(tmp_path / "cache", 10_000)
    key = key_of("a", 2000)
    disk.put(key, os.urandom(2000))
    disk._path(key).write_bytes(damage)
    assert disk.get(key) is None
    assert not disk.has(key)


def test_a_killed_process_leaves_whole_blocks_and_the_next_one_keeps_within_the_limit(tmp_path):
    limit = 4_000  # for three of the four blocks
    (tmp_path / "folder").mkdir()
    lefts = left_by_kills(fill, tmp_path / "folder", limit, copies=tmp_path / "copies")
    assert len(lefts) > 12
    for left in lefts:
        disk = DiskCache(left.folder, limit)
        assert {disk.get(key) for key in BLOCKS} <= {None, *BLOCKS.values()}, left.step
        fill(left.folder, limit)
        *_, last = BLOCKS
        assert disk.get(last) == BLOCKS[last], left.step
        assert not [name for name in files_of(left.folder) if ".stacchip" in name], left.step
        assert folder_bytes(left.folder) <= limit


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_write_is_only_a_cache_that_keeps_nothing(tmp_path, code):
    (tmp_path / "folder").mkdir()
    failures = failures_of(fill, tmp_path / "folder", 10_000, code=code)
    assert len(failures) > 8
    assert {failure.error for failure in failures} == {None}
    if code == errno.ENOSPC:
        assert not [name for each in failures for name in each.files if ".stacchip" in name]


def test_a_copy_of_a_disk_cache_shares_its_folder(tmp_path):
    disk = DiskCache(tmp_path / "cache", 10_000, revalidate=True)
    disk.put(key_of("a", 5), b"12345")
    again = pickle.loads(pickle.dumps(disk))
    assert (again.limit_bytes, again.revalidate) == (10_000, True)
    assert again.get(key_of("a", 5)) == b"12345"
