"""Splits by time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import UsageError
from stacchip.splits.shares import BORDER, is_number, require_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.splits.shares import Codes

__all__ = ["TimeRule"]

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class TimeRule:
    """Periods are splits.

    Attributes:
        names: The splits, one more than boundaries, from the earliest on.
        boundaries: The moments between them, rising; the later split begins there.
        gap_days: Chips of two splits are farther apart in time than this.
    """

    names: tuple[str, ...]
    boundaries: tuple[datetime, ...]
    gap_days: float

    columns = ("datetime",)

    def __post_init__(self) -> None:
        if not is_number(self.gap_days) or not 0 <= self.gap_days < math.inf:
            raise UsageError(f"gap_days must be 0 or more, not {self.gap_days!r}.")
        require_names(self.names)
        if any(moment.tzinfo is None for moment in self.boundaries):
            raise UsageError("Give boundaries as dates or as moments with a time zone.")
        if len(self.names) != len(self.boundaries) + 1:
            raise UsageError(
                f"{len(self.boundaries)} boundaries make {len(self.boundaries) + 1} periods; there "
                f"are {len(self.names)} names: {', '.join(self.names)}."
            )
        if not self.boundaries or list(self.boundaries) != sorted(set(self.boundaries)):
            raise UsageError("Give boundaries in the order of time, at least one.")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; one name may be of several periods."""
        return tuple(dict.fromkeys(self.names))

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split; `BORDER` for none."""
        if not pa.types.is_timestamp(rows["datetime"].type):
            raise UsageError(
                f"The column 'datetime' has type {rows['datetime'].type}, and no times."
            )
        # what is finer than a microsecond is cut off
        column = rows["datetime"].cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
        is_known = np.asarray(column.is_valid())
        times = column.fill_null(0).to_numpy()
        ends = np.array([_microseconds(moment) for moment in self.boundaries])
        half = self.gap_days * _DAY_US / 2
        numbers = np.array([self.splits.index(name) for name in self.names], np.int8)
        codes: Codes = numbers[np.searchsorted(ends, times, side="right")]
        for end, before, after in zip(ends, self.names[:-1], self.names[1:], strict=True):
            if before != after:
                codes[(times >= end - half) & (times < end + half)] = BORDER
        codes[~is_known] = BORDER
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "by": "time",
            "names": list(self.names),
            "boundaries": [moment.isoformat() for moment in self.boundaries],
            "gap_days": self.gap_days,
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> TimeRule:
        """Return it from plain values."""
        boundaries = tuple(map(datetime.fromisoformat, facts["boundaries"]))
        return cls(tuple(facts["names"]), boundaries, float(facts["gap_days"]))


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
