"""A cube of chips with their places and times, its folder, its writer and its reader."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from stacchip.cubes.normalise import encode_degrees, encode_hour, encode_week, find_centres
from stacchip.errors import IndexFormatError, StacchipError
from stacchip.storage import child_href, redact

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable, Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.storage import Storage

VERSION = "mode_v1_chipper_v2"
"""Name of the folder that holds all cubes, as in the original."""

ARRAYS = ("pixels", "lon_norm", "lat_norm", "week_norm", "hour_norm")
"""Names of the arrays in a cube, as in the original."""

VALID = "valid"
"""Name of the array that says which pixels may be used; cubes of earlier versions lack it."""

_BROKEN: tuple[type[Exception], ...] = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(zipfile.BadZipFile, zlib.error, tarfile.TarError),
)
"""What decoders raise for bytes that are something else, or are cut off."""


@dataclass(frozen=True, eq=False)
class Cube:
    """Chips of one platform.

    Attributes:
        number: The cube's number among those of its platform.
        pixels: float32 (chip, band, y, x).
        table: The chips' rows of the index, in the same order.
        valid: True where a pixel may be used, (chip, band, y, x); None if that is not known.
    """

    number: int
    pixels: NDArray[np.float32]
    table: pa.Table
    valid: NDArray[np.bool_] | None = None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays by name: `pixels`, those of place and time, and `valid` if known.

        Those of place and time are float32 (chip, 2).

        Raises:
            IndexFormatError: A chip has no location.
        """
        lon, lat = find_centres(self.table)
        moments = self.table["datetime"]
        arrays: dict[str, NDArray[np.generic]] = {
            "pixels": self.pixels,
            "lon_norm": encode_degrees(lon),
            "lat_norm": encode_degrees(lat),
            "week_norm": encode_week(moments),
            "hour_norm": encode_hour(moments),
        }
        return arrays if self.valid is None else arrays | {VALID: self.valid}


@dataclass(frozen=True)
class CubeFolder:
    """The folder of a platform's cubes.

    Args:
        root: The bucket or folder of all cubes.
        platform: The platform.

    Example:
        >>> CubeFolder("s3://clay-v1-cubes", "naip").cube_href(7, ".npz")
        's3://clay-v1-cubes/mode_v1_chipper_v2/naip/cube_7.npz'
    """

    root: str
    platform: str

    @property
    def href(self) -> str:
        """Address of the folder."""
        return child_href(self.root, f"{VERSION}/{self.platform}")

    def cube_href(self, number: int, suffix: str) -> str:
        """Return the address of one cube's file."""
        return child_href(self.href, f"cube_{number}{suffix}")

    @property
    def plan_href(self) -> str:
        """Address of the record that says how the cubes were made, and from what."""
        return child_href(self.href, "_cubes.json")

    @property
    def plan_file_href(self) -> str:
        """Address of the rows of each job's chips, for cubes of a large index."""
        return child_href(self.href, "_cubes.plan")


class CubeSink(Protocol):
    """Writes cubes. A cube appears whole or not at all; the same cube gives the same bytes."""

    def cube_href(self, number: int) -> str:
        """Return the address that a cube's pixels are written to."""

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Return those of the cubes that are there and whole."""

    def write(self, cube: Cube) -> int:
        """Write a cube and return its size in bytes. Several threads may call this at once."""


class CubeReader(Protocol):
    """Reads the cubes that the sink of the same form wrote."""

    pattern: ClassVar[re.Pattern[str]]
    """Matches the path of a cube within its folder; the first group is the cube's number."""
    # A reader that knows `valid` says so by `optional: ClassVar[tuple[str, ...]] = (VALID,)`, and
    # leaves it out if a cube lacks it. Readers of earlier versions have no such attribute.

    def __init__(self, folder: CubeFolder, storage: Storage) -> None:
        """Keep folder and storage; nothing is read yet."""

    def cube_href(self, number: int) -> str:
        """Return the address of a cube's pixels."""

    def read(self, number: int, names: Collection[str] = ARRAYS) -> dict[str, NDArray[np.generic]]:
        """Return a cube's arrays by name, as `Cube.arrays` does. Several threads may call this.

        Args:
            number: Number of the cube.
            names: Names of the wanted arrays; others are not decoded. The readers here also return
                `valid` by default, if the cube has it.

        Raises:
            ObjectNotFound: There is no such cube.
            IndexFormatError: The file is not a cube, or is cut off.
        """


def require_size(href: str, size: int, storage: Storage) -> None:
    """Refuse a cube that takes far more memory than its file, before it is unpacked.

    Raises:
        LimitExceeded: Its arrays take more bytes than the limit of its place.
    """
    limits = storage.options_for(href).limits
    if size > limits.cube_bytes:
        shown = redact(href)
        raise limits.exceeded("cube_bytes", f"The arrays of {shown} take {size} bytes", href=shown)


@contextmanager
def decoding(href: str, *also: type[Exception]) -> Iterator[None]:
    """Name the cube in place of the error that a decoder raises for its bytes.

    Args:
        href: Address of the cube.
        *also: Errors that only this decoder raises for bytes that are something else.

    Raises:
        IndexFormatError: The bytes are not a cube, or are cut off.
    """
    try:
        yield
    except StacchipError:
        raise
    except _BROKEN + also as error:
        raise not_a_cube(href) from error


def not_a_cube(href: str) -> IndexFormatError:
    """Return the error for a file that is not a cube, or is cut off."""
    href = redact(href)
    return IndexFormatError(
        f"{href} is not a whole cube of chips. Delete it and run its job again.", href=href
    )
