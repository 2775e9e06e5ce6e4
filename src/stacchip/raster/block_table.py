"""Where a TIFF's blocks lie and how long they are, as libtiff understands its tables of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.raster import tiff
from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.codecs import most_encoded
from stacchip.raster.file_bytes import BrokenTiffError
from stacchip.raster.header import MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.raster.header import Header
    from stacchip.raster.tiff import Directory

# uncompressed strips above this size are read in parts, so that a chip does not fetch a whole image
_STRIP_BYTES: Final = 256 << 10
_MAX_MISSING_BLOCKS: Final = 1 << 20
# the header of a sound file that is larger than 1 TB has as many parts of strips
_MAX_PARTS: Final = 4 << 20


def with_block_table(header: Header, page: Directory, size: int) -> Header:
    """Return a header with the table of its blocks, in which large strips count as several.

    Blocks that the table is too short for are `MISSING`: their pixels are no zeros, but unknown.

    Args:
        header: The header, whose own table is empty.
        page: The image's directory.
        size: The file's size in bytes.

    Raises:
        BrokenTiffError: There is no table, or it contradicts the image.
    """
    return _split_strips(_read_table(header, page, size))


def _read_table(header: Header, page: Directory, size: int) -> Header:
    where, how_long = (
        (tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS)
        if tiff.TILE_OFFSETS in page
        else (tiff.STRIP_OFFSETS, tiff.STRIP_BYTE_COUNTS)
    )
    blocks = math.prod(header.grid) * header.planes
    offsets = page.integers(where, most=blocks)
    if not len(offsets):
        raise BrokenTiffError("it has no table of blocks")
    if blocks > len(offsets) + _MAX_MISSING_BLOCKS:
        raise BrokenTiffError(f"it needs {blocks} blocks and has {len(offsets)}")
    lengths = page.integers(how_long, most=blocks)
    if how_long in page:
        found = min(len(offsets), len(lengths))
        offsets, lengths = offsets[:found], lengths[:found]
        is_unknown = np.zeros(found, np.bool_)
        # libtiff mends a single strip of length 0; among many, such strips are sparse
        is_unknown[:] = blocks == 1 and not header.is_tiled and (lengths == 0) & (offsets > 0)
    elif header.is_tiled or math.prod(header.grid) > 1 or _are_planes(header):
        raise BrokenTiffError("it has no table of its blocks' lengths")
    else:
        lengths = np.zeros(len(offsets), np.uint64)
        is_unknown = np.ones(len(offsets), np.bool_)
    if tiff.OF_UNKNOWN_TYPE in page and _is_estimated(header, lengths):
        raise BrokenTiffError("the lengths of its strips and the type of a tag are not known")
    if header.compression == "none":
        # as libtiff does: the length of such a block is known, whatever the table says
        known = _whole_lengths(header)[: len(offsets)]
        is_known = is_unknown | (lengths > 0) & ~_is_cut_short(header, offsets, lengths, size)
        lengths = np.where(is_known, known, lengths)
    elif is_unknown.any():
        lengths = np.where(is_unknown, _lengths_to_next(header, offsets, size), lengths)
    missing = (0, blocks - len(offsets))
    return replace(
        header,
        places=BlockPlaces.of(
            np.pad(offsets, missing, constant_values=np.uint64(MISSING)),
            np.pad(lengths, missing, constant_values=np.uint64(1)),
        ),
    )


def _are_planes(header: Header) -> bool:
    """Return whether strips of several bands are encoded: libtiff takes them for equally long."""
    return header.planes > 1 and header.compression != "none"


def _is_estimated(header: Header, lengths: NDArray[np.uint64]) -> bool:
    """Return whether libtiff may estimate the lengths of strips, for which it asks for all tags."""
    if header.is_tiled or not len(lengths):
        return False
    if len(lengths) == 1:
        return not lengths[0] or header.compression == "none"
    return header.compression == "none" and len(lengths) > 2 and lengths[0] != lengths[1]


def _is_cut_short(
    header: Header, offsets: NDArray[np.uint64], lengths: NDArray[np.uint64], size: int
) -> NDArray[np.bool_]:
    """Return which uncompressed tiles cannot be read with the lengths of the table.

    GDAL relies on these lengths only for the last row of tiles, if it asks for a part of it.
    """
    height, down = header.block_shape[0], header.grid[0]
    # GDAL 3.10 means the rows inside the image; of a single row of tall tiles it asks for more
    rows = height - down * height % header.shape[0]
    is_last = np.zeros((header.planes, *header.grid), np.bool_)
    is_last[:, -1] = header.is_tiled and down * height > header.shape[0] and rows < height
    is_short = lengths < rows * header.row_bytes
    return is_last.ravel()[: len(lengths)] & (
        is_short | (lengths > size) | (offsets > size - lengths)
    )


def _whole_lengths(header: Header) -> NDArray[np.uint64]:
    """Return the lengths of uncompressed blocks; a plane's last strip may have fewer rows."""
    height = header.block_shape[0]
    rows = np.full((header.planes, math.prod(header.grid)), height, np.uint64)
    if not header.is_tiled:
        rows[:, -1] = header.shape[0] - (header.grid[0] - 1) * height
    return (rows * np.uint64(header.row_bytes)).ravel()


