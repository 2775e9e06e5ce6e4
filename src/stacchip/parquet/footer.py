"""The footer of a parquet file, checked before pyarrow reads the file.

pyarrow 26 ends the process (SIGABRT) if Python asks for a column of a row group
(`RowGroupMetaData.column`, or a row group's `statistics`) whose facts contradict the schema: its
binding lets no C++ exception through. So nobody here asks it. This module reads what we need
itself, and refuses a footer whose places and sizes do not fit the file. (The structs are those of
parquet.thrift, Apache Parquet format 2.11.)

No checksum of parquet covers the footer. Files that we write have a seal in front of it (the module
`seal`), which is checked here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np

from stacchip.parquet.damage import damaged
from stacchip.parquet.seal import read_seal
from stacchip.parquet.thrift import (
    COUNT,
    I32,
    I64,
    PLACE,
    Struct,
    Wanted,
    read_count,
    read_struct,
    read_structs,
)
from stacchip.parquet.usual_groups import find_usual_groups
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from stacchip.parquet.seal import Seal
    from stacchip.parquet.usual_groups import UsualGroups
    from stacchip.storage.limits import Limits

    ReadAt = Callable[[int, int], bytes]

__all__ = [
    "MAGIC",
    "Chunk",
    "Column",
    "Footer",
    "Group",
    "Groups",
    "ParsedFooters",
    "parse_footer",
    "read_footer",
]

MAGIC: Final = b"PAR1"
_TRAILER: Final = 8  # the footer's length, and the magic
_DEEPEST: Final = 32  # levels of a schema; ours has 5
_MOST_COLUMNS: Final = 10_000  # pyarrow takes a second for them
_MOST_CHUNKS: Final = 200_000  # column chunks, which take 3 to 4 s to check one by one
_FEW_CHUNKS: Final = 200  # as long takes it to find any number of usual ones
# what `_take_chunk` takes of a column chunk
_CHUNK: Final[Wanted] = {
    1: None, 3: {
        1: I32, 3: None, 4: I32, 5: I64, 6: I64, 7: I64, 9: I64, 11: I64,
        12: PLACE, 16: PLACE,
    }, 8: None,
}  # fmt: skip
_STATISTICS: Final[Wanted] = dict.fromkeys((1, 2, 5, 6))
_NULLS: Final[Wanted] = {3: I64}
_SIZES: Final[Wanted] = {1: None, 2: COUNT, 3: COUNT}
_ELEMENT: Final[Wanted] = {1: I32, 2: I32, 3: I32, 4: None, 5: I32, 6: I32, 10: None}
_GROUP: Final[Wanted] = {1: _CHUNK, 3: I64}
_BYTE_ARRAY: Final = 6
_FIXED: Final = 7
_WIDTHS: Final = (1, 4, 8, 8, 4, 8)  # bytes of a value of each other physical type, in Arrow
_STORED: Final = (1, 4, 8, 12, 4, 8)  # and in the file; eight booleans may share one
_DECIMAL: Final = 5
_LOGICAL_DECIMAL: Final = 5
_DECIMAL_WIDTH: Final = 32  # the widest in Arrow
_REQUIRED: Final = 0
_REPEATED: Final = 2
_CODECS: Final = 8
_MOST_REMEMBERED: Final = 8 << 20
_SEAL_SHARE: Final = 16  # ours takes 1/20 of its footer: both are read at once
_WINDOW: Final = 4096
_CHUNK_FACTS: Final = 7  # fields of `Chunk`


class Column(NamedTuple):
    """A leaf of the schema.

    Attributes:
        path: Its name, and before it those of the columns that it is part of.
        kind: The number of its physical type.
        width: Bytes of a value; 0 for texts and binary.
        stored: Bytes of a value in the file; 0 for texts and binary.
        repeated: How many of the columns of its path may have several values in a row.
        optional: How many of them may be absent, those that may have several values included.
    """

    path: tuple[bytes, ...]
    kind: int
    width: int
    stored: int
    repeated: int
    optional: int

    @property
    def is_repeated(self) -> bool:
        """True if a row may have several values."""
        return self.repeated > 0

    @property
    def is_optional(self) -> bool:
        """True if a value may be absent."""
        return self.optional > 0


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
    """

    def __init__(self, rows: NDArray[np.int64], chunks: NDArray[np.int64]) -> None:
        self.rows = rows
        self._chunks = chunks

    @classmethod
    def of(cls, groups: Sequence[Group], columns: int) -> Groups:
        """Return row groups that were read one by one."""
        rows = np.array([group.rows for group in groups], np.int64)
        facts = [[-1 if each is None else each for each in c] for g in groups for c in g.chunks]
        return cls(rows, np.array(facts, np.int64).reshape(len(groups), columns, _CHUNK_FACTS))

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


