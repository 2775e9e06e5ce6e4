"""A form of cubes: its name, what writes it, and what reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.cubes.sinks.cube import CubeFolder, CubeReader, CubeSink
    from stacchip.storage import Storage


@dataclass(frozen=True)
class CubeSet:
    """The facts about all cubes of a platform that a sink may need before the first cube.

    Attributes:
        cube_size: Chips in a full cube; the last cube may have fewer.
        chips: Chips in all cubes.
        bands: Names of the bands.
        chip_size: Side of a chip in pixels.
    """

    cube_size: int
    chips: int
    bands: tuple[str, ...]
    chip_size: int


@dataclass(frozen=True)
class CubeForm:
    """A form of cubes: how they are written and read.

    Attributes:
        name: The name in `stacchip prechip --format NAME`, `stacchip stats --format NAME` and
            `Prechip(form=NAME)`.
        title: A name for people.
        open_sink: Returns a sink that writes these cubes into this folder.
        reader: The class that reads them. Forms that look alike in a folder share a reader:
            `find_cubes` reports them under the name of the first.

    Example:
        >>> from stacchip.cubes.sinks import get_form
        >>> get_form("npz-uncompressed").reader is get_form("npz").reader
        True
    """

    name: str
    title: str
    open_sink: Callable[[CubeFolder, Storage, CubeSet], CubeSink]
    reader: type[CubeReader]
