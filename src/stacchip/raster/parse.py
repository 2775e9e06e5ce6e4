"""Parse a TIFF's first bytes to the header of its full-resolution image."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import NotARaster, StacchipError, UnsupportedRaster
from stacchip.raster import tiff
from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.block_table import with_block_table
from stacchip.raster.codecs import (
    CODECS,
    GDAL_TAGS,
    PREDICTED,
    is_known_sample,
    name_codec,
)
from stacchip.raster.file_bytes import BrokenTiffError, FileBytes
from stacchip.raster.gdal import ImageTags, describe_image, find_driver, not_a_raster
from stacchip.raster.gdal.named_files import NamedFileError, named_file_refusal
from stacchip.raster.header import Header
from stacchip.raster.location import BY_NOTHING, BY_TRANSFORM, find_location
from stacchip.raster.sample_tags import read_samples
from stacchip.raster.sidecars import find_sidecar
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine

    from stacchip.raster.gdal.describe import ImageDescription
    from stacchip.raster.tiff import ByteOrder, Directory
    from stacchip.storage import Blob, Identity, Storage

# a COG of 10,980 px with 1024 px blocks and its overviews takes 4 KiB; 32 KiB hold 2,000 blocks
HEAD_BYTES: Final = 32 << 10
_REDUCED_IMAGE, _MASK = 1, 4  # bits of NewSubfileType
_TOGETHER, _SEPARATE = 1, 2  # PlanarConfiguration: all bands in one plane, or one plane a band
_PALETTE, _CMYK, _YCBCR = 3, 5, 6
_LERC: Final = "LERC"  # a name of `name_codec`
_RGB_FORMS: Final = {
    5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
# GDAL refuses blocks above 2 GiB; no sound file of chips needs blocks of half that size
_MAX_BLOCK_BYTES: Final = 1 << 30
# in GDAL's metadata: what a value of a band is for, in lower case and XML of any spelling
_ROLE_OF_PIXELS: Final = re.compile(rb"""role\s*=\s*["']?\s*(?:scale|offset|colorinterp)""")
_START, _END = b"<GDALMetadata>", b"</GDALMetadata>"
_PLAIN_ITEM: Final = re.compile(rb'\s*<Item(?: \w+="[^"<]*")*>[^<]*</Item>\s*')
_DOMAIN: Final = rb"""(?i)\bdomain\s*=\s*(?:["']\s*)?"""
_RPC_DOMAIN: Final = re.compile(_DOMAIN + rb"RPC\b")
_ARRAYS_DOMAIN: Final = re.compile(_DOMAIN + rb"GEOLOCATION\b")
# the time GDAL takes for them grows by the square of their number: 4 s for these
_MAX_ITEMS: Final = 30_000
_ONE_BAND: Final = {tiff.SAMPLES_PER_PIXEL: 1, tiff.PHOTOMETRIC: 1}
# ground control points are the longest of the tags that place pixels, scales of bands of the others
_MAX_TAG_BYTES: Final = 4 << 20
_KEPT_TAG_BYTES: Final = 64 << 10


def read_header(storage: Storage, href: str) -> Header:
    """Read the header of the TIFF at `href`: one range request if its directories come first.

    Raises:
        NotARaster: The file is empty, or a TIFF that contradicts itself; or something else came in
            its place, such as a web page.
        UnsupportedRaster: It is a JPEG 2000, JPEG or PNG file, which GDAL reads.
        StorageError: The bytes cannot be read.
    """
    blob = storage.read_range(href, 0, HEAD_BYTES)
    if blob.identity.size_bytes is None:
        blob = storage.read_blob(href)  # the server did not report the size
    size = len(blob.data) if blob.identity.size_bytes is None else blob.identity.size_bytes
    if not size:
        raise NotARaster(f"{redact(href)} is empty.", href=redact(href))
    try:
        data = _file_bytes(storage, href, size, blob)
        header = parse_header(data, blob.identity, redact(href))
    except NamedFileError as error:
        raise named_file_refusal(href) from error
    except BrokenTiffError as error:
        raise NotARaster(
            f"{redact(href)} has a broken TIFF header: {error}. Fetch or write the file again.",
            href=redact(href),
        ) from error
    except UnsupportedRaster as error:
        if find_driver(blob.data) is None:  # and it need not be fetched whole
            raise not_a_raster(href, blob.data, blob.media_type) from error
        raise
    except StacchipError:
        raise
    except Exception as error:
        # bytes from outside that lead to any other error are no header
        raise NotARaster(
            f"{redact(href)} has a broken TIFF header ({type(error).__name__}: {error}). "
            "Fetch or write the file again.",
            href=redact(href),
        ) from error
    path = local_path(href) if header.located_by == BY_NOTHING else None
    beside = None if path is None else find_sidecar(path)
    return header if beside is None else replace(header, transform=None, located_by=beside)


