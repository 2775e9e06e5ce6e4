"""Readers: pixels of one file by window, on the fast path if it knows the file, else by GDAL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from stacchip.errors import UnsupportedRaster
from stacchip.raster.block_requests import NO_CACHES, BlockAddress, span_of
from stacchip.raster.blocks import (
    Block,
    Target,
    blocks_of,
    decode_block,
    decode_into,
    paste_block,
)
from stacchip.raster.cache import block_key
from stacchip.raster.fetch import start_fetching
from stacchip.raster.gdal import GdalFile
from stacchip.raster.location import place_image
from stacchip.raster.parse import read_header
from stacchip.raster.validity import find_valid, require_bands
from stacchip.storage import redact
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from affine import Affine
    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox
    from stacchip.grid.window import Window
    from stacchip.raster.cache import Caches
    from stacchip.raster.header import Header
    from stacchip.storage import Identity, Limits, Storage


# a block's address, its place among the others, and its task (measured: 1.1 kB)
_BYTES_FOR_BLOCK: Final = 2048


class Reader(Protocol):
    """Pixels of one file by window. It may be used from many threads at once, and pickled."""

    @property
    def href(self) -> str:
        """The file."""

    @property
    def storage(self) -> Storage:
        """What reads it."""

    @property
    def geobox(self) -> GeoBox | None:
        """CRS, transform and shape, or None if the file lacks a CRS or a transform.

        Raises:
            UnsupportedRaster: The CRS is not one of the Earth.
        """

    @property
    def crs(self) -> str | None:
        """The file's own CRS, which it may have without a transform: "EPSG:code" or WKT."""

    @property
    def transform(self) -> Affine | None:
        """The file's own transform, which it may have without a CRS."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    def count(self) -> int:
        """Number of bands."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that a read returns."""

    @property
    def nodata(self) -> float | int | None:
        """The value that stands for no data, typed to the bands."""

    @property
    def why_no_grid(self) -> str | None:
        """What locates the pixels in place of a grid, such as "9 ground control points"."""

    @property
    def validity(self) -> str:
        """The mark of valid pixels: "mask", "nodata", "alpha", or "all" if the file has none."""

    @property
    def header(self) -> Header | None:
        """The TIFF's header; None if the file is not a TIFF."""

    @property
    def why_unsupported(self) -> str | None:
        """The reason for not taking the fast path, or None if it was taken."""

    def read(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """Read the pixels of `window`, which must lie inside, as (band, y, x); bands from 0."""

    def read_valid(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Read where the pixels of `window` may be used, as (y, x)."""


def open_reader(
    href: str,
    storage: Storage,
    *,
    header: Header | None = None,
    force: Literal["fast", "gdal"] | None = None,
    caches: Caches = NO_CACHES,
) -> Reader:
    """Open the raster at `href`, by the fast path if it knows the file, else by GDAL.

    Args:
        href: The file.
        storage: Reads its bytes.
        header: Its header, if known: then the fast path makes no request to open it, unless an
            earlier version kept a header that places no pixels.
        force: "fast" refuses to fall back to GDAL; "gdal" uses GDAL for any file.
        caches: Keep the blocks of the fast path.

    Raises:
        NotARaster: It is not a raster, or its header is broken.
        UnsupportedRaster: Only GDAL can read it, and `force="fast"`.
        StorageError: Its bytes cannot be read.
    """
    if force == "gdal":
        return GdalReader(href, storage, header=header, why_unsupported="GDAL was asked for")
    try:
        header = header or read_header(storage, href)
    except UnsupportedRaster as error:
        if force == "fast":
            raise
        return GdalReader(href, storage, header=None, why_unsupported=error.facts["reason"])
    if header.located_by is None and header.transform is None:
        # an earlier version kept this header, and nothing of ground control points
        header = replace(header, located_by=read_header(storage, href).located_by)
    if header.why_unsupported is not None and force == "fast":
        raise UnsupportedRaster(
            f"{redact(href)} is not for the fast path: {header.why_unsupported}.",
            href=redact(href),
        )
    if header.why_unsupported is not None and not header.codec_tags:
        return GdalReader(href, storage, header=header, why_unsupported=header.why_unsupported)
    return FastReader(href, storage, header, caches)


@dataclass(frozen=True)
class FastReader:
    """Fetches blocks itself, and decodes those whose codec it knows; see `Reader`."""

    href: str
    storage: Storage
    header: Header
    caches: Caches = NO_CACHES

    @property
    def geobox(self) -> GeoBox | None:
        """CRS, transform and shape, or None if the file lacks a CRS or a transform."""
        return self.header.geobox

    @property
    def crs(self) -> str | None:
        """The file's own CRS, which it may have without a transform: "EPSG:code" or WKT."""
        return self.header.crs

    @property
    def transform(self) -> Affine | None:
        """The file's own transform, which it may have without a CRS."""
        return self.header.transform

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.header.shape

    @property
    def count(self) -> int:
        """Number of bands."""
        return self.header.count

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that a read returns."""
        return self.header.numpy_dtype

    @property
    def nodata(self) -> float | int | None:
        """The value that stands for no data, typed to the bands."""
        return self.header.nodata

    @property
    def why_no_grid(self) -> str | None:
        """What locates the pixels in place of a grid, such as "9 ground control points"."""
        return self.header.why_no_grid

    @property
    def validity(self) -> str:
        """The mark of valid pixels: "mask", "nodata", "alpha", or "all" if the file has none."""
        return self.header.validity

    @property
    def why_unsupported(self) -> str | None:
        """The reason for decoding by GDAL, or None if we decode the blocks."""
        return self.header.why_unsupported

    @property
    def limits(self) -> Limits:
        """What a read may take: the limits of the file's place."""
        return self.storage.options_for(self.href).limits

    def read(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """Read the pixels of `window`, which must lie inside, as (band, y, x); bands from 0."""
        return read_windows([WindowRequest(self, window, bands)])[0]

    def read_valid(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Read where the pixels of `window` may be used, as (y, x)."""
        request = WindowRequest(self, window, bands)
        mask = _mask_request(request)
        if mask is None:
            return read_valid_windows([request])[0][1]
        (flags,) = read_windows([mask])  # the pixels themselves need not be read
        return find_valid(flags, flags[0], None)

    def address(self, block: Block) -> BlockAddress:
        """Return the address of a block's bytes."""
        return BlockAddress(self.storage, self.href, self.header, block, self.caches, self.limits)

    @property
    def valid_nodata(self) -> float | int | None:
        """The nodata value that marks invalid pixels; None if a mask or alpha band does so."""
        return self.header.nodata if self.header.validity == "nodata" else None


class GdalReader(GdalFile):
    """Reads whole files through GDAL; see `Reader`."""

    def __init__(
        self, href: str, storage: Storage, *, header: Header | None, why_unsupported: str
    ) -> None:
        super().__init__(href, storage, None if header is None else header.identity)
        self.header = header
        self.why_unsupported = why_unsupported
        if header is not None:
            self.nodata = header.nodata  # exact, from the tag's text

    @property
    def storage(self) -> Storage:
        """What reads the file."""
        return self._storage

    @property
    def geobox(self) -> GeoBox | None:
        """CRS, transform and shape, or None if the file lacks a CRS or a transform."""
        return place_image(self.crs, self.transform, self.shape)

    @property
    def limits(self) -> Limits:
        """What a read may take: the limits of the file's place."""
        return self._storage.options_for(self.href).limits


def version_of(reader: Reader) -> Identity | None:
    """Return the version of the file that a reader reads; any other raises `AssetChanged`."""
    if isinstance(reader, GdalReader):
        return reader.identity
    return None if reader.header is None else reader.header.identity


@dataclass(frozen=True)
class WindowRequest:
    """One window of one file, for `read_windows`.

    Attributes:
        reader: The file's reader.
        window: A window inside it.
        bands: The bands, from 0; None for all.
    """

    reader: Reader
    window: Window
    bands: Sequence[int] | None = None


def read_windows(requests: Sequence[WindowRequest]) -> list[NDArray[Any]]:
    """Read many windows, of one file or many, each as (band, y, x).

    All blocks are fetched in one round trip and decoded on all cores, each as soon as it arrives. A
    block that several windows share is fetched and decoded once.

    Raises:
        UsageError: A window leaves its raster, or a band does not exist.
        LimitExceeded: A window or a block takes more than the limits of its place allow.
        RasterError: A block is broken; the first such error cancels the rest.
        StorageError: Bytes cannot be read, or a file has changed.
    """
    outputs: list[Any] = [None] * len(requests)
    targets: dict[Any, list[Target]] = {}
    addresses: list[BlockAddress] = []
    others: list[Callable[[], None]] = []

    def paste(address: BlockAddress, data: Any) -> None:
        _decode(address, data, targets[_key(address)])

    def read_other(place: int, request: WindowRequest) -> None:
        outputs[place] = request.reader.read(request.window, request.bands)

    for place, request in enumerate(requests):
        reader, window = request.reader, request.window
        window.require_inside(reader.shape)
        bands = require_bands(reader.href, reader.count, request.bands)
        require_room(reader, window, len(bands))
        if not isinstance(reader, FastReader):
            others.append(partial(read_other, place, request))
            continue
        out = outputs[place] = np.empty((len(bands), *window.shape), reader.dtype)
        for target, block in _blocks_to_read(reader.header, Target(window, bands, out)):
            pixels = _find_decoded(reader, block)
            if pixels is not None:
                paste_block(reader.header, block, pixels, target)
                continue
            address = reader.address(block)
            key = _key(address)
            if key not in targets:
                targets[key] = []
                addresses.append(address)
            targets[key].append(target)
    start_fetching(addresses, paste, *others).wait()
    return outputs


def require_room(reader: Reader, window: Window, count: int) -> None:
    """Refuse to read what takes more memory than the limits of the file's place allow.

    Args:
        reader: The file.
        window: The pixels, inside the file or not.
        count: The number of bands.

    Raises:
        LimitExceeded: The pixels, or what it takes to find their blocks, exceed
            `Limits.chip_bytes`.
        CorruptBlock: They would, if the file's first block could have the size that it claims.
    """
    limits = reader.limits if isinstance(reader, FastReader | GdalReader) else DEFAULT_LIMITS
    size = count * window.height * window.width * reader.dtype.itemsize
    header = reader.header if isinstance(reader, FastReader) else None
    if size > limits.chip_bytes:
        if isinstance(reader, FastReader):
            span_of(reader.address(Block(0, 0, 0)))  # a header that cannot be true is not large
        shape = f"{count} bands of {window.height} x {window.width} px"
        what = f"A window of {redact(reader.href)} takes {size} bytes ({shape})"
        raise limits.exceeded("chip_bytes", what, href=redact(reader.href))
    if header is None:
        return
    down, across = (
        min(length // side + 2, most)
        for length, side, most in zip(window.shape, header.block_shape, header.grid, strict=True)
    )
    blocks = down * across * (count if header.is_planar else 1)
    if blocks * _BYTES_FOR_BLOCK > limits.chip_bytes:
        what = (
            f"A window of {redact(reader.href)} lies in {blocks} blocks of "
            f"{header.block_shape[0]} x {header.block_shape[1]} px, which take "
            f"{blocks * _BYTES_FOR_BLOCK} bytes to find and fetch"
        )
        raise limits.exceeded("chip_bytes", what, href=redact(reader.href))


def _blocks_to_read(header: Header, target: Target) -> Iterator[tuple[Target, Block]]:
    """Yield the blocks that fill an array, each with the part of it that the block's bands fill."""
    window, bands, out = target
    if header.is_planar:
        # each band by itself, or each block would look for its own among all of them
        parts = [Target(window, (band,), out[i : i + 1]) for i, band in enumerate(bands)]
    else:
        is_all = bands == list(range(header.count))
        parts = [Target(window, range(header.count) if is_all else bands, out)]
    for part in parts:
        for block in blocks_of(header, window, part.bands):
            yield part, block


def read_valid_windows(
    requests: Sequence[WindowRequest],
) -> list[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Read many windows with their valid pixels (y, x), in one round trip as well.

    Masks and alpha bands are fetched with the pixels.
    """
    extra: list[WindowRequest] = []
    places: list[int | None] = []
    for request in requests:
        mask = _mask_request(request)
        places.append(None if mask is None else len(requests) + len(extra))
        extra += [] if mask is None else [mask]
    arrays = read_windows([*requests, *extra])
    results = []
    for request, pixels, place in zip(requests, arrays, places, strict=False):
        if isinstance(request.reader, FastReader):
            flags = None if place is None else arrays[place][0]
            valid = find_valid(pixels, flags, request.reader.valid_nodata)
        else:
            valid = request.reader.read_valid(request.window, request.bands)
        results.append((pixels, valid))
    return results


def _mask_request(request: WindowRequest) -> WindowRequest | None:
    """Return the request for the mask or alpha band of a file; None if it has neither."""
    reader = request.reader
    if not isinstance(reader, FastReader):
        return None
    header = reader.header
    if header.validity == "mask" and header.mask is not None:
        inner = FastReader(reader.href, reader.storage, header.mask, reader.caches)
        return WindowRequest(inner, request.window, (0,))
    if header.validity == "alpha" and header.alpha is not None:
        return WindowRequest(reader, request.window, (header.alpha,))
    return None


def _find_decoded(reader: FastReader, block: Block) -> NDArray[Any] | None:
    """Return the pixels (band, y, x) of a block from the cache, or None."""
    decoded = reader.caches.decoded
    return None if decoded is None else decoded.get(block_key(reader.href, reader.header, block))


def _decode(address: BlockAddress, data: Any, targets: Sequence[Target]) -> None:
    """Decode a block into its targets, and keep it if there is a cache."""
    header, block, decoded = address.header, address.block, address.caches.decoded
    if decoded is None:
        decode_into(header, block, data, targets, href=address.href)
        return
    pixels = decode_block(header, block, data, href=address.href)
    decoded.put(block_key(address.href, header, block), pixels)
    for target in targets:
        paste_block(header, block, pixels, target)


def _key(address: BlockAddress) -> Any:
    return (address.href, id(address.header), address.block)
