"""Values of columns on their way to the chips of an index: which value is whose.

They come from a function of rows, from an array with a value for each row, or from a table in which
each row has the key of a chip. A table's keys are numbered once; the rows of an index then find
theirs by binary search.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from stacchip.errors import UsageError
from stacchip.index.foreign.own_columns import fill_from_own_columns
from stacchip.index.foreign.tables import as_table, is_table
from stacchip.index.key_numbers import KeyNumbers, name_key
from stacchip.index.schema import KEY, SCHEMA
from stacchip.runtime.near_names import list_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AddedValues", "Matched", "find_values"]

_SHOWN: Final = 3
_PLACE: Final = ("item_id", "chip_index_x", "chip_index_y")
Names: TypeAlias = str | Sequence[str] | None


@dataclass(frozen=True)
class Matched:
    """What a look at all rows of an index has found.

    Attributes:
        chips: The number of its chips.
        missing: How many of them have no value.
        unknown: How many values are of no chip.
        lacking: Some chips without a value, by their keys.
        strange: Some keys of values that are of no chip.
        shared: Some keys of values that are of several chips.
    """

    chips: int
    missing: int = 0
    unknown: int = 0
    lacking: Sequence[str] = ()
    strange: Sequence[str] = ()
    shared: Sequence[str] = ()


class AddedValues(Protocol):
    """Values for the rows of an index."""

    @property
    def key(self) -> Sequence[str]:
        """The columns of the index by which they are found."""

    def match(self, chips: int, parts: Iterable[pa.Table]) -> Matched:
        """Look whose the values are.

        Args:
            chips: The number of chips of the index.
            parts: Their rows, with the columns of `key`.

        Raises:
            UsageError: The numbers of values and chips differ.
        """

    def of(self, rows: pa.Table, first: int) -> pa.Table:
        """Return the columns for some rows, the first of which has this number."""


def find_values(
    values: Any, name: Names, on: str | Sequence[str] | None, columns: Sequence[str] | None
) -> AddedValues:
    """Return values as a caller gives them.

    Args:
        values: A function, a table, or an array.
        name: The names of the columns.
        on: The columns that are the key of a table.
        columns: The columns that a function needs.

    Raises:
        UsageError: They make no columns, or the options are those of other values.
    """
    if on is not None and (callable(values) or not _is_rows(values)):
        raise UsageError("on= names the key of a table, and these values are none: leave it out.")
    if columns is not None and not callable(values):
        raise UsageError("columns= names what a function needs, and these values are none.")
    if callable(values) and not _is_rows(values):
        return _OfFunction(values, name, columns)
    if _is_rows(values):
        return _of_table(values, name, on)
    return _InOrder(_to_columns(values, name, None))


def _is_rows(values: Any) -> bool:
    """Return True for a table, and False for a single column, which may export itself, too."""
    is_column = isinstance(values, pa.Array | pa.ChunkedArray) or type(values).__name__ == "Series"
    return isinstance(values, Mapping) or (not is_column and is_table(values))


def _to_columns(values: Any, name: Names, rows: int | None) -> pa.Table:
    """Return a column or several as a table.

    Raises:
        UsageError: They are none, lack a name, or are not of as many rows as wanted.
    """
    if _is_rows(values):
        table = _to_table(values)
        table = table if name is None else table.select(_known_names(name, table))
    elif not isinstance(name, str):
        raise UsageError("Give the column a name: add_column(index, values, 'label').")
    else:
        table = pa.table({name: _to_column(values)})
    if rows is not None and table.num_rows != rows:
        raise UsageError(
            f"The function of a column returned {table.num_rows} values for {rows} rows. Return "
            "one for each row, in their order."
        )
    return table


def _to_table(values: Any) -> pa.Table:
    """Return a table or mapping as a table.

    Raises:
        UsageError: It makes none, or has two columns of one name.
    """
    try:
        table = pa.table(values) if isinstance(values, Mapping) else as_table(values)
    except UsageError:
        raise
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(
            f"{type(values).__name__} makes no table: {error}. Give columns of one length, each of "
            "one type."
        ) from error
    _refuse_repeated(table.column_names)
    return table


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UsageError(
            f"The column {repeated[0]!r} of the values is there twice: leave one out, or rename it."
        )


def _to_column(values: Any) -> pa.ChunkedArray | pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(
            f"{type(values).__name__} makes no column: {error}. Give an array, a function or a "
            "table."
        ) from error


def _known_names(name: str | Sequence[str], table: pa.Table) -> list[str]:
    """Return names as a list.

    Raises:
        UsageError: A table has no column of one, or one is there twice.
    """
    names = [name] if isinstance(name, str) else list(name)
    _refuse_repeated(names)
    for each in names:
        if each not in table.column_names:
            there = list_names(table.column_names, near=[each])
            raise UsageError(f"There is no column {each!r}; there are: {there}.")
    return names


@dataclass(frozen=True)
class _OfFunction:
    """The values that a function returns for rows."""

    function: Callable[[pa.Table], Any]
    name: Names
    columns: Sequence[str] | None
    key: Sequence[str] = ()

    def match(self, chips: int, parts: Iterable[pa.Table]) -> Matched:  # noqa: ARG002 - of the protocol
        return Matched(chips)

    def of(self, rows: pa.Table, first: int) -> pa.Table:  # noqa: ARG002 - of the protocol
        given = rows if self.columns is None else rows.select(_known_names(self.columns, rows))
        return _to_columns(self.function(given), self.name, rows.num_rows)


@dataclass(frozen=True)
class _InOrder:
    """A value for each row of an index, in its order."""

    table: pa.Table
    key: Sequence[str] = ()

    def match(self, chips: int, parts: Iterable[pa.Table]) -> Matched:  # noqa: ARG002 - of the protocol
        if chips != self.table.num_rows:
            raise UsageError(
                f"There are {self.table.num_rows:,} values, and the index has {chips:,} chips. "
                "Give one for each, in the order of read_index; or a table with chipid."
            )
        return Matched(chips)

    def of(self, rows: pa.Table, first: int) -> pa.Table:
        return self.table.slice(first, rows.num_rows)


def _of_table(values: Any, name: Names, on: str | Sequence[str] | None) -> _Keyed:
    table = _to_table(values)
    if on is None:
        keyed = table
        if "chipid" in table.column_names:
            keyed = table.drop_columns([each for each in _PLACE if each in table.column_names])
        keyed = fill_from_own_columns(keyed, _PLACE)
        key = [each for each in KEY if each in keyed.column_names]
        if not {*_PLACE} <= {*key}:
            raise UsageError(
                "The table does not tell whose its values are: give it the column chipid, with "
                "platform and chip_size if the index has several, or pass on=[...]. It has: "
                f"{', '.join(table.column_names)}."
            )
    else:
        keyed = table
        key = _known_names(on, table)
    if name is None:
        names = [each for each in table.column_names if each not in {*SCHEMA.names, *key}]
    else:
        names = _known_names(name, table)
    if not names:
        raise UsageError(
            "The table has no column to add: all of its columns are ours, or of its key."
        )
    return _Keyed(table.select(names), KeyNumbers.of(keyed.select(key)), key, on is not None)


@dataclass(frozen=True)
class _Keyed:
    """Values with the keys of their chips.

    Attributes:
        table: The values.
        numbers: The numbers of their keys.
        key: The columns of the key.
        is_shared: Whether several chips may have one key.
    """

    table: pa.Table
    numbers: KeyNumbers
    key: Sequence[str]
    is_shared: bool

    def match(self, chips: int, parts: Iterable[pa.Table]) -> Matched:
        missing = 0
        lacking: list[str] = []
        hits = np.zeros(self.table.num_rows, np.uint8)
        for part in parts:
            rows = self.numbers.find(part)
            absent = np.flatnonzero(rows < 0)
            lacking += self._name(part, absent[: _SHOWN - len(lacking)])
            missing += len(absent)
            found, counts = np.unique(rows[rows >= 0], return_counts=True)
            hits[found] = np.minimum(hits[found] + counts, 2)
        strange, shared = np.flatnonzero(hits == 0), np.flatnonzero(hits > 1)
        keys = self.numbers.keys
        return Matched(
            chips,
            missing,
            len(strange),
            lacking,
            self._name(keys, strange[:_SHOWN]),
            () if self.is_shared else self._name(keys, shared[:_SHOWN]),
        )

    def _name(self, rows: pa.Table, places: NDArray[np.int64]) -> list[str]:
        """Return the keys of some rows as messages say them."""
        return [name_key(row) for row in rows.select(self.key).take(pa.array(places)).to_pylist()]

    def of(self, rows: pa.Table, first: int) -> pa.Table:  # noqa: ARG002 - of the protocol
        found = self.numbers.find(rows)
        return self.table.take(pa.array(found, mask=found < 0))
