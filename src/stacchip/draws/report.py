"""What a draw gives: asked and got by class, repeats, and what it costs to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.draws.chart import draw_shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

    from stacchip.draws.strata import Quota, Strata, Totals

__all__ = ["DrawReport", "Tally", "ValueShare", "make_report"]

_MOST_SHOWN: Final = 20
_LONGEST_NAME: Final = 16  # beside the numbers, in 60 columns


@dataclass(frozen=True)
class ValueShare:
    """One class of a column in a draw.

    Attributes:
        column: The column or expression; `"part"` of a mix.
        value: The class.
        there: Its share of the chosen chips.
        asked: Its share of the epoch, as asked for.
        got: Its share of the chips drawn.
        chips: How many of its chips come in the epoch.
        different: How many different ones.
        most: The largest share that it can have in an epoch of so many chips without repeats.
    """

    column: str
    value: str
    there: float
    asked: float
    got: float
    chips: int
    different: int
    most: float

    @property
    def is_saturated(self) -> bool:
        """True if the share asked for cannot be had without repeats."""
        return self.asked > self.most * (1 + 1e-9)


@dataclass(frozen=True)
class DrawReport:
    """What a draw gives in an epoch.

    Attributes:
        chips: Number of chips in the epoch.
        different: Number of different ones.
        of: Number of chips that were chosen, from which they are drawn.
        effective: The effective number of chips (Kish): as many chips that come once each say as
            much.
        values: The classes of each column that is balanced, or the parts of a mix.
        can_repeat: True if chips may come again in an epoch.
        blocks_per_chip: Blocks that an epoch decodes for a chip, by this draw.
        blocks_per_chip_of_all: The same for an epoch of all chips in the order of blocks.
    """

    chips: int
    different: int
    of: int
    effective: float
    values: tuple[ValueShare, ...]
    can_repeat: bool
    blocks_per_chip: float
    blocks_per_chip_of_all: float

    @property
    def repeats(self) -> int:
        """How many chips of the epoch repeat others of it."""
        return self.chips - self.different

    @property
    def saturated(self) -> tuple[ValueShare, ...]:
        """The classes that get less than asked, since all of their chips come."""
        return () if self.can_repeat else tuple(v for v in self.values if v.is_saturated)

    def draw(self, *, width: int = 900) -> Image.Image:
        """Return a chart of the classes: their shares in the index and in an epoch.

        Args:
            width: Its width in pixels.

        Raises:
            UsageError: The draw balances no classes.
        """
        return draw_shares(self.values, width=width)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        again = f"; {self.repeats:,} come again" if self.repeats else ""
        yield f"{self.chips:,} chips of {self.of:,}, {self.different:,} different{again}"
        if self.repeats:
            yield f"worth {self.effective:,.0f} chips that come once (effective number, Kish)"
        yield (
            f"decodes {self.blocks_per_chip:.2f} blocks a chip; all chips in the order of blocks "
            f"take {self.blocks_per_chip_of_all:.2f}"
        )
        for column in dict.fromkeys(value.column for value in self.values):
            yield from self._table(column)
        for value in self.saturated:
            yield (
                f"{value.column} {value.value} has {value.there:.2%} of the chips: at most "
                f"{value.most:.2%} of the epoch can be had without repeats, {value.asked:.2%} "
                "were asked for"
            )

    def _table(self, column: str) -> Iterator[str]:
        own = [value for value in self.values if value.column == column]
        width = max(len(value.value) for value in own[:_MOST_SHOWN])
        if len(column) > max(width, _LONGEST_NAME):  # an expression
            yield column
            column = ""
        width = max(width, len(column))
        yield f"{column:<{width}}  {'there':>8}  {'asked':>8}  {'got':>8}  {'chips':>12}"
        for value in own[:_MOST_SHOWN]:
            yield (
                f"{value.value:<{width}}  {value.there:>8.2%}  {value.asked:>8.2%}  "
                f"{value.got:>8.2%}  {value.chips:>12,}"
            )
        if len(own) > _MOST_SHOWN:
            yield f"and {len(own) - _MOST_SHOWN:,} more"


class Tally:
    """Counts what is drawn, stratum by stratum.

    Args:
        strata: Number of strata.
    """

    def __init__(self, strata: int) -> None:
        self.chips = np.zeros(strata, np.int64)
        self.different = np.zeros(strata, np.int64)
        self.squares = 0

    def add(self, stratum: NDArray[np.uint32], times: NDArray[np.int64]) -> None:
        """Count further chips, which come so many times."""
        count = len(self.chips)
        self.chips += np.bincount(stratum, times, count).astype(np.int64)
        self.different += np.bincount(stratum[times > 0], minlength=count)
        self.squares += int((times * times).sum())


def make_report(
    strata: Strata,
    totals: Totals,
    quota: Quota,
    tally: Tally,
    *,
    blocks_per_chip: float,
    blocks_per_chip_of_all: float,
) -> DrawReport:
    """Return the report of a draw.

    Args:
        strata: What it tells apart.
        totals: The chips that there are.
        quota: What it asks for.
        tally: What it gives.
        blocks_per_chip: As for `DrawReport`.
        blocks_per_chip_of_all: As for `DrawReport`.
    """
    chips, there = int(tally.chips.sum()), int(totals.chips.sum())
    values = []
    for number, column in enumerate(strata.columns):
        counted, drawable, asked, got, different = (
            strata.by_class(number, of_stratum.astype(np.float64))
            for of_stratum in (
                totals.chips, totals.drawable, quota.asked, tally.chips, tally.different,
            )
        )  # fmt: skip
        for place, name in enumerate(strata.classes[number]):
            if not counted[place]:
                continue
            values.append(
                ValueShare(
                    column, name, counted[place] / there, float(asked[place]),
                    got[place] / chips, int(got[place]), int(different[place]),
                    min(1.0, drawable[place] / chips),
                )
            )  # fmt: skip
    effective = chips**2 / tally.squares if tally.squares else 0.0
    return DrawReport(
        chips, int(tally.different.sum()), there, effective, tuple(values),
        not quota.is_capped, blocks_per_chip, blocks_per_chip_of_all,
    )  # fmt: skip
