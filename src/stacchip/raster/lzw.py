"""Decoding LZW by libtiff, which checks each code before it is used.

imagecodecs' own LZW takes any code behind a Clear code: bytes from outside then lead it to memory
that it never wrote. libtiff refuses them, and takes two thirds of the time for blocks of 256 KiB.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import imagecodecs
import numpy as np

# a TIFF of one strip, one row high: width, height, bits, compression, photometric, offset, rows of
# a strip, length. Its data follow it
_ENTRIES: Final = struct.Struct("<2sHIH" + "HHII" * 8 + "I")
_SHORT, _LONG = 3, 4


def decode_lzw(data: Any, out: memoryview) -> memoryview:
    """Decode an LZW stream of TIFF into `out`, and return it; it is filled, or an error is raised.

    Raises:
        RuntimeError: The stream is broken, or ends too soon.
    """
    if not len(data):
        raise RuntimeError("it is empty")
    # fmt: off
    start = _ENTRIES.pack(
        b"II", 42, 8, 8,
        256, _LONG, 1, len(out),
        257, _LONG, 1, 1,
        258, _SHORT, 1, 8,
        259, _SHORT, 1, 5,
        262, _SHORT, 1, 1,
        273, _LONG, 1, _ENTRIES.size,
        278, _LONG, 1, 1,
        279, _LONG, 1, len(data),
        0,
    )
    # fmt: on
    pixels = np.frombuffer(out, np.uint8).reshape(1, -1)
    imagecodecs.tiff_decode(b"".join([start, data]), out=pixels)
    return out
