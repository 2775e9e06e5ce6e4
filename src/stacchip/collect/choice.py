"""Rules that choose among the items of a catalogue: pure, and the same for every source.

Random draws depend on a seed and the row, so a job that runs again chooses the same items. Nothing
is left out in silence: a rule returns a note for the report when a quarter has no item, or an item
lacks assets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pystac

from stacchip.errors import UsageError
from stacchip.items import item_datetime
from stacchip.items.dates import Period
from stacchip.runtime.names import names_of

T = TypeVar("T")

# a year's last quarter ends in the next one, which the calendar must have
_FIRST_YEAR, _LAST_YEAR = 1, 9998

Accept = Callable[[pystac.Item], str | None]
"""A rule on one item: returns `None` to take it, or the reason why not."""


@dataclass(frozen=True)
class Chosen:
    """The items chosen for a row.

    Attributes:
        items: The items to take, in a fixed order.
        notes: A sentence for each thing that was wanted and is not in the catalogue.
    """

    items: tuple[pystac.Item, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __add__(self, other: Chosen) -> Chosen:
        return Chosen(self.items + other.items, self.notes + other.notes)


Choice = Chosen  # pickles of 0.x name it so


# -- time ------------------------------------------------------------------------------------------


def quarters(year: int) -> tuple[Period, ...]:
    """Return the four quarters of a year, from January.

    Example:
        >>> [quarter.name for quarter in quarters(2020)]
        ['2020 Q1', '2020 Q2', '2020 Q3', '2020 Q4']
    """
    starts = [dt.datetime(year, month, 1, tzinfo=dt.UTC) for month in (1, 4, 7, 10)]
    ends = [*starts[1:], dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)]
    return tuple(
        Period(f"{year} Q{number}", start, end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    )


def months(year: int) -> tuple[Period, ...]:
    """Return the twelve months of a year.

    Example:
        >>> months(2020)[1].interval
        '2020-02-01T00:00:00Z/2020-02-29T23:59:59Z'
    """
    starts = [dt.datetime(year, month, 1, tzinfo=dt.UTC) for month in range(1, 13)]
    ends = [*starts[1:], dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)]
    return tuple(
        Period(f"{start:%Y-%m}", start, end) for start, end in zip(starts, ends, strict=True)
    )


# -- draws -----------------------------------------------------------------------------------------


def row_generator(seed: int, row: int) -> np.random.Generator:
    """Return the random generator of a row. It depends on seed and row, not on what ran before.

    Raises:
        UsageError: The seed is negative.

    Example:
        >>> bool(row_generator(0, 7).random() == row_generator(0, 7).random())
        True
    """
    if seed < 0:
        raise UsageError(f"The seed is {seed}; it must be a whole number from 0 on.")
    return np.random.default_rng([seed, row])


def random_years(span: tuple[int, int], count: int, dice: np.random.Generator) -> tuple[int, ...]:
    """Return `count` different years of a span, both ends included, in the order drawn.

    Raises:
        UsageError: The span is backwards, has fewer years than `count`, or leaves the calendar.

    Example:
        >>> sorted(random_years((2018, 2019), 2, row_generator(0, 0)))
        [2018, 2019]
    """
    first, last = span
    if first < _FIRST_YEAR or last > _LAST_YEAR:
        raise UsageError(
            f"Years {first} to {last} are out of range: use {_FIRST_YEAR} to {_LAST_YEAR}."
        )
    if not 0 < count <= last - first + 1:
        raise UsageError(f"Cannot draw {count} different years from {first} to {last}.")
    drawn = dice.choice(np.arange(first, last + 1), count, replace=False)
    return tuple(int(year) for year in drawn)


def sample_by_share(
    population: Sequence[T],
    *,
    share: float,
    minimum: int,
    maximum: int,
    dice: np.random.Generator,
) -> tuple[T, ...]:
    """Return a random share of the population, at least `minimum` and at most `maximum` of it.

    Nothing is drawn twice, and the order of the population is kept. A population smaller than
    `minimum` is returned whole.

    Example:
        >>> len(sample_by_share(range(100), share=0.5, minimum=10, maximum=2000,
        ...                     dice=row_generator(0, 0)))
        50
    """
    wanted = round(len(population) * share)
    count = min(len(population), max(minimum, min(maximum, wanted)))
    if count == 0:
        return ()
    drawn = dice.choice(len(population), count, replace=False)
    return tuple(population[int(index)] for index in np.sort(drawn))


# -- rules on one item -----------------------------------------------------------------------------


def has_assets(keys: str | Iterable[str]) -> Accept:
    """Return a rule that takes only items with all of these assets."""
    wanted = names_of(keys, "keys")

    def accept(item: pystac.Item) -> str | None:
        missing = [key for key in wanted if key not in item.assets]
        return f"has no asset {', '.join(missing)}" if missing else None

    return accept


def has_at_most(name: str, limit: float | None) -> Accept:
    """Return a rule that takes only items whose property is a number up to `limit`."""

    def accept(item: pystac.Item) -> str | None:
        if limit is None:
            return None
        value = item.properties.get(name)
        if not isinstance(value, int | float):
            return f"has no {name}"
        return f"has {name} {value:g}, over {limit:g}" if value > limit else None

    return accept


def has_one_of(name: str, values: Iterable[Any]) -> Accept:
    """Return a rule that takes only items whose property has one of these values."""
    wanted = tuple(values)

    def accept(item: pystac.Item) -> str | None:
        value = item.properties.get(name)
        return None if value in wanted else f"has {name} {value!r}"

    return accept


def all_of(*rules: Accept) -> Accept:
    """Return a rule that takes only items that all of these rules take."""

    def accept(item: pystac.Item) -> str | None:
        return next((why for rule in rules if (why := rule(item)) is not None), None)

    return accept


# -- rules on many ---------------------------------------------------------------------------------


def cloud_cover(item: pystac.Item) -> float:
    """Return an item's `eo:cloud_cover` (0..100), or infinity if it is absent or USGS's -1."""
    value = item.properties.get("eo:cloud_cover")
    return float(value) if isinstance(value, int | float) and value >= 0 else float("inf")


def pick_of_period(
    period: Period,
    items: Iterable[pystac.Item],
    *,
    accept: Accept,
    rank: Callable[[pystac.Item], Any],
    count: int = 1,
) -> Chosen:
    """Choose the `count` items of a period with the lowest rank, then the earliest, then by id.

    Ignores items outside the period, even if the catalogue offers them, and repeated ids. A period
    with fewer items gets a note.
    """
    inside = {item.id: item for item in items if item_datetime(item) in period}
    refused = {key: why for key, item in inside.items() if (why := accept(item)) is not None}
    taken = sorted(
        (item for key, item in inside.items() if key not in refused),
        key=lambda item: (rank(item), item_datetime(item), item.id),
    )[:count]
    notes: tuple[str, ...] = ()
    if not taken:
        notes = (f"{period.name}: no item{_reasons(len(inside), refused)}; skipped.",)
    elif len(taken) < count:
        notes = (f"{period.name}: only {len(taken)} of {count} items.",)
    return Chosen(tuple(taken), notes)


def _reasons(offered: int, refused: Mapping[str, str]) -> str:
    """Return why none of the offered items was taken, with one example."""
    if not offered:
        return ""
    item_id, why = min(refused.items())
    return f" fits of {offered} offered ({item_id} {why})"


def latest_and_random(
    items: Iterable[pystac.Item], *, accept: Accept, dice: np.random.Generator
) -> Chosen:
    """Choose the latest item, and draw another one.

    With no item, or only one, the notes say so; nothing is raised.
    """
    by_id = {item.id: item for item in items}
    fitting = sorted(
        (item for item in by_id.values() if accept(item) is None),
        key=lambda item: (item_datetime(item), item.id),
    )
    if not fitting:
        refused = {key: why for key, item in by_id.items() if (why := accept(item)) is not None}
        return Chosen((), (f"no item{_reasons(len(by_id), refused)}; skipped.",))
    latest = fitting.pop()
    if not fitting:
        return Chosen((latest,), ("one item only: there is no other to draw.",))
    return Chosen((latest, fitting[int(dice.integers(len(fitting)))]))