@dataclass(frozen=True)
class Footer:
    """What the footer of a file says.

    Attributes:
        rows: The number of rows.
        columns: The leaves of the schema.
        groups: The row groups.
        size: The size of the file in bytes.
        seal: The checksums in front of it; None if another tool wrote the file.
        data: The bytes of the footer, in which statistics are read when they are needed.
        trailer: The bytes of the file behind it.
    """

    rows: int
    columns: tuple[Column, ...]
    groups: Groups
    size: int
    seal: Seal | None = None
    data: bytes = field(default=b"", repr=False)
    trailer: bytes = field(default=b"", repr=False)
    # of columns that conditions named; shared by all that open a remembered footer
    _fits: dict[str, bool] = field(repr=False, compare=False, default_factory=dict)

    @property
    def start(self) -> int:
        """Where it begins in the file."""
        return self.size - len(self.trailer) - len(self.data)

    @cached_property
    def names(self) -> dict[str, list[int]]:
        """The positions of the leaves of each column."""
        found: dict[str, list[int]] = {}
        for position, column in enumerate(self.columns):
            found.setdefault(column.path[0].decode(errors="replace"), []).append(position)
        return found

    def ends(self, name: str) -> list[tuple[str, str] | None]:
        """Return the first and the last text of a column in each row group; None if not known."""
        places = self.names.get(name, [])
        if len(places) != 1 or self.columns[places[0]].kind != _BYTE_ARRAY:
            return [None] * len(self.groups)
        chunks = self.groups.of_column(places[0])
        found = (self._read(chunk.statistics) or {} for chunk in chunks)
        return [_decode(each.get(6), each.get(5)) for each in found]

    def nulls(self, name: str) -> int | None:
        """Return in how many rows a column is null; None if the statistics do not tell.

        Of a struct, the part that is null most often counts.
        """
        places = self.names.get(name, [])
        if not places or any(self.columns[place].is_repeated for place in places):
            return None
        total = 0
        of_columns = zip(*(self.groups.of_column(place) for place in places), strict=True)
        for rows, chunks in zip(self.groups.rows.tolist(), of_columns, strict=True):
            read = (self._read(chunk.statistics, _NULLS) for chunk in chunks)
            count = max((each or {}).get(3, rows + 1) for each in read)
            if not 0 <= count <= rows:
                return None
            total += count
        return total

    def has_fitting_statistics(self, name: str) -> bool:
        """Return False if pyarrow would end the process at a condition on a column.

        It cannot read statistics that are not those of the column. (Writers in Rust cut the ends of
        long values, also of those of a fixed length, in sound files.)
        """
        if name not in self._fits:
            self._fits[name] = all(
                self._fit(chunk, self.columns[leaf])
                for leaf in self.names.get(name, ())
                for chunk in self.groups.of_column(leaf)
            )
        return self._fits[name]

    def _fit(self, chunk: Chunk, column: Column) -> bool:
        statistics = self._read(chunk.statistics)
        sizes = self._read(chunk.sizes, _SIZES)
        if statistics is None or sizes is None:
            return False
        return (
            all(type(end) is bytes and len(end) >= column.stored for end in statistics.values())
            and (1 not in sizes or column.kind == _BYTE_ARRAY)
            and sizes.get(2, 0) in (0, column.repeated + 1)
            and sizes.get(3, 0) in (0, column.optional + 1)
        )

    def _read(self, place: int | None, wanted: Wanted = _STATISTICS) -> Struct | None:
        """Return the struct at a place, or an empty one if there is no place; None if it is odd."""
        if place is None:
            return {}
        try:
            return read_struct(self.data, place, wanted=wanted)[0]
        except (ValueError, IndexError):
            return None


def _decode(low: object, high: object) -> tuple[str, str] | None:
    if not isinstance(low, bytes) or not isinstance(high, bytes):
        return None
    try:
        return low.decode(), high.decode()
    except UnicodeDecodeError:
        return None


