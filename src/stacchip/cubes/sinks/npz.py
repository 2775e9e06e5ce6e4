"""Cubes as `.npz` files: the original's form."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stacchip.cubes.sinks.cube import ARRAYS, VALID, decoding, require_size
from stacchip.cubes.sinks.form import CubeForm, CubeSet
from stacchip.cubes.sinks.npy import Compression, npz_bytes, read_npy
from stacchip.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.cubes.sinks.cube import Cube, CubeFolder
    from stacchip.storage import Storage

SUFFIX = ".npz"


class NpzSink:
    """Writes `cube_{n}.npz`, each with the arrays `pixels`, `lon_norm`, `lat_norm`, ...

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
        compression: `"deflate"`, or `"none"`, which takes no time and three to four times
            the bytes.
    """

    def __init__(
        self, folder: CubeFolder, storage: Storage, compression: Compression = "deflate"
    ) -> None:
        self._folder = folder
        self._storage = storage
        self._compression = compression

    def cube_href(self, number: int) -> str:
        """Return the address of a cube's file."""
        return self._folder.cube_href(number, SUFFIX)

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Return those of the cubes whose file is there and lists all arrays at its end."""
        return {number for number in numbers if self._is_complete(number)}

    def _is_complete(self, number: int) -> bool:
        try:
            with (
                self._storage.open(self.cube_href(number)) as file,
                zipfile.ZipFile(file) as archive,
            ):
                return set(archive.namelist()) >= {f"{name}.npy" for name in ARRAYS}
        except (ObjectNotFound, zipfile.BadZipFile):
            return False

    def write(self, cube: Cube) -> int:
        """Write a cube and return its size in bytes."""
        data = npz_bytes(cube.arrays(), self._compression)
        self._storage.write(self.cube_href(cube.number), data)
        return len(data)


@dataclass(frozen=True)
class NpzReader:
    """Reads what `NpzSink` wrote, compressed or not.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
    """

    folder: CubeFolder
    storage: Storage
    pattern: ClassVar[re.Pattern[str]] = re.compile(rf"cube_(\d+){re.escape(SUFFIX)}")
    optional: ClassVar[tuple[str, ...]] = (VALID,)

    def cube_href(self, number: int) -> str:
        """Return the address of a cube's file."""
        return self.folder.cube_href(number, SUFFIX)

    def read(
        self, number: int, names: Collection[str] = (*ARRAYS, VALID)
    ) -> dict[str, NDArray[np.generic]]:
        """Return a cube's arrays by name; without `valid`, if the cube lacks it.

        Raises:
            ObjectNotFound: There is no such cube.
            IndexFormatError: The file is not a cube, or is cut off.
        """
        href = self.cube_href(number)
        data = self.storage.read(href, limit="cube_bytes")
        # zipfile's error for an encrypted file; that for an unknown method is a subclass
        with decoding(href, RuntimeError), zipfile.ZipFile(io.BytesIO(data)) as archive:
            lacking = {VALID} - {name.removesuffix(".npy") for name in archive.namelist()}
            wanted = [name for name in names if name not in lacking]
            size = sum(archive.getinfo(f"{name}.npy").file_size for name in wanted)
            require_size(href, size, self.storage)
            return {name: _read_member(archive, name) for name in wanted}


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    with archive.open(f"{name}.npy") as file:
        return read_npy(file)


def _open_compressed(folder: CubeFolder, storage: Storage, _cubes: CubeSet) -> NpzSink:
    return NpzSink(folder, storage)


def _open_uncompressed(folder: CubeFolder, storage: Storage, _cubes: CubeSet) -> NpzSink:
    return NpzSink(folder, storage, "none")


NPZ = CubeForm("npz", ".npz files, compressed", _open_compressed, NpzReader)
NPZ_UNCOMPRESSED = CubeForm(
    "npz-uncompressed", ".npz files, not compressed", _open_uncompressed, NpzReader
)
