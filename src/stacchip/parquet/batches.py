"""The rows of a parquet file of anyone, a few at a time, whatever the file claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from stacchip.parquet.footer import read_footer
from stacchip.parquet.pages import (
    DICTIONARY,
    DICTIONARY_ENCODINGS,
    delta_bytes,
    iterate_pages,
    longest_text,
)
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import pyarrow as pa

    from stacchip.parquet.columns import Column
    from stacchip.parquet.pages import ReadAt
    from stacchip.parquet.row_groups import Chunk, Group
    from stacchip.storage.limits import Limits

__all__ = ["iterate_batches"]

_OFFSETS: Final = 12  # bytes beside a value: where it begins, and whether it is there
# bytes that a stored byte of nested columns may stand for; in files of items it stands for twenty
_MOST_EXPANSION: Final = 25


def iterate_batches(
    file: BinaryIO, href: str, limits: Limits, *, rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, after checking what they take.

    A file may have large row groups, as those of items do: it is not held as a whole, so only what
    a batch needs is limited.

    Args:
        file: The file; it may be remote.
        href: Its address, for errors.
        limits: The limits of the place.
        rows: Rows of a batch.

    Raises:
        ValueError: It is not a parquet file, or contradicts itself.
        IndexFormatError: Its seal says that it is damaged.
        LimitExceeded: Its footer or a batch takes too much memory.
        pa.ArrowException: pyarrow cannot read it.
    """

    def read_at(start: int, length: int) -> bytes:
        file.seek(start)
        return file.read(length)

    size = file.seek(0, 2)
    footer = read_footer(read_at, size, href, limits)
    file.seek(0)
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    for number, group in enumerate(footer.groups):
        taken = _held_bytes(read_at, group, footer.columns, rows)
        if taken > limits.table_bytes:
            name = redact(href)
            what = f"To read row group {number} of {name} takes {taken} bytes"
            raise limits.exceeded("table_bytes", what, href=name)
        yield from parquet.iter_batches(rows, row_groups=[number], use_threads=False)


def _held_bytes(read_at: ReadAt, group: Group, columns: tuple[Column, ...], rows: int) -> int:
    """Return how many bytes reading a row group takes at most, so many rows at a time.

    How many values of a list are in a row is known only once they are decoded. So all values of
    lists count, but for those that the stored bytes account for.
    """
    pages = flat = nested = stored = longest = 0
    for chunk, column in zip(group.chunks, columns, strict=True):
        held, values = _cost(read_at, chunk, column, rows)
        pages += held
        if column.is_repeated:
            nested += values
            stored += chunk.length
        else:
            flat += values
            # memory for texts grows twofold: while a column is decoded, it takes it twice
            longest = max(longest, 0 if column.width else values)
    return pages + flat + longest + max(0, nested - _MOST_EXPANSION * stored)


def _cost(read_at: ReadAt, chunk: Chunk, column: Column, rows: int) -> tuple[int, int]:
    """Return the bytes of a column's pages while they are read, and of its values in a batch."""
    dictionary = None
    scratch = 0
    pages: list[tuple[int, int, int]] = []  # values, bytes once decoded, encoding
    for page in iterate_pages(read_at, chunk):
        if page.kind == DICTIONARY:
            dictionary = page
        else:
            repeated, held = delta_bytes(read_at, page, chunk, column)
            scratch = max(scratch, held)
            pages.append((page.values, page.unpacked + repeated, page.encoding))
    total = sum(values for values, *_ in pages)
    if total != chunk.values:
        raise ValueError(f"a column has {total} of {chunk.values} values")
    most = total if column.is_repeated else rows
    longest = longest_text(read_at, dictionary, chunk, min(most, total)) if dictionary else 0
    # of each page: the values that a batch takes of it, and their bytes
    taken: list[tuple[int, int]] = []
    for values, unpacked, encoding in pages:
        count = min(values, most)
        size = column.width or (longest if encoding in DICTIONARY_ENCODINGS else 0)
        plain = 0 if column.width else unpacked
        taken.append((values, plain + count * (size + _OFFSETS)))
    held = chunk.length + scratch + max((unpacked for _, unpacked, _ in pages), default=0)
    held += dictionary.unpacked if dictionary else 0
    return held, _largest_run(taken, most)


def _largest_run(pages: list[tuple[int, int]], rows: int) -> int:
    """Return the bytes of the pages that a batch needs at most, wherever it begins.

    Args:
        pages: Values and bytes of each.
        rows: Values of a batch.

    Example:
        >>> _largest_run([(5, 10), (1, 2), (1, 30), (5, 10)], 3)
        42
    """
    most = held = between = first = 0
    for place, (values, size) in enumerate(pages):
        held += size
        # the pages between the first and this one have too many values for one batch
        while first < place and between > rows - 2:
            held -= pages[first][1]
            first += 1
            between -= pages[first][0] if first < place else 0
        most = max(most, held)
        between += values if place > first else 0
    return most
