"""What a split does to an index: the chips kept and lost, and the classes of each split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.selection.class_values import find_classes
from stacchip.selection.index_parts import scan_parts
from stacchip.splits.by_cell import CellRule
from stacchip.splits.ground import bounds_of
from stacchip.splits.shares import BORDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from stacchip.splits.rules import Rule
    from stacchip.storage import Storage

__all__ = ["SplitReport", "count_chips"]

_MOST_LOST: Final = 0.1  # of all chips, before another cell size is proposed
_WANTED_LOST: Final = 0.05
_FEW_CELLS: Final = 10  # for each split: with fewer, chance decides how large it is
_SIZES: Final = (1, 2, 5)
_MOST_SHOWN: Final = 20


@dataclass(frozen=True)
class SplitReport:
    """How an index is split.

    Attributes:
        chips: The number of chips in each split.
        border: The number of chips in none.
        asked: The share of each split that was asked for, if one was.
        column: The column whose classes were counted, if one was.
        classes: By class, the number of its chips in each split, and in none ("border").
        empty: By split, the classes that it lacks, though the index has them.
        cells: The number of cells that have chips in each split; for a split by cells.
        advice: What would make it better, if anything.
    """

    chips: Mapping[str, int]
    border: int
    asked: Mapping[str, float] = field(default_factory=dict)
    column: str | None = None
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    empty: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """The number of chips in a split."""
        return sum(self.chips.values())

    @property
    def lost(self) -> float:
        """The share of chips in no split, 0..1; 0 if there are no chips."""
        total = self.kept + self.border
        return self.border / total if total else 0.0

    def __str__(self) -> str:
        total = self.kept + self.border
        lines = [f"{total:,} chips, of which {self.border:,} ({self.lost:.1%}) are in no split"]
        width = max(map(len, [*self.chips, "border"]))
        for name, count in self.chips.items():
            share = count / self.kept if self.kept else 0.0
            asked = f", {self.asked[name]:.0%} asked" if name in self.asked else ""
            cells = f", {self.cells[name]:,} cells" if name in self.cells else ""
            lines.append(f"  {name:<{width}}  {count:>13,} chips  {share:6.1%}{asked}{cells}")
        if self.column is not None:
            lines += ["", f"{self.column}: share of each class", *self._show_classes()]
        for name, lacking in self.empty.items():
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            lines.append(f"{name} has no chip of {', '.join(lacking[:5])}{more}")
        return "\n".join([*lines, *self.advice])

    def _show_classes(self) -> list[str]:
        names = [*self.chips]
        shown = list(self.classes)[:_MOST_SHOWN]
        width = max([len(name[:24]) for name in shown], default=0)
        lines = ["  " + " " * width + "".join(f"{name[:10]:>11}" for name in names)]
        for each in shown:
            counts = self.classes[each]
            shares = (counts[name] / self.chips[name] if self.chips[name] else 0 for name in names)
            lines.append(f"  {each[:24]:<{width}}" + "".join(f"{share:>11.1%}" for share in shares))
        if len(self.classes) > len(shown):
            lines.append(f"  and {len(self.classes) - len(shown)} classes more")
        return lines


def count_chips(rule: Rule, index: Any, column: str | None, storage: Storage | None) -> SplitReport:
    """Return what a rule does to an index, which is read once, and twice if classes are counted.

    Args:
        rule: The rule.
        index: The folder or file of the index, or a table.
        column: A column whose classes are counted in each split; None for none.
        storage: How to reach the index.

    Raises:
        UsageError: A column is absent.
    """
    known = None if column is None else find_classes(index, column, storage)
    splits = len(rule.splits)
    counts = np.zeros((splits + 1, 1 if known is None else len(known.names)), np.int64)
    cells: list[set[int]] = [set() for _ in range(splits + 1)]
    columns = [*rule.columns, *([column] if column else [])]
    for part in scan_parts(index, columns, storage):
        codes = np.where((found := rule.codes(part)) == BORDER, splits, found)
        classes = np.zeros(len(codes), np.int64) if known is None else known.numbers(part[column])
        places = codes.astype(np.int64) * counts.shape[1] + classes
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
        if isinstance(rule, CellRule):
            _add_cells(rule, part, cells)
    chips = dict(zip(rule.splits, counts.sum(axis=1).tolist(), strict=False))
    border = int(counts[splits].sum())
    by_class, empty = {}, {}
    if known is not None:
        labels = [*rule.splits, "border"]
        by_class = {
            name: dict(zip(labels, counts[:, place].tolist(), strict=True))
            for place, name in enumerate(known.names)
            if counts[:, place].any()
        }
        lacking = {
            split: tuple(name for name, of in by_class.items() if not of[split])
            for split in rule.splits
        }
        empty = {split: names for split, names in lacking.items() if names}
    of_split = {name: len(own) for name, own in zip(rule.splits, cells, strict=False)}
    report = SplitReport(chips, border, {}, column, by_class, empty)
    if not isinstance(rule, CellRule):
        return report
    advice = tuple(_advise(rule, chips, border, of_split))
    return replace(report, asked=dict(rule.shares), cells=of_split, advice=advice)


def _add_cells(rule: CellRule, part: Any, cells: list[set[int]]) -> None:
    """Note the cells that chips have their centres in."""
    west, south, east, north = bounds_of(part)
    is_known = np.isfinite(west)
    lon, lat = (west + east)[is_known] / 2, (south + north)[is_known] / 2
    found = np.unique(rule.grid.at(lon, lat))
    for cell, code in zip(found.tolist(), rule.of_cells(found).tolist(), strict=True):
        cells[code].add(cell)


def _advise(
    rule: CellRule, chips: Mapping[str, int], border: int, cells: Mapping[str, int]
) -> list[str]:
    """Return what to change about a split that loses much, or has few cells."""
    total = sum(chips.values()) + border
    if not total:
        return []
    lost, there = border / total, sum(cells.values())
    if there >= _FEW_CELLS * len(rule.splits):
        if lost <= _MOST_LOST:
            return []
        wider = _round_up(rule.cell_km * lost / _WANTED_LOST)
        advice = f"{lost:.0%} of the chips lie at borders: cell_km={wider:g} loses fewer"
    elif lost <= _MOST_LOST:
        narrower = _round_down(rule.cell_km * max(lost / _MOST_LOST, 0.1))
        advice = (
            f"The chips lie in {there} cells, too few for chance to be fair: cell_km={narrower:g} "
            "makes more"
        )
    else:
        advice = (
            f"The chips lie in {there} cells, and {lost:.0%} of them at borders: a smaller "
            "buffer_km, or a split by region or time, suits this index better"
        )
    return [advice]


def _round_up(km: float) -> float:
    power = 10.0 ** math.floor(math.log10(km))
    return next(step * power for step in (*_SIZES, 10) if step * power >= km)


def _round_down(km: float) -> float:
    power = 10.0 ** math.floor(math.log10(km))
    return next(step * power for step in reversed(_SIZES) if step * power <= km)
