"""GDAL's reading of a dataset's metadata: CRS, transform, dtype, nodata, validity."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.grid.named_files import may_name_file
from stacchip.raster import tiff
from stacchip.raster.file_bytes import BrokenTiffError
from stacchip.raster.gdal.environment import error_types, gdal_environment, gdal_says
from stacchip.raster.gdal.named_files import NamedFileError
from stacchip.raster.location import find_location

if TYPE_CHECKING:
    from affine import Affine

    from stacchip.raster.tiff import ByteOrder, RawTag

# a description takes GDAL 0.1 ms a band: beyond this many bands, alpha and scales are left out
_MOST_SAMPLES: Final = 1024
# rasterio's names for GDAL's complex integers, which it reads as complex floats
_READ_AS: Final = {"complex_int16": "complex64", "complex_int32": "complex64"}


@dataclass(frozen=True)
class ImageTags:
    """The TIFF tags by which GDAL interprets an image's pixels and places them.

    Attributes:
        samples: SamplesPerPixel.
        bits: BitsPerSample, the same for all.
        sample_format: SampleFormat, the same for all.
        photometric: PhotometricInterpretation.
        extra_samples: ExtraSamples.
        byteorder: "<" or ">".
        geo: The georeferencing tags: (tag, type, count, bytes).
        nodata: GDAL_NODATA's bytes, empty if absent.
        metadata: GDAL_METADATA's bytes, empty if they do not concern pixels.
    """

    samples: int
    bits: int
    sample_format: int
    photometric: int
    extra_samples: tuple[int, ...]
    byteorder: ByteOrder
    geo: tuple[RawTag, ...]
    nodata: bytes
    metadata: bytes


@dataclass(frozen=True)
class ImageDescription:
    """GDAL's reading of `ImageTags`; the fields are those of `Header`."""

    dtype: str
    nodata: float | int | None
    fill: Any
    crs: str | None
    transform: Affine | None
    scales: tuple[float, ...] | None
    shifts: tuple[float, ...] | None
    alpha: int | None
    validity: str


@lru_cache(maxsize=4096)
def describe_image(image: ImageTags) -> ImageDescription:
    """Return GDAL's reading of these tags, found with a one-pixel TIFF that carries them.

    The pixel is sparse, so it also shows what GDAL reads from a sparse block. All bands of one
    resolution of a scene share their tags, and so their description.

    Raises:
        BrokenTiffError: GDAL refuses such an image.
        NamedFileError: Its CRS names a file, which PROJ would open.
    """
    from rasterio.io import MemoryFile

    if any(tag == tiff.GEO_ASCII and may_name_file(raw) for tag, *_, raw in image.geo):
        raise NamedFileError("its CRS names a file")
    if image.samples > _MOST_SAMPLES:
        few = replace(image, samples=_MOST_SAMPLES, extra_samples=(), metadata=b"")
        return replace(describe_image(few), alpha=None)
    try:
        with (
            gdal_environment(),
            MemoryFile(_one_pixel(image)) as memory,
            memory.open(driver="GTiff") as dataset,
        ):
            return _describe(dataset, image)
    except error_types() as error:
        message = f"GDAL refuses an image of that form: {gdal_says(error)}"
        raise BrokenTiffError(message) from error


def _one_pixel(image: ImageTags) -> bytes:
    def shorts(tag: int, *values: int) -> RawTag:
        dtype = np.dtype("u2").newbyteorder(image.byteorder)
        return (tag, 3, len(values), np.array(values, dtype).tobytes())

    # GDAL turns CMYK, YCbCr and the like into RGB, which is photometric 2
    photometric = 2 if image.photometric >= 5 else min(image.photometric, 2)
    tags = [
        shorts(tiff.BITS_PER_SAMPLE, *[image.bits] * image.samples),
        shorts(tiff.SAMPLE_FORMAT, *[image.sample_format] * image.samples),
        shorts(tiff.SAMPLES_PER_PIXEL, image.samples),
        shorts(tiff.PHOTOMETRIC, photometric),
        *image.geo,
    ]
    if image.extra_samples:
        tags.append(shorts(tiff.EXTRA_SAMPLES, *image.extra_samples))
    if not _has_transform(image):
        # else rasterio warns, and `Header.transform` says so already
        tags += no_transform(image.byteorder)
    if image.nodata:
        tags.append((tiff.GDAL_NODATA, 2, len(image.nodata), image.nodata))
    if image.metadata:
        tags.append((tiff.GDAL_METADATA, 2, len(image.metadata), image.metadata))
    return tiff.write_image(image.byteorder, (1, 1), tags)


