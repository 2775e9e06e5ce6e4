"""What a JPEG 2000 header asks for, before a decoder gives it that.

OpenJPEG takes memory for each tile, component and code-block that a header announces, whether the
file has a byte of them or not: a file of 100 bytes can ask for many gigabytes.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.storage import Limits

CODESTREAM_BOX: Final = b"jp2c"
_CODESTREAM: Final = b"\xff\x4f\xff\x51"  # markers SOC and SIZ (ISO/IEC 15444-1, A.4 and A.5)
MOST_BOXES: Final = 1000
# OpenJPEG 2.5 keeps 6000 bytes of each tile's parameters and 1100 of each component's in each tile.
# GDAL has it read them once to open the file and once more to read a tile; with what else that
# takes, 37,000 tiles of three components came to 1 GB and 7 s
_TILE_BYTES: Final = 24_000
_TILE_COMPONENT_BYTES: Final = 4_400
# it decodes to 32-bit integers; code-blocks of 4 x 4 px, the least, take as much again (measured)
_SAMPLE_BYTES: Final = 4
# each tile is decoded by itself, and each time the parameters of all are read
_MANY_TILES: Final = 1024
_SMALL_TILE: Final = 64 * 64


class Extent(NamedTuple):
    """The extent of a codestream, as its marker SIZ announces it."""

    height: int
    width: int
    tile_height: int
    tile_width: int
    components: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return -(-self.height // self.tile_height) * -(-self.width // self.tile_width)


def why_too_large(file: IO[bytes], limits: Limits) -> tuple[str, str] | None:
    """Return the limit that a JPEG 2000 file exceeds, and what exceeds it; None if it exceeds none.

    A file without a sound header exceeds none: GDAL refuses it.

    Args:
        file: The file.
        limits: Limits of its place.
    """
    extent = read_extent(file)
    if extent is None:
        return None
    height, width = min(extent.height, extent.tile_height), min(extent.width, extent.tile_width)
    pixels = height * width * extent.components * _SAMPLE_BYTES
    name = "file_bytes" if extent.tiles == 1 else "block_bytes"
    if pixels > getattr(limits, name):
        return name, f"has tiles of {height} x {width} px, which take {pixels} bytes"
    tables = extent.tiles * (_TILE_BYTES + extent.components * _TILE_COMPONENT_BYTES)
    if tables > limits.file_bytes:
        return "file_bytes", f"has {extent.tiles} tiles, whose parameters take {tables} bytes"
    if extent.tiles > _MANY_TILES and height * width < _SMALL_TILE:
        # at this size it is no question of memory, but of hours
        return "block_bytes", f"has {extent.tiles} tiles of only {height} x {width} px"
    return None


def read_extent(file: IO[bytes]) -> Extent | None:
    """Return the extent of a JPEG 2000 file's first codestream; None if it has none."""
    start = _find_codestream(file)
    if start is None:
        return None
    file.seek(start)
    header = file.read(42)
    if len(header) < 42 or not header.startswith(_CODESTREAM):
        return None
    # Lsiz, Rsiz, then sizes and origins of the grid and of its first tile, and Csiz
    right, bottom, left, top, tile_width, tile_height = struct.unpack(">6I", header[8:32])
    (components,) = struct.unpack(">H", header[40:42])
    if right <= left or bottom <= top or not tile_width or not tile_height or not components:
        return None
    return Extent(bottom - top, right - left, tile_height, tile_width, components)


def _find_codestream(file: IO[bytes]) -> int | None:
    """Return the offset of the first codestream: that of a box `jp2c`, or 0 for a bare one."""
    file.seek(0)
    if file.read(4) == _CODESTREAM:
        return 0
    return next((start for kind, start, _ in iterate_boxes(file) if kind == CODESTREAM_BOX), None)


def iterate_boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int | None]]:
    """Yield the boxes of a JPEG 2000 file: kind, and where its content starts and ends.

    The end is None for the last box, which reaches to the end of the file.
    """
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        start = at + 8
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
            start = at + 16
        is_last = length < start - at or at + length >= 2**62  # or it contradicts itself
        yield kind, start, None if is_last else at + length
        if is_last:
            return
        at += length
