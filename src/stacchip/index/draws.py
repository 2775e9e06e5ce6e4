"""A few rows of an index, drawn at random; what is held is a number for each item.

An index is read twice: once to count the chips that may be drawn, and once, where it has some of
those drawn, to find their rows. What is drawn depends on the seed, the filters and the order of the
rows, and not on how the files of the index are cut into row groups.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.index.absent import NamesWanted
from stacchip.index.files.layout import index_href
from stacchip.index.files.snapshot import refusing_replaced
from stacchip.index.filters import Filters, Selection
from stacchip.index.read import read_rows_at, read_runs, report_absent, scan_numbered, scan_rows
from stacchip.index.table_rows import encode_texts
from stacchip.items.keys import ItemKey

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.storage import Storage

    Rows = NDArray[np.int64]
    Parts = Iterable[tuple[Rows, pa.Table]]

__all__ = ["count_items", "count_rows", "draw_evenly", "find_drawn", "read_evenly", "read_places"]


def count_items(
    path: str | os.PathLike[str],
    storage: Storage,
    filters: Filters,
    *,
    explains_nothing: bool = False,
) -> Counter[ItemKey]:
    """Count the chosen chips of each item of an index; arguments are those of `read_index`.

    The chips themselves are not looked at if the filters choose whole items, and the index says
    which rows are of which item.
    """
    selection = Selection.of(filters)
    runs = read_runs(path, storage=storage) if selection.is_of_whole_items else None
    if runs is None:
        columns = list(ItemKey._fields)
        parts = scan_numbered(
            path, columns=columns, storage=storage, explains_nothing=explains_nothing, **filters
        )
        return count_rows(part for _, part in parts)
    counts: Counter[ItemKey] = Counter()
    chosen = runs if selection.expression is None else runs.filter(selection.expression)
    for platform, item_id, rows in _values(chosen, (*ItemKey._fields, "rows")):
        counts[ItemKey(platform, item_id)] += rows
    wanted = NamesWanted(selection)
    wanted.see(chosen)
    if counts or not explains_nothing:
        report_absent(wanted, path, storage)
    return counts


def count_rows(parts: Iterable[pa.Table]) -> Counter[ItemKey]:
    """Count the rows of each item in parts of an index."""
    counts: Counter[ItemKey] = Counter()
    for part in parts:
        items = _Items(part)
        counts.update(items.counts())
    return counts


def draw_evenly(counts: Mapping[ItemKey, int], number: int, seed: int) -> dict[ItemKey, Rows]:
    """Draw at most `number` chips, and return which chips of each item they are, from 0.

    Each platform gets an equal share of them, and within it each item. Those with few chips leave
    the rest of their share to the others. Where an equal share is less than one, chance decides.

    Example:
        >>> counts = {ItemKey("naip", "a"): 2, ItemKey("linz", "b"): 1000}
        >>> {key.item_id: len(chips) for key, chips in draw_evenly(counts, 10, seed=0).items()}
        {'b': 8, 'a': 2}
    """
    random = np.random.default_rng(seed)
    items: dict[str, list[ItemKey]] = {}
    for key in sorted(counts):
        items.setdefault(key.platform, []).append(key)
    chips = [sum(counts[key] for key in keys) for keys in items.values()]
    drawn = {}
    for keys, share in zip(items.values(), _share_out(chips, number, random), strict=True):
        own = [counts[key] for key in keys]
        for key, their_share in zip(keys, _share_out(own, share, random), strict=True):
            if their_share:
                drawn[key] = random.choice(counts[key], their_share, replace=False)
    return drawn


def _share_out(counts: Sequence[int], number: int, random: np.random.Generator) -> list[int]:
    """Return how many to take of each group so that groups are even."""
    there = np.array(counts, np.int64)
    shares = np.zeros_like(there)
    left = min(number, int(there.sum()))
    while left:
        open_groups = np.flatnonzero(shares < there)
        if left < len(open_groups):
            shares[random.choice(open_groups, left, replace=False)] += 1
            break
        more = np.minimum(left // len(open_groups), (there - shares)[open_groups])
        shares[open_groups] += more
        left -= int(more.sum())
    taken: list[int] = shares.tolist()
    return taken


def find_drawn(parts: Parts, drawn: Mapping[ItemKey, Rows]) -> Rows:
    """Return the numbers of rows that `draw_evenly` drew, in their order.

    Args:
        parts: Rows with their numbers, at least those of the items drawn, and all that may be.
        drawn: Which chips of each item.
    """
    seen: Counter[ItemKey] = Counter()
    found = [np.empty(0, np.int64)]
    for rows, part in parts:
        items = _Items(part)
        for key in items.counts().keys() & drawn.keys():
            places = items.places(key)
            inside = drawn[key] - seen[key]
            found.append(rows[places[inside[(inside >= 0) & (inside < len(places))]]])
            seen[key] += len(places)
    return np.sort(np.concatenate(found))


def read_evenly(
    path: str | os.PathLike[str],
    number: int,
    seed: int,
    storage: Storage,
    filters: Filters,
    *,
    columns: Sequence[str] | None = None,
) -> tuple[pa.Table, Counter[ItemKey]]:
    """Draw at most `number` of the chosen chips of an index, as `draw_evenly` does, and read them.

    Returns:
        Their rows in the order of the index, and the number of chosen chips of each item.

    Raises:
        IndexReplaced: The index was replaced meanwhile.
    """
    with refusing_replaced([index_href(path)], storage):
        counts = count_items(path, storage, filters, explains_nothing=True)
        drawn = draw_evenly(counts, number, seed)
        ids = sorted({key.item_id for key in drawn})
        of_items = Selection.of({**filters, "item_id": ids})
        parts = scan_rows(path, ItemKey._fields, of_items, storage) if ids else ()
        rows = find_drawn(parts, drawn)
        return read_rows_at(path, rows, columns=columns, storage=storage), counts


def read_places(
    path: str | os.PathLike[str], places: Rows, storage: Storage, filters: Filters
) -> pa.Table:
    """Read some of the chosen chips of an index, by their places among all those chosen.

    Args:
        path: As in `read_index`.
        places: Their places from 0, rising.
        storage: As in `read_index`.
        filters: The chips among which places count.
    """
    found = [np.empty(0, np.int64)]
    before = 0
    for rows, _ in scan_rows(path, ["chip_index_x"], Selection.of(filters), storage):
        first, last = np.searchsorted(places, [before, before + len(rows)])
        found.append(rows[places[first:last] - before])
        before += len(rows)
    return read_rows_at(path, np.concatenate(found), storage=storage)


class _Items:
    """The items of rows."""

    def __init__(self, rows: pa.Table) -> None:
        (platforms, self._platforms), (ids, self._ids) = (
            encode_texts(rows[name]) for name in ItemKey._fields
        )
        self._codes = platforms * len(self._ids) + ids

    def counts(self) -> dict[ItemKey, int]:
        """Return the number of rows of each item."""
        there, counts = np.unique(self._codes, return_counts=True)
        names = self._platforms.to_pylist(), self._ids.to_pylist()
        keys = (
            ItemKey(names[0][code // len(self._ids)], names[1][code % len(self._ids)])
            for code in there.tolist()
        )
        return dict(zip(keys, counts.tolist(), strict=True))

    def places(self, key: ItemKey) -> Rows:
        """Return the places of an item's rows."""
        platform = self._platforms.index(key.platform).as_py()
        code = platform * len(self._ids) + self._ids.index(key.item_id).as_py()
        return np.flatnonzero(self._codes == code)


def _values(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
