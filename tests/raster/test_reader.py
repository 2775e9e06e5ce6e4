"""Reading windows: one round trip, each block once, errors that name what broke."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from interrupts import heeding_interrupts
from raster.handmade import strip_tags, strips_of, write_handmade
from raster.pixels import distinct, random_windows, same_bits
from servers.range_server import Fault, RangeServer
from stacchip.errors import AssetChanged, CorruptBlock, ObjectNotFound, StorageError, UsageError
from stacchip.raster import (
    Window,
    WindowRequest,
    open_reader,
    read_header,
    read_valid_windows,
    read_windows,
)
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "predictor": 2}


@pytest.fixture
def pixels(write_tiff: Callable[..., str]) -> np.ndarray:
    """A file `raster.tif` of 5 x 4 blocks."""
    array = distinct("uint16", (1, 300, 250))
    write_tiff(array, **TILED)
    return array


def assert_one_round_trip(server: RangeServer) -> None:
    """The last request came before the first answer went."""
    times_s = [request.time_s for request in server.log]
    assert max(times_s) - min(times_s) < server.delay_s


def test_all_blocks_of_all_files_come_in_one_round_trip(
    write_tiff: Callable[..., str], tmp_path: Path
) -> None:
    arrays = [distinct("uint16", (1, 300, 250)) + i for i in range(11)]
    for i, array in enumerate(arrays):
        write_tiff(array, f"{i}.tif", **TILED)
    storage = Storage()
    with RangeServer(tmp_path, delay_s=0.5) as server:
        with ThreadPoolExecutor(11) as pool:
            readers = list(
                pool.map(lambda i: open_reader(server.url(f"{i}.tif"), storage), range(11))
            )
        server.reset_counters()
        found = read_windows([WindowRequest(r, Window(30, 40, 90, 80)) for r in readers])
        assert all(same_bits(f, a[:, 30:120, 40:120]) for f, a in zip(found, arrays, strict=True))
        # 2 x 2 blocks of each file: those of one row lie side by side, those of two nearly
        assert server.requests == 11
        assert_one_round_trip(server)


def test_a_block_that_windows_share_is_fetched_and_decoded_once(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    storage = Storage()
    with RangeServer(tmp_path) as server:
        reader = open_reader(server.url("raster.tif"), storage)
        before = server.requests, storage.bytes_read
        windows = [Window(row, col, 16, 16) for row in (0, 16, 32) for col in (0, 16, 32)]
        found = read_windows([WindowRequest(reader, window) for window in windows])
        assert server.requests == before[0] + 1
        assert storage.bytes_read - before[1] == reader.header.block_lengths[0]  # type: ignore[union-attr]
    for window, part in zip(windows, found, strict=True):
        assert same_bits(part, pixels[(slice(None), *window.slices)])


def test_bands_come_in_the_order_asked(write_tiff: Callable[..., str], storage: Storage) -> None:
    array = distinct("uint8", (4, 70, 90))
    for interleave in ("pixel", "band"):
        path = write_tiff(array, f"{interleave}.tif", interleave=interleave, **TILED)
        reader = open_reader(path, storage)
        window = Window(10, 20, 30, 65)
        expected = array[[3, 0, 3]][(slice(None), *window.slices)]
        assert same_bits(reader.read(window, [3, 0, 3]), expected)
        assert same_bits(reader.read(window, (1,)), array[1:2][(slice(None), *window.slices)])


def test_one_band_of_planes_fetches_that_band_alone(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint16", (4, 64, 64))
    reader = open_reader(write_tiff(array, interleave="band", **TILED), storage)
    before = storage.bytes_read
    reader.read(Window(0, 0, 64, 64), [2])
    assert storage.bytes_read - before == reader.header.block_lengths[2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 5, 5), Window(0, 246, 5, 5), Window(300, 0, 1, 1)]
)
@pytest.mark.parametrize("force", ["fast", "gdal"])
def test_windows_that_leave_the_raster_are_refused(
    window: Window, force: Any, pixels: np.ndarray, tmp_path: Path, storage: Storage
) -> None:
    reader = open_reader(str(tmp_path / "raster.tif"), storage, force=force)
    with pytest.raises(UsageError, match="300 x 250"):
        reader.read(window)


@pytest.mark.parametrize("bands", [[1], [-1], []])
@pytest.mark.parametrize("force", ["fast", "gdal"])
def test_bands_that_do_not_exist_are_refused(
    bands: list[int], force: Any, pixels: np.ndarray, tmp_path: Path, storage: Storage
) -> None:
    reader = open_reader(str(tmp_path / "raster.tif"), storage, force=force)
    with pytest.raises(UsageError, match="bands"):
        reader.read(Window(0, 0, 1, 1), bands)


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_rewrite_of_the_same_size_is_noticed(
    force: Any, is_remote: bool, pixels: np.ndarray, tmp_path: Path, storage: Storage
) -> None:
    path = tmp_path / "raster.tif"
    with RangeServer(tmp_path) as server:
        href = server.url("raster.tif") if is_remote else str(path)
        header = read_header(storage, href)
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        os.utime(path, (1, 1))
        with pytest.raises(AssetChanged, match="raster"):
            open_reader(href, storage, header=header, force=force).read(Window(0, 0, 9, 9))
        assert open_reader(href, storage).read(Window(0, 0, 9, 9)).any()


def test_one_request_in_ten_failing_changes_no_pixel(pixels: np.ndarray, tmp_path: Path) -> None:
    storage = Storage()
    with RangeServer(tmp_path, fail_rate=0.1, seed=1) as server:
        reader = open_reader(server.url("raster.tif"), storage)
        for window in random_windows((300, 250), 40):
            found = reader.read(window)
            assert same_bits(found, pixels[(slice(None), *window.slices)])
        assert server.failed > 0


def test_a_file_that_is_gone_is_an_error_at_once(pixels: np.ndarray, tmp_path: Path) -> None:
    storage = Storage()
    with RangeServer(tmp_path) as server:
        readers = [open_reader(server.url("raster.tif"), storage)]
        shutil.copy(tmp_path / "raster.tif", tmp_path / "other.tif")
        readers.append(open_reader(server.url("other.tif"), storage))
        (tmp_path / "other.tif").unlink()
        with pytest.raises(ObjectNotFound, match=r"other\.tif"):
            read_windows([WindowRequest(r, Window(0, 0, 300, 250)) for r in readers])


def test_an_error_names_the_file_without_its_signature(pixels: np.ndarray, tmp_path: Path) -> None:
    content = bytearray((tmp_path / "raster.tif").read_bytes())
    header = read_header(Storage(), str(tmp_path / "raster.tif"))
    content[int(header.block_offsets[7]) + 20] ^= 255
    (tmp_path / "raster.tif").write_bytes(content)
    with RangeServer(tmp_path) as server:
        href = server.url("raster.tif") + "?X-Amz-Signature=secret"
        reader = open_reader(href, Storage())
        with pytest.raises(CorruptBlock) as caught:
            reader.read(Window(0, 0, 300, 250))
        assert caught.value.block == (0, 1, 3)
        assert caught.value.href == server.url("raster.tif")
        assert "secret" not in str(caught.value)
        assert reader.read(Window(128, 0, 100, 250)).any()


def test_the_first_error_cancels_what_has_not_begun(tmp_path: Path, storage: Storage) -> None:
    grey = distinct("uint8", (1, 500, 40))[0]
    tags = strip_tags(grey.shape, 1, compression=8)
    path = write_handmade(tmp_path / "a.tif", tags, strips_of(grey, 1))  # none of them is deflate
    with pytest.raises(CorruptBlock):
        open_reader(path, storage).read(Window(0, 0, 500, 40))


def test_many_threads_read_at_once(pixels: np.ndarray, tmp_path: Path) -> None:
    storage = Storage()
    with RangeServer(tmp_path) as server:
        readers = [
            open_reader(server.url("raster.tif"), storage),
            open_reader(str(tmp_path / "raster.tif"), storage),
            open_reader(str(tmp_path / "raster.tif"), storage, force="gdal"),
        ]
        windows = random_windows((300, 250), 60)

        def check(i: int) -> bool:
            window = windows[i % len(windows)]
            found = readers[i % 3].read(window)
            return same_bits(found, pixels[(slice(None), *window.slices)])

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(check, range(300)))


def test_fast_and_gdal_readers_are_read_together(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint8", (3, 100, 120))
    paths = [write_tiff(array, f"{codec}.tif", compress=codec) for codec in ("lzw", "webp", "lerc")]
    readers = [open_reader(path, storage) for path in paths]
    assert [reader.why_unsupported is None for reader in readers] == [True, False, False]
    window = Window(5, 6, 70, 80)
    found = read_windows([WindowRequest(reader, window, (2, 1)) for reader in readers])
    for path, part in zip(paths, found, strict=True):
        with rasterio.open(path) as dataset:
            expected = dataset.read([3, 2])[(slice(None), *window.slices)]
        assert same_bits(part, expected)


def test_pixels_and_their_validity_come_in_one_round_trip(
    write_tiff: Callable[..., str], tmp_path: Path
) -> None:
    array = distinct("uint8", (4, 100, 120))
    write_tiff(array[:1], "nodata.tif", nodata=7, **TILED)
    write_tiff(array[:1], "plain.tif", **TILED)
    write_tiff(array, "alpha.tif", photometric="RGB", alpha="YES", interleave="band", **TILED)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tiff(array[:1], "mask.tif", **TILED)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(array[0] > 99)
    write_tiff(array[:1], "lerc.tif", nodata=7, compress="lerc")
    storage, window = Storage(), Window(11, 22, 80, 90)
    expected = {
        "nodata": array[0] != 7,
        "plain": array[0] > -1,
        "alpha": array[3] != 0,
        "mask": array[0] > 99,
        "lerc": array[0] != 7,
    }
    with RangeServer(tmp_path) as server:
        readers = [open_reader(server.url(f"{name}.tif"), storage) for name in expected]
        server.reset_counters()
        server.delay_s = 0.5
        found = read_valid_windows([WindowRequest(r, window, (0,)) for r in readers])
        assert server.requests == 5  # a mask so near its pixels comes in one range with them
        assert_one_round_trip(server)
        server.delay_s = 0
        for (part, valid), reader, truth in zip(found, readers, expected.values(), strict=True):
            assert same_bits(part, array[:1][(slice(None), *window.slices)])
            assert np.array_equal(valid, truth[window.slices]), reader.href
            assert np.array_equal(reader.read_valid(window), truth[window.slices])


def test_a_reader_can_be_pickled(pixels: np.ndarray, tmp_path: Path, storage: Storage) -> None:
    for force in ("fast", "gdal"):
        reader = open_reader(str(tmp_path / "raster.tif"), storage, force=force)  # type: ignore[arg-type]
        reader.read(Window(0, 0, 5, 5))
        again = pickle.loads(pickle.dumps(reader))
        assert same_bits(again.read(Window(3, 4, 90, 80)), pixels[:, 3:93, 4:84])


def read_in_child(reader: Any, connection: Any) -> None:
    connection.send(reader.read(Window(3, 4, 90, 80)))


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize("is_remote", [False, True])
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_child_process_reads_what_its_parent_read(
    force: Any, is_remote: bool, method: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    storage = Storage()
    with RangeServer(tmp_path) as server:
        href = server.url("raster.tif") if is_remote else str(tmp_path / "raster.tif")
        reader = open_reader(href, storage, force=force)
        expected = reader.read(Window(3, 4, 90, 80))
        context = multiprocessing.get_context(method)
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=read_in_child, args=(reader, sender))  # type: ignore[attr-defined]
        child.start()
        try:
            assert receiver.poll(30), "the child hangs"
            assert same_bits(receiver.recv(), expected)
            child.join(10)
            assert child.exitcode == 0
        finally:
            child.kill()
            child.join()
        assert same_bits(reader.read(Window(3, 4, 90, 80)), expected)  # the parent goes on


def test_an_interrupt_ends_a_read_that_waits(pixels: np.ndarray, tmp_path: Path) -> None:
    storage = Storage()
    with RangeServer(tmp_path) as server, heeding_interrupts():
        reader = open_reader(server.url("raster.tif"), storage)
        server.always("/raster.tif", Fault(hang_s=20))
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        start_s = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            reader.read(Window(0, 0, 300, 250))
        assert time.perf_counter() - start_s < 10
        server.always("/raster.tif", None)
        assert reader.read(Window(0, 0, 9, 9)).any()


def test_a_store_that_fails_for_good_says_how(pixels: np.ndarray, tmp_path: Path) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2, deadline_s=3))
    with RangeServer(tmp_path) as server:
        reader = open_reader(server.url("raster.tif"), storage)
        server.always("/raster.tif", Fault(status=500))
        with pytest.raises(StorageError, match="500"):
            reader.read(Window(0, 0, 300, 250))
