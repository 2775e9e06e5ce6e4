"""TIFF structure: directories and their tags, parsed by tifffile from as few bytes as possible."""

from __future__ import annotations

import logging
import struct
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from stacchip.raster.file_bytes import MAX_BYTES, BrokenTiffError, FileBytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

ByteOrder = Literal["<", ">"]
# (tag, type, count, bytes in the file's byte order)
RawTag = tuple[int, int, int, bytes]

NEW_SUBFILE_TYPE: Final = 254
IMAGE_WIDTH: Final = 256
IMAGE_LENGTH: Final = 257
BITS_PER_SAMPLE: Final = 258
COMPRESSION: Final = 259
PHOTOMETRIC: Final = 262
FILL_ORDER: Final = 266
STRIP_OFFSETS: Final = 273
SAMPLES_PER_PIXEL: Final = 277
ROWS_PER_STRIP: Final = 278
STRIP_BYTE_COUNTS: Final = 279
MIN_SAMPLE_VALUE: Final = 280
MAX_SAMPLE_VALUE: Final = 281
PLANAR_CONFIG: Final = 284
PREDICTOR: Final = 317
TILE_WIDTH: Final = 322
TILE_LENGTH: Final = 323
TILE_OFFSETS: Final = 324
TILE_BYTE_COUNTS: Final = 325
EXTRA_SAMPLES: Final = 338
SAMPLE_FORMAT: Final = 339
S_MIN_SAMPLE_VALUE: Final = 340
S_MAX_SAMPLE_VALUE: Final = 341
MATTEING: Final = 32995
DATA_TYPE: Final = 32996
IMAGE_DEPTH: Final = 32997
TILE_DEPTH: Final = 32998
MODEL_PIXEL_SCALE: Final = 33550
MODEL_TIEPOINT: Final = 33922
MODEL_TRANSFORMATION: Final = 34264
GEO_KEYS: Final = 34735
GEO_DOUBLES: Final = 34736
GEO_ASCII: Final = 34737
GDAL_METADATA: Final = 42112
GDAL_NODATA: Final = 42113
RPC_COEFFICIENTS: Final = 50844
COLOR_MAP: Final = 320
SUB_DIRECTORIES: Final = 330
JPEG_TABLES: Final = 347
OF_UNKNOWN_TYPE: Final = -1
"""In a `Directory` if one of its entries is of a type that TIFF does not have."""
TABLES: Final = (STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS)
# what a codec needs besides the block's bytes: colours, sample types, and its own parameters
# (T4Options, T6Options, JPEGTables, YCbCr*, ReferenceBlackWhite, LercParameters)
CODEC_TAGS: Final = (
    BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES_PER_PIXEL, 292, 293, PREDICTOR,
    COLOR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, 529, 530, 531, 532, 50674,
)  # fmt: skip
GEO_TAGS: Final = (
    MODEL_PIXEL_SCALE, MODEL_TIEPOINT, MODEL_TRANSFORMATION, GEO_KEYS, GEO_DOUBLES, GEO_ASCII,
)  # fmt: skip
# what libtiff reads in any case, and will not do without
_ESSENTIAL: Final = frozenset({
    IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP,
    PLANAR_CONFIG, TILE_WIDTH, TILE_LENGTH, EXTRA_SAMPLES, SAMPLE_FORMAT, *TABLES,
})  # fmt: skip
_OF_ONE_NUMBER: Final = (
    IMAGE_WIDTH, IMAGE_LENGTH, COMPRESSION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, PLANAR_CONFIG,
    TILE_WIDTH, TILE_LENGTH,
)  # fmt: skip
_ASCII, _SHORT, _UNDEFINED, _DOUBLE = 2, 3, 7, 12  # types of values
# those that libtiff takes: for integers, for tables of blocks, for floating-point numbers
_INTEGER_TYPES: Final = (1, 3, 4, 6, 8, 9, 16, 17)
_TABLE_TYPES: Final = (3, 4, 16)
_PLACE_TYPES: Final = (4, 13, 16, 18)
_NUMBER_TYPES: Final = (*_INTEGER_TYPES, 11, 12)
_RATIONAL_TYPES: Final = {
    5: "u4",
    10: "i4",
}  # a numerator of this type, and an unsigned denominator
_TYPES: Final = {
    MODEL_PIXEL_SCALE: _DOUBLE, MODEL_TIEPOINT: _DOUBLE, MODEL_TRANSFORMATION: _DOUBLE,
    GEO_KEYS: _SHORT, GEO_DOUBLES: _DOUBLE, GEO_ASCII: _ASCII, GDAL_METADATA: _ASCII,
    GDAL_NODATA: _ASCII,
}  # fmt: skip

