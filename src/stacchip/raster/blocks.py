"""Blocks: the parts into which a TIFF is cut, and how they become pixels.

`blocks_of` finds the blocks that a window touches, `decode_block` makes pixels of one, and
`paste_block` copies them to where a reader wants them. `fetch` reads their bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stacchip.errors import CorruptBlock, StacchipError, UnsupportedRaster, forget_frames
from stacchip.grid.window import Window
from stacchip.raster.allowance import for_decoding
from stacchip.raster.codecs import PREDICTED, BrokenStreamError, Scratch, decompress, unpack
from stacchip.raster.gdal import decode_by_gdal
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.raster.codecs import Memory
    from stacchip.raster.header import Header

_SCRATCH = Scratch()


class Block(NamedTuple):
    """One block of an image: a tile or a strip, of one plane.

    Attributes:
        plane: The band it holds if `Header.is_planar`, else 0 for all bands.
        row: Its row in the grid of blocks.
        col: Its column in the grid of blocks.
    """

    plane: int
    row: int
    col: int


class Target(NamedTuple):
    """An array to fill with pixels.

    Attributes:
        window: The pixels of the image that `out` holds.
        bands: The bands of the image that `out` holds, from 0; if they follow each other, a range
            takes the least time. In a planar file, a target for each band does.
        out: Array (band, y, x), written to.
    """

    window: Window
    bands: Sequence[int]
    out: NDArray[Any]


def block_number(header: Header, block: Block) -> int:
    """Return the place of a block in `Header.block_offsets` and `Header.block_lengths`."""
    down, across = header.grid
    return (block.plane * down + block.row) * across + block.col


def block_window(header: Header, block: Block) -> Window:
    """Return the image's pixels that a block holds; at an edge fewer than `Header.block_shape`."""
    height, width = header.block_shape
    row, col = block.row * height, block.col * width
    return Window(row, col, min(height, header.shape[0] - row), min(width, header.shape[1] - col))


def stored_rows(header: Header, block: Block) -> int:
    """Return the rows that a block has in the file.

    A tile is whole at the image's edge; the last strip ends with the image.
    """
    height = header.block_shape[0]
    return height if header.is_tiled else min(height, header.shape[0] - block.row * height)


