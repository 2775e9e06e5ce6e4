"""Cubes as one Zarr group: sharded arrays, in which each cube fills one shard.

`pixels` is (chip, band, y, x). Each chip is a chunk and each cube a shard, so that a chip is one
ranged read. `lon_norm`, `lat_norm`, `week_norm` and `hour_norm` are (chip, 2), with one chunk for
each cube. `valid` is bool and has the shape and the chunks of `pixels`.

Zarr makes the bytes in memory, and our storage writes them, each object whole. `pixels` comes last,
so that a shard of pixels means that its cube is complete. Jobs write different objects, except for
the metadata, which is the same from every job.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from stacchip.cubes.sinks.cube import ARRAYS, VALID, decoding, not_a_cube, require_size
from stacchip.cubes.sinks.form import CubeForm, CubeSet
from stacchip.errors import ObjectNotFound, UsageError
from stacchip.storage import child_href

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from stacchip.cubes.sinks.cube import Cube, CubeFolder
    from stacchip.storage import Storage

NAME = "cubes.zarr"
METADATA = "zarr.json"


class ZarrSink:
    """Writes `cubes.zarr`.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
        cube_size: Chips in a full cube.
        chips: Chips in all cubes.
        bands: Names of the bands; they are kept among the group's attributes.
        chip_size: Side of a chip in pixels.

    Raises:
        UsageError: Zarr is not installed.
    """

    def __init__(
        self,
        folder: CubeFolder,
        storage: Storage,
        *,
        cube_size: int,
        chips: int,
        bands: tuple[str, ...],
        chip_size: int,
    ) -> None:
        self._zarr = _import_zarr()
        self._root = child_href(folder.href, NAME)
        self._storage = storage
        self._cube_size = cube_size
        self._shape = (chips, len(bands), chip_size, chip_size)
        self._bands = bands
        self._has_metadata = False

    def cube_href(self, number: int) -> str:
        """Return the address of the shard with a cube's pixels."""
        return child_href(self._root, _shard("pixels", number))

    def find_complete(self, numbers: Iterable[int]) -> set[int]:
        """Return those of the cubes whose shard of pixels is there."""
        return {number for number in numbers if self._storage.exists(self.cube_href(number))}

    def write(self, cube: Cube) -> int:
        """Write a cube's shards and return their size in bytes."""
        arrays = cube.arrays()
        if not self._has_metadata:  # every job writes the same bytes
            empty = self._make(dict.fromkeys(arrays))
            self._put({key: data for key, data in empty.items() if _is_metadata(key)})
            self._has_metadata = True
        made = self._make(arrays, cube.number)
        return self._put({key: data for key, data in made.items() if not _is_metadata(key)})

    def _make(
        self, arrays: Mapping[str, NDArray[np.generic] | None], number: int = 0
    ) -> dict[str, bytes]:
        """Return the objects of a group that holds one cube's arrays, or empty ones for None."""
        objects: dict[str, Any] = {}
        store = self._zarr.storage.MemoryStore(objects)
        group = self._zarr.create_group(
            store, attributes={"bands": list(self._bands), "chips_per_shard": self._cube_size}
        )
        chips, *chip_shape = self._shape
        pixels: dict[str, Any] = {
            "shape": self._shape,
            "chunks": (1, *chip_shape),
            "shards": (self._cube_size, *chip_shape),
            "dimension_names": ("chip", "band", "y", "x"),
        }
        encoded: dict[str, Any] = {
            "shape": (chips, 2),
            "chunks": (self._cube_size, 2),
            "dimension_names": ("chip", "sine_cosine"),
        }
        for name, values in arrays.items():
            # a shard of nothing but the fill value is written, too: it says "complete"
            array = group.create_array(
                name,
                **(pixels if name in ("pixels", VALID) else encoded),
                dtype="bool" if name == VALID else "float32",
                config={"write_empty_chunks": True},
            )
            if values is not None:
                start = number * self._cube_size
                array[start : start + len(values)] = values
        return {key: buffer.to_bytes() for key, buffer in objects.items()}

    def _put(self, objects: dict[str, bytes]) -> int:
        """Write objects, those of the pixels last; return their size in bytes."""
        for key in sorted(objects, key=lambda key: (key.startswith("pixels/"), key)):
            self._storage.write(child_href(self._root, key), objects[key])
        return sum(map(len, objects.values()))


