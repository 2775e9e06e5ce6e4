"""Splits by the values of a column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.splits.shares import BORDER, draw_split, make_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.splits.shares import Codes, Shares

__all__ = ["ColumnRule"]


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
        encoded = rows[self.column].combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
            encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        found = [self._of_value(value) for value in encoded.dictionary.to_pylist()]
        places = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
        codes: Codes = np.array([*found, BORDER], np.int8)[places]
        return codes

    def _of_value(self, value: Any) -> int:
        if value is None:
            return BORDER
        text = str(value)
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