def _lengths_to_next(header: Header, offsets: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Return the bytes from each block to the next, or to the end of the file.

    Too many bytes do no harm, since codecs find the end of their data; but no more are returned
    than a block can take. TIFF 6.0 section 8 demands StripByteCounts, but old writers of a single
    strip left them out.
    """
    most = most_encoded(header.compression, header.block_shape[0] * header.row_bytes)
    begins = np.unique(np.append(offsets, np.uint64(size)))
    after = begins[np.minimum(np.searchsorted(begins, offsets, "right"), len(begins) - 1)]
    return np.where(after > offsets, np.minimum(after - offsets, np.uint64(most)), np.uint64(0))


def _least_divisor(number: int, least: int) -> int:
    """Return the least divisor of a number that is `least` or more.

    Example:
        >>> _least_divisor(300, 7), _least_divisor(331, 2)
        (10, 331)
    """
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return min(n for each in small for n in (each, number // each) if n >= least)


def _split_strips(header: Header) -> Header:
    """Split large uncompressed strips into several, since a chip needs only some of their rows."""
    height, rows = header.block_shape[0], max(1, _STRIP_BYTES // header.row_bytes)
    if header.is_tiled or header.compression != "none" or height <= rows:
        return header
    parts = -(-height // rows)
    # strips must stay aligned with each other, so each is cut into equal parts
    if header.grid[0] > 1:
        parts = _least_divisor(height, parts)
    rows = -(-height // parts)
    parts = -(-height // rows)
    if parts * header.grid[0] * header.planes > _MAX_PARTS:
        return header
    split = replace(header, block_shape=(rows, header.block_shape[1]))
    part_bytes = np.uint64(rows * header.row_bytes)
    within = np.arange(parts, dtype=np.uint64) * part_bytes
    strips = (header.planes, header.grid[0], 1)
    whole = header.block_lengths.reshape(strips)
    lengths = np.where(whole > within, np.minimum(whole - within, part_bytes), np.uint64(0))
    is_missing = header.block_offsets.reshape(strips) == MISSING
    lengths = np.where(is_missing, np.uint64(1), lengths)
    offsets = np.where(
        is_missing, np.uint64(MISSING), header.block_offsets.reshape(strips) + within
    )
    down = split.grid[0]
    return replace(
        split,
        places=BlockPlaces.of(
            np.ascontiguousarray(offsets.reshape(header.planes, -1)[:, :down]).ravel(),
            np.ascontiguousarray(lengths.reshape(header.planes, -1)[:, :down]).ravel(),
        ),
    )
