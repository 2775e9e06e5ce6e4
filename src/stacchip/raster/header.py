"""Headers: the facts of a TIFF's full-resolution image, parsed once and kept.

With a header, a read requests nothing but blocks. `Header.to_record` writes it as flat values for
an index. The table of blocks is packed into bytes (`BlockPlaces`), because list columns take three
times the space: 1,108 B against 393 B for a header of 121 blocks (Parquet with zstd).
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from affine import Affine

from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.location import place_image, why_no_grid
from stacchip.storage import Identity
from stacchip.storage.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.grid.geobox import GeoBox
    from stacchip.raster.tiff import ByteOrder, RawTag

# the columns that `Header.to_record` fills; each may be null
RECORD_TYPES: Final[Mapping[str, type]] = {
    "size_bytes": int, "etag": str, "last_modified": str,
    "height": int, "width": int, "count": int, "dtype": str, "nodata": str, "fill": str,
    "block_height": int, "block_width": int, "is_planar": bool, "is_tiled": bool,
    "compression": str, "predictor": int, "bits": int, "sample_format": int, "byteorder": str,
    "fill_order": int, "block_starts": bytes, "block_lengths": bytes, "crs": str, "transform": str,
    "scales": str, "shifts": str, "alpha": int, "validity": str, "mask": bytes,
    "why_unsupported": str, "codec_tags": bytes, "located_by": str,
}  # fmt: skip

MISSING: Final = 2**63 - 1
"""The offset of a block that the file's table of blocks is too short for."""


