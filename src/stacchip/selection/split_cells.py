"""Cells dealt out to splits so that each split has its share of every class."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import UsageError
from stacchip.selection.class_values import find_classes
from stacchip.selection.index_parts import scan_parts
from stacchip.splits.by_cell import cells_of_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.splits.by_cell import CellRule
    from stacchip.storage import Storage

    Counts = NDArray[np.int64]

__all__ = ["balance_cells", "deal_out"]

_EQUAL: Final = 1e-12
_MOST_COUNTS: Final = 50_000_000  # which take 400 MB


def balance_cells(rule: CellRule, index: Any, column: str, storage: Storage | None) -> CellRule:
    """Return a rule that says for each cell with chips in which split it is.

    Args:
        rule: A rule by cells.
        index: The folder or file of the index, or a table.
        column: The column whose classes are balanced.
        storage: How to reach the index.

    Raises:
        UsageError: The column is absent.
    """
    classes = find_classes(index, column, storage)
    counts: dict[int, Counts] = defaultdict(lambda: np.zeros(len(classes.names), np.int64))
    for part in scan_parts(index, [*rule.columns, column], storage):
        cells = cells_of_centres(rule, part)
        numbers = classes.numbers(part[column])[cells >= 0]
        cells, places = np.unique(cells[cells >= 0], return_inverse=True)
        size = len(classes.names)
        here = np.bincount(places * size + numbers, minlength=len(cells) * size)
        for cell, own in zip(cells.tolist(), here.reshape(-1, size), strict=True):
            counts[cell] += own
        if len(counts) * size > _MOST_COUNTS:
            raise UsageError(
                f"{len(counts):,} cells of {size:,} classes are too many to balance: choose larger "
                "cells, or a column of fewer classes."
            )
    cells = np.array(sorted(counts), np.int64)
    shape = (len(cells), len(classes.names))
    table = np.array([counts[cell] for cell in cells.tolist()], np.int64).reshape(shape)
    shares = np.array([share for _, share in rule.shares])
    dealt = deal_out(table, shares, rule.of_cells(cells))
    names = rule.grid.names(cells)
    splits = {name: rule.splits[code] for name, code in zip(names, dealt.tolist(), strict=True)}
    return replace(rule, cells=splits)


def deal_out(counts: Counts, shares: NDArray[np.float64], by_chance: NDArray[np.int8]) -> Counts:
    """Return a split for each cell, so that each split gets its share of each class.

    Cells come in the order of the largest share that they have of a class, and each goes to the
    split that then lacks most of that class (K. Sechidis et al., "On the stratification of
    multi-label data", 2011, algorithm 1). Where two lack as much, that which lacks most of all
    classes gets it, and else chance decides.

    Args:
        counts: The chips of each cell and class, (cell, class).
        shares: The share of each split.
        by_chance: The split that chance gives to each cell.

    Example:
        >>> counts = np.array([[4, 0], [4, 0], [0, 4], [0, 4]])
        >>> deal_out(counts, np.array([0.5, 0.5]), np.zeros(4, np.int8)).tolist()
        [0, 1, 0, 1]
    """
    parts = counts / np.maximum(counts.sum(axis=0), 1)  # of all chips of a class
    lacking = np.repeat(shares[:, None], counts.shape[1], axis=1) * (counts.sum(axis=0) > 0)
    dealt = np.empty(len(counts), np.int64)
    for cell in np.argsort(-parts.max(axis=1, initial=0), kind="stable"):
        of_class = lacking[:, parts[cell].argmax()]
        first = np.flatnonzero(of_class >= of_class.max() - _EQUAL)
        of_all = lacking[first].sum(axis=1)
        first = first[of_all >= of_all.max() - _EQUAL]
        chosen = by_chance[cell] if by_chance[cell] in first else first[0]
        dealt[cell] = chosen
        lacking[chosen] -= parts[cell]
    return dealt
