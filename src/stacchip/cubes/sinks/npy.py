"""Arrays in numpy's file formats: `.npy`, and `.npz`, which is a zip file of these.

Why not `numpy.savez_compressed` or `zipfile`? Both compress with zlib, which does 20 MB/s a core on
reflectances as float32: a twentieth of the speed at which chips are cut. Intel's ISA-L does
450 MB/s for the same size, but the public API of `zipfile` takes no other compressor. So the zip
structure is written here. Any reader of zip files understands it.

The same arrays give the same bytes on machines of one kind: no file has a date, but ISA-L finds
other matches on other processors.

Arrays are read by `read_npy`, in threads too; any reader of zip files opens the archive.
"""

from __future__ import annotations

import io
import struct
import threading
import tokenize
import zlib
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import numpy as np

from stacchip.errors import UsageError
from stacchip.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

Compression = Literal["deflate", "none"]

# level 1 on reflectances as float32, speed of one core and compressed size: ISA-L 450 MB/s, 25 %;
# libdeflate 240 MB/s, 22 %; zlib 20 MB/s, 25 %
_LEVEL = 1
_RAW = -15  # without zlib's head and checksum: a zip file has its own
_PART = 1 << 20
_STORED, _DEFLATED = 0, 8
_VERSION = 45  # of the format; the first that supports files beyond 4 GiB
_MIDNIGHT = 0
_FIRST_OF_JANUARY_1980 = 0x21  # the earliest date of a zip file: always the same bytes
_LARGE = 0xFFFFFFFF
_REGULAR_FILE = 0o100644 << 16
_UNIX = 3 << 8

# a header of version 3.0 has names of fields beyond Latin-1: arrays of cubes have no fields
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# numpy parses a header by ast.literal_eval, which counts the depth of all threads together before
# Python 3.11.8 (CPython gh-106905): "SystemError: AST constructor recursion depth mismatch". The
# lock can go once stacchip needs Python 3.12.
_PARSING: Final = PerProcess(threading.Lock)


def npy_header(array: NDArray[Any]) -> bytes:
    """Return the beginning of an `.npy` file; the array's own bytes follow, in C order."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    )
    return file.getvalue()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of an `.npy` file.

    Example:
        >>> np.load(io.BytesIO(npy_bytes(np.arange(3))))
        array([0, 1, 2])
    """
    return b"".join(_npy_parts(array))


def _npy_parts(array: NDArray[Any]) -> Iterator[bytes | memoryview]:
    """Yield the parts of an `.npy` file without copying: a cube has hundreds of megabytes."""
    yield npy_header(array)
    memory = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for at in range(0, len(memory), _PART):
        yield memory[at : at + _PART]


def read_npy(file: IO[bytes]) -> NDArray[Any]:
    """Return the array of an `.npy` file that is open at its start, and has no Python objects.

    Several threads may call this; `numpy.load` must not be called by several in Python 3.11.

    Raises:
        ValueError: The file is something else, or is cut off.

    Example:
        >>> read_npy(io.BytesIO(npy_bytes(np.arange(3))))
        array([0, 1, 2])
    """
    read_header = _HEADERS.get(np.lib.format.read_magic(file))
    if read_header is None:
        raise ValueError("Its version is not known.")
    try:
        with _PARSING.get():  # the header's bytes are in the file's buffer: nothing is unpacked
            shape, is_fortran, dtype = read_header(file)
    except (SyntaxError, tokenize.TokenError, MemoryError) as error:  # the parser's, for any text
        raise ValueError("Its header cannot be read.") from error
    if dtype.hasobject:
        raise ValueError("It holds Python objects.")
    try:
        array: NDArray[Any] = np.empty(shape[::-1] if is_fortran else shape, dtype)
    except (MemoryError, TypeError, OverflowError) as error:
        raise ValueError(f"It claims to have the shape {shape}.") from error
    memory = array.reshape(-1).view(np.uint8).data
    for at in range(0, len(memory), _PART):
        part = memory[at : at + _PART]
        part[:] = file.read(len(part))  # of another length, it is a ValueError
    return array.T if is_fortran else array


def npz_bytes(
    arrays: Mapping[str, NDArray[Any]], compression: Compression = "deflate"
) -> bytearray:
    """Return arrays as the bytes of an `.npz` file, in their order.

    The format is that of PKWARE's APPNOTE.TXT 6.3.10, 4.3.7 to 4.3.16, with the extra fields for
    files beyond 4 GiB (4.5.3) throughout.

    Raises:
        UsageError: ISA-L is not installed.

    Example:
        >>> data = npz_bytes({"pixels": np.zeros((2, 3)), "hour_norm": np.ones(2)})
        >>> np.load(io.BytesIO(data))["hour_norm"]
        array([1., 1.])
    """
    out = bytearray()
    directory = bytearray()
    for name, array in arrays.items():
        check, plain_size, packed = _pack(array, compression)
        packed_size = sum(map(len, packed))
        method = _STORED if compression == "none" else _DEFLATED
        facts = (method, _MIDNIGHT, _FIRST_OF_JANUARY_1980, check, _LARGE, _LARGE)
        file_name = f"{name}.npy".encode()
        sizes = struct.pack("<HHQQ", 1, 16, plain_size, packed_size)
        where = struct.pack("<HHQQQ", 1, 24, plain_size, packed_size, len(out))
        directory += struct.pack(
            "<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, *facts,
            len(file_name), len(where), 0, 0, 0, _REGULAR_FILE, _LARGE,
        )  # fmt: skip
        directory += file_name + where
        out += struct.pack(
            "<4sHHHHHLLLHH", b"PK\x03\x04", _VERSION, 0, *facts, len(file_name), len(sizes)
        )
        out += file_name + sizes
        for part in packed:
            out += part
    end = _end(len(arrays), len(directory), len(out))
    out += directory + end
    return out


def _pack(
    array: NDArray[Any], compression: Compression
) -> tuple[int, int, list[bytes | memoryview]]:
    """Return checksum, size and packed bytes of an array's `.npy` file."""
    check = size = 0
    packed: list[bytes | memoryview] = []
    compressor = None if compression == "none" else _compressor()
    for part in _npy_parts(array):
        check, size = zlib.crc32(part, check), size + len(part)
        packed.append(part if compressor is None else compressor.compress(part))
    if compressor is not None:
        packed.append(compressor.flush())
    return check, size, packed


def _compressor() -> Any:
    try:
        from isal import isal_zlib  # an extra that only cubes need
    except ImportError as error:
        raise UsageError(
            "Cubes are compressed with ISA-L: pip install 'stacchip[processors]'; or write them "
            "uncompressed."
        ) from error
    return isal_zlib.compressobj(level=_LEVEL, wbits=_RAW)


def _end(count: int, size: int, start: int) -> bytes:
    """Return the end of a zip file.

    Args:
        count: Entries of the directory.
        size: Bytes of the directory.
        start: Offset of the directory.
    """
    large = struct.pack(
        "<4sQHHLLQQQQ", b"PK\x06\x06", 44, _VERSION, _VERSION, 0, 0, count, count, size, start
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    return (
        large
        + locator
        + struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, min(size, _LARGE), _LARGE, 0)
    )