def blocks_of(header: Header, window: Window, bands: Sequence[int]) -> list[Block]:
    """Return the blocks that hold `window` in `bands`, in the order of the file's table."""
    height, width = header.block_shape
    planes = sorted(set(bands)) if header.is_planar else [0]
    return [
        Block(plane, row, col)
        for plane in planes
        for row in range(window.row // height, (window.row_stop - 1) // height + 1)
        for col in range(window.col // width, (window.col_stop - 1) // width + 1)
    ]


def decode_block(header: Header, block: Block, data: Any, *, href: str = "") -> NDArray[Any]:
    """Decode one block to an array (band, y, x) of `Header.dtype`, owned by the caller.

    Args:
        header: The image's header.
        block: The block.
        data: Its bytes in the file; empty for a sparse block.
        href: The file, for error messages.

    Raises:
        CorruptBlock: The bytes are broken.
    """
    window = block_window(header, block)
    out = np.empty((header.samples, *window.shape), header.numpy_dtype)
    bands = range(block.plane, block.plane + header.samples)
    decode_into(header, block, data, [Target(window, bands, out)], href=href)
    return out


def decode_kept(
    header: Header, block: Block, data: Any, memory: Memory, *, href: str = ""
) -> NDArray[Any]:
    """Decode one block to an array (band, y, x) that may be a view of `memory`.

    Nothing is copied if the codec's output can be the array. This saves a pass over the pixels that
    `decode_block` makes, and takes no fresh memory if the caller reuses `memory`.

    Args:
        header: The image's header.
        block: The block.
        data: Its bytes in the file; empty for a sparse block.
        memory: Memory to decode into. The caller must not use it while it uses the array.
        href: The file, for error messages.

    Raises:
        CorruptBlock: The bytes are broken.
    """
    window = block_window(header, block)
    rows = (0, window.height)
    with for_decoding(header.block_bytes):
        pixels = _decode_named(header, block, data, rows, href=href, memory=memory)
        pixels = pixels[:, :, : window.width]
        # pixels that are not compressed are a view of `data`, which is not ours to keep
        is_borrowed = header.compression == "none"
        return pixels.astype(header.numpy_dtype, copy=is_borrowed)


def decode_into(
    header: Header,
    block: Block,
    data: Any,
    targets: Sequence[Target],
    *,
    href: str = "",
) -> None:
    """Decode one block and copy its pixels into each target, without an array in between.

    Args:
        header: The image's header.
        block: The block.
        data: Its bytes in the file; empty for a sparse block.
        targets: The arrays to fill with its pixels; each overlaps the block.
        href: The file, for error messages.

    Raises:
        CorruptBlock: The bytes are broken; no target is written.
    """
    inside = block_window(header, block)
    parts = [part for target in targets if (part := inside.intersect(target.window)) is not None]
    top = min(part.row for part in parts)
    stop = max(part.row_stop for part in parts)
    rows = (top - inside.row, stop - inside.row)
    with for_decoding(header.block_bytes):
        pixels = _decode_named(header, block, data, rows, href=href, memory=_SCRATCH)
        for target in targets:
            paste_block(header, block, pixels, target, first_row=top)
        del pixels  # before others may take as much


def _decode_named(
    header: Header,
    block: Block,
    data: Any,
    rows: tuple[int, int],
    *,
    href: str,
    memory: Memory,
) -> NDArray[Any]:
    """Call `_decode_rows`; if it fails, raise an error that names the block."""
    if header.why_unsupported is not None and not header.codec_tags:
        # an image of this kind is GDAL's to read; but a mask may differ from its image
        raise UnsupportedRaster(
            f"A block of {redact(href)} cannot be decoded here: {header.why_unsupported}. "
            "Write the file again with another codec (gdal_translate).",
            href=redact(href),
            reason=header.why_unsupported,
        )
    try:
        return _decode_rows(header, block, data, rows, memory)
    except StacchipError:
        raise
    except Exception as error:
        # whatever a codec says of bytes from outside, the block cannot be read
        if isinstance(error, BrokenStreamError):
            why = str(error)
            forget_frames(error)  # they hold the memory of the block
        else:
            why = f"{type(error).__name__}: {error}"
        where = (block.plane, block.row, block.col)
        raise CorruptBlock(
            f"Block {where} (band, row, column) of {redact(href)} cannot be decoded: {why}. "
            "Fetch the file again; its other blocks may be sound.",
            href=redact(href),
            block=where,
        ) from error


def paste_block(
    header: Header,
    block: Block,
    pixels: NDArray[Any],
    target: Target,
    *,
    first_row: int | None = None,
) -> None:
    """Copy the wanted pixels of one block to their place.

    Args:
        header: The image's header.
        block: The block.
        pixels: Its pixels (band, y, x), whole, or from the image's row `first_row` on.
        target: The array to fill; it is left alone if it does not overlap the block.
        first_row: The image's row with which `pixels` begin.
    """
    inside = block_window(header, block)
    part = inside.intersect(target.window)
    if part is None:
        return
    top = inside.row if first_row is None else first_row
    rows, cols = part.shift(-top, -inside.col).slices
    source = pixels[:, rows, cols]
    rows, cols = part.shift(-target.window.row, -target.window.col).slices
    place = target.out[:, rows, cols]
    if not header.is_planar and isinstance(target.bands, range):
        place[...] = source[target.bands.start : target.bands.stop]
        return
    for i, band in enumerate(target.bands):
        if not header.is_planar:
            place[i] = source[band]
        elif band == block.plane:
            place[i] = source[0]


def _decode_rows(
    header: Header, block: Block, data: Any, wanted: tuple[int, int], memory: Memory
) -> NDArray[Any]:
    """Return the rows `wanted` (first, last + 1) of a block as (band, y, x), in file byte order.

    The predictor is undone in these rows alone. A stream is always decoded whole, so that its
    checksum is checked.
    """
    top, stop = wanted
    width = header.block_shape[1]
    if not header.block_lengths[block_number(header, block)]:
        fill = np.asarray(header.fill, header.numpy_dtype)
        return np.broadcast_to(fill, (header.samples, stop - top, width))
    rows = stored_rows(header, block)
    if header.codec_tags:
        pixels = decode_by_gdal(
            data,
            (rows, width),
            tags=header.codec_tags,
            byteorder=header.byteorder,
            most_rows=0 if header.is_tiled else header.block_shape[0],
        )
        if pixels.shape != (header.samples, rows, width):
            shape = (header.samples, rows, width)
            raise BrokenStreamError(
                f"GDAL decoded the block to shape {pixels.shape}; expected {shape}"
            )
        return pixels[:, top:stop]
    raw = decompress(
        header.compression,
        data,
        rows * header.row_bytes,
        memory,
        fill_order=header.fill_order,
        whole=header.block_shape[0] * header.row_bytes,
    )
    samples = unpack(
        raw[top * header.row_bytes : stop * header.row_bytes],
        (stop - top, width, header.samples),
        bits=header.bits,
        sample_format=header.sample_format,
        byteorder=header.byteorder,
        predictor=header.predictor if header.compression in PREDICTED else 1,
    )
    return samples.transpose(2, 0, 1)
