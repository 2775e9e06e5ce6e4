"""Decoding a block's bytes into samples, by imagecodecs.

All functions of imagecodecs used here release the GIL (measured: two threads do twice the work of
one). They write into memory that the thread keeps, because fresh memory for each block costs as
much as undoing its predictor.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import imagecodecs
import numpy as np

from stacchip.raster.allowance import LARGE_BLOCK
from stacchip.raster.lzw import decode_lzw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stacchip.raster.tiff import ByteOrder

# (SampleFormat, bits) -> numpy's name of a stored sample, if it fills whole bytes; 4 is
# "undefined", which GDAL reads as unsigned. Complex integers are pairs: see `unpack`
_WHOLE: Final = {
    (1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (1, 64): "u8",
    (4, 8): "u1", (4, 16): "u2", (4, 32): "u4", (4, 64): "u8",
    (2, 8): "i1", (2, 16): "i2", (2, 32): "i4", (2, 64): "i8",
    (3, 16): "f2", (3, 32): "f4", (3, 64): "f8",
    (5, 32): "i2", (5, 64): "i4",
    (6, 64): "c8", (6, 128): "c16",
}  # fmt: skip
_COMPLEX_INTEGER: Final = 5
COMPLEX: Final = (5, 6)
"""The sample formats of complex numbers: pairs of integers, and of floats."""
_UNSIGNED: Final = (1, 4)
_KEPT_BYTES: Final = LARGE_BLOCK
_SURPLUS_BYTES: Final = 1 << 16
_MOST_SURPLUS: Final = 32 << 20
_ROWS_AT_ONCE: Final = 64


class BrokenStreamError(ValueError):
    """A block's bytes are not valid for their codec; the message says why."""


@dataclass(frozen=True)
class Codec:
    """A compression that we decode ourselves. To add one, add an entry to `CODECS`.

    Attributes:
        name: Its name in `Header.compression`.
        tags: Its numbers in TIFF's tag Compression.
        most_per_byte: The most decoded bytes that one encoded byte can stand for. A header that
            claims more is wrong, and no memory is allocated for it.
        decode: Decodes data into the memory given, and returns the part of it that was filled; None
            if blocks are stored as they are.
        encode: Encodes bytes, for measuring how fast this machine decodes.
        is_exact: True if a stream that goes on behind its block is broken: of such streams GDAL
            reads other pixels, or none.
        stops: True if decoding stops at the end of the memory, whatever the stream goes on with.
    """

    name: str
    tags: tuple[int, ...]
    most_per_byte: int
    decode: Callable[[Any, memoryview], Any] | None
    encode: Callable[[bytes], Any]
    is_exact: bool = False
    stops: bool = False


# imagecodecs imports a codec when its function is first looked up: hence the lambdas
CODECS: Final[dict[str, Codec]] = {
    codec.name: codec
    for codec in (
        Codec("none", (1,), 1, None, bytes),
        Codec(
            "lzw",
            (5,),
            4096,  # runs of half a table of 4096
            decode_lzw,
            imagecodecs.lzw_encode,
            stops=True,
        ),
        Codec(
            "deflate",
            (8, 32946),  # the second is its old number (TIFF Technical Note 3)
            1032,  # runs of 258 in 2 bits
            lambda data, out: imagecodecs.deflate_decode(data, out=out),
            lambda data: imagecodecs.deflate_encode(data, level=6),
            is_exact=True,
        ),
        Codec(
            "packbits",
            (32773,),
            64,  # runs of 128 in 2 bytes
            lambda data, out: imagecodecs.packbits_decode(data, out=out),
            imagecodecs.packbits_encode,
        ),
        Codec(
            "zstd",
            (50000,),
            1 << 15,  # blocks of 128 KiB in 4 bytes
            lambda data, out: imagecodecs.zstd_decode(data, out=out),
            lambda data: imagecodecs.zstd_encode(data, level=9),
        ),
    )
}
PREDICTED: Final = ("lzw", "deflate", "zstd")
"""Codecs that predictors belong to, as in libtiff: with others, the tag has no meaning."""

_OTHER_NAMES: Final = {
    2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old JPEG", 7: "JPEG",
    34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL",
}  # fmt: skip
_NAMES: Final = {tag: codec.name for codec in CODECS.values() for tag in codec.tags} | _OTHER_NAMES
GDAL_TAGS: Final = (3, 4, 7, 34887, 34925, 50001)
"""Numbers of the codecs that GDAL decodes block by block: CCITT 3 and 4, JPEG, LERC, LZMA, WebP."""

