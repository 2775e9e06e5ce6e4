"""Our bytes of `.npy` and `.npz`, and our reader, against numpy and the standard library."""

from __future__ import annotations

import gc
import io
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stacchip.cubes.sinks.npy import npy_bytes, npy_header, npz_bytes, read_npy

arrays = hnp.arrays(
    st.sampled_from(["uint8", "<i2", ">f4", "float64", "bool", "complex64"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@settings(deadline=None)
@given(arrays)
def test_numpy_reads_any_array(array):
    read = np.load(io.BytesIO(npy_bytes(array)))
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()


def test_a_header_is_that_of_numpy():
    array = np.zeros((3, 4), np.float32)
    file = io.BytesIO()
    np.save(file, array)
    assert file.getvalue() == npy_header(array) + array.tobytes()


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), arrays, max_size=4))
@pytest.mark.parametrize("compression", ["deflate", "none"])
def test_the_standard_library_reads_any_archive(compression, named):
    with zipfile.ZipFile(io.BytesIO(npz_bytes(named, compression))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{name}.npy" for name in named]
        for name, array in named.items():
            about = archive.getinfo(f"{name}.npy")
            data = archive.read(about)
            assert data == npy_bytes(array)
            assert (about.file_size, about.CRC) == (len(data), zlib.crc32(data))


def test_what_is_not_compressed_takes_its_own_size():
    array = np.zeros(1_000_000, np.float32)
    plain, packed = (len(npz_bytes({"a": array}, each)) for each in ("none", "deflate"))
    assert array.nbytes < plain < array.nbytes + 1000
    assert packed < array.nbytes / 50


def test_an_archive_has_room_for_more_than_four_gibibytes():
    """Every entry has its sizes in 64 bits (APPNOTE.TXT 4.5.3)."""
    data = npz_bytes({"a": np.zeros(3)}, "none")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (about,) = archive.infolist()
    assert about.extract_version == about.create_version == 45
    local = data[: data.index(b"\x93NUMPY")]
    assert local[18:26] == b"\xff" * 8  # the 32-bit sizes refer to the extra field
    assert (b"PK\x06\x06" in data, b"PK\x06\x07" in data) == (True, True)


@settings(deadline=None)
@given(arrays, st.booleans(), st.sampled_from([(1, 0), (2, 0)]))
def test_any_array_of_numpy_is_read(array, is_fortran, version):
    file = io.BytesIO()
    written = np.asfortranarray(array) if is_fortran else array
    np.lib.format.write_array(file, written, version, allow_pickle=False)
    file.seek(0)
    read, expected = read_npy(file), np.load(io.BytesIO(file.getvalue()))
    assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
    assert read.flags.c_contiguous == expected.flags.c_contiguous
    assert read.tobytes() == expected.tobytes()
    assert read.flags.writeable


@pytest.mark.parametrize("size", [0, 5, 9, 60, 128, 129, 3 << 20, (4 << 20) + 127])
def test_a_file_that_is_cut_off_is_not_read(size):
    data = npy_bytes(np.zeros(1 << 20, np.float32))
    assert size < len(data)
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's words
        read_npy(io.BytesIO(data[:size]))


def test_objects_and_unknown_versions_are_not_read():
    file = io.BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        read_npy(io.BytesIO(file.getvalue()))
    data = npy_bytes(np.zeros(3))
    with pytest.raises(ValueError, match="version"):
        read_npy(io.BytesIO(data[:6] + b"\x04\x00" + data[8:]))


class _Garbage:
    """A cycle that lets other threads run when it is collected."""

    def __init__(self):
        self.own = self

    def __del__(self):
        time.sleep(0.001)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': ",
        b"{'descr': [('a', '<04')], 'fortran_order': False, 'shape': (1,)}",
        b"-" * 9000,
    ],
)
def test_a_header_that_python_cannot_parse_is_not_read(header):
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(ValueError, match=r"header|Header|descr"):
        read_npy(io.BytesIO(data))


def test_threads_may_read_at_the_same_time():
    """Before Python 3.11.8, two of them that parse a header at the same time fail: gh-106905.

    The garbage is collected after any number of allocations, so in the middle of a header too. Then
    the other thread runs.
    """
    data = npy_bytes(np.zeros((4, 2), np.float32))
    is_done = threading.Event()

    def read_on() -> int:
        count = 0
        while not is_done.is_set():
            read_npy(io.BytesIO(data))
            count += 1
        return count

    before = gc.get_threshold()
    gc.freeze()  # what other tests left would make each collection slow
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(read_on)
        try:
            for allocations in range(1, 80):
                gc.disable()
                gc.set_threshold(allocations)
                _Garbage()
                gc.enable()
                assert read_npy(io.BytesIO(data)).shape == (4, 2)
                gc.collect()
        finally:
            gc.set_threshold(*before)
            gc.enable()
            gc.unfreeze()
            is_done.set()
    assert other.result() > 0
