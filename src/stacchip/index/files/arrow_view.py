"""What pyarrow is given of a parquet file: a footer that was checked, and of a large one parts."""

from __future__ import annotations

import io
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from stacchip.parquet.row_groups import MAGIC

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    from stacchip.index.files.page_checks import ReadAt
    from stacchip.parquet.footer import Footer

__all__ = ["ArrowView"]

_SMALL_BYTES: Final = 1 << 16  # of a footer that pyarrow gets as a whole, once
_END_BYTES: Final = 1 << 16  # pyarrow reads as many, and may then need no more
_GAP: Final = b"\0"  # before a short footer, in the place of pages, which may be far


class ArrowView:
    """A parquet file as pyarrow sees it.

    pyarrow keeps a kilobyte for each column of a row group: 45 MB for an index of 10^8 chips. Of a
    large footer, it is therefore given only the row groups that are asked for. It reads no footer
    from the file.

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        footer: The footer of the file.

    Attributes:
        schema: The columns of the file, with its metadata.
        metadata: The metadata of the file.

    Raises:
        pa.ArrowException: pyarrow cannot read it.
    """

    def __init__(self, read_at: ReadAt, footer: Footer) -> None:
        self._read_at = read_at
        self._footer = footer
        self._told: pc.Expression | None = None
        is_small = len(footer.data) <= _SMALL_BYTES or not footer.rows_at
        first = self._make(footer.data if is_small else footer.only([], keeps_metadata=True))
        self.schema: pa.Schema = first.physical_schema
        self.metadata: Mapping[bytes, bytes] = first.metadata.metadata or {}
        self._whole = first if is_small else None

    def tell(self, told: pc.Expression) -> None:
        """Let a condition be true of all rows: pyarrow skips the file if another rules it out."""
        self._told = told
        if self._whole is not None:
            self._whole = self._make(self._footer.data)

    def choose(self, where: pc.Expression, groups: Sequence[int], schema: pa.Schema) -> list[int]:
        """Return those of some row groups that may have rows that satisfy a condition.

        Args:
            where: The condition.
            groups: Numbers of row groups.
            schema: The columns of the condition, in their types.
        """
        fragment, places = self._fragment(groups)
        numbers = dict(zip(places, groups, strict=True))
        chosen = fragment.subset(row_group_ids=list(places)).subset(where, schema=schema)
        return [numbers[group.id] for group in chosen.row_groups]

    def count(self, where: pc.Expression, groups: Sequence[int], schema: pa.Schema) -> int:
        """Return how many rows of some row groups satisfy a condition; as for `choose`."""
        fragment, places = self._fragment(groups)
        chosen = fragment.subset(row_group_ids=list(places))
        return int(chosen.scanner(schema=schema, filter=where).count_rows())

    def read(
        self,
        source: pa.NativeFile | BinaryIO | None,
        groups: Sequence[int],
        names: Sequence[str],
        *,
        pre_buffer: bool,
        use_threads: bool,
    ) -> pa.Table:
        """Return columns of some row groups.

        Args:
            source: The file, or one with these bytes of it.
            groups: Numbers of row groups.
            names: Names of columns.
            pre_buffer: As of `pyarrow.parquet.ParquetFile`.
            use_threads: As of `pyarrow.parquet.ParquetFile.read_row_groups`.
        """
        if self._whole is not None:
            metadata, places = self._whole.metadata, groups
        else:
            places = range(len(groups))
            parts = _as_end(self._footer.only(groups))
            metadata = pq.read_metadata(pa.BufferReader(MAGIC + parts))
        file = pq.ParquetFile(
            source, metadata=metadata, page_checksum_verification=True, pre_buffer=pre_buffer
        )
        return file.read_row_groups(list(places), columns=list(names), use_threads=use_threads)

    def _fragment(self, groups: Sequence[int]) -> tuple[ds.ParquetFileFragment, Sequence[int]]:
        """Return a fragment with some row groups, and the numbers that these have there."""
        if self._whole is not None:
            return self._whole, groups
        if len(groups) == len(self._footer.groups):
            return self._every, groups
        return self._make(self._footer.only(groups)), range(len(groups))

    @cached_property
    def _every(self) -> ds.ParquetFileFragment:
        return self._make(self._footer.only(range(len(self._footer.groups))))

    def _make(self, footer: bytes) -> ds.ParquetFileFragment:
        file = _WithFooter(
            self._read_at, self._footer.start, _as_end(footer).rjust(_END_BYTES, _GAP)
        )
        fragment = _format().make_fragment(file, None, self._told)
        fragment.ensure_complete_metadata()
        return fragment


def _as_end(footer: bytes) -> bytes:
    """Return the end of a file that has a footer."""
    return footer + len(footer).to_bytes(4, "little") + MAGIC


class _WithFooter(io.RawIOBase):
    """A file that ends in a footer of ours.

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        start: Where its footer begins.
        end: What is there in the place of its footer.
    """

    def __init__(self, read_at: ReadAt, start: int, end: bytes) -> None:
        super().__init__()
        self._read_at = read_at
        self._start = start
        self._end = end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        size = self._start + len(self._end)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: size}
        self._position = base[whence] + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._start + len(self._end) - self._position)
        count = left if size is None or size < 0 else min(size, left)
        inside = self._position - self._start
        found = self._end[max(0, inside) : max(0, inside + count)]
        if inside < 0:
            found = self._read_at(self._position, min(count, -inside)) + found
        self._position += len(found)
        return found


@cache
def _format() -> ds.ParquetFileFormat:
    """How pyarrow reads the files.

    It is made by the first read: `pyarrow.dataset` imports pandas, which takes 0.2 s.
    """
    import pyarrow.dataset as ds

    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.ParquetFileFormat(default_fragment_scan_options=checked)
