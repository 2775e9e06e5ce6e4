"""Writing parquet files whose every byte is covered by a checksum."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

import pyarrow.parquet as pq

from stacchip.errors import StorageError
from stacchip.parquet.footer import parse_footer
from stacchip.parquet.pages import header_checksum
from stacchip.parquet.seal import make_seal
from stacchip.runtime.unwritable import naming_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

__all__ = ["SealedWriter"]


class SealedWriter:
    """A writer of a parquet file, which is sealed at the end; use it in a `with` statement.

    Args:
        path: The file to write.
        schema: The schema of its rows.
        **options: Those of `pyarrow.parquet.ParquetWriter`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import pyarrow as pa
        >>> path = Path(tempfile.mkdtemp()) / "a.parquet"
        >>> table = pa.table({"x": [1, 2, 3]})
        >>> with SealedWriter(path, table.schema) as writer:
        ...     writer.write_table(table)
        >>> pq.read_table(path)["x"].to_pylist()
        [1, 2, 3]
    """

    def __init__(self, path: Path, schema: pa.Schema, **options: Any) -> None:
        self._path = path
        whole = path.absolute()  # pyarrow takes a folder named "~" for the user's
        with naming_path(path):
            self._file = pq.ParquetWriter(whole, schema, write_page_checksum=True, **options)

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write rows.

        Raises:
            StorageError: They take more memory than there is.
            OSError: The file cannot be written; the error names it.
        """
        try:
            with naming_path(self._path):
                self._file.write_table(table, row_group_size)
        except MemoryError as error:
            raise StorageError(
                f"{self._path.name} cannot be written: its rows take more memory than there is "
                f"({error}). Write fewer of them at once, or shorter texts and footprints."
            ) from error

    def add_metadata(self, metadata: Mapping[bytes, bytes]) -> None:
        """Add metadata to the file, beside that of its schema."""
        with naming_path(self._path):
            self._file.add_key_value_metadata(dict(metadata))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with naming_path(self._path):
            self._file.close()
            if kind is None:
                _seal(self._path)


def _seal(path: Path) -> None:
    """Put a seal in front of the footer of a file."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - 8)
        trailer = file.read(8)
        start = size - 8 - int.from_bytes(trailer[:4], "little")
        file.seek(start)
        footer = file.read(size - 8 - start)

        def read_at(place: int, length: int) -> bytes:
            file.seek(place)
            return file.read(length)

        groups = parse_footer(footer, start, size).groups
        checksums = [header_checksum(read_at, chunk) for group in groups for chunk in group.chunks]
        file.seek(start)
        file.write(make_seal(checksums, footer + trailer) + footer + trailer)
