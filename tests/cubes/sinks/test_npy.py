"""Our bytes of `.npy` and `.npz` against the readers of numpy and the standard library."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stacchip.cubes.sinks.npy import npy_bytes, npy_header, npz_bytes

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
