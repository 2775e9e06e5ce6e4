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
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.parquet.damage import damaged
from stacchip.parquet.seal import read_seal
from stacchip.parquet.thrift import COUNT, I32, I64, PLACE, Struct, Wanted, read_struct
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.parquet.seal import Seal
    from stacchip.storage.limits import Limits

    ReadAt = Callable[[int, int], bytes]

__all__ = [
    "MAGIC",
    "Chunk",
    "Column",
    "Footer",
    "Group",
    "ParsedFooters",
    "parse_footer",
    "read_footer",
]

MAGIC: Final = b"PAR1"
_TRAILER: Final = 8  # the footer's length, and the magic
_DEEPEST: Final = 32  # levels of a schema; ours has 5
_MOST_COLUMNS: Final = 10_000  # pyarrow takes a second for them
_MOST_CHUNKS: Final = 200_000  # column chunks, which take 3 to 4 s to check
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
_FACTS: Final[Wanted] = {2: _ELEMENT, 3: I64, 4: {1: _CHUNK, 3: I64}}
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
    """

    rows: int
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    size: int
    seal: Seal | None = None
    data: bytes = field(default=b"", repr=False)
    # of columns that conditions named; shared by all that open a remembered footer
    _fits: dict[str, bool] = field(repr=False, compare=False, default_factory=dict)

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
        found = (self._read(group.chunks[places[0]].statistics) or {} for group in self.groups)
        return [_decode(each.get(6), each.get(5)) for each in found]

    def nulls(self, name: str) -> int | None:
        """Return in how many rows a column is null; None if the statistics do not tell.

        Of a struct, the part that is null most often counts.
        """
        places = self.names.get(name, [])
        if not places or any(self.columns[place].is_repeated for place in places):
            return None
        total = 0
        for group in self.groups:
            read = (self._read(group.chunks[place].statistics, _NULLS) for place in places)
            count = max((each or {}).get(3, group.rows + 1) for each in read)
            if not 0 <= count <= group.rows:
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
                self._fit(group.chunks[leaf], self.columns[leaf])
                for leaf in self.names.get(name, ())
                for group in self.groups
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
    data = read_at(start, length)
    seal = read_seal(read_at, start, data + trailer, href)
    try:
        footer = replace(_parsed.get().parse(data, start, size), seal=seal)
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a field's type is odd
        raise ValueError(f"its footer is broken: {error}") from error
    if seal is not None and len(seal) != sum(len(group.chunks) for group in footer.groups):
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
    left = _MOST_CHUNKS

    def take_group(fields: Struct) -> tuple[int, list[_Part]]:
        nonlocal left
        left -= len(fields[1])
        if left < 0:
            raise ValueError(
                f"it has more than {_MOST_CHUNKS} parts (columns of row groups); write it with "
                "larger row groups"
            )
        return _integer(fields[3]), [_take_chunk(each) for each in fields[1]]

    facts, _ = read_struct(data, 0, convert={4: take_group}, wanted=_FACTS)
    columns = tuple(_read_columns(facts[2]))
    groups = tuple(_check_group(rows, parts, columns, start) for rows, parts in facts[4])
    rows = _integer(facts[3])
    if rows != sum(group.rows for group in groups):
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
