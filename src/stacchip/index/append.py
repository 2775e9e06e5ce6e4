"""Append to an index: new files beside those that are there, of which none is written again."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import numpy as np
import pyarrow as pa

from stacchip.errors import InvalidMetadata, UsageError
from stacchip.index.editions import select_editions
from stacchip.index.files.item_records import from_table
from stacchip.index.files.layout import chips_name, find_files, index_href
from stacchip.index.files.opening import open_entry, places_digest
from stacchip.index.files.parquet import ROW
from stacchip.index.files.parts import part_name
from stacchip.index.files.removed import Marks, join_removed
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.row_ranges import RowRanges
from stacchip.index.files.snapshot import at_one_moment, open_index
from stacchip.index.files.spill import Spill
from stacchip.index.files.staging import while_replaced
from stacchip.index.filters import Selection
from stacchip.index.further_columns import FurtherColumns
from stacchip.index.gathering import (
    ChipsOfItem,
    Gathered,
    by_source,
    number_places,
    refuse_duplicates,
    split_by_item,
    write_source,
)
from stacchip.index.recorded_splits import join_splits, read_splits
from stacchip.index.schema import SCHEMA
from stacchip.index.stored import stored_schema
from stacchip.index.write import write_index
from stacchip.items.copies import is_same_item
from stacchip.items.keys import ItemKey, differing_copies
from stacchip.runtime.whole_file import temporary_folder
from stacchip.storage import Storage, parent_href, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    import pyarrow.compute as pc

    from stacchip.index.files.chips_file import ChipsFile
    from stacchip.index.files.layout import IndexFiles
    from stacchip.index.files.manifest import Seen
    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.files.removed import Removed
    from stacchip.index.files.row_ranges import Rows
    from stacchip.index.gathering import Places
    from stacchip.index.stored import GeometryForm
    from stacchip.splits.rules import Rule

    Known: TypeAlias = Literal["error", "drop", "replace"]

__all__ = ["Appended", "append_to_index"]

_log = logging.getLogger(__name__)
_NEW: Final = "what is to be added"
_WAYS: Final = ("error", "drop", "replace")
_COLUMNS: Final = (
    *("platform", "item_id", "chip_size", "chip_index_x", "chip_index_y", "datetime"),
)


@dataclass(frozen=True)
class Appended:
    """The result of an append.

    Attributes:
        files: Files with chips that were read.
        items: Items whose chips were added, counted once for each source and chip size.
        chips: Rows that were added.
        dropped: Rows that were left out because the chip is there already, or was read twice.
        replaced: Rows of the index that were removed, since their items came anew.
        platforms: Names of the sources of what was added.
        parts: Appends that the index has had since it was compact, with this one.
    """

    files: int
    items: int
    chips: int
    dropped: int
    replaced: int
    platforms: tuple[str, ...]
    parts: int


def append_to_index(
    index: str | os.PathLike[str],
    new: Any,
    *,
    duplicates: Known = "error",
    storage: Storage | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Appended:
    """Add chips to an index. What is there stays as it is, byte for byte; new files go beside it.

    The cost is that of the new chips, however large the index is. Readers see the index before or
    after, also if the writer is killed. Several may append at the same time: on one machine they
    wait for each other; in an object store, each finds what the others added. (A store without
    conditional writes keeps the last of two that end at the same moment.)

    The new files have the form of the index: with footprints, or without, and with the further
    columns of both. Their rows come last and
    the others keep their numbers, so neighbours in space are no longer near each other in the
    files: after some dozens of appends, `compact_index` restores that order.

    Args:
        index: Folder of the index.
        new: What to add: indexes as `merge_indexes` takes them, a table as `write_index` takes it,
            or a list of these.
        duplicates: What to do with chips that the index has already (`stacchip.index.KEY`):
            `"error"` raises, and adds nothing. `"drop"` keeps those that are there and adds the
            others, so that the same call does nothing the second time. `"replace"` removes all
            chips of an item that comes anew, as `stacchip.index.remove` does, and adds what came.
        storage: How to reach all of them.
        progress: Called with the address of each file that is read and the number of all files.

    Returns:
        Counts of what was added.

    Raises:
        DuplicateChips: A chip is there already, and `duplicates="error"`; or the new chips have one
            twice, unless `duplicates="drop"`.
        InvalidMetadata: An item differs from the one of its id and source that is there, unless
            `duplicates="replace"`.
        IndexFormatError: One of `new` is not an index, or has a further column of a type that does
            not go with that of the index.
        IndexReplaced: The index in a store was changed again and again by others meanwhile; nothing
            was added. Or one of `new` was replaced while it was read.
        ObjectNotFound: There is no index, or nothing at one of the paths.
        UsageError: The index is a single file; there is nothing to add; `duplicates` is unknown; an
            item to replace lies in a subfolder of the index.

    Example:
        >>> import tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> append_to_index(folder, SCHEMA.empty_table()).chips
        0
    """
    storage = storage or Storage()
    if duplicates not in _WAYS:
        raise UsageError(f"duplicates must be one of {', '.join(_WAYS)}, not {duplicates!r}.")
    target = Replacement(index, storage, grows=True)
    if target.is_file:
        raise UsageError(
            f"{redact(target.href)} is a single file, which cannot grow: write the index to a "
            "folder, or merge both into one."
        )
    find_files(target.href, storage)  # there is one, before anything is made
    with target, temporary_folder("stacchip-new-") as aside:
        hrefs = list(_hrefs_of(new, aside, storage))
        schema = stored_schema(SCHEMA, _form_of(target.href, storage))
        with Spill(target.stage / "chips.spill") as spill:
            gathered = Gathered(spill, target.records, schema)
            files = gathered.read(hrefs, target.href, storage, progress)
            if duplicates != "drop":
                gathered.refuse_repeats()
            append = _Append(gathered, target, duplicates)
            found = while_replaced(lambda: append.run(len(files)))
    _log.info("%s: %s", redact(target.href), found)
    return found


def _hrefs_of(new: Any, aside: Path, storage: Storage) -> Iterator[str]:
    """Yield the addresses of what is to be added; tables are written to a folder."""
    for number, each in enumerate(new if isinstance(new, list | tuple) else [new]):
        if isinstance(each, str | os.PathLike):
            yield index_href(each)
            continue
        place = aside / str(number)
        write_index(each, place, storage=storage)
        yield str(place)


def _form_of(href: str, storage: Storage) -> GeometryForm:
    """Return whether an index stores footprints."""
    return "none" if all(file.lacks_footprints for file in open_index(href, storage)) else "wkb"


@dataclass
class _There:
    """What an index has of the items that come.

    Attributes:
        places: The places of their chips, by file.
        marks: By the name of a file with chips or records, their rows in it.
        chips: The number of these chips.
        strangers: Files in subfolders that have some.
    """

    places: dict[ChipsOfItem, list[tuple[Places, str]]]
    marks: dict[str, Marks] = field(default_factory=dict)
    chips: int = 0
    strangers: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> pc.Expression | None:
        """What is true of the records of these items, and perhaps of others."""
        platforms, ids = ({key[field] for key in self.keys} for field in (0, 1))
        return Selection(platform=sorted(platforms), item_id=sorted(ids)).expression

    @property
    def keys(self) -> set[ItemKey]:
        return {ItemKey(item.platform, item.item_id) for item in self.places}


@dataclass(frozen=True)
class _Append:
    """Rows that were read, on their way into an index."""

    gathered: Gathered
    target: Replacement
    duplicates: Known

    def run(self, files: int) -> Appended:
        """Look at the index, and add to it.

        Raises:
            IndexReplaced: The index is another by now; nothing was added.
        """
        seen = self.target.see()
        parts = 0 if seen.manifest is None else len(seen.manifest.parts)
        self.target.begin_again()
        there = self._look()
        present = at_one_moment(self.target.href, self.target.storage, lambda files: files)
        removed = None
        if self.duplicates == "replace":
            removed = self._mark(there, present)
        else:
            self._compare(there, present)
        items = self._items_to_write(there)
        if not items:
            return Appended(files, 0, 0, self.gathered.chips, 0, (), parts)
        written = self._write(items, seen, removed)
        return Appended(
            files=files,
            items=len(items),
            chips=written,
            dropped=self.gathered.chips - written,
            replaced=0 if removed is None else there.chips,
            platforms=tuple(by_source(items)),
            parts=parts + 1,
        )

    def _look(self) -> _There:
        """Find what the index has of the items that come.

        Raises:
            InvalidMetadata: Rows of one key have two dates: they are of two items.
            IndexFormatError: A further column has another type there, and none holds both.
        """
        there = _There(defaultdict(list))
        further = FurtherColumns()
        splits: dict[str, dict[str, Rule]] = {}
        keys = {ItemKey(item.platform, item.item_id) for item in self.gathered.parts}
        for chips in open_index(self.target.href, self.target.storage):
            further.add(chips.file.schema, redact(chips.href))
            splits[redact(chips.href)] = read_splits(chips.file.view.metadata, chips.href)
            ids = _shared_ids(chips, keys)
            numbers = []
            for rows, part in chips.scan_numbered(_COLUMNS, Selection(item_id=ids)) if ids else ():
                for item, own in split_by_item(part.append_column(ROW, pa.array(rows))):
                    key = ItemKey(item.platform, item.item_id)
                    if key in keys:
                        self._refuse_two_dates(key, own, redact(chips.href))
                        there.places[item].append((number_places(own), redact(chips.href)))
                        numbers.append(own[ROW].to_numpy())
                        there.chips += own.num_rows
            if numbers:
                self._note(there, chips, np.concatenate(numbers))
        further.grow(self.gathered.further, self.gathered.fits)
        further.require(self.gathered.further.types)
        self.gathered.types = further.shared
        self.gathered.split_by(join_splits(splits))
        return there

    def _note(self, there: _There, chips: ChipsFile, rows: Rows) -> None:
        """Note the places of rows in their file."""
        folder, _, name = chips.href.rpartition("/")
        if folder != self.target.href:
            there.strangers.append(redact(chips.href))
        there.marks[name] = _mark_rows(name, chips.file, rows)

    def _refuse_two_dates(self, key: ItemKey, rows: pa.Table, origin: str) -> None:
        there, (date, other) = rows["datetime"][0].as_py(), self.gathered.dates[key]
        if self.duplicates != "replace" and there != date:
            raise InvalidMetadata(
                f"Rows of item {key} have datetime {there} in {origin}, and {date} in {other}: "
                "they are of two items. Give one of them another platform, or pass "
                "duplicates='replace' (--replace) for the new one.",
                item_id=key.item_id,
            )

    def _compare(self, there: _There, present: IndexFiles) -> None:
        """Refuse items that differ from those of their key in the index."""
        for entry in present.records if there.places else ():
            table = open_entry(entry, self.target.storage).read(where=there.chosen)
            for record in from_table(table, href=redact(entry.href)):
                own = self.gathered.records.find(*record.key) if record.key in there.keys else None
                if own is not None and not is_same_item(record.item, own.item):
                    places = (redact(entry.href), _NEW)
                    raise differing_copies(record.key, record.item, own.item, places)

    def _mark(self, there: _There, present: IndexFiles) -> Removed | None:
        """Return all rows that are removed once the items that come take the place of theirs."""
        if not there.places:
            return None
        if there.strangers:
            raise UsageError(
                f"An item that comes anew is in {there.strangers[0]}, in a subfolder of the index, "
                "which has an index of its own: remove it there first, or merge all into one "
                "folder."
            )
        folder = self.target.href
        chips, records = (
            [entry for entry in several if parent_href(entry.href) == folder]
            for several in (present.chips, present.records)
        )
        for entry in records:
            file = open_entry(entry, self.target.storage)
            found = file.read(list(ItemKey._fields), there.chosen, numbered=True)
            keys = map(ItemKey, *(found[name].to_pylist() for name in ItemKey._fields))
            is_known = np.array([key in there.keys for key in keys], bool)
            rows = found[ROW].to_numpy()[is_known]
            there.marks[entry.name] = _mark_rows(entry.name, file, rows)
        before = {entry.name: entry.removed for entry in (*chips, *records) if entry.removed}
        new = {name: marks for name, marks in there.marks.items() if marks}
        return join_removed(before, new)

    def _items_to_write(self, there: _There) -> list[ChipsOfItem]:
        """Return the items that have chips to add; those that are there already are noted.

        Raises:
            DuplicateChips: One is there, which is not allowed.
        """
        self.gathered.left_out.clear()
        if self.duplicates == "replace":
            return list(self.gathered.parts)
        items = []
        for item in self.gathered.parts:
            known = there.places.get(item, [])
            if known and self.duplicates == "error":
                refuse_duplicates(
                    item, [*known, (self.gathered.places(item), "what is to be added")]
                )
            if known:
                places = np.concatenate([places for places, _ in known])
                self.gathered.left_out[item] = places
                if np.isin(self.gathered.places(item), places).all():
                    continue
            items.append(item)
        return items

    def _write(self, items: Collection[ChipsOfItem], seen: Seen, removed: Removed | None) -> int:
        """Write the new files, and put them into the index; return the number of chips."""
        part = self.target.next_part(seen)
        written = {(item.item_id, item.platform) for item in items}
        dropped = {(item.item_id, item.platform) for item in self.gathered.parts} - written
        editions = self.target.write_records(dropped)
        count = 0
        for platform, several in by_source(items).items():
            own = select_editions(editions, [platform])
            name = part_name(chips_name(platform), part)
            with self.target.open_chips(name, own, self.gathered.schema) as writer:
                count += write_source(self.gathered, several, writer)
        self.target.grow(seen, part, removed=removed)
        return count


def _mark_rows(name: str, file: ParquetFile, rows: Rows) -> Marks:
    """Return the marks of rows of a file, by their numbers."""
    return Marks(RowRanges.of_rows(file.stored_rows(rows)), places_digest(name, file))


def _shared_ids(chips: ChipsFile, keys: Collection[ItemKey]) -> list[str]:
    """Return the ids of those items that a file may have."""
    ids = {key.item_id for key in keys}
    runs = chips.runs(["item_id"])
    if runs is not None:
        ids &= set(cast("list[str]", runs["item_id"].unique().to_pylist()))
    return sorted(ids)