# bytes that a codec may need for one that it cannot compress, and those it needs for nothing: LZW
# takes 12 bits for 8; fax codes 9 for 2, and JPEG, WebP and LERC have headers of their own
_MOST_GROWTH: Final = 1.5
_MOST_EXTRA: Final = 4096
_MOST_GROWTH_OF_OTHERS: Final = 8
_MOST_EXTRA_OF_OTHERS: Final = 64 << 10


def most_encoded(compression: str, size: int) -> int:
    """Return the most bytes that a block of `size` decoded bytes can sensibly take in a file.

    Example:
        >>> most_encoded("deflate", 65536), most_encoded("none", 256)
        (102400, 256)
    """
    if compression == "none":
        return size
    if compression in CODECS:
        return int(size * _MOST_GROWTH) + _MOST_EXTRA
    return size * _MOST_GROWTH_OF_OTHERS + _MOST_EXTRA_OF_OTHERS


def why_impossible(compression: str, length: int, size: int) -> str | None:
    """Return why `length` encoded bytes cannot become `size` decoded ones; None if they can.

    Example:
        >>> why_impossible("deflate", 8, 900_000_000)
        '8 bytes cannot hold 900000000 decoded'
    """
    codec = CODECS.get(compression)
    if codec is None or size <= codec.most_per_byte * length:
        return None
    return f"{length} bytes cannot hold {size} decoded"


def name_codec(tag: int) -> str:
    """Return the name of a compression by its number in TIFF's tag Compression.

    Example:
        >>> name_codec(32946), name_codec(7), name_codec(9)
        ('deflate', 'JPEG', 'compression 9')
    """
    return _NAMES.get(tag, f"compression {tag}")


class Memory(Protocol):
    """Memory that decoded bytes are written to."""

    def take(self, size: int) -> memoryview:
        """Return writable memory of `size` bytes."""


class Scratch(threading.local):
    """Memory that each thread keeps, and reuses for each block."""

    def __init__(self) -> None:
        self._kept = bytearray(0)

    def take(self, size: int) -> memoryview:
        """Return writable memory of `size` bytes, this thread's until its next call."""
        if size > _KEPT_BYTES:
            return memoryview(bytearray(size))
        if len(self._kept) < size:
            self._kept = bytearray(size)
        return memoryview(self._kept)[:size]


def is_known_sample(bits: int, sample_format: int) -> bool:
    """Return whether `unpack` can read samples of this many bits in this SampleFormat."""
    return (sample_format, bits) in _WHOLE or (sample_format in _UNSIGNED and 1 <= bits < 32)


def decompress(
    compression: str,
    data: Any,
    size: int,
    scratch: Memory,
    *,
    fill_order: int = 1,
    whole: int = 0,
) -> memoryview:
    """Decode a block's bytes to `size` bytes.

    Args:
        compression: The name of one of `CODECS`.
        data: The bytes of the block in the file.
        size: Number of bytes that a sound block holds.
        scratch: Gives memory to decode into; the result may be a view of it.
        fill_order: 2 if the bits of each byte of `data` are reversed (TIFF 6.0 FillOrder).
        whole: The size of a block that does not end with the image, if it is known.

    Raises:
        BrokenStreamError: The stream is broken, its checksum is wrong, it ends too soon, or it goes
            on for more than any writer adds.
    """
    codec = CODECS[compression]
    why = why_impossible(compression, len(data), size)
    if why is not None:
        raise BrokenStreamError(why)
    if fill_order != 1:
        data = imagecodecs.bitorder_decode(bytes(data))
    decode = codec.decode
    if decode is None:
        return memoryview(data)[:size]
    decoded = None
    try:
        # imagecodecs' errors derive from RuntimeError. No frame keeps the first memory meanwhile
        with suppress(*([] if codec.stops else [RuntimeError])):
            decoded = decode(data, scratch.take(size))
        if decoded is None:
            # some writers store a whole strip even if the image ends within it
            surplus = 0 if codec.is_exact and whole else min(size, _MOST_SURPLUS) + _SURPLUS_BYTES
            decoded = decode(data, scratch.take(max(whole, size + surplus)))
    except (RuntimeError, ValueError) as error:
        raise BrokenStreamError(str(error)) from error.with_traceback(None)
    if len(decoded) < size:
        raise BrokenStreamError(f"it ends after {len(decoded)} of {size} decoded bytes")
    if codec.is_exact and len(decoded) not in (size, whole or len(decoded)):
        raise BrokenStreamError(f"it holds {len(decoded)} bytes in place of {size}")
    return memoryview(decoded)[:size]


def checksum(data: Any) -> int:
    """Return the CRC-32 of some bytes, equal to that of `zlib.crc32`; 20 us for a megabyte."""
    return int(imagecodecs.deflate_crc32(data))


