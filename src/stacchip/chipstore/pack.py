"""A pack: chips that were written together, as a Zarr group beside a table of them."""

from __future__ import annotations

import errno
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from stacchip.chipstore.kinds import PackKind
from stacchip.chipstore.planes import CHECKSUM, DamagedPlane, checksum
from stacchip.chipstore.zarr_form import map_array, read_attributes, shard_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.chipstore.open_files import OpenFiles
    from stacchip.chipstore.planes import Bytes

__all__ = ["FORM", "GROUP", "TABLE", "AnyPack", "Pack", "PackUnavailable", "PackUnreadable"]

FORM: Final = 1
"""The version of the form."""

GROUP: Final = "chips.zarr"
TABLE: Final = "chips.parquet"
_LASTING: Final = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
_INT: Final = np.dtype(np.int32)
_STAMP: Final = np.dtype(np.uint64)


class PackUnreadable(Exception):
    """A pack is gone, damaged, or of another version. Never raised to a user."""


class PackUnavailable(PackUnreadable):
    """A pack cannot be opened at present: too many files are open, say."""


class AnyPack(Protocol):
    """A pack that chips are read from, complete or being written."""

    @property
    def kind(self) -> PackKind:
        """What its chips have in common."""

    def has(self, row: int, platform: str, item_id: str, x: int, y: int) -> bool:
        """Return True if a chip is in this row."""

    def stamps_of(self, row: int) -> NDArray[np.uint64]:
        """Return the stamps of a chip, asset by asset."""

    def windows_of(self, row: int) -> list[list[int]]:
        """Return the windows of a chip: row, column, height and width, asset by asset."""

    def read(self, array: int, row: int) -> Bytes:
        """Return the bytes of a chip's planes in one array."""


class Pack:
    """A complete pack.

    What it says of its chips is mapped into memory; their pixels are read.

    Args:
        folder: Its folder.
        files: Opens its files.

    Raises:
        PackUnreadable: It is gone, damaged, or of another version.
        PackUnavailable: It cannot be opened at present.
    """

    def __init__(self, folder: Path, files: OpenFiles) -> None:
        self.folder = folder
        self._files = files
        group = folder / GROUP
        try:
            said = read_attributes(group)["stacchip"]
            _require_form(said["form"])
            self.kind = PackKind.from_dict(said)
            self.items = [(str(platform), str(item_id)) for platform, item_id in said["items"]]
            count, assets = int(said["chips"]), len(self.kind.assets)
            self.chips = map_array(group, "place", _INT, (count, 3))
            self.stamps = map_array(group, "stamp", _STAMP, (count, assets))
            self.windows = map_array(group, "window", _INT, (count, assets, 4))
            self._most = [form.most_bytes(planes) for form, planes in self.kind.arrays.items()]
            self._paths = [os.fspath(shard_path(group, form)) for form in self.kind.arrays]
            self._ends, self._indexes = [], []
            for path in self._paths:
                end, index = _map_index(path, count)
                self._ends.append(end)
                self._indexes.append(index)
        except (OSError, ValueError, LookupError, TypeError) as error:
            is_lasting = not isinstance(error, OSError) or error.errno in _LASTING
            kind = PackUnreadable if is_lasting else PackUnavailable
            raise kind(f"{folder.name}: {error}") from error

    def __len__(self) -> int:
        return len(self.chips)

    @cached_property
    def _numbers(self) -> dict[tuple[str, str], int]:
        return {item: number for number, item in enumerate(self.items)}

    def has(self, row: int, platform: str, item_id: str, x: int, y: int) -> bool:
        """Return True if a chip is in this row."""
        if not 0 <= row < len(self.chips):
            return False
        number = self._numbers.get((platform, item_id), -1)
        return bool(self.chips[row].tolist() == [number, x, y])

    def stamps_of(self, row: int) -> NDArray[np.uint64]:
        """Return the stamps of a chip, asset by asset."""
        return np.asarray(self.stamps[row])

    def windows_of(self, row: int) -> list[list[int]]:
        """Return the windows of a chip: row, column, height and width, asset by asset."""
        windows: list[list[int]] = self.windows[row].tolist()
        return windows

    def read(self, array: int, row: int) -> Bytes:
        """Return the bytes of a chip's planes in one array.

        Raises:
            DamagedPlane: The index of the shard says what cannot be.
            OSError: The file is gone.
        """
        start, size = self._indexes[array][row].tolist()
        most, end = self._most[array], self._ends[array]
        if size > most or start + size > end or size <= CHECKSUM.size:
            raise DamagedPlane("planes lie outside their shard")
        file = self._files.get(self._paths[array])  # held here, so that it stays open
        data = os.pread(file.number, size, start)
        if len(data) != size:
            raise DamagedPlane("the file is cut off")
        return np.frombuffer(data, np.uint8)


def _require_form(form: Any) -> None:
    if form != FORM:
        raise ValueError(f"its form is {form!r}")


def _map_index(path: str, chips: int) -> tuple[int, NDArray[np.uint64]]:
    """Return where the chunks of a shard end, and its index (chip, offset and size).

    Raises:
        OSError, ValueError: The file is absent, or its index damaged.
    """
    size = chips * 16
    end = Path(path).stat().st_size - size - CHECKSUM.size
    if end < 0:
        raise ValueError(f"{path} is too short")
    with Path(path).open("rb") as file:
        file.seek(end)
        told = file.read(size + CHECKSUM.size)
    if checksum(told[:size]) != told[size:]:
        raise ValueError(f"{path} has a damaged index")
    return end, np.frombuffer(told, "<u8", 2 * chips).reshape(chips, 2)
