"""Tells of which part of a mix each chip of an index is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.draws.column_values import ColumnValues, find_values
from stacchip.draws.places import Places
from stacchip.draws.strata import Strata, Weighed
from stacchip.errors import UsageError
from stacchip.index import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.draws.chosen_rows import ChosenRows
    from stacchip.draws.mix import Part

__all__ = ["MixWeigher"]

_NO_PART: Final = "no part"
_PLATFORM: Final = re.compile(r"[\w.-]+")


@dataclass(frozen=True, eq=False)
class _Condition:
    """What says that a chip is of a part.

    Attributes:
        values: The condition on columns, if there is one.
        selection: It has the area, if there is one.
    """

    values: ColumnValues | None
    selection: Selection

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return (*(() if self.values is None else self.values.columns), *self.selection.columns)

    def holds(self, part: pa.Table) -> NDArray[np.bool_]:
        """Return True for the rows of which it is true."""
        found = np.ones(part.num_rows, bool)
        if self.values is not None:
            said = self.values.read(part)
            if not pa.types.is_boolean(said.type):
                raise UsageError(
                    f"The part {self.values.name!r} of the mix is no condition: its values are "
                    f"{said.type}. Compare it with something."
                )
            found &= said.fill_null(False).to_numpy()
        if self.selection.area is not None:
            places = np.flatnonzero(found)
            found[places] = self.selection.meets(part.take(places))
        return found


class MixWeigher:
    """Tells the parts of a mix apart, of which each is a stratum; the last is of no part.

    Args:
        rows: The chips.
        parts: The parts.
        place_km: As for `DrawWeigher`.

    Raises:
        UsageError: A column is absent, or a condition is none.
    """

    def __init__(self, rows: ChosenRows, parts: Sequence[Part], place_km: float | None) -> None:
        self._rows = rows
        self._places = Places.of(place_km, rows.schema)
        self._conditions = [_make_condition(part, rows.schema) for part in parts]
        self.strata = Strata(("part",), ((*(_name(part) for part in parts), _NO_PART),))

    def scan(self) -> Iterator[Weighed]:
        """Yield all chosen chips in the order of the index."""
        columns = [*(name for each in self._conditions for name in each.columns)]
        for rows, part in self._rows.scan([*columns, *self._places.columns]):
            stratum = np.full(len(rows), len(self._conditions), np.uint32)
            for number, condition in reversed([*enumerate(self._conditions)]):
                stratum[condition.holds(part)] = number
            weight = (stratum < len(self._conditions)).astype(np.float32)
            yield Weighed(rows, weight, stratum, self._places.find(part))


def _make_condition(part: Part, schema: pa.Schema) -> _Condition:
    if isinstance(part, str) and _PLATFORM.fullmatch(part) and part not in schema.names:
        part = Selection(platform=part)
    if isinstance(part, Selection):
        part.require_split(schema.names, "The index")
        expression = part.expression
        return _Condition(None if expression is None else find_values(expression, schema), part)
    return _Condition(find_values(part, schema), Selection())


def _name(part: Part) -> str:
    if isinstance(part, pc.Expression):
        return str(part)
    if isinstance(part, Selection):
        return "everything" if part.expression is None else str(part.expression)
    return part
