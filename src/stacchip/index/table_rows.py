"""Rows of a table by their numbers, at any size.

The offsets of Arrow's texts and binary have 32 bits, so that no array holds more than 2 GiB of
them: `item_href` and `geometry` reach that at 15 to 20 million rows. `Table.take` puts a column
together into one array first, and fails there. Long before, it copies whole columns for a few rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["change_texts", "encode_texts", "take_rows"]

_AT_ONCE: Final = 65_536  # rows of a chunk of the result; with the longest values, 4 GB


def take_rows(table: pa.Table, rows: Sequence[int] | NDArray[np.integer]) -> pa.Table:
    """Return rows of a table, in the order asked; each chunk of the table is looked into alone.

    Args:
        table: Any table.
        rows: Their numbers, from 0.

    Raises:
        IndexError: The table has no such row.

    Example:
        >>> table = pa.concat_tables([pa.table({"x": ["a", "b"]}), pa.table({"x": ["c"]})])
        >>> take_rows(table, [2, 0, 2])["x"].to_pylist()
        ['c', 'a', 'c']
    """
    wanted = np.asarray(rows, np.int64)
    if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < table.num_rows:
        raise IndexError(f"rows {wanted.min()} to {wanted.max()} are not among {table.num_rows}")
    batches = table.to_batches()
    ends = np.cumsum([batch.num_rows for batch in batches], dtype=np.int64)
    taken = [
        part
        for first in range(0, len(wanted), _AT_ONCE)
        for part in _take(batches, ends, wanted[first : first + _AT_ONCE])
    ]
    return pa.Table.from_batches(taken, table.schema)


def _take(
    batches: Sequence[pa.RecordBatch], ends: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
    """Yield a few rows, in their order."""
    of_batch = np.searchsorted(ends, rows, side="right")
    order = np.argsort(of_batch, kind="stable")
    numbers, starts = np.unique(of_batch[order], return_index=True)
    parts = [
        batches[number].take(pa.array(rows[places] - (ends[number] - batches[number].num_rows)))
        for number, places in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
    ]
    if (np.diff(of_batch) >= 0).all():
        yield from parts
        return
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    together = pa.Table.from_batches(parts).take(pa.array(back))
    yield from together.to_batches()


def encode_texts(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """Return a number for each text of a column, and the texts that the numbers stand for.

    Args:
        column: Texts, of which many are equal; a null counts as one.

    Example:
        >>> codes, texts = encode_texts(pa.chunked_array([["b", "a"], ["b"]]))
        >>> codes.tolist(), texts.to_pylist()
        ([0, 1, 0], ['b', 'a'])
    """
    parts, texts = _encode(column)
    return np.concatenate([np.empty(0, np.int64), *map(_numbers, parts)]), texts


def change_texts(
    column: pa.ChunkedArray, change: Callable[[str], str | None]
) -> pa.ChunkedArray | None:
    """Return a column with other texts, each worked out once; None if none changes.

    Args:
        column: Texts, of which many are equal.
        change: Returns the text to put in the place of another.

    Example:
        >>> change_texts(pa.chunked_array([["b", None], ["b"]]), str.upper).to_pylist()
        ['B', None, 'B']
    """
    parts, texts = _encode(column)
    before = texts.to_pylist()
    after = [None if text is None else change(text) for text in before]
    if after == before:
        return None
    new = pa.array(after, texts.type)
    changed = pa.chunked_array([new.take(part) for part in parts], texts.type)
    return changed.cast(column.type)


def _encode(column: pa.ChunkedArray) -> tuple[list[pa.Array], pa.Array]:
    """Return the numbers of texts, chunk by chunk, and the texts; a null has a number, too."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.dictionary_encode("encode")  # all chunks share one dictionary
    if not encoded.num_chunks:
        return [], pa.array([], column.type)
    return [chunk.indices for chunk in encoded.chunks], encoded.chunk(0).dictionary


def _numbers(indices: pa.Array) -> NDArray[np.int64]:
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)