# tifffile makes Python objects of all entries
_MAX_DIRECTORIES: Final = 256
_MAX_SUB_DIRECTORIES: Final = 64
_SUB_DIRECTORY_BYTES: Final = 4 << 10  # 340 entries; writers make some 20
_MOST_ENTRIES: Final = 4096  # of a directory; libtiff parses none with more
_MAX_ENTRIES: Final = 20_000
_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IS_PARSING: ContextVar[bool] = ContextVar("is_parsing", default=False)


class Directory:
    """One directory of a TIFF: tags whose values are read on demand."""

    def __init__(self, page: Any, tags: dict[int, Any], data: FileBytes) -> None:
        self._data = data
        self._tags = tags
        self.offset: int = page.offset
        self.byteorder: ByteOrder = page.parent.byteorder

    def __contains__(self, tag: int) -> bool:
        return tag in self._tags

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a tag's values as they stand in the file."""
        return bytes(self._view(tag))

    def _view(self, tag: int, most: int = 2**63) -> memoryview:
        """Return the first bytes of a tag's values, at most `most`, without a copy."""
        entry = self._tags[tag]
        start, length = entry.valueoffset, entry.valuebytecount
        if length > MAX_BYTES or start + length > self._data.size:
            raise BrokenTiffError(
                f"the value of tag {tag} is said to lie at bytes {start} to {start + length}, "
                f"but the file has {self._data.size}"
            )
        length = min(length, most)
        return self._data.take(start, length) if length else memoryview(b"")

    def integers(self, tag: int, most: int = MAX_BYTES) -> NDArray[np.uint64]:
        """Return the values of a tag of integers; empty if the tag is absent.

        Args:
            tag: The tag.
            most: Return no more values than this, and read no others.
        """
        if tag not in self:
            return np.empty(0, np.uint64)
        kind = int(self._tags[tag].dtype)
        if kind not in (_TABLE_TYPES if tag in TABLES else _INTEGER_TYPES):
            raise BrokenTiffError(f"tag {tag} is not of an integer type")
        dtype = np.dtype(self._tags[tag].dataformat[-1]).newbyteorder(self.byteorder)
        values = np.frombuffer(self._view(tag, most * dtype.itemsize), dtype)
        if dtype.kind == "i" and len(values) and values.min() < 0:
            raise BrokenTiffError(f"tag {tag} has a value below 0")
        return values.astype(np.uint64)

    def places(self, tag: int, most: int) -> list[int]:
        """Return the first values of a tag of places in the file.

        There are none if GDAL ignores the tag: for its type, for 2**16 values or more, or because
        they lie outside the file.
        """
        entry = self._tags.get(tag)
        if entry is None or int(entry.dtype) not in _PLACE_TYPES or entry.count >= 2**16:
            return []
        if entry.valueoffset + entry.valuebytecount > self._data.size:
            return []
        dtype = np.dtype(entry.dataformat[-1]).newbyteorder(self.byteorder)
        values: list[int] = np.frombuffer(self._view(tag, most * dtype.itemsize), dtype).tolist()
        return values

    def integer(self, tag: int, default: int | None = None) -> int:
        """Return the value of a tag of one integer; `default` if the tag is absent."""
        if tag in self:
            if self._tags[tag].count != 1:
                raise BrokenTiffError(f"tag {tag} has {self._tags[tag].count} values in place of 1")
            value = int(self.integers(tag)[0])
            if value >= 2**32:  # in BigTIFF, too
                raise BrokenTiffError(f"tag {tag} is {value}")
            return value
        if default is None:
            raise BrokenTiffError(f"tag {tag} is absent")
        return default

    def typed(self, tag: int) -> RawTag | None:
        """Return a tag in the type that it ought to have, converted as libtiff converts it.

        It is one of `GEO_TAGS` or of GDAL's. It is None if the tag is absent, or if GDAL ignores it
        because of its type or its values.
        """
        if tag not in self:
            return None
        kind, wanted = int(self._tags[tag].dtype), _TYPES[tag]
        if kind == wanted or (wanted == _ASCII and kind == _UNDEFINED):
            return (tag, wanted, self._tags[tag].count, self.raw(tag))
        if wanted == _DOUBLE and kind in _RATIONAL_TYPES:
            return self._rationals(tag)
        if kind not in (_NUMBER_TYPES if wanted == _DOUBLE else _INTEGER_TYPES):
            return None
        dtype = np.dtype(self._tags[tag].dataformat[-1]).newbyteorder(self.byteorder)
        values = np.frombuffer(self._view(tag), dtype)
        target = np.dtype({_ASCII: "u1", _SHORT: "u2", _DOUBLE: "f8"}[wanted])
        if target.kind == "u" and len(values):
            most = np.iinfo(target).max
            if not 0 <= values.min() <= values.max() <= most:
                return None
        raw = values.astype(target.newbyteorder(self.byteorder)).tobytes()
        return (tag, wanted, len(values), raw)

    def _rationals(self, tag: int) -> RawTag:
        """Return a tag of fractions as one of doubles; as in libtiff, what is divided by 0 is 0."""
        kind = _RATIONAL_TYPES[int(self._tags[tag].dtype)]
        order = self.byteorder
        pairs = np.frombuffer(self._view(tag), [("over", order + kind), ("under", order + "u4")])
        double = np.dtype("f8").newbyteorder(self.byteorder)
        values = np.zeros(len(pairs), double)
        np.divide(pairs["over"], pairs["under"], out=values, where=pairs["under"] != 0)
        return (tag, _DOUBLE, len(values), values.tobytes())

    def text(self, tag: int) -> bytes:
        """Return the bytes of a tag of text; none if it is absent or of another type."""
        return (self.typed(tag) or (0, 0, 0, b""))[3]

    def raw_tags(self, tags: Iterable[int]) -> tuple[RawTag, ...]:
        """Return those of the tags that are present, as they stand in the file."""
        return tuple(
            (tag, int(self._tags[tag].dtype), self._tags[tag].count, self.raw(tag))
            for tag in tags
            if tag in self
        )