def unpack(
    raw: memoryview,
    shape: tuple[int, int, int],
    *,
    bits: int,
    sample_format: int,
    byteorder: ByteOrder,
    predictor: int,
) -> NDArray[Any]:
    """Return the samples of decoded bytes, as an array of `shape` (row, column, sample).

    Predictors are undone in place. The array may be in the file's byte order; assigning it to a
    native array swaps its bytes.

    Args:
        raw: Whole rows of decoded bytes; overwritten if a predictor is undone.
        shape: (rows, columns, samples of one pixel).
        bits: Bits of a sample.
        sample_format: TIFF's SampleFormat.
        byteorder: "<" or ">".
        predictor: TIFF's Predictor: 1, 2 or 3.
    """
    name = _WHOLE.get((sample_format, bits))
    if name is None:
        return _unpack_bits(raw, shape, bits, byteorder)
    dtype = np.dtype(name).newbyteorder(byteorder)
    if predictor == 2:
        samples = _undo_differences(raw, shape, bits, byteorder)
        if sample_format in COMPLEX and not samples.dtype.isnative:
            # libtiff swaps a complex sample as one integer, which exchanges its parts as well
            samples, dtype = samples.astype(samples.dtype.newbyteorder()), np.dtype(name)
        raw = samples.data.cast("B")
    if sample_format == _COMPLEX_INTEGER:
        pairs = np.frombuffer(raw, dtype).reshape(*shape, 2)
        result = np.empty(shape, np.complex64)
        result.real, result.imag = pairs[..., 0], pairs[..., 1]
        return result
    if predictor == 3:
        return _undo_split(raw, shape, np.dtype(name))
    return np.frombuffer(raw, dtype).reshape(shape)


def _undo_differences(
    raw: memoryview, shape: tuple[int, int, int], bits: int, byteorder: ByteOrder
) -> NDArray[Any]:
    """Undo predictor 2: a sample is the sum of its row so far, modulo 2 to the power `bits`."""
    dtype = np.dtype(f"u{bits // 8}").newbyteorder(byteorder)
    samples = np.frombuffer(raw, dtype).reshape(shape)
    return np.asarray(imagecodecs.delta_decode(samples, axis=1, out=samples))


def _undo_split(raw: memoryview, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Undo predictor 3: a row holds the first bytes of its floats, then the second, as differences.

    See Adobe's Technical Note 3 of 2005. The most significant byte comes first in files of either
    byte order. This is three times as fast as `imagecodecs.floatpred_decode` (measured at 4 bytes),
    since it takes a few rows at a time, which stay in the cache.
    """
    rows, width, samples = shape
    size = dtype.itemsize
    encoded = np.frombuffer(raw, np.uint8).reshape(rows, width * size, samples)
    encoded = imagecodecs.delta_decode(encoded, axis=1, out=encoded)
    split = encoded.reshape(rows, size, width * samples)
    # a large block is rearranged in place: it takes its memory once, and not twice
    in_place = encoded.nbytes > LARGE_BLOCK
    form = (rows, width * samples, size)
    floats = encoded.reshape(form) if in_place else np.empty(form, np.uint8)
    for top in range(0, rows, _ROWS_AT_ONCE):
        part = slice(top, top + _ROWS_AT_ONCE)
        some = np.empty_like(floats[part]) if in_place else floats[part]
        for byte in range(size):
            place = size - 1 - byte if sys.byteorder == "little" else byte
            some[:, :, place] = split[part, byte]
        if in_place:
            floats[part] = some
    return floats.view(dtype).reshape(shape)


def _unpack_bits(
    raw: memoryview, shape: tuple[int, int, int], bits: int, byteorder: ByteOrder
) -> NDArray[Any]:
    """Unpack samples stored bit after bit, most significant first; rows begin on whole bytes."""
    rows = np.frombuffer(raw, np.uint8).reshape(shape[0], -1)
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=shape[1] * shape[2]).reshape(shape)
    if bits == 24:  # imagecodecs up to 2026.1 unpacks these wrongly
        whole = np.zeros((shape[0] * shape[1] * shape[2], 4), np.uint8)
        triples = rows.reshape(-1, 3)
        # libtiff swaps the bytes of these alone
        whole[:, 1:] = triples[:, ::-1] if byteorder == ">" else triples
        return whole.view(">u4").astype(np.uint32).reshape(shape)
    name = "u1" if bits < 8 else "u2" if bits < 16 else "u4"
    samples = imagecodecs.packints_decode(rows.tobytes(), name, bits, runlen=shape[1] * shape[2])
    return np.asarray(samples).reshape(shape)