def read_footer(read_at: ReadAt, size: int, href: str, limits: Limits) -> Footer:
    """Return the footer of a file, and check its seal if it has one.

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        size: The size of the file.
        href: Its address, for errors.
        limits: The limits of the place.

    Raises:
        ValueError: It is not a parquet file, or its footer contradicts itself or the file.
        IndexFormatError: Its seal says that its footer is damaged.
        LimitExceeded: The footer is too large.
    """
    if size < len(MAGIC) + _TRAILER:
        raise ValueError(f"it has {size} bytes only")
    trailer = read_at(size - _TRAILER, _TRAILER)
    length = int.from_bytes(trailer[:4], "little")
    start = size - _TRAILER - length
    if trailer[4:] != MAGIC or start < len(MAGIC):
        raise ValueError("its last bytes are not those of a parquet file")
    if 4 * length > limits.table_bytes:
        what = f"{redact(href)} has a footer of {length} bytes, which takes four times as much"
        raise limits.exceeded("table_bytes", what, href=redact(href))
    before = min(start, _WINDOW + length // _SEAL_SHARE)
    both = read_at(start - before, before + length)
    data = both[before:]

    def read_near(at: int, count: int) -> bytes:
        inside = at - (start - before)
        return both[inside : inside + count] if inside >= 0 else read_at(at, count)

    seal = read_seal(read_near, start, data + trailer, href)
    try:
        footer = replace(_parsed.get().parse(data, start, size), seal=seal, trailer=trailer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a field's type is odd
        raise ValueError(f"its footer is broken: {error}") from error
    if seal is not None and len(seal) != len(footer.groups) * len(footer.columns):
        raise damaged(href, "its seal is of another file")
    return footer


class ParsedFooters:
    """The footers that were parsed last, by their bytes: 10 ms for an index of 1,000,000 chips.

    An index is opened again and again: by each `Chipper`, and to look up each item. A footer is
    found by all of its bytes, so that it never is that of another file, or of another version.

    Args:
        most_bytes: The bytes of footers that are kept; parsed, they take four times as much.
    """

    def __init__(self, most_bytes: int = _MOST_REMEMBERED) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[tuple[bytes, int, int], Footer] = OrderedDict()
        self._most = self._left = most_bytes

    def parse(self, data: bytes, start: int, size: int) -> Footer:
        """Return `parse_footer` of the arguments."""
        key = (data, start, size)
        with self._lock:
            known = self._footers.get(key)
            if known is not None:
                self._footers.move_to_end(key)
                return known
        footer = parse_footer(data, start, size)
        if len(data) <= self._most:
            with self._lock:
                if key not in self._footers:
                    self._left -= len(data)
                    self._footers[key] = footer
                while self._left < 0:
                    (dropped, *_), _ = self._footers.popitem(last=False)
                    self._left += len(dropped)
        return footer


_parsed: Final = PerProcess(ParsedFooters)


def parse_footer(data: bytes, start: int, size: int) -> Footer:
    """Return a footer from its bytes, after checking that all of it lies in the file.

    Args:
        data: Its bytes.
        start: Where it begins in the file: the pages end there.
        size: The size of the file.

    Raises:
        ValueError: It contradicts itself or the file.
        LookupError: A field is missing.
        TypeError: A field has another type.
    """
    columns: tuple[Column, ...] = ()

    def take_columns(data: bytes, at: int, kind: int) -> tuple[None, int]:
        nonlocal columns
        elements, at = read_structs(data, at, kind, _ELEMENT)
        columns = tuple(_read_columns(elements))
        return None, at

    def take_groups(data: bytes, at: int, kind: int) -> tuple[Groups, int]:
        return _read_groups(data, at, kind, columns, start)

    facts, _ = read_struct(data, 0, wanted={2: take_columns, 3: I64, 4: take_groups})
    groups, rows = facts[4], _integer(facts[3])
    if rows != sum(groups.rows.tolist()):  # numpy's sum has 64 bits
        raise ValueError(f"its row groups do not have {rows} rows together")
    return Footer(rows, columns, groups, size, data=data)


def _integer(value: Any) -> int:
    """Return a number that is not negative."""
    if type(value) is not int:
        raise TypeError("a number is of another type")
    if value < 0:
        raise ValueError(f"a number is negative: {value}")
    return value


# -- the schema ------------------------------------------------------------------------------------


def _read_columns(elements: list[Struct]) -> list[Column]:
    """Return the leaves of a schema, whose elements come depth first."""
    if len(elements) > _MOST_COLUMNS:
        raise ValueError(f"it has more than {_MOST_COLUMNS} columns")
    columns: list[Column] = []
    # of each level that is open: the children to come, the path, the repeated and optional ones
    open_levels: list[list[Any]] = [[_integer(elements[0][5]), (), 0, 0]]
    for element in elements[1:]:
        while open_levels and not open_levels[-1][0]:
            open_levels.pop()
        if not open_levels or len(open_levels) > _DEEPEST:
            raise ValueError("its schema has too many columns or levels")
        level = open_levels[-1]
        level[0] -= 1
        path = (*level[1], _text(element[4]))
        repetition = _integer(element.get(3, _REQUIRED))
        if repetition > _REPEATED:
            raise ValueError(f"a column has the unknown repetition {repetition}")
        marks = (level[2] + (repetition == _REPEATED), level[3] + (repetition != _REQUIRED))
        if element.get(5):
            open_levels.append([_integer(element[5]), path, *marks])
        else:
            kind = _integer(element[1])
            length = _integer(element[2]) if kind == _FIXED else 0
            width = _DECIMAL_WIDTH if _is_decimal(element) else (*_WIDTHS, 0, length)[kind]
            columns.append(Column(path, kind, width, (*_STORED, 0, length)[kind], *marks))
    if any(children for children, *_ in open_levels):
        raise ValueError("its schema lacks columns")
    return columns


def _is_decimal(element: Struct) -> bool:
    """Return True for numbers that take more bytes in Arrow than in the file."""
    return element.get(6) == _DECIMAL or _LOGICAL_DECIMAL in element.get(10, {})


def _text(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a name is not a text")
    return value


# -- row groups ------------------------------------------------------------------------------------


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


def _read_groups(
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
        return Groups(usual.rows, usual.chunks), usual.end
    groups = []
    for _ in range(count):
        fields, at = read_struct(data, at, 1, wanted=_GROUP)
        groups.append(_take_group(fields, columns, end))
    return Groups.of(groups, len(columns)), at


def _take_group(fields: Struct, columns: tuple[Column, ...], end: int) -> Group:
    parts = [_take_chunk(each) for each in fields[1]]
    return _check_group(_integer(fields[3]), parts, columns, end)


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
