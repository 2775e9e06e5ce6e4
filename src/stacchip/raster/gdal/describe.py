"""What GDAL makes of a dataset's metadata: CRS, transform, dtype, nodata, validity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.raster import tiff
from stacchip.raster.gdal.environment import gdal_environment

if TYPE_CHECKING:
    from affine import Affine

    from stacchip.raster.tiff import ByteOrder, RawTag

# a description takes GDAL 0.1 ms a band: of more than these, alpha and scales are not told
_MOST_SAMPLES: Final = 1024
# rasterio's names for GDAL's complex integers, which it reads as complex floats
_READ_AS: Final = {"complex_int16": "complex64", "complex_int32": "complex64"}


@dataclass(frozen=True)
class ImageTags:
    """The TIFF tags that decide how GDAL sees an image's pixels, and where they lie.

    Attributes:
        samples: SamplesPerPixel.
        bits: BitsPerSample, the same for all.
        sample_format: SampleFormat, the same for all.
        photometric: PhotometricInterpretation.
        extra_samples: ExtraSamples.
        byteorder: "<" or ">".
        geo: The georeferencing tags: (tag, type, count, bytes).
        nodata: GDAL_NODATA's bytes, empty where absent.
        metadata: GDAL_METADATA's bytes, empty where it tells no scale and offset.
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
    """What GDAL makes of `ImageTags`; the fields are those of `Header`."""

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
    """What GDAL makes of these tags, told from a one-pixel TIFF that carries them.

    The pixel is sparse, so that GDAL tells what a sparse block reads as, too. All bands of one
    resolution of a scene share their tags, and so their description.

    Raises:
        tiff.BrokenTiffError: Where GDAL refuses such an image.
    """
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

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
    except RasterioError as error:
        raise tiff.BrokenTiffError(f"GDAL refuses an image of that form: {error}") from error


def _one_pixel(image: ImageTags) -> bytes:
    def shorts(tag: int, *values: int) -> RawTag:
        dtype = np.dtype("u2").newbyteorder(image.byteorder)
        return (tag, 3, len(values), np.array(values, dtype).tobytes())

    # GDAL turns CMYK, YCbCr and their like into RGB, which is what photometric 2 says
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
        # else rasterio warns of what `Header.transform` says
        tags += no_transform(image.byteorder)
    if image.nodata:
        tags.append((tiff.GDAL_NODATA, 2, len(image.nodata), image.nodata))
    if image.metadata:
        tags.append((tiff.GDAL_METADATA, 2, len(image.metadata), image.metadata))
    return tiff.write_image(image.byteorder, (1, 1), tags)


def no_transform(byteorder: ByteOrder) -> list[RawTag]:
    """Tags of a transform that says nothing, where its absence would make rasterio warn."""
    ones = np.ones(6, np.dtype("f8").newbyteorder(byteorder))
    return [
        (tiff.MODEL_PIXEL_SCALE, 12, 3, ones[:3].tobytes()),
        (tiff.MODEL_TIEPOINT, 12, 6, ones.tobytes()),
    ]


def _has_transform(image: ImageTags) -> bool:
    """Whether GDAL finds a transform in the tags: a matrix, or a scale that is not 0, and a point.

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
        alpha=alpha[0] if alpha else None,
        validity=validity_of(dataset),
    )


def dtype_of(dataset: Any) -> str:
    """Numpy's name of what reading a dataset gives."""
    name = dataset.dtypes[0]
    return str(_READ_AS.get(name, name))


def crs_of(dataset: Any) -> str | None:
    """A dataset's CRS as "EPSG:code" where that says all of it, else as WKT."""
    from rasterio.crs import CRS

    crs = dataset.crs
    if not crs:
        return None
    code = crs.to_epsg()
    if code is not None and CRS.from_epsg(code) == crs:
        return f"EPSG:{code}"
    return str(crs.to_wkt())


def nodata_of(dataset: Any, dtype: str, text: bytes = b"") -> float | int | None:
    """A dataset's nodata, typed to its bands.

    rasterio gives it as a float, which rounds the largest 64-bit integers: these are read from the
    tag's text.
    """
    kind = np.dtype(dtype)
    if kind.kind in "iu" and kind.itemsize == 8:
        try:
            exact = int(text.split(b"\0", 1)[0])
        except ValueError:
            exact = None
        limits = np.iinfo(kind)
        if exact is not None:
            return exact if limits.min <= exact <= limits.max else None
    nodata = dataset.nodata
    if nodata is not None and kind.kind in "iu" and float(nodata).is_integer():
        return int(nodata)
    return None if nodata is None else float(nodata)


def validity_of(dataset: Any) -> str:
    """What tells a dataset's valid pixels: "mask", "nodata", "alpha" or "all"."""
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    if "alpha" in flags:
        return "alpha"
    if "nodata" in flags:
        return "nodata"
    return "mask" if "per_dataset" in flags else "all"