def _file_bytes(storage: Storage, href: str, size: int, head: Blob) -> FileBytes:
    """Return the bytes of a file of which the first were read."""

    def fetch(start: int, length: int) -> Any:
        return storage.read_range(href, start, length, expect=head.identity).data

    def fetch_parts(parts: Sequence[tuple[int, int]]) -> Any:
        return storage.read_ranges(href, parts, expect=head.identity)

    return FileBytes(fetch, size, head.data, fetch_parts)


def parse_header(data: FileBytes, identity: Identity, href: str) -> Header:
    """Parse the header that these bytes hold.

    Raises:
        BrokenTiffError: They contradict themselves or the file's size.
        UnsupportedRaster: They are not the start of a TIFF.
    """
    directories = tiff.read_directories(data)
    if directories is None:
        start = bytes(data.take(0, min(8, data.size)))
        reason = f"no TIFF: it begins with {start!r}"
        raise UnsupportedRaster(f"{href} is {reason}.", href=href, reason=reason)
    main = next(directories)
    header = _read_image(main, main.byteorder, identity, size=data.size)
    for directory in filter(_is_mask, directories):
        if tiff.SUB_DIRECTORIES in directory:  # with them GDAL finds no mask, or another one
            raise BrokenTiffError("its mask has directories of its own")
        mask = _read_image(directory, directory.byteorder, identity, size=data.size)
        if _is_mask_of(mask, header):
            return replace(header, mask=mask, validity="mask")
    return header


def _is_mask(directory: Directory) -> bool:
    """Return whether this is an internal mask of full resolution."""
    kind = directory.integer(tiff.NEW_SUBFILE_TYPE, 0)
    return bool(kind & _MASK) and not kind & _REDUCED_IMAGE


def _is_mask_of(mask: Header, image: Header) -> bool:
    """Return whether GDAL takes a mask for that of an image; else it looks for the next.

    Raises:
        BrokenTiffError: It has a band for each band of the image. TIFF 6.0 (page 37) allows one.
    """
    if mask.shape != image.shape or mask.dtype != "uint8":
        return False
    if mask.count == image.count > 1:
        raise BrokenTiffError(f"its mask has {mask.count} bands")
    return mask.count == 1


def _read_image(page: Directory, byteorder: ByteOrder, identity: Identity, size: int) -> Header:
    """Read the header of one directory's image, in a file of `size` bytes."""
    is_tiled = tiff.TILE_WIDTH in page or tiff.TILE_LENGTH in page
    if any(tag in page for tag in tiff.TABLES[:2]) and any(tag in page for tag in tiff.TABLES[2:]):
        raise BrokenTiffError("it has tables of both tiles and strips")
    shape = (page.integer(tiff.IMAGE_LENGTH), page.integer(tiff.IMAGE_WIDTH))
    tags = _read_tags(page, byteorder)
    if not (min(shape) > 0 and max(shape) < 2**31):
        raise BrokenTiffError(f"an image of {shape[0]} x {shape[1]} px")
    planes = page.integer(tiff.PLANAR_CONFIG, _TOGETHER)
    if planes not in (_TOGETHER, _SEPARATE):
        raise BrokenTiffError(f"a planar configuration of {planes}")
    number = page.integer(tiff.COMPRESSION, 1)
    image = _describe(tags)
    located_by = _find_location(page, byteorder, image.transform, shape)
    header = Header(
        identity=identity,
        shape=shape,
        count=tags.samples,
        dtype=image.dtype,
        nodata=image.nodata,
        fill=image.fill,
        block_shape=_read_block_shape(page, shape, is_tiled=is_tiled),
        is_planar=planes == _SEPARATE and tags.samples > 1,
        is_tiled=is_tiled,
        compression=name_codec(number),
        predictor=page.integer(tiff.PREDICTOR, 1),
        bits=tags.bits,
        sample_format=tags.sample_format,
        byteorder=byteorder,
        fill_order=2 if page.integer(tiff.FILL_ORDER, 1) == 2 else 1,  # libtiff ignores others
        places=BlockPlaces.of(np.empty(0, np.uint64), np.empty(0, np.uint64)),
        crs=image.crs,
        transform=image.transform if located_by == BY_TRANSFORM else None,
        scales=image.scales,
        shifts=image.shifts,
        alpha=image.alpha,
        validity=image.validity,
        mask=None,
        why_unsupported=None,
        located_by=located_by,
    )
    why = _why_unsupported(header, page)
    if image.validity == "mask":
        why = "GDAL_METADATA sets NODATA_VALUES, one value per band"
    header = replace(header, why_unsupported=why)
    if why is not None:  # GDAL reads the file, with all of its metadata
        _require_few_items(page.text(tiff.GDAL_METADATA))
    if why is not None and number in GDAL_TAGS and _may_be_decoded_alone(header, tags, image):
        header = replace(header, codec_tags=_read_codec_tags(page, byteorder, header))
    if header.row_bytes * header.block_shape[0] > _MAX_BLOCK_BYTES:
        raise BrokenTiffError(f"blocks of {header.row_bytes * header.block_shape[0]} bytes")
    return with_block_table(header, page, size)


