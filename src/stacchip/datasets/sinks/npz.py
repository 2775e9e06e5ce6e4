"""Cubes as `.npz` files: the original's form."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from stacchip.datasets.sinks.cube import ARRAYS
from stacchip.datasets.sinks.npy import Compression, npz_bytes
from stacchip.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.datasets.sinks.cube import Cube, CubeFolder
    from stacchip.storage import Storage

SUFFIX = ".npz"


class NpzSink:
    """Writes `cube_{n}.npz`, each with the arrays `pixels` and `lon_norm`, `lat_norm`, ...

    Args:
        folder: Where the cubes lie.
        storage: How to reach it.
        compression: `"deflate"`, or `"none"` for three times the bytes and no time.
    """

    def __init__(
        self, folder: CubeFolder, storage: Storage, compression: Compression = "deflate"
    ) -> None:
        self._folder = folder
        self._storage = storage
        self._compression = compression

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Those of the cubes that are there and end as a file with all arrays does."""
        return {number for number in numbers if self._is_complete(number)}

    def _is_complete(self, number: int) -> bool:
        href = self._folder.cube_href(number, SUFFIX)
        try:
            with self._storage.open(href) as file, zipfile.ZipFile(file) as archive:
                return set(archive.namelist()) >= {f"{name}.npy" for name in ARRAYS}
        except (ObjectNotFound, zipfile.BadZipFile):
            return False

    def write(self, cube: Cube) -> int:
        """Write a cube; returns its bytes."""
        data = npz_bytes(cube.arrays(), self._compression)
        self._storage.write(self._folder.cube_href(cube.number, SUFFIX), data)
        return len(data)
