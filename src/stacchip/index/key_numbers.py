"""Keys of several columns as numbers, by which rows of one table find those of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.index.further_columns import stored_type
from stacchip.index.joint_types import join_types
from stacchip.index.schema import SCHEMA
from stacchip.index.table_rows import encode_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["KeyNumbers", "name_key"]

_SHOWN: Final = 3
_MOST: Final = 1 << 62


def name_key(key: dict[str, Any]) -> str:
    """Return a key as messages say it.

    Example:
        >>> name_key({"item_id": "a", "chip_index_x": 3})
        'item_id=a chip_index_x=3'
    """
    return " ".join(f"{name}={value}" for name, value in key.items())


@dataclass(frozen=True)
class KeyNumbers:
    """The keys of a table's rows, of which each is there once.

    Attributes:
        keys: The columns of the key.
    """

    keys: pa.Table
    _columns: Sequence[_Numbered]
    _steps: Sequence[NDArray[np.int64] | None]
    _sorted: NDArray[np.int64]
    _rows: NDArray[np.int64]

    @classmethod
    def of(cls, keys: pa.Table, *, most: int = _MOST) -> KeyNumbers:
        """Number the keys of a table.

        Args:
            keys: The columns of the key.
            most: The largest number to be given out; those of the first columns are numbered anew
                before the next would lead beyond it.

        Raises:
            UsageError: A key is there twice, or a part of it is null.
        """
        keys = _plain(keys)
        columns, steps = [], []
        numbers, bound = np.zeros(keys.num_rows, np.int64), 1
        for name in keys.column_names:
            column = _Numbered.of(keys[name], name)
            step = None
            if bound * column.count > most:
                step, numbers = np.unique(numbers, return_inverse=True)
                bound = len(step)
            numbers = numbers * column.count + column.numbers
            bound *= column.count
            columns.append(column)
            steps.append(step)
        order = np.argsort(numbers, kind="stable")
        found = cls(keys, columns, steps, numbers[order], order)
        found._refuse_twice()
        return found

    def _refuse_twice(self) -> None:
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            some = self.keys.take(pa.array(self._rows[np.unique(twice)[:_SHOWN]])).to_pylist()
            raise UsageError(
                f"{len(twice):,} rows of the values repeat a key, such as "
                f"{'; '.join(map(name_key, some))}. Leave one row of each."
            )

    def find(self, rows: pa.Table) -> NDArray[np.int64]:
        """Return the row of the keys that each of other rows has the key of; -1 where none has.

        Raises:
            UsageError: A column of theirs has a type that does not compare with that of the key.
        """
        numbers = np.zeros(rows.num_rows, np.int64)
        is_there = np.ones(rows.num_rows, bool)
        for column, step in zip(self._columns, self._steps, strict=True):
            if step is not None:
                numbers, known = _search(step, numbers)
                is_there &= known
            own, known = column.find(rows[column.name])
            is_there &= known
            numbers = numbers * column.count + own
        place, known = _search(self._sorted, numbers)
        is_there &= known
        if not len(self._rows):
            return np.full(rows.num_rows, -1)
        return np.where(is_there, self._rows[place], -1)


@dataclass(frozen=True)
class _Numbered:
    """A column of a key, whose different values have numbers from 0.

    Attributes:
        name: Its name.
        numbers: The number of each row's value.
        values: The values in the order of their numbers; None for texts.
        texts: The number of each text; None for other values.
        kind: The type of the values.
    """

    name: str
    numbers: NDArray[np.int64]
    values: NDArray[Any] | None
    texts: dict[str, int] | None
    kind: pa.DataType

    @classmethod
    def of(cls, column: pa.ChunkedArray, name: str) -> _Numbered:
        if column.null_count:
            raise UsageError(
                f"The column {name!r} of the values is null in {column.null_count:,} rows, and so "
                "does not tell whose they are. Leave those rows out."
            )
        if pa.types.is_string(column.type):
            numbers, texts = encode_texts(column)
            known = {text: number for number, text in enumerate(texts.to_pylist())}
            return cls(name, numbers, None, known, column.type)
        values, numbers = np.unique(column.to_numpy(), return_inverse=True)
        return cls(name, numbers.ravel().astype(np.int64), values, None, column.type)

    @property
    def count(self) -> int:
        """How many numbers there are, at least 1."""
        known = self.values if self.texts is None else self.texts
        return max(1, 0 if known is None else len(known))

    def find(self, column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the numbers of values, and which of these are known; nulls are not."""
        wanted, kind = self._unify(column)
        there = np.asarray(wanted.is_valid().to_numpy(), bool)
        numbers, known = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
        numbers[there], known[there] = self._find_valid(wanted.drop_null(), kind, column.type)
        return numbers, known

    def _find_valid(
        self, wanted: pa.ChunkedArray, kind: pa.DataType, other: pa.DataType
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        if self.texts is not None:
            codes, texts = encode_texts(wanted)
            numbers = np.array([self.texts.get(each, -1) for each in texts.to_pylist()], np.int64)
            found = numbers[codes] if len(codes) else codes
            return np.maximum(found, 0), found >= 0
        # in the order of their numbers also in a wider type
        values = self._cast(pa.chunked_array([pa.array(self.values, self.kind)]), kind, other)
        return _search(values.to_numpy(), wanted.to_numpy())

    def _unify(self, column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.DataType]:
        """Return a column, and the type in which its values and those of the key compare.

        Whole numbers that the type of the key does not hold are null: no key has them.
        """
        plain = stored_type(column.type)
        kind = None if plain is None else join_types(self.kind, plain)
        if kind is None or (self.texts is not None and kind != self.kind):
            raise _wrong_type(self.name, self.kind, column.type, "they do not compare")
        column = column.cast(plain)
        if pa.types.is_integer(self.kind) and pa.types.is_integer(plain):
            return _within(column, self.kind).cast(self.kind), self.kind
        return self._cast(column, kind, plain), kind

    def _cast(
        self, column: pa.ChunkedArray, kind: pa.DataType, other: pa.DataType
    ) -> pa.ChunkedArray:
        """Return values of the key or of a column of the index, of another type, as a joint one."""
        try:
            return column.cast(kind)
        except pa.ArrowException as error:
            raise _wrong_type(self.name, self.kind, other, str(error)) from error


def _within(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return whole numbers with null for those that another type of whole numbers lacks."""
    if column.type == kind:
        return column
    own, other = (np.iinfo(each.to_pandas_dtype()) for each in (column.type, kind))
    least, most = (
        pa.scalar(limit, column.type)
        for limit in (max(own.min, other.min), min(own.max, other.max))
    )
    is_within = pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))
    return pc.if_else(is_within, column, pa.scalar(None, column.type))


def _search(values: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the places of wanted values among sorted ones, and which of them are there."""
    if not len(values):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return place, values[place] == wanted


def _plain(keys: pa.Table) -> pa.Table:
    """Return keys in the types that an index has.

    Raises:
        UsageError: A column has a type that does not fit.
    """
    for place, each in enumerate(keys.schema):
        stored = stored_type(each.type)
        if stored is None or pa.types.is_nested(stored):
            raise UsageError(
                f"The column {each.name!r} of the values has type {each.type}, by which no chip is "
                "found: give on= columns of numbers, texts or times."
            )
        column = _plain_column(keys.column(place), each.name, stored)
        keys = keys.set_column(place, pa.field(each.name, column.type), column)
    return keys


def _plain_column(column: pa.ChunkedArray, name: str, stored: pa.DataType) -> pa.ChunkedArray:
    """Return a column of keys in the type of an index, or else in one that compares with it."""
    ours = SCHEMA.field(name).type if name in SCHEMA.names else stored
    try:
        return column.cast(ours)
    except pa.ArrowException as error:
        if ours == stored or join_types(ours, stored) is None:
            raise _wrong_type(name, column.type, ours, str(error)) from error
        return column.cast(stored)


def _wrong_type(name: str, own: pa.DataType, kind: pa.DataType, problem: str) -> UsageError:
    return UsageError(
        f"The column {name!r} of the values has type {own}, and that of the index {kind}: "
        f"{problem.removesuffix('.')}. Cast it."
    )
