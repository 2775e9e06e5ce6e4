"""Cubes as shards of WebDataset: a tar file each, a sample a chip."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

from stacchip.datasets.sinks.npy import npy_bytes
from stacchip.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.datasets.sinks.cube import Cube, CubeFolder
    from stacchip.storage import Storage

SUFFIX = ".tar"
_END = bytes(2 * tarfile.BLOCKSIZE)  # a tar file ends with two empty blocks (POSIX pax, "ustar")


class WebDatasetSink:
    """Writes `cube_{n}.tar`.

    Of each chip it has `{key}.pixels.npy`, `{key}.lon_norm.npy`, ..., and `{key}.json`. The key is
    the chip's place among all cubes; the JSON has its chipid, item and datetime, since an id may
    have dots, which part keys from names here. `webdataset` decodes them by itself:
    `WebDataset("cube_{0..99}.tar").decode()`.

    Args:
        folder: Where the cubes lie.
        storage: How to reach it.
        cube_size: Chips of a full cube: the keys count with it.
    """

    def __init__(self, folder: CubeFolder, storage: Storage, cube_size: int) -> None:
        self._folder = folder
        self._storage = storage
        self._cube_size = cube_size

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Those of the cubes that are there and end as a tar file does."""
        return {number for number in numbers if self._is_complete(number)}

    def _is_complete(self, number: int) -> bool:
        href = self._folder.cube_href(number, SUFFIX)
        try:
            size = self._storage.stat(href).size_bytes or 0
            if size % tarfile.RECORDSIZE or not size:
                return False
            tail = self._storage.read_range(href, size - len(_END), len(_END))
        except ObjectNotFound:
            return False
        return bytes(tail.data) == _END

    def write(self, cube: Cube) -> int:
        """Write a cube; returns its bytes."""
        arrays = cube.arrays()
        about = cube.table.select(["chipid", "platform", "item_id", "datetime"]).to_pylist()
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for place, facts in enumerate(about):
                key = f"{cube.number * self._cube_size + place:09d}"
                for name, array in arrays.items():
                    _add(archive, f"{key}.{name}.npy", npy_bytes(array[place]))
                facts["datetime"] = facts["datetime"].isoformat()
                _add(archive, f"{key}.json", json.dumps(facts, sort_keys=True).encode())
        data = file.getbuffer()
        self._storage.write(self._folder.cube_href(cube.number, SUFFIX), data)
        return len(data)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file that has no owner and no date, so that the same cube gives the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
