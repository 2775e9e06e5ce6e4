"""Order files: the chips of a stream in their order, mapped into memory by all its processes.

An index of 10^8 chips has one of 0.8 GB for an order. It is written once, front to back. Whoever
opens it has the pages that it looks at, which the operating system shares among processes.

```
header   4096 bytes: what the file is of, and how much of it there is
chips    row, x and y of each: 8 bytes, or 16 if these are large; or what a draw knows of each
areas    first chip and group of each, and the number of chips
runs     how many chips of each run of the index are chosen, if the selection is written down here
blocks   the CRC-32 of each 64 KiB of chips
```

Nothing is believed unchecked, and nobody reads the whole file for that. When a file is opened, its
header and the checksums of blocks are checked, 50 kB of them in 0.8 GB; areas and runs are checked
when asked for, by the first process that opens it. Chips are checked block by block, when a process
first looks at one of them. (CRC-32 takes half a second for a GB. A sum of words would be faster,
but stays the same if records change places.)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np

from stacchip.errors import StorageError
from stacchip.runtime.odd_values import ODD_VALUES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "NARROW",
    "VERSION",
    "WEIGHTS",
    "WEIGHTS_AND_PLACES",
    "WIDE",
    "OrderFile",
    "OrderWriter",
    "fits",
]

VERSION: Final = 3
"""The version of the format, and of the order of areas; files of others are made again."""

NARROW: Final = np.dtype([("row", "<u4"), ("x", "<u2"), ("y", "<u2")])
WIDE: Final = np.dtype([("row", "<i8"), ("x", "<i4"), ("y", "<i4")])
WEIGHTS: Final = np.dtype([("weight", "<f4"), ("stratum", "<u4")])
"""What a draw knows of a chip."""
WEIGHTS_AND_PLACES: Final = np.dtype([*WEIGHTS.descr, ("place", "<u8")])
_RECORDS: Final = {
    "narrow": NARROW, "wide": WIDE, "weights": WEIGHTS, "weights and places": WEIGHTS_AND_PLACES,
}  # fmt: skip
_AREA: Final = np.dtype(("<i8", 2))
_COUNT: Final = np.dtype("<i8")
_SUM: Final = np.dtype("<u4")

_MAGIC: Final = b"stacchip order\n"
_SEAL_BYTES: Final = 16
_HEADER_BYTES: Final = 4096
_BLOCK_BYTES: Final = 1 << 16  # a whole number of records
_AT_ONCE: Final = 1 << 20


def fits(record: np.dtype[Any], rows: int, least: int = 0, most: int = 0) -> bool:
    """Return True if records of chips can hold so many rows, and columns and rows of a grid.

    Args:
        record: `NARROW` or `WIDE`.
        rows: The number of rows of the index.
        least: The smallest column or row; those of a foreign index may be negative.
        most: The largest.
    """
    place = np.iinfo(record["x"])
    return rows <= np.iinfo(record["row"]).max and place.min <= least and most <= place.max


@dataclass(frozen=True, eq=False)
class OrderFile:
    """An order file that is open.

    Attributes:
        path: Its path.
        chips: Records of chips, in their order, unchecked; `records` checks them.
        areas: First chip and group of each area; at the end, the number of chips.
        runs: The number of chips of each run of the index.
        facts: What the writer has noted besides.
    """

    path: Path
    chips: NDArray[Any]
    areas: NDArray[np.int64]
    runs: NDArray[np.int64]
    facts: Mapping[str, Any]
    _mapped: mmap.mmap
    _sums: NDArray[np.uint32]
    _is_sound: NDArray[np.bool_]

    @classmethod
    def open(cls, path: Path, name: str, *, checked: Collection[str] = ()) -> Self | None:
        """Open a file; None if it is not there, or is not what it should be.

        Args:
            path: The path.
            name: What it must be of, as its writer said.
            checked: The parts to compare with their checksums: `"areas"`, `"runs"`.
        """
        try:
            with path.open("rb") as file:
                header = _read_header(file, name)
                places = _places(header)
                if os.fstat(file.fileno()).st_size != places["end"]:
                    return None
                for part in (*checked, "blocks"):
                    if _checksum(file, *places[part]) != header["sums"][part]:
                        return None
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (OSError, *ODD_VALUES):
            return None
        if hasattr(mmap, "MADV_NOHUGEPAGE"):  # a look at a chip would map two megabytes
            with contextlib.suppress(OSError):
                mapped.madvise(mmap.MADV_NOHUGEPAGE)
        chips, areas, runs, sums = (
            np.ndarray(header[part], kind, mapped, places[part][0])
            for part, kind in _kinds(header["record"]).items()
        )
        is_sound = np.zeros(len(sums), bool)
        return cls(path, chips, areas, runs, header["facts"], mapped, sums, is_sound)

    def records(self, chips: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the records of some chips.

        Args:
            chips: Their numbers.

        Raises:
            StorageError: The file is damaged. It is deleted, so that it is made again.
        """
        block = chips * self.chips.itemsize // _BLOCK_BYTES
        for number in np.unique(block[~self._is_sound[block]]).tolist():
            self._check_block(number)
        return np.asarray(self.chips[chips])

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Return the records of chips that follow each other, as they lie in the file.

        Args:
            start: The number of the first.
            stop: The number after the last.

        Raises:
            StorageError: As for `records`.
        """
        size = self.chips.itemsize
        for number in range(start * size // _BLOCK_BYTES, -(-stop * size // _BLOCK_BYTES)):
            if not self._is_sound[number]:
                self._check_block(number)
        return np.asarray(self.chips[start:stop])

    def _check_block(self, number: int) -> None:
        start = _HEADER_BYTES + number * _BLOCK_BYTES
        stop = min(start + _BLOCK_BYTES, _HEADER_BYTES + self.chips.nbytes)
        with memoryview(self._mapped) as whole, whole[start:stop] as block:
            self._is_sound[number] = zlib.crc32(block) == self._sums[number]
        if not self._is_sound[number]:
            with contextlib.suppress(OSError):
                self.path.unlink()
            raise StorageError(
                f"{self.path} is damaged: bytes {start} to {stop} are not those that were written. "
                "It holds the order of a stream's chips, and was deleted: make the stream again, "
                "which writes it again.",
                href=str(self.path),
            )

    def forget_pages(self) -> None:
        """Let go of the pages that were looked at.

        They stay in memory as long as the system has room, and other processes see them. But they
        do not count for this process, which would otherwise have mapped the whole file in the end.
        """
        self._mapped.madvise(mmap.MADV_DONTNEED)


class OrderWriter:
    """Writes an order file, chips and areas bit by bit.

    Args:
        path: The file, which must not exist.
        record: The kind of records of chips, one of this module.
    """

    def __init__(self, path: Path, record: np.dtype[Any]) -> None:
        self._record = record
        self._counts = {"chips": 0, "areas": 0, "runs": 0}
        self._sums = [0]  # of whole blocks of chips, and of the one that is being filled
        self._filled = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "w+b")
        self._file.write(bytes(_HEADER_BYTES))
        self._areas = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed with this

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._areas.close()
        self._file.close()

    def add_chips(self, chips: NDArray[Any]) -> None:
        """Write further chips, as records."""
        data = _bytes_of(chips, self._record)
        self._file.write(data)
        self._counts["chips"] += len(chips)
        while data:
            if self._filled == _BLOCK_BYTES:
                self._sums.append(0)
                self._filled = 0
            part = data[: _BLOCK_BYTES - self._filled]
            self._sums[-1] = zlib.crc32(part, self._sums[-1])
            self._filled += len(part)
            data = data[len(part) :]

    def add_areas(self, first: NDArray[np.int64], group: NDArray[np.integer[Any]]) -> None:
        """Write further areas: their first chips, and their groups."""
        self._areas.write(_bytes_of(np.stack([first, group], axis=1), _COUNT))
        self._counts["areas"] += len(first)

    def finish(self, name: str, runs: NDArray[np.int64], facts: Mapping[str, Any]) -> None:
        """Write the rest.

        Args:
            name: What the file is of.
            runs: The number of chips of each run of the index.
            facts: Further plain values.
        """
        self.add_areas(np.array([self._counts["chips"]]), np.array([-1]))
        self._areas.seek(0)
        shutil.copyfileobj(self._areas, self._file, _AT_ONCE)
        self._file.write(_bytes_of(runs, _COUNT))
        self._counts["runs"] = len(runs)
        sums = self._sums if self._filled else []
        self._file.write(_bytes_of(np.array(sums, _SUM), _SUM))
        self._counts["blocks"] = len(sums)
        header: dict[str, Any] = {
            "name": name,
            "version": VERSION,
            "record": next(name for name, kind in _RECORDS.items() if kind == self._record),
            "facts": dict(facts),
            **self._counts,
        }
        places = _places(header)
        self._file.flush()
        header["sums"] = {
            part: _checksum(self._file, *places[part]) for part in ("areas", "runs", "blocks")
        }
        text = json.dumps(header).encode()
        self._file.seek(0)
        self._file.write(_MAGIC + _seal(text) + text + b"\n")


def _bytes_of(values: NDArray[Any], kind: np.dtype[Any]) -> memoryview:
    return np.ascontiguousarray(values, kind).view(np.uint8).data


def _kinds(record: str) -> dict[str, np.dtype[Any]]:
    return {"chips": _RECORDS[record], "areas": _AREA, "runs": _COUNT, "blocks": _SUM}


def _places(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return where each part begins and ends, and `end`, the size of the file."""
    places: dict[str, Any] = {}
    end = _HEADER_BYTES
    for part, kind in _kinds(header["record"]).items():
        start, end = end, end + header[part] * kind.itemsize
        places[part] = (start, end)
    return {**places, "end": end}


def _read_header(file: BinaryIO, name: str) -> dict[str, Any]:
    """Return the header of a file of this name.

    Raises:
        ValueError: The file is another.
    """
    found = file.read(_HEADER_BYTES)
    begin = len(_MAGIC) + _SEAL_BYTES
    text = found[begin:].rstrip(b"\0").removesuffix(b"\n")
    if found[:begin] != _MAGIC + _seal(text):
        raise ValueError("not an order file")
    header: dict[str, Any] = json.loads(text)
    if (header["name"], header["version"]) != (name, VERSION):
        raise ValueError("another order file")
    return header


def _seal(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_SEAL_BYTES]


def _checksum(file: BinaryIO, start: int, stop: int) -> int:
    """Return the CRC-32 of a part of a file."""
    found = 0
    file.seek(start)
    while start < stop:
        data = file.read(min(stop - start, _AT_ONCE))
        if not data:
            break
        start += len(data)
        found = zlib.crc32(data, found)
    return found
