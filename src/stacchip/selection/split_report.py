"""What a split does to an index: the chips kept and lost, and the classes of each split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.selection.class_values import find_classes
from stacchip.selection.index_parts import scan_parts
from stacchip.splits.by_cell import CellRule, cells_of_centres
from stacchip.splits.ground import bounds_of
from stacchip.splits.shares import BORDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pyarrow as pa

    from stacchip.selection.class_values import Classes
    from stacchip.splits.ground import Box
    from stacchip.splits.rules import Rule
    from stacchip.splits.shares import Codes
    from stacchip.storage import Storage

__all__ = ["SplitCounter", "SplitReport", "count_chips"]

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
        bbox: xmin, ymin, xmax, ymax of all chips, in degrees; None if no bounds are known.
    """

    chips: Mapping[str, int]
    border: int
    asked: Mapping[str, float] = field(default_factory=dict)
    column: str | None = None
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    empty: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    bbox: tuple[float, ...] | None = None

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
        width = max(map(len, self.chips))
        heads = ["chips", "share", *(["asked", "cells"] if self.cells else [])]
        lines.append("  " + " " * width + "".join(f"{head:>12}" for head in heads))
        for name, count in self.chips.items():
            share = count / self.kept if self.kept else 0.0
            said = [f"{count:,}", f"{share:.1%}"]
            if self.cells:
                said += [f"{self.asked[name]:.0%}", f"{self.cells[name]:,}"]
            lines.append(f"  {name:<{width}}" + "".join(f"{each:>12}" for each in said))
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


class SplitCounter:
    """Counts the chips of an index that a rule puts into each split.

    Args:
        rule: The rule.
        classes: The classes to count in each split; None for none.
    """

    def __init__(self, rule: Rule, classes: Classes | None = None) -> None:
        self._rule = rule
        self._classes = classes
        size = 1 if classes is None else len(classes.names)
        self._counts = np.zeros((len(rule.splits) + 1, size), np.int64)
        self._cells = np.empty(0, np.int64)
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])

    @property
    def columns(self) -> list[str]:
        """The columns that `add` needs."""
        own = [] if self._classes is None else [self._classes.column]
        return list(dict.fromkeys([*self._rule.columns, *own]))

    def add(self, rows: pa.Table) -> Codes:
        """Count rows in, and return the numbers of their splits."""
        codes = self._rule.codes(rows)
        places = np.where(codes == BORDER, len(self._rule.splits), codes).astype(np.int64)
        if self._classes is not None:
            places *= len(self._classes.names)
            places += self._classes.numbers(rows[self._classes.column])
        counts = np.bincount(places, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape)
        if "bbox" in rows.column_names:
            self._widen(bounds_of(rows))
        if isinstance(self._rule, CellRule):
            cells = cells_of_centres(self._rule, rows)
            self._cells = np.union1d(self._cells, cells[cells >= 0])
        return codes

    def _widen(self, box: Box) -> None:
        """Let the bounds hold those of further chips."""
        is_known = np.isfinite(box[0])
        if is_known.any():
            west, south, east, north = (side[is_known] for side in box)
            low, high = np.array([west.min(), south.min()]), np.array([east.max(), north.max()])
            self._bounds[:2] = np.minimum(self._bounds[:2], low)
            self._bounds[2:] = np.maximum(self._bounds[2:], high)

    def report(self) -> SplitReport:
        """Return what was counted."""
        splits = self._rule.splits
        totals = self._counts.sum(axis=1).tolist()
        bbox = tuple(self._bounds.tolist()) if np.isfinite(self._bounds).all() else None
        report = SplitReport(dict(zip(splits, totals, strict=False)), totals[-1], bbox=bbox)
        if self._classes is not None:
            report = replace(report, column=self._classes.column, **self._count_classes())
        if not isinstance(self._rule, CellRule):
            return report
        codes = self._rule.of_cells(self._cells)
        cells = {name: int((codes == number).sum()) for number, name in enumerate(splits)}
        advice = tuple(_advise(self._rule, report, sum(cells.values())))
        return replace(report, asked=dict(self._rule.shares), cells=cells, advice=advice)

    def _count_classes(self) -> dict[str, Any]:
        names = self._classes.names if self._classes is not None else ()
        labels = [*self._rule.splits, "border"]
        of_class = {
            name: dict(zip(labels, own.tolist(), strict=True))
            for name, own in zip(names, self._counts.T, strict=True)
            if own.any()
        }
        empty = {
            split: lacking
            for split in self._rule.splits
            if (lacking := tuple(name for name, own in of_class.items() if not own[split]))
        }
        return {"classes": of_class, "empty": empty}


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
    counter = SplitCounter(rule, None if column is None else find_classes(index, column, storage))
    for part in scan_parts(index, counter.columns, storage):
        counter.add(part)
    return counter.report()


def _advise(rule: CellRule, report: SplitReport, there: int) -> list[str]:
    """Return what to change about a split that loses much, or has few cells."""
    lost = report.lost
    if not report.kept + report.border:
        return []
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
