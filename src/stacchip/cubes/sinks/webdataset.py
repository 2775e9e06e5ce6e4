"""Cubes as shards of WebDataset: each cube is a tar file, each chip a sample."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stacchip.cubes.sinks.cube import ARRAYS, VALID, decoding, not_a_cube
from stacchip.cubes.sinks.form import CubeForm, CubeSet
from stacchip.cubes.sinks.npy import npy_bytes, read_npy
from stacchip.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from stacchip.cubes.sinks.cube import Cube, CubeFolder
    from stacchip.storage import Storage

SUFFIX = ".tar"
_END = bytes(2 * tarfile.BLOCKSIZE)  # a tar file ends with two empty blocks (POSIX pax, "ustar")


class WebDatasetSink:
    """Writes `cube_{n}.tar`.

    Each chip has the files `{key}.pixels.npy`, `{key}.lon_norm.npy`, ..., and `{key}.json`. The key
    is the chip's number among all cubes. It is not the chipid, because that may have dots, and a
    key ends at the first dot. The JSON has chipid, item and datetime. `webdataset` decodes the
    files by itself: `WebDataset("cube_{0..99}.tar").decode()`.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
        cube_size: Chips in a full cube; the keys count by it.
    """

    def __init__(self, folder: CubeFolder, storage: Storage, cube_size: int) -> None:
        self._folder = folder
        self._storage = storage
        self._cube_size = cube_size

    def cube_href(self, number: int) -> str:
        """Return the address of a cube's shard."""
        return self._folder.cube_href(number, SUFFIX)

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Return those of the cubes whose file is there and ends as a tar file does."""
        return {number for number in numbers if self._is_complete(number)}

    def _is_complete(self, number: int) -> bool:
        href = self.cube_href(number)
        try:
            size = self._storage.stat(href).size_bytes or 0
            if size % tarfile.RECORDSIZE or not size:
                return False
            tail = self._storage.read_range(href, size - len(_END), len(_END))
        except ObjectNotFound:
            return False
        return bytes(tail.data) == _END

    def write(self, cube: Cube) -> int:
        """Write a cube and return its size in bytes."""
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
        data = file.getvalue()
        self._storage.write(self.cube_href(cube.number), data)
        return len(data)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file without owner and date, so that the same cube gives the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


@dataclass(frozen=True)
class WebDatasetReader:
    """Reads what `WebDatasetSink` wrote, and stacks the samples of a shard to a cube.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
    """

    folder: CubeFolder
    storage: Storage
    pattern: ClassVar[re.Pattern[str]] = re.compile(rf"cube_(\d+){re.escape(SUFFIX)}")
    optional: ClassVar[tuple[str, ...]] = (VALID,)

    def cube_href(self, number: int) -> str:
        """Return the address of a cube's shard."""
        return self.folder.cube_href(number, SUFFIX)

    def read(
        self, number: int, names: Collection[str] = (*ARRAYS, VALID)
    ) -> dict[str, NDArray[np.generic]]:
        """Return a cube's arrays by name; without `valid`, if the cube lacks it.

        Raises:
            ObjectNotFound: There is no such cube.
            IndexFormatError: The file is not a shard of chips, or is cut off.
        """
        href = self.cube_href(number)
        data = self.storage.read(href, limit="cube_bytes")
        if len(data) % tarfile.RECORDSIZE or not data.endswith(_END):
            raise not_a_cube(href)  # if it is cut off between two of its files, it would seem whole
        with decoding(href), tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            there = {_array_name(member) for member in archive}
            lacking = {VALID} - there
            return {name: _stack(archive, name) for name in names if name not in lacking}


def _stack(archive: tarfile.TarFile, name: str) -> NDArray[np.generic]:
    """Stack the arrays of one name from all samples, in order."""
    members = [each for each in archive if _array_name(each) == name]
    if not members:
        raise tarfile.ReadError(f"No sample has {name}.")
    first = _load(archive, members[0])
    # each goes straight to its place: a list of arrays would be a second cube in memory
    stacked = np.empty((len(members), *first.shape), first.dtype)
    for place, member in enumerate(members):
        array = _load(archive, member)
        if array.shape != first.shape:  # numpy would spread a single number over a whole chip
            raise tarfile.ReadError(f"{member.name} has the shape {array.shape}.")
        stacked[place] = array
    return stacked


def _array_name(member: tarfile.TarInfo) -> str:
    """Return the name of the array that a file of a sample holds: `000000007.pixels.npy`."""
    return member.name.partition(".")[2].removesuffix(".npy")


def _load(archive: tarfile.TarFile, member: tarfile.TarInfo) -> NDArray[Any]:
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name} is not a file.")
    return read_npy(file)


def _open_sink(folder: CubeFolder, storage: Storage, cubes: CubeSet) -> WebDatasetSink:
    return WebDatasetSink(folder, storage, cubes.cube_size)


WEBDATASET = CubeForm("webdataset", "shards of WebDataset", _open_sink, WebDatasetReader)
