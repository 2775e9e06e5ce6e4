"""Cubes: so many chips in one array, and where and when they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from stacchip.cubes.normalise import encode_degrees, encode_hour, encode_week, find_centres
from stacchip.errors import IndexFormatError
from stacchip.storage import child_href, redact

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.storage import Storage

VERSION = "mode_v1_chipper_v2"
"""The folder of all cubes, as the original calls it."""

ARRAYS = ("pixels", "lon_norm", "lat_norm", "week_norm", "hour_norm")
"""The arrays of a cube, as the original names them."""


@dataclass(frozen=True, eq=False)
class Cube:
    """Chips of one platform.

    Attributes:
        number: Its number among the platform's cubes.
        pixels: float32 (chip, band, y, x).
        table: The chips' rows of the index, in the same order.
    """

    number: int
    pixels: NDArray[np.float32]
    table: pa.Table

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name: `pixels`, and float32 (chip, 2) of place and time.

        Raises:
            IndexFormatError: A chip has no place on Earth.
        """
        lon, lat = find_centres(self.table)
        moments = self.table["datetime"]
        return {
            "pixels": self.pixels,
            "lon_norm": encode_degrees(lon),
            "lat_norm": encode_degrees(lat),
            "week_norm": encode_week(moments),
            "hour_norm": encode_hour(moments),
        }


@dataclass(frozen=True)
class CubeFolder:
    """Where a platform's cubes lie.

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
        """The folder itself."""
        return child_href(self.root, f"{VERSION}/{self.platform}")

    def cube_href(self, number: int, suffix: str) -> str:
        """The file of one cube."""
        return child_href(self.href, f"cube_{number}{suffix}")

    @property
    def plan_href(self) -> str:
        """What the cubes were made of, and how."""
        return child_href(self.href, "_cubes.json")


class CubeSink(Protocol):
    """Where cubes go. A cube is written whole or not at all, the same bytes for the same cube."""

    def cube_href(self, number: int) -> str:
        """Where a cube's pixels go."""

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Those of the cubes that are there, whole."""

    def write(self, cube: Cube) -> int:
        """Write a cube; returns how many bytes it took. May be called by several threads."""


class CubeReader(Protocol):
    """Where cubes come from: it reads what the sink of the same form wrote."""

    pattern: ClassVar[re.Pattern[str]]
    """What a cube is called within its folder; the first group is its number."""

    def __init__(self, folder: CubeFolder, storage: Storage) -> None:
        """Nothing is read yet."""

    def cube_href(self, number: int) -> str:
        """Where a cube's pixels lie."""

    def read(self, number: int, names: Collection[str] = ARRAYS) -> dict[str, NDArray[np.generic]]:
        """A cube's arrays by name, as `Cube.arrays` gives them. May be called by several threads.

        Args:
            number: Which cube.
            names: Which arrays; the others are not decoded.

        Raises:
            ObjectNotFound: There is no such cube.
            IndexFormatError: It is no cube, or not a whole one.
        """


def not_a_cube(href: str) -> IndexFormatError:
    """The error of a file that is no cube, or not a whole one."""
    href = redact(href)
    return IndexFormatError(f"{href} is no cube of chips.", href=href)
