"""Sample tags: how many bands a TIFF has, and of what numbers.

libtiff refuses a file of which one of these tags is odd, and so does GDAL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from stacchip.raster import tiff
from stacchip.raster.codecs import COMPLEX, is_known_sample
from stacchip.raster.file_bytes import BrokenTiffError

if TYPE_CHECKING:
    from stacchip.raster.tiff import Directory

_MOST_BANDS: Final = 2**16 - 1
_MOST_BITS: Final = 128
# what the DataType of SGI's first writers is as a SampleFormat
_OLD_FORMATS: Final = {0: 4, 1: 2, 2: 1, 3: 3}
_RANGE_TYPES: Final = (1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 16, 17)


class Samples(NamedTuple):
    """The bands of an image.

    Attributes:
        bands: How many there are.
        bits: The bits of each.
        sample_format: Their SampleFormat.
        extra: The kinds of those that are no colours; see ExtraSamples.
    """

    bands: int
    bits: int
    sample_format: int
    extra: tuple[int, ...]


def read_samples(page: Directory) -> Samples:
    """Read the tags of the samples.

    Raises:
        BrokenTiffError: The bands differ in their bits or their format, or a tag is odd.
    """
    count = page.integer(tiff.SAMPLES_PER_PIXEL, 1)
    bits = _values_of_bands(page, tiff.BITS_PER_SAMPLE, count)
    formats = _values_of_bands(page, tiff.SAMPLE_FORMAT, count)
    if len(bits) > 1 or len(formats) > 1 or not 1 <= min(bits) <= _MOST_BITS:
        raise BrokenTiffError(f"bands of {sorted(bits)} bits and of formats {sorted(formats)}")
    if max(formats) in COMPLEX and not is_known_sample(max(bits), max(formats)):
        # GDAL takes them for unsigned integers
        raise BrokenTiffError(f"complex numbers of {max(bits)} bits")
    extra = tuple(int(n) for n in page.integers(tiff.EXTRA_SAMPLES, most=_MOST_BANDS))
    if not 0 < count <= _MOST_BANDS or max(extra, default=0) >= 2**16:
        raise BrokenTiffError(f"{count} bands of kinds {extra[:9]}")
    samples = Samples(count, bits.pop(), formats.pop(), extra)
    _check_ranges(page, count)
    _check_old_tags(page, samples)
    return samples


def _values_of_bands(page: Directory, tag: int, count: int) -> set[int]:
    """Return the different values of a tag that has one for each band, or one for all.

    Raises:
        BrokenTiffError: It has fewer than bands, or one beyond 16 bits.
    """
    values = page.integers(tag, most=_MOST_BANDS + 1)
    if tag in page and len(values) != 1 and not count <= len(values) <= _MOST_BANDS:
        raise BrokenTiffError(f"tag {tag} has {len(values)} values for {count} bands")
    if len(values) and values.max() >= 2**16:  # even of a band that is not there
        raise BrokenTiffError(f"tag {tag} has a value of {values.max()}")
    return set(values[: max(count, 1)].tolist()) or {1}


def _check_ranges(page: Directory, count: int) -> None:
    """Check the tags that tell the least and the largest samples, which are not used."""
    for tag in (tiff.MIN_SAMPLE_VALUE, tiff.MAX_SAMPLE_VALUE):
        if len(values := _values_of_bands(page, tag, count)) > 1:
            raise BrokenTiffError(f"tag {tag} is different for each band: {sorted(values)[:9]}")
    for tag, kind, number, _ in page.raw_tags((tiff.S_MIN_SAMPLE_VALUE, tiff.S_MAX_SAMPLE_VALUE)):
        if number != count or kind not in _RANGE_TYPES:
            raise BrokenTiffError(f"tag {tag} has {number} values of type {kind}")


def _check_old_tags(page: Directory, samples: Samples) -> None:
    """Check that tags of SGI's first writers, which GDAL still reads, say the same as the others.

    Raises:
        BrokenTiffError: They do not, or the image has a depth.
    """
    if tiff.DATA_TYPE in page:
        old = page.integer(tiff.DATA_TYPE)
        if _OLD_FORMATS.get(old) != samples.sample_format:
            raise BrokenTiffError(f"data type {old}, and sample format {samples.sample_format}")
    if tiff.MATTEING in page:
        has_alpha = page.integer(tiff.MATTEING) > 0
        if samples.extra != (1,) * has_alpha:
            raise BrokenTiffError(f"matteing {has_alpha}, and extra bands {samples.extra[:9]}")
    for tag in (tiff.IMAGE_DEPTH, tiff.TILE_DEPTH):
        if page.integer(tag, 1) != 1:
            raise BrokenTiffError("an image of three dimensions")