def _read_tags(page: Directory, byteorder: ByteOrder) -> ImageTags:
    """Read the tags by which GDAL interprets and places the pixels.

    Raises:
        BrokenTiffError: One of them is odd, or they are too long.
    """
    samples = read_samples(page)
    photometric = page.integer(tiff.PHOTOMETRIC, 1)
    if photometric >= 2**16:
        raise BrokenTiffError(f"a photometric interpretation of {photometric}")
    metadata = _items_about_pixels(page.text(tiff.GDAL_METADATA))
    _require_few_items(metadata)
    geo = tuple(tag for each in tiff.GEO_TAGS if (tag := page.typed(each)) is not None)
    nodata = page.text(tiff.GDAL_NODATA)
    if len(metadata) + len(nodata) + sum(len(raw) for *_, raw in geo) > _MAX_TAG_BYTES:
        raise BrokenTiffError(f"its tags take more than {_MAX_TAG_BYTES} bytes")
    return ImageTags(
        samples=samples.bands,
        bits=samples.bits,
        sample_format=samples.sample_format,
        photometric=photometric,
        extra_samples=samples.extra,
        byteorder=byteorder,
        geo=geo,
        nodata=nodata,
        metadata=metadata,
    )


def _items_about_pixels(metadata: bytes) -> bytes:
    """Return GDAL's metadata without the items that do not concern pixels.

    The others differ from file to file. Metadata in other XML than GDAL writes are left whole.
    """
    if not _is_about_pixels(metadata):
        return b""
    text = metadata.partition(b"\0")[0].strip()
    if not (text.startswith(_START) and text.endswith(_END)):
        return metadata
    place, stop = len(_START), len(text) - len(_END)
    items = []
    while item := _PLAIN_ITEM.match(text, place, stop):
        place = item.end()
        if _is_about_pixels(item[0]):
            items.append(item[0].strip())
    if text[place:stop].strip():
        return metadata
    return b"".join([_START, *items, _END, b"\0"])


def _is_about_pixels(text: bytes) -> bool:
    """Return whether metadata may hold scales, offsets, colours of bands or values of no data."""
    lower = text.lower()
    return (
        b"nodata_values" in lower
        or b"&#" in lower  # any letter may be written so
        or _ROLE_OF_PIXELS.search(lower) is not None
    )


def _require_few_items(metadata: bytes) -> None:
    """Raise a `BrokenTiffError` if GDAL would take very long for its metadata."""
    if (items := metadata.lower().count(b"<item")) > _MAX_ITEMS:
        raise BrokenTiffError(f"its metadata have {items} items, more than {_MAX_ITEMS}")


def _describe(tags: ImageTags) -> ImageDescription:
    """Return GDAL's reading of these tags; unless they are long, it is kept for other files."""
    held = len(tags.metadata) + len(tags.nodata) + sum(len(raw) for *_, raw in tags.geo)
    image = (describe_image if held < _KEPT_TAG_BYTES else describe_image.__wrapped__)(tags)
    if image.transform is None or _is_usable(image.transform):
        return image
    return replace(image, transform=None)


def _is_usable(transform: Affine) -> bool:
    """Return whether a transform places pixels: its numbers are finite, and pixels have an area."""
    return all(map(math.isfinite, transform[:6])) and transform.determinant not in (0, math.inf)


