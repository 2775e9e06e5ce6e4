"""Files that only GDAL knows, from far away: its errors are ours, and none crashes the process."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import rasterio
from rasterio.transform import Affine

from raster.pixels import as_rasterio, distinct, random_windows, same_bits
from servers.range_server import Fault, RangeServer
from stacchip.errors import (
    AssetChanged,
    CorruptBlock,
    NotARaster,
    ObjectNotFound,
    RasterError,
    StorageError,
)
from stacchip.raster import Window, open_reader
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "name",
    [
        "odd/derived/rgb_jpeg_ycbcr.tif",
        "odd/derived/u16_lerc.tif",
        "odd/cogeotiff/rgba8_tiled.tiff",
        "sentinel2/L2A_T19UDP_20170729_mixed/R20m/SCL.jp2",
        "landsat/LC08_L2SP_008059_20191201/LC08_L2SP_008059_20191201_20200825_02_T1_thumb_small.jpeg",
    ],
)
def test_remote_files_read_as_local_ones(name: str, shared_data: Path) -> None:
    with RangeServer(shared_data) as server, rasterio.open(shared_data / name) as dataset:
        reader = open_reader(server.url(name), Storage())
        assert reader.why_unsupported
        windows = random_windows(dataset.shape, 6)
        expected = [dataset.read(window=as_rasterio(window)) for window in windows]
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(reader.read, windows))
        assert all(same_bits(f, e) for f, e in zip(found, expected, strict=True))
        assert "aux" not in " ".join(request.path for request in server.log)


@pytest.fixture
def lerc(write_tiff: Callable[..., str], tmp_path: Path) -> Path:
    write_tiff(distinct("uint16", (1, 400, 400)), "lerc.tif", compress="lerc", **TILED)
    return tmp_path / "lerc.tif"


def test_a_store_that_fails_in_the_middle_raises_a_storage_error(lerc: Path) -> None:
    storage = Storage(options=StorageOptions(max_attempts=2, deadline_s=3))
    with RangeServer(lerc.parent) as server:
        reader = open_reader(server.url("lerc.tif"), storage)
        server.always("/lerc.tif", Fault(status=503))
        with pytest.raises(StorageError, match="503"):
            reader.read(Window(0, 0, 400, 400))
        server.always("/lerc.tif", None)
        assert reader.read(Window(0, 0, 400, 400)).any()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as server, pytest.raises(ObjectNotFound):
        open_reader(server.url("none.jp2"), Storage(), force="gdal")


def test_a_remote_file_that_is_no_raster_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(b"<html>not found</html>" * 99)
    with RangeServer(tmp_path) as server, pytest.raises(NotARaster, match=r"a\.jp2") as caught:
        open_reader(server.url("a.jp2") + "?sig=secret", Storage())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_broken_block_is_named_and_the_others_are_read(lerc: Path, is_remote: bool) -> None:
    storage = Storage()
    header = open_reader(str(lerc), storage).header
    assert header is not None
    content = bytearray(lerc.read_bytes())
    start = int(header.block_offsets[8])
    content[start : start + 200] = bytes(200)
    lerc.write_bytes(content)
    with RangeServer(lerc.parent) as server:
        reader = open_reader(server.url("lerc.tif") if is_remote else str(lerc), storage)
        with pytest.raises(CorruptBlock, match=r"lerc\.tif") as caught:
            reader.read(Window(0, 0, 400, 400))
        assert caught.value.block == (0, 1, 1)
        expected = distinct("uint16", (1, 400, 400))[:, 128:400]
        assert same_bits(reader.read(Window(128, 0, 272, 400)), expected)


def test_a_file_cut_off_is_an_error(lerc: Path, storage: Storage) -> None:
    content = lerc.read_bytes()
    lerc.write_bytes(content[: len(content) // 2])
    with pytest.raises(RasterError, match=r"lerc\.tif"):
        open_reader(str(lerc), storage).read(Window(0, 0, 400, 400))


def test_a_change_between_reads_is_noticed(lerc: Path) -> None:
    storage = Storage()
    with RangeServer(lerc.parent) as server:
        reader = open_reader(server.url("lerc.tif"), storage)
        header = reader.header
        lerc.write_bytes(lerc.read_bytes())
        with pytest.raises(AssetChanged):
            open_reader(server.url("lerc.tif"), storage, header=header).read(Window(0, 0, 9, 9))
        with pytest.raises(AssetChanged):
            open_reader(server.url("lerc.tif"), storage, header=header, force="gdal")


def test_readers_end_without_crashing_the_process(shared_data: Path) -> None:
    """Handles that are open at the end, in cycles, or in threads that are gone."""
    program = f"""
import gc, threading
from stacchip.raster import Window, open_reader
from stacchip.storage import Storage
names = ["odd/derived/rgb_webp.tif", "sentinel2/L2A_T19UDP_20170729_mixed/R20m/SCL.jp2"]
for force in (None, "gdal"):
    for name in names * 3:
        reader = open_reader({str(shared_data)!r} + "/" + name, Storage(), force=force)
        thread = threading.Thread(target=reader.read, args=(Window(0, 0, 300, 300),))
        thread.start(); thread.join()
        cycle = [reader]; cycle.append(cycle)
        gc.collect()
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


PAGE = b"<!DOCTYPE html><html><title>Log in</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PAGE, "web page"),
        (POINTER, "Git LFS pointer"),
        (b'{"message": "Forbidden"}', "JSON"),
        (b"\x1f\x8b\x08\0" * 99, "gzip"),
        (b"plain text", "it begins with 'plain text'"),
    ],
    ids=["page", "pointer", "json", "gzip", "text"],
)
@pytest.mark.parametrize("is_remote", [False, True])
@pytest.mark.parametrize("name", ["a.tif", "a.jp2"])
def test_what_is_there_in_place_of_a_raster_is_named(
    tmp_path: Path, content: bytes, expected: str, is_remote: bool, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with RangeServer(tmp_path) as server:
        href = server.url(name) if is_remote else str(tmp_path / name)
        with pytest.raises(NotARaster, match=expected) as caught:
            open_reader(href, Storage())
    assert caught.value.href == href


def test_text_that_a_server_sends_in_place_of_a_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("Access denied for this user\n")
    with RangeServer(tmp_path) as server, pytest.raises(NotARaster, match="log-in") as caught:
        open_reader(server.url("a.tif"), Storage())
    assert "a.tif is text; it begins with 'Access denied for this user'" in str(caught.value)


@pytest.mark.parametrize("driver", ["JP2OpenJPEG", "JPEG", "PNG"])
def test_a_broken_image_is_an_error_each_time(
    driver: str, tmp_path: Path, storage: Storage
) -> None:
    """GDAL returns memory as it was for some, or what a decoder has left after an error."""
    pixels = distinct("uint8", (3, 64, 96)) * 37
    tiles = {"BLOCKXSIZE": 32, "BLOCKYSIZE": 32} if driver == "JP2OpenJPEG" else {}
    path = tmp_path / "a"
    with rasterio.open(
        path,
        "w",
        driver=driver,
        width=96,
        height=64,
        count=3,
        dtype="uint8",
        crs="EPSG:32631",
        transform=Affine(10, 0, 5e5, 0, -10, 4e6),
        **tiles,
    ) as out:
        out.write(pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    reader = open_reader(str(path), storage)
    for _ in range(3):
        for window in (Window(0, 0, 64, 96), Window(40, 0, 24, 96)):
            with pytest.raises(CorruptBlock, match=r"Block \(0, \d"):
                reader.read(window)
