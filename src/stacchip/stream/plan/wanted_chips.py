"""The chips of a stream, as arrays: the item of each, and its place there."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from stacchip.chipper.index_rows import ChipKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import Rows
    from stacchip.grid.window import Window


@dataclass(frozen=True)
class Group:
    """Chips of one size of one item."""

    platform: str
    item_id: str
    chip_size: int

    @property
    def name(self) -> tuple[str, int]:
        """Platform and chip size, by which a survey looks at items."""
        return self.platform, self.chip_size


@dataclass(frozen=True, eq=False)
class WantedChips:
    """The rows of an index as arrays.

    Attributes:
        rows: The index itself.
        groups: The distinct items and chip sizes, in the order of their first rows.
        group: Number of each row's group.
        x: Column of each row's chip in its grid.
        y: Row of each row's chip in its grid.
        fingerprint: A digest of the selection; a saved state belongs to one selection.
    """

    rows: Rows
    groups: tuple[Group, ...]
    group: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    fingerprint: str

    @classmethod
    def of(cls, rows: Rows) -> WantedChips:
        """Return the chips of these rows."""
        table = rows.table
        codes = [rows.codes("platform"), rows.codes("item_id")]
        size = table["chip_size"].to_numpy().astype(np.int64)
        joined = (codes[0] * (int(codes[1].max(initial=0)) + 1) + codes[1]) * (
            int(size.max(initial=0)) + 1
        ) + size
        _, first, group = np.unique(joined, return_index=True, return_inverse=True)
        # groups are numbered by their first rows, so that "blocks" follows the index
        by_first = np.argsort(first)
        number = np.empty(len(first), np.int64)
        number[by_first] = np.arange(len(first))
        keys = (rows.key(int(row)) for row in first[by_first])
        groups = tuple(Group(key.platform, key.item_id, key.chip_size) for key in keys)
        group, x, y = (
            number[group.ravel()],
            table["chip_index_x"].to_numpy().astype(np.int64),
            table["chip_index_y"].to_numpy().astype(np.int64),
        )
        digest = hashlib.blake2b(repr(groups).encode(), digest_size=8)
        for array in (group, x, y):
            digest.update(array.tobytes())
        return cls(rows, groups, group, x, y, digest.hexdigest())

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def by_kind(self) -> dict[tuple[str, int], int]:
        """The number of chips of each platform and chip size."""
        counts: Counter[tuple[str, int]] = Counter()
        in_group = np.bincount(self.group, minlength=len(self.groups)).tolist()
        for group, count in zip(self.groups, in_group, strict=True):
            counts[group.platform, group.chip_size] += count
        return dict(counts)

    def key(self, row: int) -> ChipKey:
        """Return the key of the chip in a row."""
        group = self.groups[self.group[row]]
        x, y = int(self.x[row]), int(self.y[row])
        return ChipKey(group.platform, group.item_id, group.chip_size, x, y)

    def window(self, row: int) -> Window:
        """Return the window of a row's chip in its item's grid."""
        return self.key(row).window