def no_transform(byteorder: ByteOrder) -> list[RawTag]:
    """Return tags of an arbitrary transform, because rasterio warns if there is none."""
    ones = np.ones(6, np.dtype("f8").newbyteorder(byteorder))
    return [
        (tiff.MODEL_PIXEL_SCALE, 12, 3, ones[:3].tobytes()),
        (tiff.MODEL_TIEPOINT, 12, 6, ones.tobytes()),
    ]


def _has_transform(image: ImageTags) -> bool:
    """Return whether GDAL finds a transform: a matrix, or a scale other than 0 with a point.

    GeoTIFF 1.1 section 7.1.2.
    """
    tags = {tag: (count, raw) for tag, _, count, raw in image.geo}
    if tags.get(tiff.MODEL_TRANSFORMATION, (0, b""))[0] == 16:
        return True
    if not {tiff.MODEL_PIXEL_SCALE, tiff.MODEL_TIEPOINT} <= set(tags):
        return False
    raw = tags[tiff.MODEL_PIXEL_SCALE][1]
    scale = np.frombuffer(raw, np.dtype("f8").newbyteorder(image.byteorder))
    return len(scale) > 1 and bool(scale[0]) and bool(scale[1])


def _describe(dataset: Any, image: ImageTags) -> ImageDescription:
    dtype = dtype_of(dataset)
    alpha = [i for i, colour in enumerate(dataset.colorinterp) if colour.name == "alpha"]
    return ImageDescription(
        dtype=dtype,
        nodata=nodata_of(dataset, dtype, image.nodata),
        fill=dataset.read(1)[0, 0].item(),
        crs=crs_of(dataset),
        transform=dataset.transform if _has_transform(image) else None,
        scales=tuple(dataset.scales) if set(dataset.scales) != {1.0} else None,
        shifts=tuple(dataset.offsets) if set(dataset.offsets) != {0.0} else None,
        alpha=alpha[-1] if alpha else None,
        validity=validity_of(dataset),
    )


def dtype_of(dataset: Any) -> str:
    """Return numpy's name of the type that reading a dataset returns."""
    name = dataset.dtypes[0]
    return str(_READ_AS.get(name, name))


def crs_of(dataset: Any) -> str | None:
    """Return a dataset's CRS as "EPSG:code" if the code describes it fully, else as WKT.

    The comparison is GDAL's, not `name_crs`: this text is kept in headers and indexes.
    """
    from rasterio.crs import CRS

    crs = dataset.crs
    if not crs:
        return None
    code = crs.to_epsg()
    if code is not None and CRS.from_epsg(code) == crs:
        return f"EPSG:{code}"
    return str(crs.to_wkt())


def location_of(dataset: Any) -> str:
    """Return what locates a dataset's pixels; see `find_location`."""
    points, _ = dataset.gcps
    return find_location(
        dataset.transform,
        dataset.shape,
        points=len(points) if any(point.x or point.y for point in points) else 0,
        # rasterio's `rpcs` fails for polynomials that lack a number
        has_polynomials=bool(dataset.tags(ns="RPC")),
        has_arrays=bool(dataset.tags(ns="GEOLOCATION")),
    )


def nodata_of(dataset: Any, dtype: str, text: bytes = b"") -> float | int | None:
    """Return a dataset's nodata, typed to its bands.

    rasterio returns a float, which rounds the largest 64-bit integers. These are read from the
    tag's text.
    """
    kind = np.dtype(dtype)
    text = text.split(b"\0", 1)[0]
    if kind.kind in "iu" and kind.itemsize == 8 and text:
        return _read_integer(text, kind)
    nodata = dataset.nodata
    if nodata is not None and kind.kind in "iu" and float(nodata).is_integer():
        return int(nodata)
    return None if nodata is None else float(nodata)


def _read_integer(text: bytes, kind: np.dtype[Any]) -> int:
    """Return a 64-bit integer as GDAL reads it, by C's `strtoll` and `strtoull`.

    What follows the digits is ignored, a text without digits is 0, a number beyond the range is the
    type's extreme, and an unsigned number below 0 wraps around (C17, section 7.22.1.4).
    """
    digits = re.match(rb"\s*([+-]?)0*(\d{1,99})", text)
    value = int(digits[1] + digits[2]) if digits else 0
    if kind.kind == "i":
        return min(max(value, -(2**63)), 2**63 - 1)
    return 2**64 - 1 if abs(value) >= 2**64 else value % 2**64


def validity_of(dataset: Any) -> str:
    """Return the mark of a dataset's valid pixels: "mask", "nodata", "alpha" or "all"."""
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    if "alpha" in flags:
        return "alpha"
    if "per_dataset" in flags:  # with "nodata" by the item NODATA_VALUES, one value for each band
        return "mask"
    return "nodata" if "nodata" in flags else "all"
