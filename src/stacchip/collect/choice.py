"""Which of the items that a catalogue offers are taken: pure rules, the same for every source.

Chance comes from a seed and the row, so that a job that is run again chooses the same items. What a
rule passes over (a quarter without an item, an item without the assets asked for) comes back as a
note for the report: nothing is left out in silence.
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

T = TypeVar("T")

Accept = Callable[[pystac.Item], str | None]
"""A rule on one item: `None` to take it, else the reason why not."""


@dataclass(frozen=True)
class Chosen:
    """What is taken of a row, and what was passed over.

    Attributes:
        items: The items to take, in a fixed order.
        notes: One sentence for each thing that was asked for and is not there.
    """

    items: tuple[pystac.Item, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __add__(self, other: Chosen) -> Chosen:
        return Chosen(self.items + other.items, self.notes + other.notes)


Choice = Chosen  # pickles of 0.x name it so


# -- time ------------------------------------------------------------------------------------------


def quarters(year: int) -> tuple[Period, ...]:
    """The four quarters of a year, from January.

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
    """The twelve months of a year.

    Example:
        >>> months(2020)[1].interval
        '2020-02-01T00:00:00Z/2020-02-29T23:59:59Z'
    """
    starts = [dt.datetime(year, month, 1, tzinfo=dt.UTC) for month in range(1, 13)]
    ends = [*starts[1:], dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)]
    return tuple(
        Period(f"{start:%Y-%m}", start, end) for start, end in zip(starts, ends, strict=True)
    )


# -- chance ----------------------------------------------------------------------------------------


def row_generator(seed: int, row: int) -> np.random.Generator:
    """The dice of one row: the same for the same seed and row, whatever ran before.

    Example:
        >>> bool(row_generator(0, 7).random() == row_generator(0, 7).random())
        True
    """
    return np.random.default_rng([seed, row])


def random_years(span: tuple[int, int], count: int, dice: np.random.Generator) -> tuple[int, ...]:
    """`count` different years between the first and the last, both included, in drawn order.

    Raises:
        UsageError: The span is backwards, or has fewer years.

    Example:
        >>> sorted(random_years((2018, 2019), 2, row_generator(0, 0)))
        [2018, 2019]
    """
    first, last = span
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
    """A share of the population, at least `minimum` and at most `maximum`, without repeats.

    A population smaller than `minimum` is taken whole. The order of the population is kept.

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


def has_assets(keys: Iterable[str]) -> Accept:
    """Only items with every one of these assets."""
    wanted = tuple(keys)

    def accept(item: pystac.Item) -> str | None:
        missing = [key for key in wanted if key not in item.assets]
        return f"has no asset {', '.join(missing)}" if missing else None

    return accept


def has_at_most(name: str, limit: float | None) -> Accept:
    """Only items whose property is a number up to `limit`; one without it is passed over."""

    def accept(item: pystac.Item) -> str | None:
        if limit is None:
            return None
        value = item.properties.get(name)
        if not isinstance(value, int | float):
            return f"has no {name}"
        return f"has {name} {value:g}, over {limit:g}" if value > limit else None

    return accept


def has_one_of(name: str, values: Iterable[Any]) -> Accept:
    """Only items whose property is one of these."""
    wanted = tuple(values)

    def accept(item: pystac.Item) -> str | None:
        value = item.properties.get(name)
        return None if value in wanted else f"has {name} {value!r}"

    return accept


def all_of(*rules: Accept) -> Accept:
    """Only items that every rule takes."""

    def accept(item: pystac.Item) -> str | None:
        return next((why for rule in rules if (why := rule(item)) is not None), None)

    return accept


# -- rules on many ---------------------------------------------------------------------------------


def cloud_cover(item: pystac.Item) -> float:
    """An item's `eo:cloud_cover` (0..100); the worst where it tells none (or USGS's -1)."""
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
    """The `count` items of a period with the lowest rank; ties go to the earlier, then the id.

    Items outside the period are passed over even where a catalogue offers them, and so is a second
    item with the same id. A period that comes out short is said.
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
    """Why none of what was offered was taken, with one example."""
    if not offered:
        return ""
    item_id, why = min(refused.items())
    return f" fits of {offered} offered ({item_id} {why})"


def latest_and_random(
    items: Iterable[pystac.Item], *, accept: Accept, dice: np.random.Generator
) -> Chosen:
    """The latest item, and one other drawn by the dice.

    No item, or only one, is no error: it is said.
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
