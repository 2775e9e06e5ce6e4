"""A split as a column of an index on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stacchip.errors import UsageError
from stacchip.index import add_column
from stacchip.index.recorded_splits import change_splits
from stacchip.index.schema import SCHEMA
from stacchip.selection.class_values import find_classes
from stacchip.selection.split_report import SplitCounter, SplitReport
from stacchip.splits.shares import name_splits

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import pyarrow as pa

    from stacchip.selection.split import Split
    from stacchip.storage import Storage

__all__ = ["add_split"]

SPLIT: Final = "split"


def add_split(
    index: str | os.PathLike[str],
    split: Split,
    name: str = SPLIT,
    *,
    classes: str | None = None,
    replace: bool = False,
    storage: Storage | None = None,
) -> SplitReport:
    """Add a split to an index on disk, as a column that any tool can read.

    Its files are written again, one row group after another; readers see the old index or the new
    one. The rule is recorded with the index: items that are appended later get their split by it,
    and so do those of indexes that are merged with this one.

    Args:
        index: The folder of the index, or its file.
        split: The split. If it is stratified, its cells are dealt out first (`Split.fit`).
        name: The name of the column: text, and null for chips in no split.
        classes: A column whose classes are counted in each split, for the report; by default that
            by which the split is stratified.
        replace: True to replace a column of that name.
        storage: How to reach the index.

    Returns:
        How many chips each split has got.

    Raises:
        ObjectNotFound: There is no index.
        UsageError: There is a column of that name; or the index lacks one that the split looks at.

    Example:
        >>> import tempfile
        >>> from stacchip.index import SCHEMA, write_index
        >>> from stacchip.selection import Split
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> add_split(folder, Split()).kept
        0
    """
    if name in SCHEMA.names:
        raise UsageError(f"{name!r} is a column that every index has: name the split otherwise.")
    fitted = split.fit(index, storage=storage)
    column = classes or split.stratify
    counted = None if column is None else find_classes(index, column, storage)
    counter = SplitCounter(fitted.rule, counted)

    def split_rows(rows: pa.Table) -> pa.Array:
        return name_splits(counter.add(rows), fitted.names)

    def record(metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        return change_splits(metadata, new={name: fitted.rule})

    add_column(
        index,
        split_rows,
        name,
        columns=counter.columns,
        replace=replace,
        metadata=record,
        storage=storage,
    )
    return counter.report()