def read_directories(data: FileBytes) -> Iterator[Directory] | None:
    """Iterate over the directories of a TIFF in their order; None if it is not a TIFF.

    The masks among the first directory's own (SubIFDs) follow it, as in GDAL. A chain of
    directories that leads out of the file ends there, because a truncated file still has its first
    image.

    Raises:
        BrokenTiffError: While iterating: a directory cannot be parsed, or comes twice.
    """
    if bytes(data.take(0, min(4, data.size))) not in _MAGIC:
        return None
    return _walk(data)


def _walk(data: FileBytes) -> Iterator[Directory]:
    from tifffile import TiffFile  # 0.3 s that a worker with headers saves

    with _guard(data):
        # for these microscopes' files, tifffile would read further
        file = TiffFile(cast("IO[bytes]", data), is_lsm=False, is_scanimage=False, is_ndpi=False)
    seen: set[int] = set()
    entries = 0
    for number in range(_MAX_DIRECTORIES):
        data.allow_directory()
        with _guard(data):
            try:
                page: Any = file.pages.get(number)
            except IndexError:
                if number < len(file.pages):
                    raise
                break
            tags = _tags_of(page)
        if page.offset in seen:
            raise BrokenTiffError(f"the directory at byte {page.offset} comes after itself")
        seen.add(page.offset)
        entries += len(page.tags)
        if entries > _MAX_ENTRIES:
            raise BrokenTiffError(f"its directories have more than {_MAX_ENTRIES} entries")
        yield (directory := Directory(page, tags, data))
        if number == 0:
            yield from _walk_inside(file, directory, data)
    if not seen:
        raise BrokenTiffError("it has no directory inside the file")


def _walk_inside(file: Any, directory: Directory, data: FileBytes) -> Iterator[Directory]:
    """Iterate over the masks among the directories that a directory has of its own.

    They end at the first directory that libtiff cannot read, as in GDAL. Overviews are not parsed,
    and the directories that have not been read yet are fetched together.

    Raises:
        BrokenTiffError: While iterating: a mask cannot be parsed.
    """
    from tifffile import TiffPage  # as above

    places = directory.places(SUB_DIRECTORIES, most=_MAX_SUB_DIRECTORIES)
    places = list(takewhile(lambda place: 0 < place < data.size, places))
    data.prefetch(places, _SUB_DIRECTORY_BYTES)
    entries = 0
    for number, place in enumerate(places):
        if (kinds := _read_entries(file, place, data)) is None:
            return
        if not _may_be_mask(kinds):
            continue
        entries += len(kinds)
        if entries > _MAX_ENTRIES:
            raise BrokenTiffError(f"its masks have more than {_MAX_ENTRIES} entries")
        data.allow_directory()
        with _guard(data):
            file.filehandle.seek(place)
            page = TiffPage(file, (0, number))
            tags = _tags_of(page)
        yield Directory(page, tags, data)


def _read_entries(
    file: Any, place: int, data: FileBytes
) -> dict[int, tuple[int, int, bytes]] | None:
    """Return the (type, count, value or its place) of each tag; None if libtiff reads no image."""
    form = file.tiff
    start = place + form.tagnosize
    if start > data.size:
        return None
    (count,) = struct.unpack(form.tagnoformat, data.take(place, form.tagnosize))
    if not 0 < count <= _MOST_ENTRIES or start + count * form.tagsize > data.size:
        return None
    entry = form.byteorder + ("HHI4s" if form.offsetsize == 4 else "HHQ8s")
    found: dict[int, tuple[int, int, bytes]] = {}
    for tag, kind, number, value in struct.iter_unpack(
        entry, data.take(start, count * form.tagsize)
    ):
        found.setdefault(tag, (kind, number, value))  # of those that come twice, the first counts
    numbers = [found[tag][:2] for tag in _OF_ONE_NUMBER if tag in found]
    if any(kind not in _INTEGER_TYPES or number != 1 for kind, number in numbers):
        return None
    return found if {IMAGE_WIDTH, IMAGE_LENGTH} <= found.keys() else None


