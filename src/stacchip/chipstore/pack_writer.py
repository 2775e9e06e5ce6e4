"""Writing a pack: chips are added one by one, and appear together when it is finished."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stacchip.chipstore.pack import FORM, GROUP, TABLE
from stacchip.chipstore.planes import CHECKSUM, checksum
from stacchip.chipstore.zarr_form import (
    shard_path,
    write_array,
    write_group,
    write_shard_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.chipstore.kinds import PackKind
    from stacchip.chipstore.planes import Bytes

__all__ = ["ChipToKeep", "PackWriter"]


@dataclass(frozen=True, eq=False)
class ChipToKeep:
    """A chip, encoded.

    Attributes:
        kind: What planes it has.
        platform: The platform of its item.
        item_id: The id of its item.
        x: Column in the grid of its item.
        y: Row there.
        stamps: The stamp of each asset.
        windows: The window of each asset's raster: row, column, height and width.
        planes: The bytes of its planes in each array, without their checksums.
    """

    kind: PackKind
    platform: str
    item_id: str
    x: int
    y: int
    stamps: NDArray[np.uint64]
    windows: Sequence[tuple[int, int, int, int]]
    planes: Sequence[memoryview]

    @property
    def size_bytes(self) -> int:
        """Bytes of its planes."""
        return sum(len(data) + CHECKSUM.size for data in self.planes)


class _Row(NamedTuple):
    """What is known of a chip that was added."""

    item: int
    x: int
    y: int
    stamps: NDArray[np.uint64]
    windows: Sequence[tuple[int, int, int, int]]
    spans: list[tuple[int, int]]


class PackWriter:
    """A pack that is being written. Chips that were added can be read.

    Args:
        folder: A folder to write to, which is made.
        kind: What its chips have in common.

    Attributes:
        kind: The same.
        size_bytes: Bytes of all planes so far.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, folder: Path, kind: PackKind) -> None:
        self.folder = folder
        self.kind = kind
        self.size_bytes = 0
        self._lock = threading.Lock()
        self._items: dict[tuple[str, str], int] = {}
        self._rows: list[_Row] = []
        self._files: list[FileIO] = []
        self._ends: list[int] = []
        with ExitStack() as stack:
            for form in kind.arrays:
                path = shard_path(folder / GROUP, form)
                path.parent.mkdir(parents=True)
                self._files.append(stack.enter_context(path.open("w+b", buffering=0)))
                self._ends.append(0)
            self._open = stack.pop_all()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, chip: ChipToKeep) -> int:
        """Add a chip, and return its row.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            spans = [self._append(number, data) for number, data in enumerate(chip.planes)]
            item = self._items.setdefault((chip.platform, chip.item_id), len(self._items))
            self._rows.append(_Row(item, chip.x, chip.y, chip.stamps, chip.windows, spans))
            self.size_bytes += chip.size_bytes
            return len(self._rows) - 1

    def _append(self, array: int, data: memoryview) -> tuple[int, int]:
        """Write the planes of a chip, and return where they begin and their size."""
        start, size = self._ends[array], len(data) + CHECKSUM.size
        descriptor = self._files[array].fileno()
        parts = [data, memoryview(checksum(np.frombuffer(data, np.uint8)))]
        done = os.pwritev(descriptor, parts, start)
        rest = b"" if done == size else b"".join(parts)[done:]
        while rest:  # the disk may be full: the next write says so
            written = os.pwrite(descriptor, rest, start + done)
            rest, done = rest[written:], done + written
        self._ends[array] = start + size
        return start, size

    # -- as a pack

    def has(self, row: int, platform: str, item_id: str, x: int, y: int) -> bool:
        """Return True if a chip is in this row."""
        own = self._rows[row]
        return (own.item, own.x, own.y) == (self._items.get((platform, item_id)), x, y)

    def stamps_of(self, row: int) -> NDArray[np.uint64]:
        """Return the stamps of a chip, asset by asset."""
        return self._rows[row].stamps

    def windows_of(self, row: int) -> list[list[int]]:
        """Return the windows of a chip: row, column, height and width, asset by asset."""
        return [list(window) for window in self._rows[row].windows]

    def read(self, array: int, row: int) -> Bytes:
        """Return the bytes of a chip's planes in one array.

        Raises:
            OSError: They cannot be read.
        """
        start, size = self._rows[row].spans[array]
        return np.frombuffer(os.pread(self._files[array].fileno(), size, start), np.uint8)

    # -- its end

    def finish(self) -> int:
        """Write what is said of the chips, and return the bytes of all files.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            group, count = self.folder / GROUP, len(self._rows)
            for number, (form, planes) in enumerate(self.kind.arrays.items()):
                index = np.array([row.spans[number] for row in self._rows], "<u8").tobytes()
                self._append(number, memoryview(index))
                write_shard_metadata(group, form, count, planes)
            chips = np.array([row[:3] for row in self._rows], np.int32)
            write_array(group, "place", chips, ("chip", "item_x_y"))
            stamps = np.array([row.stamps for row in self._rows], np.uint64)
            write_array(group, "stamp", stamps, ("chip", "asset"))
            windows = np.array([row.windows for row in self._rows], np.int32)
            write_array(group, "window", windows, ("chip", "asset", "row_column_height_width"))
            items = [list(item) for item in self._items]
            said = {"form": FORM, "chips": count, "items": items, **self.kind.to_dict()}
            write_group(group, {"stacchip": said})
            pq.write_table(self._table(), self.folder / TABLE)
            return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def _table(self) -> pa.Table:
        """Return the chips, a row each."""
        items = list(self._items)
        names = [items[row.item] for row in self._rows]
        columns: dict[str, Any] = {
            "chipid": [
                f"{item_id}-{row.x}-{row.y}"
                for (_, item_id), row in zip(names, self._rows, strict=True)
            ],
            "platform": pa.array([name[0] for name in names]).dictionary_encode(),
            "item_id": pa.array([name[1] for name in names]).dictionary_encode(),
            "chip_index_x": pa.array([row.x for row in self._rows], pa.int32()),
            "chip_index_y": pa.array([row.y for row in self._rows], pa.int32()),
            "chip_size": pa.array([self.kind.chip_size] * len(names), pa.int32()),
            "number": pa.array(range(len(names)), pa.int32()),
        }
        return pa.table(columns)

    def __del__(self) -> None:
        # whoever still reads a chip holds the pack
        if hasattr(self, "_open"):
            self._open.close()
