"""Names that a filter asks for and an index lacks: a misspelt platform or item finds nothing.

A filter may rightly find nothing, in one of many indexes for example, so this is a warning. It is
worked out only if a name is not among the rows found, from statistics and records: the chips
themselves are read only where these leave it open.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from stacchip.index.files.opening import open_entry
from stacchip.index.filters import Selection
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from stacchip.index.files.chips_file import ChipsFile
    from stacchip.index.files.layout import IndexFiles
    from stacchip.storage import Storage

__all__ = ["NamesWanted", "report_absent_of_table"]

_log = logging.getLogger(__name__)

_COLUMNS: Final = ("platform", "item_id")
_MOST_COMPARED: Final = 20_000  # of item ids, which takes half a second
_MOST_SHOWN: Final = 5


class NamesWanted:
    """The platforms and items that a selection names, and those of them that were not found.

    Args:
        selection: What is wanted of an index.
    """

    def __init__(self, selection: Selection) -> None:
        wanted = {"platform": selection.platform, "item_id": selection.item_id}
        self._missing = {
            column: {names} if isinstance(names, str) else set(names)
            for column, names in wanted.items()
            if names is not None
        }

    def see(self, rows: pa.Table) -> None:
        """Note rows that were found."""
        for column, missing in self._missing.items():
            if missing and column in rows.column_names:
                missing.difference_update(pc.unique(rows[column]).to_pylist())
            elif rows.num_rows and len(missing) == 1:
                missing.clear()

    @property
    def is_any_missing(self) -> bool:
        """Whether a name is not among the rows that were found."""
        return any(self._missing.values())

    def report(self, files: IndexFiles, chips: Iterable[ChipsFile], storage: Storage) -> None:
        """Log the names that the index has not at all, with those that it has."""
        there: dict[str, set[str]] = {column: set() for column in _COLUMNS}
        for file in chips:
            for column, missing in self._missing.items():
                # other filters may have left out its rows
                found = [each for each in missing if file.count(_is(column, each))]
                missing.difference_update(found)
                there[column] |= file.file.extremes(column)
        for name in sorted(self._missing.get("platform", ())):
            known = ", ".join(sorted(there["platform"])) or "none"
            _log.warning("%s has no platform %r; it has: %s", redact(files.href), name, known)
        if items := sorted(self._missing.get("item_id", ())):
            ids = _item_ids(files, storage) or there["item_id"]
            for name in items:
                _log.warning("%s has no item %r; %s", redact(files.href), name, _hint(name, ids))


def report_absent_of_table(selection: Selection, table: pa.Table) -> None:
    """Log the platforms and items that a selection names and a table in memory has not."""
    wanted = {"platform": selection.platform, "item_id": selection.item_id}
    for column, names in wanted.items():
        asked = {names} if isinstance(names, str) else {*(names or ())}
        there = set(pc.unique(table[column]).to_pylist()) if asked else set()
        for name in sorted(asked - there):
            what = "platform" if column == "platform" else "item"
            _log.warning("The index has no %s %r; %s", what, name, _hint(name, there))


def _is(column: str, name: str) -> Selection:
    return Selection.of({column: name})  # type: ignore[misc]


def _item_ids(files: IndexFiles, storage: Storage) -> set[str]:
    """Return the ids of the items that an index has records of."""
    ids: set[str] = set()
    for entry in files.records:
        ids.update(open_entry(entry, storage).read(["item_id"])["item_id"].to_pylist())
    return ids


def _hint(name: str, ids: set[str]) -> str:
    """Return the ids that a name may have meant, or some of all, as the end of a sentence."""
    if len(ids) <= _MOST_COMPARED and (close := get_close_matches(name, sorted(ids))):
        return f"close to it are: {', '.join(close)}"
    some = sorted(ids)[:_MOST_SHOWN]
    more = ", ..." if len(ids) > len(some) else ""
    return f"it has: {', '.join(some)}{more}" if some else "it has none"
