"""Files that a raster's georeferencing names, which GDAL would have PROJ open.

A TIFF may state its CRS as ESRI's WKT, and a JPEG 2000 file as a TIFF of its own or as XML. PROJ
opens the files that such a text names as soon as GDAL opens the file.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final

from stacchip.errors import NotARaster
from stacchip.grid.named_files import may_name_file, xml_may_name_file
from stacchip.raster import tiff
from stacchip.raster.file_bytes import BrokenTiffError, FileBytes
from stacchip.raster.gdal.jpeg2000 import CODESTREAM_BOX, MOST_BOXES, iterate_boxes
from stacchip.storage import redact

if TYPE_CHECKING:
    from stacchip.storage import Limits

# of the box that holds a TIFF of one pixel, whose tags state the place
_GEOJP2: Final = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")


class NamedFileError(BrokenTiffError):
    """The tags of a TIFF state a CRS that names a file."""


def named_file_refusal(href: str) -> NotARaster:
    """Return the error for a file whose CRS names another one."""
    return NotARaster(
        f"{redact(href)} is not read: its CRS names a file of this machine, which PROJ would open. "
        "Write it again with a CRS that names none (gdal_translate -a_srs EPSG:...), or leave this "
        "asset out.",
        href=redact(href),
    )


def names_a_file(file: IO[bytes], driver: str, limits: Limits) -> bool:
    """Return True if the CRS of a file of this format may name another file by its path.

    Args:
        file: The file.
        driver: GDAL's name of its format.
        limits: Limits of its place.

    Raises:
        BrokenTiffError: It is a TIFF whose first directory cannot be read.
        LimitExceeded: The parts that may hold a CRS take more than `Limits.document_bytes`.
    """
    if driver == "GTiff":
        return _tiff_names_a_file(file)
    if driver == "JP2OpenJPEG":
        return any(map(_box_names_a_file, _read_boxes(file, limits)))
    return False  # PNG and JPEG state no CRS


def _box_names_a_file(content: bytes) -> bool:
    return xml_may_name_file(content) or (_GEOJP2 in content and may_name_file(content))


def _tiff_names_a_file(file: IO[bytes]) -> bool:
    def fetch(start: int, length: int) -> bytes:
        file.seek(start)
        return file.read(length)

    size = file.seek(0, os.SEEK_END)
    directories = tiff.read_directories(FileBytes(fetch, size, fetch(0, 4096)))
    main = None if directories is None else next(directories, None)
    # in whatever type: libtiff makes text of numbers, too
    return main is not None and tiff.GEO_ASCII in main and may_name_file(main.raw(tiff.GEO_ASCII))


def _read_boxes(file: IO[bytes], limits: Limits) -> list[bytes]:
    """Return the boxes of a JPEG 2000 file that are not of pixels."""
    size = file.seek(0, os.SEEK_END)
    everything = list(iterate_boxes(file))
    if len(everything) >= MOST_BOXES:  # GDAL would read those behind them, too
        raise limits.exceeded("document_bytes", f"The file has {MOST_BOXES} boxes of metadata")
    boxes = [
        (start, min(end or size, size)) for kind, start, end in everything if kind != CODESTREAM_BOX
    ]
    total = sum(end - start for start, end in boxes)
    if total > limits.document_bytes:
        raise limits.exceeded("document_bytes", f"The file's boxes of metadata take {total} bytes")
    found = []
    for start, end in boxes:
        file.seek(start)
        found.append(file.read(end - start))
    return found