def _find_location(
    page: Directory, byteorder: ByteOrder, transform: Affine | None, shape: tuple[int, int]
) -> str:
    """Return what locates the pixels; see `find_location`."""
    ties = page.text(tiff.MODEL_TIEPOINT)
    ties = ties[: len(ties) // 48 * 48]  # six doubles a point: column, row, 0, x, y, z
    points = np.frombuffer(ties, np.dtype("f8").newbyteorder(byteorder)).reshape(-1, 6)
    # a single point belongs to its scale; some writers leave one of zeros in a file without a place
    is_of_scale = len(points) == 1 and tiff.MODEL_PIXEL_SCALE in page
    metadata = page.text(tiff.GDAL_METADATA)
    has_domains = b"domain" in metadata.lower()
    return find_location(
        transform,
        shape,
        points=0 if is_of_scale or not points[:, 3:5].any() else len(points),
        has_polynomials=tiff.RPC_COEFFICIENTS in page
        or (has_domains and bool(_RPC_DOMAIN.search(metadata))),
        has_arrays=has_domains and bool(_ARRAYS_DOMAIN.search(metadata)),
    )


def _read_codec_tags(
    page: Directory, byteorder: ByteOrder, header: Header
) -> tuple[tiff.RawTag, ...]:
    """Return the tags that go with each block; in a planar file, those of one band, no colours."""
    found = page.raw_tags(tiff.CODEC_TAGS)
    if not header.is_planar:
        return found
    per_band = {tiff.BITS_PER_SAMPLE, tiff.SAMPLE_FORMAT, tiff.EXTRA_SAMPLES}
    kept = [tag for tag in found if tag[0] not in {*per_band, *_ONE_BAND}]
    dtype = np.dtype("u2").newbyteorder(byteorder)
    values = {
        **_ONE_BAND, tiff.BITS_PER_SAMPLE: header.bits, tiff.SAMPLE_FORMAT: header.sample_format,
    }  # fmt: skip
    more = [(tag, 3, 1, np.array([value], dtype).tobytes()) for tag, value in values.items()]
    return (*kept, *more)


def _read_block_shape(
    page: Directory, shape: tuple[int, int], *, is_tiled: bool
) -> tuple[int, int]:
    """Return (height, width) of a tile, or of a strip."""
    if is_tiled:
        block = (page.integer(tiff.TILE_LENGTH), page.integer(tiff.TILE_WIDTH))
        if not page.integer(tiff.ROWS_PER_STRIP, 1):  # libtiff reads it, too
            raise BrokenTiffError("strips of no rows")
    else:
        block = (min(page.integer(tiff.ROWS_PER_STRIP, shape[0]), shape[0]), shape[1])
    if not 0 < min(block) <= max(block) < 2**31:
        raise BrokenTiffError(f"blocks of {block[0]} x {block[1]} px")
    return block


def _why_unsupported(header: Header, page: Directory) -> str | None:
    """Return why the fast path cannot read this image; None if it can."""
    photometric = page.integer(tiff.PHOTOMETRIC, 1)
    if photometric == _PALETTE and tiff.COLOR_MAP not in page and header.bits < 8:
        raise BrokenTiffError("it has no colour map")
    if photometric == _PALETTE and header.count > 1:
        return "a palette beside other bands, of which GDAL decides what is valid"
    if photometric in _RGB_FORMS and header.is_planar and header.compression == _LERC:
        raise BrokenTiffError("planes of LERC in colours other than RGB, on which GDAL fails")
    if header.compression not in CODECS:
        return f"compressed with {header.compression}"
    if photometric in _RGB_FORMS:
        return f"its colours are {_RGB_FORMS[photometric]}, which GDAL turns into RGB"
    if not is_known_sample(header.bits, header.sample_format):
        return f"samples of {header.bits} bits in sample format {header.sample_format}"
    if not _fits_predictor(header):
        return f"predictor {header.predictor} over samples of {header.bits} bits"
    return None


def _may_be_decoded_alone(header: Header, tags: ImageTags, image: ImageDescription) -> bool:
    """Return whether GDAL makes of a block by itself what it makes of it in its image.

    It makes four bands of some colours, and decides what is valid by more than the block.
    """
    if image.validity == "mask":
        return False
    if tags.photometric == _PALETTE:
        return header.count == 1
    if tags.photometric not in _RGB_FORMS:
        return True
    form = (tags.photometric, header.count, header.is_planar)
    return form == (_CMYK, 4, False) or (
        form == (_YCBCR, 3, False) and header.compression == "JPEG"
    )


def _fits_predictor(header: Header) -> bool:
    """Return whether the predictor fits the samples (TIFF 6.0 section 14, Technical Note 3)."""
    if header.compression not in PREDICTED:
        return True
    if header.predictor == 2:
        return header.bits in (8, 16, 32, 64)
    if header.predictor == 3:
        return header.sample_format == 3 and header.bits in (16, 32, 64)
    return header.predictor == 1
