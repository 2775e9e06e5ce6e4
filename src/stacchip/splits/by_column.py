"""Splits by the values of a column."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.splits.shares import BORDER, draw_split, make_shares, require_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.splits.shares import Codes, Shares

__all__ = ["ColumnRule", "text_of_value"]


@dataclass(frozen=True)
class ColumnRule:
    """Each value of a column is in a split by chance, or by choice: a country, a campaign.

    Attributes:
        shares: Names and shares of the splits.
        column: The column.
        salt: Another text gives other splits.
        values: The splits of some values, as texts, which are not left to chance.
    """

    shares: Shares
    column: str
    salt: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_names(self.splits)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an index that it looks at."""
        return (self.column,)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(dict.fromkeys([*(name for name, _ in self.shares), *self.values.values()]))

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split; `BORDER` where the value is null."""
        if self.column not in rows.column_names:
            raise UsageError(f"A split by {self.column!r} needs that column, which is not there.")
        column = rows[self.column]
        if pa.types.is_nested(column.type):
            raise UsageError(
                f"Column {self.column!r} has type {column.type}: a split is by single values."
            )
        if pa.types.is_null(column.type):
            return np.full(rows.num_rows, BORDER, np.int8)
        if pa.types.is_float16(column.type):
            column = column.cast(pa.float32())
        encoded = column.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
            encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        found = [self._of_value(value) for value in encoded.dictionary.to_pylist()]
        places = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
        codes: Codes = np.array([*found, BORDER], np.int8)[places]
        return codes

    def _of_value(self, value: Any) -> int:
        text = text_of_value(value)
        if text is None:
            return BORDER
        if (split := self.values.get(text)) is not None:
            return self.splits.index(split)
        return draw_split(self.shares, f"{self.salt}/{self.column}/{text}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        facts = {
            "by": "column",
            "shares": dict(self.shares),
            "column": self.column,
            "salt": self.salt,
        }
        return {**facts, "values": dict(self.values)} if self.values else facts

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> ColumnRule:
        """Return it from plain values."""
        values = dict(facts.get("values", {}))
        return cls(make_shares(facts["shares"]), str(facts["column"]), str(facts["salt"]), values)


def text_of_value(value: Any) -> str | None:  # noqa: PLR0911 - a table of cases
    """Return a text for a value, the same whatever type the column has that holds it.

    None for null and NaN. An index gives a column another type when rows of another one come:
    whole numbers become floating-point numbers, dates become times.

    Example:
        >>> text_of_value(14), text_of_value(14.0), text_of_value(-0.0), text_of_value(b"CH")
        ('14', '14', '0', 'CH')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat().removesuffix("T00:00:00")
    if isinstance(value, Number) and not isinstance(value, complex):
        number: Any = value
        if math.isfinite(number) and number == int(number):
            return str(int(number))
        return str(float(number))
    return value.isoformat() if isinstance(value, date) else str(value)
