"""Row groups of a footer as Arrow's writers lay them out, thousands of columns at a time.

The module `thrift` reads any struct, field by field, in 20 us for a column of a row group. An index
of 10^8 chips has 44,000 of them. Here, numpy reads the same field of all at once, in the order in
which Arrow writes them. Whatever looks otherwise is left to `thrift`, which also says what is wrong
with it.

Where a column begins is only known once the one before it was read. So the names of the columns are
searched for, and what is read from there is believed if it is without a gap: each column must end
where the next one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from stacchip.parquet.thrift import write_list_head, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.parquet.columns import Column

    Numbers = NDArray[np.int64]
    Places = NDArray[np.int64]

__all__ = ["UsualGroups", "find_usual_groups"]

_LONGEST_TEXT: Final = 255
_LONGEST_NUMBER: Final = 9  # bytes of 63 bits
_LONGEST_SHORT: Final = 4  # bytes, within 32 bits
_MANY: Final = 15  # elements of a list, whose number does not fit beside their type
_MOST_FIELDS: Final = 32  # of a struct; Arrow writes 8 at most
_MOST_PAGES: Final = 5
_MORE_OF_GROUP: Final = 4  # fields behind the rows, of which Arrow writes three
_BEYOND: Final = 4096  # zeros behind the bytes: more than a text that ends outside leads past them
_BOOLEANS: Final = (1, 2)
_NUMBERS: Final = (4, 5, 6)
_TEXT: Final = 8
_LIST: Final = 9
_STRUCT: Final = 12
_OF_STATISTICS: Final = (*_BOOLEANS, *_NUMBERS, _TEXT, _LIST)
_OF_SIZES: Final = (*_BOOLEANS, *_NUMBERS, _LIST)


class UsualGroups(NamedTuple):
    """What the row groups of a footer say of themselves.

    Attributes:
        rows: The number of rows of each.
        chunks: Of each row group and column: first byte, bytes stored, bytes unpacked, number of
            values, codec, and where statistics and statistics of sizes begin, -1 without any.
        places: Where each begins, and where the last one ends.
    """

    rows: NDArray[np.int64]
    chunks: NDArray[np.int64]
    places: NDArray[np.int64]


def find_usual_groups(
    data: bytes, at: int, count: int, columns: Sequence[Column]
) -> UsualGroups | None:
    """Return the row groups of a footer; None if one of them is laid out in another way.

    Their numbers are not checked, but for those of the columns.

    Args:
        data: The bytes of the footer.
        at: Where the first row group begins.
        count: The number of row groups.
        columns: The leaves of the schema.
    """
    if any(len(column.path) >= _MANY for column in columns):
        return None
    paths = [_path(column) for column in columns]
    found = _find_paths(data, at, count, paths)
    if found is None:
        return None
    padded = _Bytes(np.frombuffer(data + bytes(_BEYOND), np.uint8))
    try:
        groups = _read_groups(padded, at, found, paths, columns)
    except _UnusualError:
        return None
    return groups if groups.places[-1] <= len(data) else None


def _find_paths(data: bytes, at: int, count: int, paths: Sequence[bytes]) -> Places | None:
    """Return where the names of the columns come next, (row group, column)."""
    found = []
    for _ in range(count):
        for path in paths:
            at = data.find(path, at)
            if at < 0:
                return None
            found.append(at)
            at += len(path)
    return np.array(found, np.int64).reshape(count, len(paths))


def _read_groups(
    data: _Bytes, at: int, found: Places, paths: Sequence[bytes], columns: Sequence[Column]
) -> UsualGroups:
    """Return the row groups, whose columns have their names at these places."""
    behind = found + np.array([len(path) for path in paths])
    chunks, ends = _read_chunks(data, behind.ravel())
    ends = ends.reshape(found.shape)
    rows, ends_of_groups = _read_ends(data, ends[:, -1])
    places = np.append(at, ends_of_groups)
    begins = np.empty_like(found)
    begins[:, 0] = data.expect(places[:-1], _head_of_list(len(columns)))
    begins[:, 1:] = ends[:, :-1]
    kinds, reached = _read_begins(data, begins.ravel())
    wanted = [column.kind for column in columns] * len(found)
    if not np.array_equal(reached, found.ravel()) or not np.array_equal(kinds, wanted):
        raise _UnusualError
    return UsualGroups(rows, chunks.reshape(*found.shape, -1), places)


# -- the parts of row groups, field by field -------------------------------------------------------


def _read_begins(data: _Bytes, at: Places) -> tuple[Numbers, Places]:
    """Return the types of columns, and the places behind what comes before their names."""
    _, at = data.number(data.expect(at, b"\x26"))  # 2: a place that nobody uses
    kinds, at = data.number(data.expect(at, b"\x1c\x15"), _LONGEST_SHORT)  # 3: facts; in it, 1
    return kinds, data.skip_numbers(data.expect(at, b"\x19"))  # 2: encodings


def _read_chunks(data: _Bytes, at: Places) -> tuple[Numbers, Places]:
    """Return the facts of columns, as in `UsualGroups`, from behind their names to their ends."""
    codec, at = data.number(data.expect(at, b"\x15"), _LONGEST_SHORT)  # 4
    values, at = data.number(data.expect(at, b"\x16"))  # 5
    unpacked, at = data.number(data.expect(at, b"\x16"))  # 6
    packed, at = data.number(data.expect(at, b"\x16"))  # 7
    start, at = data.number(data.expect(at, b"\x26"))  # 9
    is_coded = data.at(at) == 0x26
    dictionary = np.zeros_like(at)
    dictionary[is_coded], at[is_coded] = data.number(at[is_coded] + 1)  # 11
    # a place before the file stays one, and 0 is none
    start = np.where((dictionary != 0) & (dictionary < start), dictionary, start)
    has_statistics = data.at(at) == np.where(is_coded, 0x1C, 0x3C)
    statistics, at = data.skip_struct(at + has_statistics, has_statistics, _OF_STATISTICS)  # 12
    data.require(data.at(at) == np.where(has_statistics, 0x19, np.where(is_coded, 0x29, 0x49)))
    at = _skip_pages(data, at + 1)  # 13
    has_sizes = data.at(at) == 0x3C
    sizes, at = data.skip_struct(at + has_sizes, has_sizes, _OF_SIZES)  # 16
    at = data.expect(at, b"\x00\x00")
    return np.stack([start, packed, unpacked, values, codec, statistics, sizes], axis=1), at


def _skip_pages(data: _Bytes, at: Places) -> Places:
    """Return the places behind lists of how pages are encoded."""
    counts, kinds = np.divmod(data.at(at), 16)
    data.require((kinds == _STRUCT) & (counts > 0) & (counts <= _MOST_PAGES))
    at = at + 1
    for page in range(counts.max(initial=0)):
        at = data.skip_struct(at, counts > page, _NUMBERS)[1]
    return at


def _read_ends(data: _Bytes, at: Places) -> tuple[Numbers, Places]:
    """Return the rows of row groups, and the places behind these."""
    _, at = data.number(data.expect(at, b"\x16"))  # 2: bytes
    rows, at = data.number(data.expect(at, b"\x16"))  # 3
    every = np.ones(len(at), bool)
    # Many more fields would lead past the largest number of a field, where Thrift begins again.
    return rows, data.skip_struct(at, every, _NUMBERS, most_fields=_MORE_OF_GROUP)[1]


def _head_of_list(count: int) -> bytes:
    """Return how a row group begins: with a list of so many columns."""
    return b"\x19" + write_list_head(count)


def _path(column: Column) -> bytes:
    """Return the field with the name of a column, and those of the columns that it is part of."""
    names = b"".join(map(write_text, column.path))
    return bytes([0x19, len(column.path) << 4 | _TEXT]) + names


# -- reading at many places at once ----------------------------------------------------------------


class _UnusualError(Exception):
    """Something is laid out in another way."""


class _Bytes:
    """Bytes that are read at many places at once; each step returns the places behind it.

    Each raises `_UnusualError` if it finds something else at one of the places.

    Args:
        data: The bytes, and `_BEYOND` zeros behind them. A zero ends a struct, so that no step but
            a last one leads past them.
    """

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data

    def at(self, places: Places) -> NDArray[np.uint8]:
        """Return the bytes at these places."""
        return self._data[places]

    def require(self, is_so: NDArray[np.bool_]) -> None:
        """Go on only if something is true of all places."""
        if not is_so.all():
            raise _UnusualError

    def expect(self, at: Places, these: bytes) -> Places:
        """Step over bytes that are the same at all places."""
        for number, byte in enumerate(these):
            self.require(self._data[at + number] == byte)
        return at + len(these)

    def number(self, at: Places, longest: int = _LONGEST_NUMBER) -> tuple[Numbers, Places]:
        """Read numbers with signs, of so many bytes at most."""
        raw, at = self._unsigned(at, longest)
        return (raw >> np.uint64(1)).view(np.int64) ^ -(raw & np.uint64(1)).view(np.int64), at

    def _unsigned(self, at: Places, longest: int) -> tuple[NDArray[np.uint64], Places]:
        """Read numbers without signs: seven bits a byte, the lowest first."""
        byte = self._data[at]
        values = (byte & 127).astype(np.uint64)
        at = at + 1
        goes_on = np.flatnonzero(byte > 127)
        for place in range(1, longest):
            if not len(goes_on):
                break
            byte = self._data[at[goes_on]]
            values[goes_on] |= (byte & 127).astype(np.uint64) << np.uint64(7 * place)
            at[goes_on] += 1
            goes_on = goes_on[byte > 127]
        if len(goes_on):
            raise _UnusualError
        return values, at

    def skip_numbers(self, at: Places) -> Places:
        """Step over lists of numbers."""
        counts, kinds = np.divmod(self._data[at], 16)
        self.require(np.isin(kinds, _NUMBERS) & (counts < _MANY))
        at = at + 1
        for number in range(counts.max(initial=0)):
            longer = counts > number
            at[longer] = self._unsigned(at[longer], _LONGEST_NUMBER)[1]
        return at

    def skip_struct(
        self,
        at: Places,
        is_there: NDArray[np.bool_],
        kinds: Sequence[int],
        *,
        most_fields: int = _MOST_FIELDS,
    ) -> tuple[Places, Places]:
        """Step over structs, and return where they began as well; -1 where there is none.

        Args:
            at: Where they begin.
            is_there: Where there is one; the other places stay.
            kinds: The types of their fields.
            most_fields: The number of fields that each may have.
        """
        begin, at = np.where(is_there, at, -1), at.copy()
        inside = np.flatnonzero(is_there)
        for _ in range(most_fields + 1):
            heads = self._data[at[inside]]
            at[inside] += 1
            inside, heads = inside[heads != 0], heads[heads != 0]
            if not len(inside):
                return begin, at
            self.require(heads > 15)  # else its number follows
            of_fields = heads & 15
            for kind in np.flatnonzero(np.bincount(of_fields)).tolist():
                if kind not in kinds:
                    raise _UnusualError
                some = inside[of_fields == kind]
                at[some] = self._skip_value(at[some], kind)
        raise _UnusualError

    def _skip_value(self, at: Places, kind: int) -> Places:
        if kind in _BOOLEANS:  # which the type tells
            return at
        if kind in _NUMBERS:
            return self._unsigned(at, _LONGEST_NUMBER)[1]
        if kind == _LIST:
            return self.skip_numbers(at)
        lengths, at = self._unsigned(at, _LONGEST_SHORT)
        self.require(lengths <= _LONGEST_TEXT)
        return at + lengths.astype(np.int64)
