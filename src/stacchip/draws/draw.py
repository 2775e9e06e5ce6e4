"""`Draw`: which chips an epoch takes, and how often, by their weights and classes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.draws.strata import Quota
from stacchip.draws.weighing import DrawWeigher
from stacchip.errors import UsageError
from stacchip.splits.cells import CellGrid
from stacchip.splits.shares import is_number

if TYPE_CHECKING:
    from stacchip.draws.chosen_rows import ChosenRows
    from stacchip.draws.column_values import Values
    from stacchip.draws.report import DrawReport
    from stacchip.draws.strata import Totals, Weigher

__all__ = ["By", "Draw", "Replace"]

Replace: TypeAlias = Literal["never", "repeat"]
By: TypeAlias = Literal["chip", "area", "place"]
_PLACE_KM: Final = 2.56
_MOST_CHIPS: Final = 10**12


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Draws the chips of an epoch by weights and classes, another set in each epoch.

    Give it to `ChipStream`, `DrawSampler` or `prechip`. What is drawn depends on the
    seed, the epoch, the chips' keys and what they weigh. It does not depend on the number of ranks
    and workers, or on the order of the rows.

    Args:
        weight: How likely a chip is: the name of a column, an expression as text such as
            `"1 - cloud_cover_percentage"`, or a pyarrow expression. Chips with a weight of 0 never
            come. By default, all chips are alike.
        balance: Columns or expressions, such as `["landcover", "month(datetime)"]`: each
            combination of their classes gets the same share of the epoch. A column of real numbers
            has five classes, its fifths.
        power: How far classes are balanced: 1 gives each the same share, 0 leaves them as they
            are, and 0.5 is in between (shares go with the square root of what is there).
        chips: The number of chips in an epoch. By default, it is as many as can be had without
            repeats while all shares are as asked; with repeats, as many as the index has.
        replace: `"never"`: no chip comes twice in an epoch. A class that has too few chips then
            gives all of them, and others fill up the rest: the report names it. `"repeat"`: chips
            come again where they must, each as often as others like it, up to one.
        by: What is drawn together. `"chip"`: nothing. `"area"`: neighbours that share blocks come
            together as far as their weights are equal, so that fewer blocks are decoded; areas have
            the size that the blocks of the first item of each kind need. `"place"`: chips of the
            same ground come together, of all dates and sensors.
        place_km: The size of a place, a cell of Major TOM's grid that has the centres of its chips.
        each_epoch: False draws the same chips in all epochs.

    Raises:
        UsageError: An argument is wrong.

    Example:
        >>> from stacchip import ChipStream
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> draw = Draw(weight="1 + chip_index_x", balance=["chip_index_y"], chips=8)
        >>> len(ChipStream(NoStatsChipIndexer(item), draw=draw, seed=1))
        8
    """

    weight: Values | None = None
    balance: Values | Sequence[Values] = ()
    power: float = 1.0
    chips: int | None = None
    replace: Replace = "never"
    by: By = "chip"
    place_km: float = _PLACE_KM
    each_epoch: bool = True

    batches: ClassVar[str] = "random"
    count: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.replace not in ("never", "repeat"):
            raise UsageError(f"replace is 'never' or 'repeat', not {self.replace!r}.")
        if self.by not in ("chip", "area", "place"):
            raise UsageError(f"by is 'chip', 'area' or 'place', not {self.by!r}.")
        if not is_number(self.power) or not 0 <= self.power <= 1:
            raise UsageError(f"power is a number from 0 to 1, not {self.power!r}.")
        object.__setattr__(self, "chips", count_of_chips(self.chips))
        object.__setattr__(self, "power", float(self.power))  # a number of numpy, too
        object.__setattr__(self, "each_epoch", require_claim("each_epoch", self.each_epoch))
        if not isinstance(self.weight, str | pc.Expression | None):
            raise UsageError(f"weight is a column or an expression, not {self.weight!r}.")
        object.__setattr__(self, "place_km", CellGrid(self.place_km).km)
        if not isinstance(self.balance, str | pc.Expression | Sequence):
            raise UsageError(
                f"balance is a column, an expression, or a list of these; not {self.balance!r}."
            )

    @property
    def classes(self) -> tuple[Values, ...]:
        """The columns and expressions whose classes are balanced."""
        single = isinstance(self.balance, str | pc.Expression)
        return (self.balance,) if single else tuple(self.balance)

    @property
    def digest(self) -> str:
        """A digest of the draw; it holds for this version of pyarrow."""
        return digest_of(*(getattr(self, field.name) for field in fields(self)))

    @property
    def plain(self) -> dict[str, Any]:
        """The draw as plain values that JSON can hold."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        weight = None if self.weight is None else plain_values(self.weight)
        return {**told, "weight": weight, "balance": [plain_values(each) for each in self.classes]}

    def weigher(self, rows: ChosenRows) -> Weigher:
        """Return what weighs the chips of an index.

        Raises:
            UsageError: A column is absent, or an expression fails.
        """
        place_km = self.place_km if self.by == "place" else None
        return DrawWeigher(rows, weight=self.weight, balance=self.classes, place_km=place_km)

    def quota(self, totals: Totals) -> Quota:
        """Return what an epoch takes of chips that weigh so much.

        Raises:
            UsageError: There are not so many chips.
        """
        there = totals.weight > 0
        if not there.any():
            raise UsageError("No chip can be drawn: none is chosen, or all weights are 0.")
        factor = np.zeros(len(there))
        factor[there] = totals.weight[there] ** -float(self.power)
        asked = factor * totals.weight
        is_capped, drawable = self.replace == "never", int(totals.drawable.sum())
        chips = self.chips
        if chips is None and is_capped:  # so that the likeliest chip is expected once
            chips = max(1, int(asked.sum() / (factor * totals.most).max() * (1 + 1e-12)))
        elif chips is None:
            chips = drawable
        if is_capped and chips > drawable:
            raise UsageError(
                f"The draw asks for {chips:,} chips an epoch, and {drawable:,} can be drawn. Ask "
                'for fewer, or let them come again: replace="repeat".'
            )
        group = np.zeros(len(there), np.int64)
        return Quota(factor, group, np.array([chips]), is_capped, asked / asked.sum())

    def report(self, stream: Any) -> DrawReport:
        """Return what the draw gives in a stream's epoch; see `ChipStream.report_draw`."""
        found: DrawReport = stream.report_draw()
        return found


