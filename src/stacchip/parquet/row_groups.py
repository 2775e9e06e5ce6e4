"""The row groups of a parquet file, as its footer tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, overload

import numpy as np

from stacchip.parquet.thrift import (
    I32,
    I64,
    PLACE,
    Struct,
    Wanted,
    natural,
    read_count,
    read_struct,
)
from stacchip.parquet.usual_groups import find_usual_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.parquet.columns import Column
    from stacchip.parquet.usual_groups import UsualGroups

__all__ = ["MAGIC", "Chunk", "Group", "Groups", "read_groups"]

MAGIC: Final = b"PAR1"
_MOST_CHUNKS: Final = 200_000  # column chunks, which take 3 to 4 s to check one by one
_FEW_CHUNKS: Final = 200  # as long takes it to find any number of usual ones
# what `_take_chunk` takes of a column chunk
_CHUNK: Final[Wanted] = {
    1: None, 3: {
        1: I32, 3: None, 4: I32, 5: I64, 6: I64, 7: I64, 9: I64, 11: I64,
        12: PLACE, 16: PLACE,
    }, 8: None,
}  # fmt: skip
_CODECS: Final = 8
_CHUNK_FACTS: Final = 7  # fields of `Chunk`
_GROUP: Final[Wanted] = {1: _CHUNK, 3: I64}


class Chunk(NamedTuple):
    """The values of one column in one row group: where they lie, and what the footer says of them.

    Attributes:
        start: First byte.
        length: Bytes stored.
        unpacked: Bytes once decompressed.
        values: Number of values, nulls included.
        codec: The number of the compression.
        statistics: Where its statistics begin in the footer's bytes; None without any.
        sizes: The same of the statistics of its sizes.
    """

    start: int
    length: int
    unpacked: int
    values: int
    codec: int
    statistics: int | None
    sizes: int | None


class Group(NamedTuple):
    """A row group."""

    rows: int
    chunks: tuple[Chunk, ...]


class Groups(Sequence[Group]):
    """The row groups of a file, of which Python holds no object until one is asked for.

    Args:
        rows: The number of rows of each.
        chunks: Of each row group and column, what `Chunk` has, with -1 for None.
        places: Where each begins in the footer's bytes, and where the last one ends.
    """

    def __init__(
        self, rows: NDArray[np.int64], chunks: NDArray[np.int64], places: NDArray[np.int64]
    ) -> None:
        self.rows = rows
        self.places = places
        self._chunks = chunks

    @classmethod
    def of(cls, groups: Sequence[Group], columns: int, places: Sequence[int]) -> Groups:
        """Return row groups that were read one by one."""
        rows = np.array([group.rows for group in groups], np.int64)
        facts = [[-1 if each is None else each for each in c] for g in groups for c in g.chunks]
        chunks = np.array(facts, np.int64).reshape(len(groups), columns, _CHUNK_FACTS)
        return cls(rows, chunks, np.array(places, np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | Sequence[Group]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        return Group(int(self.rows[number]), tuple(map(_chunk, self._chunks[number].tolist())))

    def chunk(self, number: int, leaf: int) -> Chunk:
        """Return the chunk of a column in a row group."""
        return _chunk(self._chunks[number, leaf].tolist())

    def of_column(self, leaf: int) -> Iterator[Chunk]:
        """Yield the chunks of a column, one of each row group."""
        return map(_chunk, self._chunks[:, leaf].tolist())


def _chunk(facts: list[int]) -> Chunk:
    start, length, unpacked, values, codec, *places = facts
    statistics, sizes = (place if place >= 0 else None for place in places)
    return Chunk(start, length, unpacked, values, codec, statistics, sizes)


class _Part(NamedTuple):
    """A column chunk, and the column that it says it is of.

    Attributes:
        chunk: Where it lies.
        kind: The number of its physical type.
        path: Its name, and before it those of the columns that it is part of.
    """

    chunk: Chunk
    kind: int
    path: list[bytes]


def _take_chunk(fields: Struct) -> _Part:
    """Return what is needed of a column chunk."""
    if 1 in fields:
        raise ValueError("its columns lie in other files")
    if 8 in fields:
        raise ValueError("its columns are encrypted")
    facts = fields[3]
    start, length, unpacked, values, codec = facts[9], facts[7], facts[6], facts[5], facts[4]
    dictionary = facts.get(11, 0)
    if min(start, length, unpacked, values, dictionary) < 0:
        raise ValueError("a number is negative")
    if 0 < dictionary < start:
        start = dictionary
    chunk = Chunk(start, length, unpacked, values, codec, facts.get(12), facts.get(16))
    return _Part(chunk, facts[1], facts[3])


def read_groups(
    data: bytes, at: int, kind: int, columns: tuple[Column, ...], end: int
) -> tuple[Groups, int]:
    """Return the row groups that begin at a place, and the place behind them."""
    count, at = read_count(data, at, kind)
    if count * len(columns) > _MOST_CHUNKS:
        raise ValueError(
            f"it has more than {_MOST_CHUNKS} parts (columns of row groups); write it with "
            "larger row groups"
        )
    is_worth_it = count * len(columns) > _FEW_CHUNKS
    usual = find_usual_groups(data, at, count, columns) if is_worth_it else None
    if usual is not None and _are_sound(usual, columns, end):
        return Groups(usual.rows, usual.chunks, usual.places), int(usual.places[-1])
    groups, places = [], [at]
    for _ in range(count):
        fields, at = read_struct(data, at, 1, wanted=_GROUP)
        groups.append(_take_group(fields, columns, end))
        places.append(at)
    return Groups.of(groups, len(columns), places), at


def _take_group(fields: Struct, columns: tuple[Column, ...], end: int) -> Group:
    parts = [_take_chunk(each) for each in fields[1]]
    return _check_group(natural(fields[3]), parts, columns, end)


def _are_sound(usual: UsualGroups, columns: tuple[Column, ...], end: int) -> bool:
    """Return False if something is wrong with a row group: `_check_group` says what."""
    start, length, _, values, codec = np.moveaxis(usual.chunks[..., :5], -1, 0)
    lies_inside = (start >= len(MAGIC)) & (start <= end - length)
    has_rows = (values == usual.rows[:, None]) | np.array(
        [column.is_repeated for column in columns]
    )
    return bool(
        (usual.rows >= 0).all()
        and (usual.chunks[..., :5] >= 0).all()
        and (codec < _CODECS).all()
        and has_rows.all()
        and (lies_inside | (values == 0)).all()
    )


def _check_group(rows: int, parts: list[_Part], columns: tuple[Column, ...], end: int) -> Group:
    """Return a row group, after comparing it with the schema and the file."""
    if len(parts) != len(columns):
        raise ValueError(f"a row group has {len(parts)} of {len(columns)} columns")
    for part, column in zip(parts, columns, strict=True):
        problem = _find_problem(part, column, rows, end)
        if problem is not None:
            name = column.path[0].decode(errors="backslashreplace")
            raise ValueError(f"column '{name}' {problem}")
    return Group(rows, tuple(part.chunk for part in parts))


def _find_problem(part: _Part, column: Column, rows: int, end: int) -> str | None:
    """Return what is wrong with a column chunk; None if nothing is."""
    chunk, kind, path = part
    if kind != column.kind or tuple(path) != column.path:
        return "is another one in a row group"
    start, length, _, values, codec, *_ = chunk
    if not 0 <= codec < _CODECS:
        return f"is compressed by an unknown method, {codec}"
    if values != rows and not column.repeated:
        return f"has {values} values in {rows} rows"
    if values and not len(MAGIC) <= start <= end - length:
        return "lies outside the file"
    return None