def _may_be_mask(entries: dict[int, tuple[int, int, bytes]]) -> bool:
    """Return whether NewSubfileType may have the bit of a mask, of value 4."""
    kind, count, value = entries.get(NEW_SUBFILE_TYPE, (0, 0, b""))
    is_elsewhere = len(value) < 8 and kind in (16, 17)
    return kind in _INTEGER_TYPES and count == 1 and (is_elsewhere or any(b & 4 for b in value))


def _tags_of(page: Any) -> dict[int, Any]:
    """Return a page's tags, even those that tifffile drops for values outside the file."""
    from tifffile import TIFF, TiffTag  # as above

    file, form = page.parent, page.parent.tiff
    file.filehandle.seek(page.offset)
    count = struct.unpack(form.tagnoformat, file.filehandle.read(form.tagnosize))[0]
    if count == len(page.tags):
        return {tag.code: tag for tag in reversed(page.tags.values())}
    # of entries that come twice libtiff reads the first, even if it is the one that tifffile drops
    tags: dict[int, Any] = {}
    start = page.offset + form.tagnosize
    file.filehandle.seek(start)
    entries = file.filehandle.read(count * form.tagsize)
    for place in range(0, count * form.tagsize, form.tagsize):
        entry = entries[place : place + form.tagsize]
        tag = TiffTag.fromfile(file, offset=start + place, header=entry, validate=False)
        if tag.dtype in TIFF.DATA_FORMATS:
            tags.setdefault(tag.code, tag)
        elif tag.code in _ESSENTIAL:
            raise BrokenTiffError(f"tag {tag.code} is of an unknown type")
        else:
            tags.setdefault(OF_UNKNOWN_TYPE, tag)
    return tags


@contextmanager
def _guard(data: FileBytes) -> Iterator[None]:
    """Silence tifffile's log, and turn its errors into ours."""
    logging.getLogger("tifffile").addFilter(_is_logged)  # it is added once
    token = _IS_PARSING.set(True)
    try:
        yield
    except BrokenTiffError:
        if data.failure is None:
            raise
    except Exception as error:
        # tifffile raises many types while parsing: struct.error, TypeError, AssertionError...
        if data.failure is None:
            raise BrokenTiffError(f"tifffile cannot parse it: {error}") from error
    finally:
        _IS_PARSING.reset(token)
    if data.failure is not None:
        raise data.failure


def _is_logged(_record: logging.LogRecord) -> bool:
    """Return whether a record of tifffile's comes from another user of it."""
    return not _IS_PARSING.get()


def write_image(
    byteorder: ByteOrder,
    shape: tuple[int, int],
    tags: Iterable[RawTag],
    data: bytes | memoryview = b"",
) -> bytes:
    """Write a TIFF of one strip that carries `tags`, so that GDAL can decode `data`.

    Args:
        byteorder: "<" or ">".
        shape: (height, width).
        tags: More tags, which replace those that are made here.
        data: The strip's bytes; without any it is sparse.
    """

    def long(value: int) -> tuple[int, int, bytes]:
        return (4, 1, struct.pack(f"{byteorder}I", value))

    everything = {
        IMAGE_WIDTH: long(shape[1]), IMAGE_LENGTH: long(shape[0]), STRIP_OFFSETS: long(0),
        ROWS_PER_STRIP: long(shape[0]), STRIP_BYTE_COUNTS: long(len(data)),
    }  # fmt: skip
    everything |= {tag: (kind, count, raw) for tag, kind, count, raw in tags}
    start = 8  # after the header
    values_at = start + 2 + 12 * len(everything) + 4
    if data:
        long_values = sum(
            len(raw) + len(raw) % 2 for _, _, raw in everything.values() if len(raw) > 4
        )
        everything[STRIP_OFFSETS] = long(values_at + long_values)
    table, values = b"", b""
    for tag, (kind, count, raw) in sorted(everything.items()):
        inline = raw.ljust(4, b"\0")
        if len(raw) > 4:
            inline = struct.pack(f"{byteorder}I", values_at + len(values))
            values += raw + b"\0" * (len(raw) % 2)
        table += struct.pack(f"{byteorder}HHI", tag, kind, count) + inline
    magic = (b"II" if byteorder == "<" else b"MM") + struct.pack(f"{byteorder}HI", 42, start)
    count_bytes = struct.pack(f"{byteorder}H", len(everything))
    return b"".join([magic, count_bytes, table, b"\0\0\0\0", values, data])
