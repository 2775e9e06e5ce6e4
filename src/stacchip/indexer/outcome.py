"""`Indexed`: what became of the items of a run of `index_items`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stacchip.errors import forget_frames

if TYPE_CHECKING:
    from stacchip.errors import StacchipError
    from stacchip.items import GridDifference, ItemKey


@dataclass(frozen=True)
class Indexed:
    """The result of `index_items`.

    Attributes:
        items: Number of items indexed.
        chips: Number of chips indexed.
        skipped: The id (or address) and the error of each item that was left out.
        repeats: Number of items that came again, and were dropped.
        without_chips: The id of each item that was indexed and has no chip, and the reason.
        without_header: The error of each file whose header could not be read, naming item and
            asset. The header is read when the first chip of the file is cut.
        failure: The error of the source of items, if it ended early: the index holds what came
            before.
        differences: The files whose pixels lie elsewhere than their item says. The files were
            believed.
    """

    items: int
    chips: int
    skipped: tuple[tuple[str, StacchipError], ...]
    repeats: int = 0
    without_chips: tuple[tuple[str, str], ...] = ()
    without_header: tuple[StacchipError, ...] = ()
    failure: StacchipError | None = None
    differences: tuple[GridDifference, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one item: chips, a reason why there are none, or an error.

    Attributes:
        name: The item's id, or the address of what is not an item.
        chips: Number of chips indexed.
        no_chips: Why there is no chip.
        without_header: As in `Indexed`.
        differences: As in `Indexed`.
        error: Why the item is left out.
        number: Its number in the run.
        key: Its key in the index; None if it is left out.
    """

    name: str
    chips: int = 0
    no_chips: str | None = None
    without_header: tuple[StacchipError, ...] = ()
    differences: tuple[GridDifference, ...] = ()
    error: StacchipError | None = None
    number: int = 0
    key: ItemKey | None = None


@dataclass
class Tally:
    """The outcomes of a run, added up one by one."""

    items: int = 0
    chips: int = 0
    skipped: list[tuple[str, StacchipError]] = field(default_factory=list)
    without_chips: list[tuple[str, str]] = field(default_factory=list)
    without_header: list[StacchipError] = field(default_factory=list)
    differences: list[GridDifference] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count an item."""
        for error in (outcome.error, *outcome.without_header):
            if error is not None:
                forget_frames(error)  # or each would keep its item's shares and headers
        if outcome.error is not None:
            self.skipped.append((outcome.name, outcome.error))
            return
        self.items += 1
        self.chips += outcome.chips
        self.without_header += outcome.without_header
        self.differences += outcome.differences
        if outcome.no_chips is not None:
            self.without_chips.append((outcome.name, outcome.no_chips))

    def indexed(self, repeats: int, failure: StacchipError | None) -> Indexed:
        """Return the result of the run."""
        return Indexed(
            items=self.items,
            chips=self.chips,
            skipped=tuple(self.skipped),
            repeats=repeats,
            without_chips=tuple(self.without_chips),
            without_header=tuple(self.without_header),
            failure=failure,
            differences=tuple(self.differences),
        )