@dataclass(frozen=True, eq=False)
class Header:
    """The full-resolution image of one TIFF: what its pixels are, and where its blocks lie.

    Attributes:
        identity: Size and ETag of the file it was read from.
        shape: (height, width).
        count: Number of bands.
        dtype: numpy's name of the pixels' type, in native byte order, as rasterio has it.
        nodata: The value that stands for no data, typed to the band, or None.
        fill: The value that GDAL reads from a sparse block.
        block_shape: (height, width) of a block. A large uncompressed strip counts as several.
        is_planar: True if each band has blocks of its own (else a block holds all bands).
        is_tiled: True if blocks are tiles, which are whole even at the image's edges.
        compression: "none", "lzw", "deflate", "zstd", or another name if it is unsupported.
        predictor: 1 none, 2 horizontal differences, 3 floating point.
        bits: Bits of one stored sample.
        sample_format: TIFF's SampleFormat: 1 unsigned, 2 signed, 3 float, 5 and 6 complex.
        byteorder: "<" or ">".
        fill_order: 1, or 2 if the bits of each byte are reversed.
        places: Where its blocks lie.
        crs: "EPSG:code" or WKT, or None.
        transform: Pixel (column, row) to coordinates, or None if the file has none.
        scales: Factor of each band, if one is not 1.
        shifts: Offset of each band, if one is not 0.
        alpha: The band (from 0) that says which pixels are opaque, or None.
        validity: The mark of valid pixels, by GDAL's precedence: "mask", "nodata", "alpha", "all".
        mask: The header of the internal mask, or None.
        why_unsupported: The reason why only GDAL can read it, or None.
        codec_tags: The tags by which GDAL decodes its blocks one by one; empty if the fast path
            decodes them, or if GDAL must read the whole file.
        located_by: What locates the pixels, as `find_location` says it; None if it is not known
            because an earlier version kept the header.
    """

    identity: Identity
    shape: tuple[int, int]
    count: int
    dtype: str
    nodata: float | int | None
    fill: Any
    block_shape: tuple[int, int]
    is_planar: bool
    is_tiled: bool
    compression: str
    predictor: int
    bits: int
    sample_format: int
    byteorder: ByteOrder
    fill_order: int
    places: BlockPlaces
    crs: str | None
    transform: Affine | None
    scales: tuple[float, ...] | None
    shifts: tuple[float, ...] | None
    alpha: int | None
    validity: str
    mask: Header | None
    why_unsupported: str | None
    codec_tags: tuple[RawTag, ...] = ()
    located_by: str | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "places" not in state:  # pickles of earlier versions have the two arrays
            offsets, lengths = state.pop("block_offsets"), state.pop("block_lengths")
            state["places"] = BlockPlaces.of(offsets, lengths)
        self.__dict__.update(state)

    @property
    def block_offsets(self) -> NDArray[np.uint64]:
        """First byte of each block, [plane, row, column] flattened.

        `MISSING` for a block that the file's table does not have.
        """
        return self.places.offsets

    @property
    def block_lengths(self) -> NDArray[np.uint64]:
        """Each block's length in bytes; 0 for a sparse block."""
        return self.places.lengths

    @cached_property
    def block_bytes(self) -> int:
        """Bytes of a block, decoded or as pixels, whichever are more."""
        height, width = self.block_shape
        pixels = height * width * self.samples * self.numpy_dtype.itemsize
        return max(height * self.row_bytes, pixels)

    @cached_property
    def geobox(self) -> GeoBox | None:
        """CRS, transform and shape, or None if the file lacks a CRS or a transform.

        Raises:
            UnsupportedRaster: The CRS is not one of the Earth.
        """
        return place_image(self.crs, self.transform, self.shape)

    @property
    def why_no_grid(self) -> str | None:
        """What locates the pixels in place of a grid, such as "9 ground control points"."""
        return why_no_grid(self.located_by)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Number of blocks (down, across) of one plane."""
        return (
            -(-self.shape[0] // self.block_shape[0]),
            -(-self.shape[1] // self.block_shape[1]),
        )

    @property
    def planes(self) -> int:
        """Number of planes of blocks."""
        return self.count if self.is_planar else 1

    @property
    def samples(self) -> int:
        """Number of bands in one block."""
        return 1 if self.is_planar else self.count

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one decoded row of a block; rows begin on whole bytes."""
        width = self.block_shape[1]
        return (width * self.samples * self.bits + 7) // 8

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Type of the pixels that a read returns."""
        return np.dtype(self.dtype)

    def moved(self) -> Header:
        """Return the header for a copy of the file elsewhere, where only its size identifies it."""
        return self.of_version(Identity(self.identity.size_bytes))

    def of_version(self, identity: Identity) -> Header:
        """Return the header for another version of the file, or for a copy that has the same."""
        mask = None if self.mask is None else self.mask.of_version(identity)
        return replace(self, identity=identity, mask=mask)

    def to_record(self) -> dict[str, Any]:
        """Return the header as flat values, of the types in `RECORD_TYPES`."""
        return {
            "size_bytes": self.identity.size_bytes,
            "etag": self.identity.etag,
            "last_modified": self.identity.last_modified,
            "height": self.shape[0],
            "width": self.shape[1],
            "block_height": self.block_shape[0],
            "block_width": self.block_shape[1],
            "nodata": None if self.nodata is None else repr(self.nodata),
            "fill": repr(self.fill),
            "block_starts": self.places.packed_starts,
            "block_lengths": self.places.packed_lengths,
            "transform": None if self.transform is None else json.dumps(self.transform[:6]),
            "scales": None if self.scales is None else json.dumps(self.scales),
            "shifts": None if self.shifts is None else json.dumps(self.shifts),
            "codec_tags": _pack_tags(self.codec_tags) if self.codec_tags else None,
            "located_by": self.located_by,
            "mask": None if self.mask is None else _pack_record(self.mask.to_record()),
            **{name: getattr(self, name) for name in _PLAIN},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Header:
        """Return the header of a record that `to_record` made.

        Raises:
            ValueError: The record contradicts itself, or a value is not one of a header.
            KeyError: A value is missing.
            TypeError: A value is of another type.
        """
        _check(record)
        count = record["count"]
        transform = _numbers(record, "transform", 6)
        scales, shifts = _numbers(record, "scales", count), _numbers(record, "shifts", count)
        return cls(
            identity=Identity(record["size_bytes"], record["etag"], record["last_modified"]),
            shape=(record["height"], record["width"]),
            block_shape=(record["block_height"], record["block_width"]),
            nodata=None if record["nodata"] is None else _number(record["nodata"]),
            fill=_number(record["fill"]),
            places=_places_of(record),
            transform=None if transform is None else Affine(*transform),
            scales=None if scales is None else tuple(scales),
            shifts=None if shifts is None else tuple(shifts),
            mask=None
            if record["mask"] is None
            else cls.from_record(_unpack_record(record["mask"])),
            codec_tags=_unpack_tags(record["codec_tags"]) if record.get("codec_tags") else (),
            located_by=record.get("located_by"),
            **{name: record[name] for name in _PLAIN},
        )


# the fields that stand in a record as they are
_PLAIN: Final = (
    "count", "dtype", "is_planar", "is_tiled", "compression", "predictor", "bits", "sample_format",
    "byteorder", "fill_order", "crs", "alpha", "validity", "why_unsupported",
)  # fmt: skip


_MOST_PARTS: Final = 100_000  # facts of a header, values of a tag, and numbers of its bands
_LARGEST: Final = 2**31 - 1  # of what counts pixels; TIFF has 32 bits
_CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "byteorder": ("<", ">"),
    "fill_order": (1, 2),
    "validity": ("mask", "nodata", "alpha", "all"),
}
_COUNTS: Final = ("height", "width", "count", "block_height", "block_width", "bits")
_FACTS: Final = (*_COUNTS, *_CHOICES, "dtype", "alpha")
_facts_of: Final = itemgetter(*_FACTS)


def _check(record: Mapping[str, Any]) -> None:
    """Check the values of a record from outside, but those that a text or bytes hold."""
    _check_types(record)
    _check_facts(_facts_of(record))


@lru_cache(maxsize=1024)  # the files of an archive are alike
def _check_facts(facts: tuple[Any, ...]) -> None:
    """Check values of the right types, in the order of `_FACTS`."""
    record = dict(zip(_FACTS, facts, strict=True))
    for name in _COUNTS:
        if not 1 <= record[name] <= _LARGEST:
            raise ValueError(f"{name} of a header is {record[name]}")
    for name, choices in _CHOICES.items():
        if record[name] not in choices:
            raise ValueError(f"{name} of a header is {record[name]!r}")
    if np.dtype(record["dtype"]).kind not in "biufc":
        raise ValueError(f"dtype of a header is {record['dtype']!r}")
    if record["alpha"] is not None and not 0 <= record["alpha"] < record["count"]:
        raise ValueError(f"alpha of a header is band {record['alpha']} of {record['count']}")


def _check_types(record: Mapping[str, Any]) -> None:
    name = _find_odd(tuple(map(type, map(record.get, RECORD_TYPES))))
    if name is not None:
        raise TypeError(f"{name} of a header is {str(record[name])[:40]!r}")


@lru_cache(maxsize=256)  # the headers of an index have a few combinations of types
def _find_odd(kinds: tuple[type, ...]) -> str | None:
    """Return the first name of `RECORD_TYPES` whose value has another type and is not None."""
    pairs = zip(RECORD_TYPES.items(), kinds, strict=True)
    return next((name for (name, kind), found in pairs if found not in (kind, NoneType)), None)


def _numbers(record: Mapping[str, Any], name: str, count: int) -> list[Any] | None:
    """Return the list of numbers that is the text of this name; None if there is none."""
    if record[name] is None:
        return None
    numbers = _parse(record[name])
    if not isinstance(numbers, list) or len(numbers) != count:
        raise ValueError(f"{name} of a header is not a list of {count} numbers")
    if not {int, float}.issuperset(map(type, numbers)):
        raise ValueError(f"{name} of a header has something else than numbers")
    if name == "transform" and not all(map(math.isfinite, numbers)):
        raise ValueError("transform of a header is not finite")
    return numbers


def _number(text: str) -> Any:
    """Return the int, float or complex number whose `repr` this is."""
    for kind in (int, float, complex):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a number")


def _places_of(record: Mapping[str, Any]) -> BlockPlaces:
    down = -(-record["height"] // record["block_height"])
    across = -(-record["width"] // record["block_width"])
    blocks = down * across * (record["count"] if record["is_planar"] else 1)
    return BlockPlaces(record["block_starts"], record["block_lengths"], blocks)


def _pack_tags(tags: tuple[RawTag, ...]) -> bytes:
    return json.dumps([(*tag[:3], base64.b64encode(tag[3]).decode()) for tag in tags]).encode()


def _parse(text: str | bytes) -> Any:
    return parse_json(text, _MOST_PARTS)


def _unpack_tags(raw: bytes) -> tuple[RawTag, ...]:
    return tuple(
        (tag, kind, count, base64.b64decode(text)) for tag, kind, count, text in _parse(raw)
    )


def _pack_record(record: dict[str, Any]) -> bytes:
    def encode(value: Any) -> Any:
        return [base64.b64encode(value).decode()] if isinstance(value, bytes) else value

    return json.dumps({name: encode(value) for name, value in record.items()}).encode()


def _unpack_record(raw: bytes) -> dict[str, Any]:
    return {
        name: base64.b64decode(value[0]) if isinstance(value, list) else value
        for name, value in _parse(raw).items()
    }
