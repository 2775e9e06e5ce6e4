"""Weighs the chips of an index: their weights, and the strata that they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from stacchip.draws.column_values import find_values
from stacchip.draws.places import Places
from stacchip.draws.strata import Strata, Weighed
from stacchip.errors import UsageError
from stacchip.selection.class_values import classes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.draws.chosen_rows import ChosenRows
    from stacchip.draws.column_values import ColumnValues, Values
    from stacchip.selection.class_values import Classes

__all__ = ["DrawWeigher"]

_MOST_STRATA: Final = 1_000_000


class DrawWeigher:
    """Weighs chips by a column or expression, and tells the classes of others apart.

    Args:
        rows: The chips.
        weight: As for `Draw`.
        balance: As for `Draw`.
        place_km: The size of places; None to tell none.

    Raises:
        UsageError: A column is absent, an expression fails, or a chip is in no class.
    """

    def __init__(
        self,
        rows: ChosenRows,
        *,
        weight: Values | None,
        balance: Sequence[Values],
        place_km: float | None,
    ) -> None:
        self._rows = rows
        self._weight = None if weight is None else find_values(weight, rows.schema)
        self._balance = [find_values(each, rows.schema) for each in balance]
        self._places = Places.of(place_km, rows.schema)
        self._classes = [self._find_classes(each) for each in self._balance]
        self.strata = Strata(
            tuple(each.name for each in self._balance),
            tuple(found.names[:-1] for found in self._classes),  # without null
        )
        if self.strata.count > _MOST_STRATA:
            raise UsageError(
                f"The classes of {', '.join(self.strata.columns)} have {self.strata.count:,} "
                f"combinations, of {_MOST_STRATA:,} at most: balance fewer columns."
            )

    def _find_classes(self, of: ColumnValues) -> Classes:
        found = classes_of(
            lambda: (of.read(part) for _, part in self._rows.scan(of.columns)), of.name
        )
        if len(found.names) == 1:
            raise UsageError(f"No chip has a value in {of.name!r}, by which the draw balances.")
        return found

    def scan(self) -> Iterator[Weighed]:
        """Yield all chosen chips in the order of the index.

        Raises:
            UsageError: A chip has no class, or its weight is null, negative or infinite.
        """
        read = [*self._balance, *([] if self._weight is None else [self._weight])]
        columns = [*(name for each in read for name in each.columns), *self._places.columns]
        for rows, part in self._rows.scan(columns):
            yield Weighed(
                rows, self._weigh(part, len(rows)), self._stratify(part, len(rows)),
                self._places.find(part),
            )  # fmt: skip

    def _weigh(self, part: pa.Table, rows: int) -> NDArray[np.float32]:
        if self._weight is None:
            return np.ones(rows, np.float32)
        name = self._weight.name
        try:
            weights = self._weight.read(part).cast(pa.float64()).to_numpy()
        except pa.ArrowException as error:
            raise UsageError(f"The weight {name!r} is no number: {error}.") from error
        with np.errstate(over="ignore"):
            found: NDArray[np.float32] = weights.astype(np.float32)
        is_wrong = ~(found >= 0) | np.isinf(found) | ((found == 0) & (weights > 0))
        if is_wrong.any():
            value = weights[is_wrong][0]
            raise UsageError(
                f"The weight {name!r} of a chip is {'null' if np.isnan(value) else value}. Weights "
                "are 0 or from 1e-37 to 1e38: choose the chips that have one (where=), or say "
                "what the others weigh: coalesce(column, 0)."
            )
        return found

    def _stratify(self, part: pa.Table, rows: int) -> NDArray[np.uint32]:
        stratum = np.zeros(rows, np.uint32)
        for of, classes in zip(self._balance, self._classes, strict=True):
            numbers, known = classes.numbers(of.read(part)), len(classes.names) - 1
            if (numbers == known).any():
                raise UsageError(
                    f"Some chips have no value in {of.name!r}, by which the draw balances. Choose "
                    "those that have one, for example with where=pc.field(...).is_valid()."
                )
            stratum = stratum * np.uint32(known) + numbers.astype(np.uint32)
        return stratum
