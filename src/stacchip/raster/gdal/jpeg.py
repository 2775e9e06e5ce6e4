"""What a JPEG stream says of its own pixels.

libtiff only warns of a stream that is smaller than its block. The rest of the block's pixels is
then whatever the memory held before.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

# frames of baseline, extended and progressive images, and of those with arithmetic coding; and of
# lossless ones
_FRAMES: Final = (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB)
_START: Final = b"\xff\xd8"
_WITHOUT_LENGTH: Final = (0x01, *range(0xD0, 0xD8))
_LEAD, _END, _SCAN = 0xFF, 0xD9, 0xDA
_MOST_MARKERS: Final = 10_000  # a stream may hold other data in segments of 64 KiB


class Frame(NamedTuple):
    """The pixels of a JPEG stream."""

    bits: int
    height: int
    width: int
    bands: int


def frame_of(data: bytes | memoryview) -> Frame | None:
    """Return what the frame header of a JPEG stream says; None if there is none before its scan.

    See ISO/IEC 10918-1, annex B.
    """
    place = len(_START)
    if bytes(data[:place]) != _START:
        return None
    for _ in range(_MOST_MARKERS):
        lead, marker = bytes(data[place : place + 2]).ljust(2, b"\0")
        if lead != _LEAD or marker in (_SCAN, _END):
            return None
        if marker == _LEAD:  # one more of them may stand before a marker
            place += 1
            continue
        place += 2
        if marker in _WITHOUT_LENGTH:
            continue
        header = bytes(data[place : place + 8])
        if marker in _FRAMES:
            return Frame(*struct.unpack(">xxBHHB", header)) if len(header) == 8 else None
        place += max(2, int.from_bytes(header[:2], "big"))
    return None