def count_of_chips(chips: Any) -> int | None:
    """Return a number of chips as a plain number; None for None.

    Raises:
        UsageError: It is no whole number from 1 on.
    """
    if chips is None:
        return None
    if not is_number(chips) or not 1 <= chips <= _MOST_CHIPS or chips != int(chips):
        raise UsageError(f"chips is a whole number from 1 on, not {chips!r}.")
    return int(chips)


def require_claim(name: str, value: Any) -> bool:
    """Return a boolean of Python or numpy as one of Python.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name} is True or False, not {value!r}.")
    return bool(value)


def plain_values(values: Values) -> str:
    """Return a column or an expression as text; different expressions have different ones."""
    if isinstance(values, str):
        return values
    return f"{values} #{hashlib.sha256(_say(values).encode()).hexdigest()[:8]}"


def digest_of(*values: Any) -> str:
    """Return a digest of plain values and expressions.

    Raises:
        UsageError: pyarrow cannot serialise an expression.
    """
    said = "\n".join([pa.__version__, *map(_say, values)])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _say(value: Any) -> str:
    """Return a value as text, whatever objects it shares with others."""
    if isinstance(value, pc.Expression):
        try:
            return pickle.dumps(value).hex()  # its own text shortens long lists
        except pa.ArrowException as error:
            raise UsageError(f"The expression {value} cannot be stored: {error}.") from error
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_say, value))}]"
    return repr(value)
