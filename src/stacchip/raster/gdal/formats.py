"""The formats that GDAL reads for us: four, told apart by a file's first bytes.

GDAL would ask some 150 drivers what a file is, whatever its name. Many of them read other files: a
VRT or a WMS document is a text that names pixels elsewhere, on this machine or on any host, and a
remote "TIFF" may be such a text. So the first bytes choose the driver, and no other is asked.

The four keep all pixels in the file itself. What else they would look for, files beside the image
and what these name, `gdal_environment` turns off.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import NotARaster, StacchipError, UnsupportedRaster
from stacchip.raster.file_bytes import BrokenTiffError
from stacchip.raster.gdal import named_files
from stacchip.raster.gdal.describe import dtype_of
from stacchip.raster.gdal.environment import error_types, gdal_says
from stacchip.raster.gdal.jpeg2000 import why_too_large
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import is_remote, redact
from stacchip.storage.content import (
    LOOKED_AT,
    describe_content,
    fetch_remedy,
    is_text,
    show_start,
)
from stacchip.storage.transports.local import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.storage import Limits

MOST_BANDS: Final = 1024
"""Bands of an image that GDAL reads; its time for a window grows with their square."""
JPEG2000: Final = "JP2OpenJPEG"
_DRIVERS: Final = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": JPEG2000,
    b"\xff\x4f\xff\x51": JPEG2000,  # a codestream without boxes
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
}
_READ_FROM_THE_START: Final = ("JPEG", "PNG")
_CONVERT: Final = "Make a COG of it (gdal_translate -of COG), or leave this asset out."
_XML: Final = rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<"
_OTHER_FORMATS: Final = (
    (_XML + rb"VRTDataset\b", "a virtual raster (VRT), a text that names pixels in other files"),
    (_XML + rb"(?:GDAL_\w+|WCS_GDAL|WMT_\w+)\b", "a text that names pixels on a server"),
    (rb"\x89HDF\r\n", "an HDF5 or netCDF file"),
    (rb"CDF[\x01\x02\x05]|\x0e\x03\x13\x01", "a netCDF or HDF file"),
    (rb"SQLite format 3\0", "a database (GeoPackage, MBTiles)"),
    (rb"GRIB", "a GRIB file"),
    (rb"%PDF", "a PDF document"),
    (rb"GIF8|BM|RIFF....WEBP", "a picture of another format"),
    (rb"EHFA_HEADER_TAG", "an Erdas Imagine file"),
)
_warnings_lock = PerProcess(Lock)


def find_driver(start: bytes | memoryview) -> str | None:
    """Return GDAL's name of the format of a file that begins like this; None if we do not read it.

    Example:
        >>> find_driver(bytes.fromhex("89504e470d0a1a0a")), find_driver(b"<VRTDataset>")
        ('PNG', None)
    """
    start = bytes(start[:16])
    return next((name for magic, name in _DRIVERS.items() if start.startswith(magic)), None)


def not_a_raster(href: str, start: bytes | memoryview, media_type: str | None = None) -> NotARaster:
    """Return the error for a file of none of our formats; it says what the file is.

    Args:
        href: The file.
        start: Its first bytes.
        media_type: What a web server says that it is.
    """
    shown, start = redact(href), bytes(start[:LOOKED_AT])
    what = describe_content(href, start, media_type)
    if what is None:
        matches = (name for form, name in _OTHER_FORMATS if re.match(form, start, re.DOTALL))
        name = next(matches, None)
        what = None if name is None else f"{shown} is {name}, which is not read. {_CONVERT}"
    if what is None and is_remote(href) and is_text(start):
        what = f"{shown} is text; it begins with {show_start(start)!r}. {fetch_remedy(href)}"
    if what is None:
        what = (
            f"{shown} is no TIFF, JPEG 2000, JPEG or PNG file: it begins with "
            f"{show_start(start[:16])!r}. Fetch the file again, or leave this asset out."
        )
    return NotARaster(what, href=shown)


def unreadable(href: str, error: BaseException) -> NotARaster:
    """Return the error for a file of one of our formats that GDAL refuses, and why it does."""
    return NotARaster(
        f"{redact(href)} cannot be opened by GDAL: {gdal_says(error)}. Fetch the file again, or "
        "leave this asset out.",
        href=redact(href),
    )


class OpenImage:
    """A file that GDAL holds open for one thread, within `gdal_environment`; `close` it.

    Args:
        source: The file's path, or all its bytes.
        href: Its name in errors.
        limits: The most that reading it may take.

    Attributes:
        dataset: rasterio's dataset.
        is_sound: False once a read has failed; after that GDAL may return pixels that are not in
            the file. The user sets it.

    Raises:
        LimitExceeded: A read of any of its pixels takes too much memory.
        NotARaster: GDAL finds no raster of the four formats in it.
        StorageError: The path names no regular file, or may not be read.
        UnsupportedRaster: It has more than `MOST_BANDS` bands.
    """

    def __init__(self, source: Path | bytes, href: str, limits: Limits) -> None:
        import rasterio
        from rasterio.io import MemoryFile

        driver = _choose_driver(source, href, limits)
        self.is_sound = True
        self._memory: Any = None
        try:
            with _without_warnings():
                if isinstance(source, Path):
                    self.dataset = rasterio.open(_plain_path(source), driver=driver)
                else:
                    self._memory = MemoryFile(source)
                    self.dataset = self._memory.open(driver=driver)
            _require_few_bands(self.dataset, href)
            _require_size(self.dataset, driver, href, limits)
        except error_types() as error:
            self._release()
            if isinstance(error, StacchipError):
                raise
            raise unreadable(href, error) from error

    def _release(self) -> None:
        if self._memory is not None:
            self._memory.close()

    def close(self) -> None:
        """Close the file."""
        self.dataset.close()
        self._release()


def _choose_driver(source: Path | bytes, href: str, limits: Limits) -> str:
    """Return the driver that reads a file, if its header asks for nothing unreasonable."""
    # through our storage: a FIFO would wait for its writer, and a device never ends
    with io.BytesIO(source) if isinstance(source, bytes) else open_file(str(source)) as file:
        start = file.read(LOOKED_AT)
        driver = find_driver(start)
        if driver is None:
            raise not_a_raster(href, start)
        why = why_too_large(file, limits) if driver == JPEG2000 else None
        if why is None:
            _refuse_named_files(file, driver, href, limits)
    if why is not None:
        name, what = why
        raise limits.exceeded(name, f"{redact(href)} {what}", href=redact(href))
    return driver


def _refuse_named_files(file: IO[bytes], driver: str, href: str, limits: Limits) -> None:
    """Refuse a file whose CRS names another one: PROJ would open it, whatever it is."""
    try:
        names_a_file = named_files.names_a_file(file, driver, limits)
    except BrokenTiffError as error:
        message = f"{redact(href)} cannot be read: it has a broken TIFF header: {error}. {_CONVERT}"
        raise NotARaster(message, href=redact(href)) from error
    if names_a_file:
        raise named_files.named_file_refusal(href)


def _plain_path(path: Path) -> Path:
    """Return a path that GDAL takes for a file's, whatever it begins with.

    GDAL gives a meaning to names that begin with "/vsi", and to prefixes such as "GTIFF_DIR:".
    """
    path = path.absolute()
    return Path(f"/{path}") if path.as_posix().startswith("/vsi") else path


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence rasterio's warning of a file without a place; filters are shared by all threads."""
    from rasterio.errors import NotGeoreferencedWarning

    with _warnings_lock.get(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _require_few_bands(dataset: Any, href: str) -> None:
    """Refuse an image of so many bands that GDAL takes minutes for a window of it.

    It takes 10 ns for each pair of bands in each block: 10 s for 8000 bands and 20 strips.
    """
    if dataset.count > MOST_BANDS:
        raise UnsupportedRaster(
            f"{redact(href)} has {dataset.count} bands of a form that only GDAL reads, which takes "
            f"too long for more than {MOST_BANDS}. {_CONVERT}",
            href=redact(href),
        )


def _require_size(dataset: Any, driver: str, href: str, limits: Limits) -> None:
    """Refuse an image of which GDAL would decode too much at once, whatever window is read."""
    is_whole = driver in _READ_FROM_THE_START
    height, width = dataset.shape if is_whole else dataset.block_shapes[0]
    size = height * width * dataset.count * np.dtype(dtype_of(dataset)).itemsize
    name = "file_bytes" if is_whole else "block_bytes"
    if size > getattr(limits, name):
        parts = "is decoded from its start on, and" if is_whole else "has blocks, each of which"
        what = f"{redact(href)} {parts} takes {size} bytes ({height} x {width} px)"
        raise limits.exceeded(name, what, href=redact(href))
