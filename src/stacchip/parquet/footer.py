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
from typing import TYPE_CHECKING, Final

from stacchip.parquet.columns import BYTE_ARRAY, ELEMENT, read_columns
from stacchip.parquet.damage import damaged
from stacchip.parquet.row_groups import MAGIC, read_groups
from stacchip.parquet.seal import read_seal
from stacchip.parquet.thrift import (
    COUNT,
    I64,
    natural,
    read_struct,
    read_structs,
    write_integer,
    write_list_head,
    write_text,
)
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.parquet.columns import Column
    from stacchip.parquet.row_groups import Chunk, Groups
    from stacchip.parquet.seal import Seal
    from stacchip.parquet.thrift import Struct, Wanted
    from stacchip.storage.limits import Limits

    ReadAt = Callable[[int, int], bytes]

__all__ = ["Footer", "ParsedFooters", "parse_footer", "read_footer"]

_TRAILER: Final = 8  # the footer's length, and the magic
_STATISTICS: Final[Wanted] = dict.fromkeys((1, 2, 5, 6))
_NULLS: Final[Wanted] = {3: I64}
_SIZES: Final[Wanted] = {1: None, 2: COUNT, 3: COUNT}
_MOST_REMEMBERED: Final = 8 << 20
_SEAL_SHARE: Final = 16  # ours takes 1/20 of its footer: both are read at once
_WINDOW: Final = 4096
_LIST_NEXT: Final = b"\x19"  # the field after the last one, which is a list
_ARROW_SCHEMA: Final = b"ARROW:schema"


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
        rows_at: Where it says the number of rows, right before the row groups; 0 if it says that
            in a way which no writer uses.
    """

    rows: int
    columns: tuple[Column, ...]
    groups: Groups
    size: int
    seal: Seal | None = None
    data: bytes = field(default=b"", repr=False)
    trailer: bytes = field(default=b"", repr=False)
    rows_at: int = field(default=0, repr=False)
    # of columns that conditions named; shared by all that open a remembered footer
    _fits: dict[str, bool] = field(repr=False, compare=False, default_factory=dict)

    @property
    def start(self) -> int:
        """Where it begins in the file."""
        return self.size - len(self.trailer) - len(self.data)

    def only(self, groups: Sequence[int], *, keeps_metadata: bool = False) -> bytes:
        """Return a footer with some of the row groups alone.

        Args:
            groups: Their numbers.
            keeps_metadata: Keep all metadata of the file, which may be large; else only what Arrow
                says of the columns there.
        """
        places = self.groups.places
        spans = (self.data[places[each] : places[each + 1]] for each in groups)
        behind = self.data[places[-1] :]
        parts = [
            self.data[: self.rows_at],
            write_integer(sum(self.groups.rows[groups].tolist())),
            _LIST_NEXT,
            write_list_head(len(groups)),
            *spans,
            behind if keeps_metadata else _without_metadata(behind),
        ]
        return b"".join(parts)

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
        if len(places) != 1 or self.columns[places[0]].kind != BYTE_ARRAY:
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
            and (1 not in sizes or column.kind == BYTE_ARRAY)
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
    rows_at = 0

    def take_columns(data: bytes, at: int, kind: int) -> tuple[None, int]:
        nonlocal columns
        elements, at = read_structs(data, at, kind, ELEMENT)
        columns = tuple(read_columns(elements))
        return None, at

    def take_groups(data: bytes, at: int, kind: int) -> tuple[Groups, int]:
        nonlocal rows_at
        rows_at = _find_number_before(data, at)
        return read_groups(data, at, kind, columns, start)

    facts, _ = read_struct(data, 0, wanted={2: take_columns, 3: I64, 4: take_groups})
    groups, rows = facts[4], natural(facts[3])
    if rows != sum(groups.rows.tolist()):  # numpy's sum has 64 bits
        raise ValueError(f"its row groups do not have {rows} rows together")
    return Footer(rows, columns, groups, size, data=data, rows_at=rows_at)


def _find_number_before(data: bytes, at: int) -> int:
    """Return where the number begins that is the field before a list; 0 if that is not certain."""
    if data[at - len(_LIST_NEXT) : at] != _LIST_NEXT:
        return 0
    at -= len(_LIST_NEXT) + 1
    while data[at - 1] > 127:  # the head of its field is less
        at -= 1
    return at


def _without_metadata(behind: bytes) -> bytes:
    """Return what is behind the row groups of a footer, with Arrow's metadata alone."""
    if not behind.startswith(_LIST_NEXT):
        return behind  # it has none, or says the number of its field
    pairs, end = read_structs(behind, 1, _LIST_NEXT[0] & 15, {1: None, 2: None})
    kept = [
        b"\x18" + write_text(_ARROW_SCHEMA) + b"\x18" + write_text(pair[2]) + b"\x00"
        for pair in pairs
        if pair.get(1) == _ARROW_SCHEMA and isinstance(pair.get(2), bytes)
    ]
    return b"".join([_LIST_NEXT, write_list_head(len(kept)), *kept, behind[end:]])
