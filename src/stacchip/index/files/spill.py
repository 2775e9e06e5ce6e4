"""Rows put aside on disk, to be read again in another order."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from stacchip.runtime.unwritable import naming_path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Spill"]

_RELEASE_BYTES: Final = 256 << 20


class Spill:
    """A file of record batches of a few schemas: appended one by one, read in any order.

    The batches are compressed with LZ4, which costs less time than the disk saves. Memory holds 28
    bytes for each. Batches of all sizes leave gaps of hundreds of megabytes in Arrow's memory,
    which is told now and then to give back what it does not use.

    Args:
        path: A file to create.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> batch = pa.record_batch({"x": [1, 2, 3]})
        >>> with Spill(Path(tempfile.mkdtemp()) / "rows") as spill:
        ...     number = spill.append(batch.slice(1))
        ...     spill.read(number).to_pydict()
        {'x': [2, 3]}
    """

    def __init__(self, path: Path) -> None:
        self._schemas: list[pa.Schema] = []
        self._path = path
        self._file = path.open("w+b")
        self._places = array("q")  # offset, stored and true size in bytes of each batch
        self._of_batch = array("i")  # the number of its schema
        self._end = 0
        self._passed = 0  # bytes since memory was given back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with naming_path(self._path):
            self._file.close()

    def append(self, batch: pa.RecordBatch) -> int:
        """Put a batch aside, without dictionary-encoded columns; return its number."""
        plain = batch.serialize()
        packed = pa.compress(plain, codec="lz4")
        with naming_path(self._path):
            self._file.seek(self._end)
            self._file.write(packed)
        self._places.extend((self._end, packed.size, plain.size))
        self._of_batch.append(self._number(batch.schema))
        self._end += packed.size
        self._count(plain.size)
        return len(self._places) // 3 - 1

    def read(self, number: int) -> pa.RecordBatch:
        """Return the batch with a number."""
        offset, stored, size = (self._places[3 * number + field] for field in range(3))
        with naming_path(self._path):
            self._file.seek(offset)
            packed = self._file.read(stored)
        plain = pa.decompress(packed, size, codec="lz4")
        self._count(size)
        return pa.ipc.read_record_batch(plain, self._schemas[self._of_batch[number]])

    def _number(self, schema: pa.Schema) -> int:
        """Return the number of a schema, of which there are few."""
        if schema not in self._schemas:
            self._schemas.append(schema)
        return self._schemas.index(schema)

    def _count(self, size: int) -> None:
        self._passed += size
        if self._passed > _RELEASE_BYTES:
            self._passed = 0
            pa.default_memory_pool().release_unused()
