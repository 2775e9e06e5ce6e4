"""Rules that say which split a chip is in; each is a pure function of its row.

So a split survives filters, merges, other orders and growth: it says the same of a row wherever the
row is. A rule is plain values, and is recorded with an index as JSON.

A rule gives a chip a split only if all that lies near the chip has the same split. Other chips are
in none: they are the border between the splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import shapely

from stacchip.errors import UsageError
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.splits.by_cell import CellRule
from stacchip.splits.by_column import ColumnRule
from stacchip.splits.by_region import RegionRule
from stacchip.splits.by_time import TimeRule
from stacchip.splits.shares import BORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from stacchip.splits.shares import Codes

__all__ = ["BothRules", "Rule", "rule_from_dict"]

_DEEPEST: Final = 8


class Rule(Protocol):
    """Says which split a chip is in."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an index that it looks at."""

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split in `splits`; `BORDER` for none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, from which `rule_from_dict` makes the rule again."""


def rule_from_dict(facts: Mapping[str, Any]) -> Rule:
    """Return a rule from what its `to_dict` returned.

    Raises:
        UsageError: It is of no rule that this version knows.
    """
    make = _KINDS.get(str(facts.get("by")))
    try:
        if make is not None:
            rule: Rule = make.from_dict(facts)
            return rule
    except (*ODD_VALUES, shapely.errors.ShapelyError) as error:
        raise UsageError(f"A recorded split is broken: {type(error).__name__}: {error}.") from error
    raise UsageError(
        f"A split by {facts.get('by')!r} was recorded by another version of stacchip: update it."
    )


@dataclass(frozen=True)
class BothRules:
    """A chip is in a split if two rules say so: in space and in time, for example."""

    one: Rule
    other: Rule

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that both have."""
        return tuple(name for name in self.one.splits if name in self.other.splits)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of an index that they look at."""
        return tuple(dict.fromkeys([*self.one.columns, *self.other.columns]))

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split; `BORDER` for none."""
        mine, theirs = (
            np.array([*map(_place_in(self.splits), rule.splits), BORDER], np.int8)[rule.codes(rows)]
            for rule in (self.one, self.other)
        )
        return np.where(mine == theirs, mine, BORDER).astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {"by": "both", "rules": [self.one.to_dict(), self.other.to_dict()]}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> BothRules:
        """Return them from plain values."""
        if _depth_of(facts) > _DEEPEST:
            raise UsageError("Rules are joined too often.")
        one, other = map(rule_from_dict, facts["rules"])
        return cls(one, other)


def _depth_of(facts: Any) -> int:
    """Return how many times rules are joined; counting ends soon above the most."""
    level, depth = [facts], 0
    while level and depth <= _DEEPEST:
        depth += 1
        inside = (each.get("rules") for each in level if isinstance(each, dict))
        level = [rule for rules in inside if isinstance(rules, list) for rule in rules[:2]]
    return depth


def _place_in(splits: Sequence[str]) -> Any:
    return lambda name: splits.index(name) if name in splits else BORDER


_KINDS: Final[dict[str, Any]] = {
    "cell": CellRule,
    "region": RegionRule,
    "time": TimeRule,
    "column": ColumnRule,
    "both": BothRules,
}