@dataclass(frozen=True)
class ZarrReader:
    """Reads what `ZarrSink` wrote, the shards of one cube at a time.

    Args:
        folder: Folder of the cubes.
        storage: How to reach it.
    """

    folder: CubeFolder
    storage: Storage
    pattern: ClassVar[re.Pattern[str]] = re.compile(rf"{re.escape(NAME)}/pixels/c/(\d+)/0/0/0")
    optional: ClassVar[tuple[str, ...]] = (VALID,)

    def cube_href(self, number: int) -> str:
        """Return the address of the shard with a cube's pixels."""
        return self._href(_shard("pixels", number))

    def _href(self, key: str) -> str:
        return child_href(self.folder.href, f"{NAME}/{key}")

    def read(
        self, number: int, names: Collection[str] = (*ARRAYS, VALID)
    ) -> dict[str, NDArray[np.generic]]:
        """Return a cube's arrays by name; without `valid`, if the cube lacks it.

        Raises:
            ObjectNotFound: There is no such cube.
            IndexFormatError: There is no group of cubes, or a shard is broken.
            UsageError: Zarr is not installed.
        """
        zarr = _import_zarr()
        from zarr.core.buffer import default_buffer_prototype

        blobs = {METADATA: self.storage.read(self._href(METADATA), limit="document_bytes")}
        there = []
        for name in names:
            keys = (_shard(name, number), f"{name}/{METADATA}")
            try:
                blobs |= {
                    key: self.storage.read(self._href(key), limit="cube_bytes") for key in keys
                }
            except ObjectNotFound:
                if name in self.optional:
                    continue
                raise
            there.append(name)
        if not all(blobs.values()):  # zarr would read an empty shard as zeros
            raise not_a_cube(self.cube_href(number))
        to_buffer = default_buffer_prototype().buffer.from_bytes
        objects = {key: to_buffer(blob) for key, blob in blobs.items()}
        with decoding(self.cube_href(number)):
            store = zarr.storage.MemoryStore(objects)
            group = zarr.open_group(store, mode="r")
            size = int(group.attrs["chips_per_shard"])
            arrays = {name: group[name] for name in there}
            # what the metadata claims is made room for
            bytes_ = sum(
                math.prod((min(size, each.shape[0]), *each.shape[1:])) * each.dtype.itemsize
                for each in arrays.values()
            )
            require_size(self.cube_href(number), bytes_, self.storage)
            start = number * size
            return {name: array[start : start + size] for name, array in arrays.items()}


def _import_zarr() -> Any:
    try:
        import zarr  # an extra that only this form needs
    except ImportError as error:
        raise UsageError("Cubes in Zarr: pip install 'stacchip[processors]'.") from error
    return zarr


def _shard(name: str, number: int) -> str:
    """Return the key of a cube's shard of an array."""
    is_image = name in ("pixels", VALID)
    return f"{name}/c/{number}/0/0/0" if is_image else f"{name}/c/{number}/0"


def _is_metadata(key: str) -> bool:
    return key.rpartition("/")[2] == METADATA


def _open_sink(folder: CubeFolder, storage: Storage, cubes: CubeSet) -> ZarrSink:
    return ZarrSink(
        folder,
        storage,
        cube_size=cubes.cube_size,
        chips=cubes.chips,
        bands=cubes.bands,
        chip_size=cubes.chip_size,
    )


ZARR = CubeForm("zarr", "one Zarr group", _open_sink, ZarrReader)
