"""Planes: the bands of a chip, as they are kept.

Planes of one form are compressed together, by Blosc with LZ4 behind a bit shuffle. Bands of
Sentinel-2 take as much space as with deflate, and come back seven times as fast. After the
compressed bytes comes their CRC32C, as Zarr's codec `crc32c` has it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import google_crc32c
import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Bytes", "DamagedPlane", "PlaneForm", "checksum", "decode_planes", "encode_planes"]

Bytes: TypeAlias = "NDArray[np.uint8]"
"""Bytes of a file."""

CHECKSUM: Final = struct.Struct("<I")
_LEVEL: Final = 1
# arrays will do, though the types of imagecodecs do not say so
_encode: Final[Any] = imagecodecs.blosc_encode
_decode: Final[Any] = imagecodecs.blosc_decode
_SIZES: Final = struct.Struct("<4x2I")  # of Blosc's header: the bytes of the pixels, and of a block
_MOST_OVERHEAD: Final = 4096


class DamagedPlane(Exception):
    """The bytes of a plane are not those that were kept. Never raised to a user."""


class PlaneForm(NamedTuple):
    """What planes in one array have in common.

    Attributes:
        dtype: The name of numpy's type of the pixels, such as "uint16".
        height: Rows of pixels.
        width: Columns of pixels.
    """

    dtype: str
    height: int
    width: int

    @property
    def name(self) -> str:
        """The name of the array."""
        return f"{self.dtype}_{self.height}x{self.width}"

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The type of the pixels, in little-endian order."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def size_bytes(self) -> int:
        """Bytes of the pixels."""
        return self.height * self.width * np.dtype(self.dtype).itemsize

    def most_bytes(self, planes: int) -> int:
        """Return more bytes than some planes take when they are kept."""
        return planes * self.size_bytes * 65 // 64 + _MOST_OVERHEAD

    def codecs(self) -> list[dict[str, Any]]:
        """Return the codecs of planes as metadata of Zarr 3."""
        return [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {
                "name": "blosc",
                "configuration": {
                    "typesize": np.dtype(self.dtype).itemsize,
                    "cname": "lz4",
                    "clevel": _LEVEL,
                    "shuffle": "bitshuffle",
                    "blocksize": 0,
                },
            },
            {"name": "crc32c"},
        ]


def checksum(data: Any) -> bytes:
    """Return the CRC32C of some bytes, in four bytes."""
    return CHECKSUM.pack(google_crc32c.value(data))


def encode_planes(pixels: NDArray[Any], out: bytearray) -> memoryview:
    """Return the planes of a chip in one array as they are kept, without the checksum.

    Args:
        pixels: Their pixels (plane, y, x), contiguous and in little-endian order.
        out: Memory to encode into, which the result is a part of.
    """
    encoded: memoryview = _encode(
        pixels,
        level=_LEVEL,
        compressor="lz4",
        shuffle="bitshuffle",
        typesize=pixels.itemsize,
        numthreads=1,
        out=out,
    )
    return encoded


def decode_planes(data: Bytes, out: NDArray[Any]) -> None:
    """Decode the planes of a chip in one array.

    Args:
        data: What was kept.
        out: Contiguous memory for their pixels.

    Raises:
        DamagedPlane: The bytes are not those that were kept.
    """
    body = data[: -CHECKSUM.size]
    if checksum(body) != data[-CHECKSUM.size :].tobytes():
        raise DamagedPlane("the checksum differs")
    if _SIZES.unpack_from(body.data)[0] != out.nbytes:
        raise DamagedPlane("it has another size")
    try:
        _decode(body, numthreads=1, out=out.reshape(-1).view(np.uint8))
    except imagecodecs.BloscError as error:
        raise DamagedPlane(str(error)) from error
