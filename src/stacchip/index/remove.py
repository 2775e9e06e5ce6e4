"""Remove a source or an item from an index: its rows are marked, and no file is written again."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import (
    AssetChanged,
    ItemNotFound,
    ObjectNotFound,
    SourceNotFound,
    UsageError,
)
from stacchip.index.embedded import row_keys, with_items
from stacchip.index.files.chips_file import ChipsFile, open_chips
from stacchip.index.files.layout import (
    CHIPS,
    FileEntry,
    IndexFiles,
    find_files,
    index_href,
    is_file,
)
from stacchip.index.files.opening import open_entry, places_digest
from stacchip.index.files.parquet import ROW
from stacchip.index.files.removed import Marks
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.row_ranges import RowRanges
from stacchip.index.files.snapshot import at_one_moment
from stacchip.index.files.staging import while_replaced
from stacchip.index.filters import Selection
from stacchip.index.read import scan_index
from stacchip.index.schema import SCHEMA, conform
from stacchip.index.stored import require_short_values, store_columns, stored_schema
from stacchip.runtime.near_names import list_names
from stacchip.storage import Storage, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from stacchip.index.files.parquet import ParquetFile
    from stacchip.index.files.row_ranges import Rows
    from stacchip.index.stored import GeometryForm

__all__ = ["remove"]

_log = logging.getLogger(__name__)


def remove(
    path: str | os.PathLike[str],
    *,
    platform: str | None = None,
    item_id: str | None = None,
    storage: Storage | None = None,
) -> int:
    """Remove the chips of a source or an item from an index, and the records of their items.

    Their rows are marked, and no reader of ours gets them any more; a file whose chips are all
    removed is deleted. All other files stay as they are, byte for byte, and tools that do not know
    `_index.json`, such as DuckDB, still find the rows in them until `compact_index` writes the
    index without. A single parquet file is written again at once.

    Readers see the index before or after the removal, if it is killed as well. (In a tree of
    folders, that is so of each folder: run it again to complete it.) If it was killed after its
    last step, the second run finds nothing to remove, and says so.

    Args:
        path: Folder or parquet file of an index.
        platform: Name of the source.
        item_id: Id of the item; with `platform`, of that source only.
        storage: How to reach it.

    Returns:
        The number of chips removed.

    Raises:
        SourceNotFound: The index has no chip of that source.
        ItemNotFound: The index has no chip of that item.
        UsageError: Neither was given.
    """
    storage = storage or Storage()
    if platform is None and item_id is None:
        raise UsageError("Give what to remove: platform=, item_id=, or both.")
    href = index_href(path)
    chosen = Selection(platform=platform, item_id=item_id)
    task = f"remove platform={platform!r} item_id={item_id!r}"
    files = find_files(href, storage)
    parts = [_Part(href, files.chips)] if is_file(href) else list(_folders(files))
    outcomes = [_remove_in(part, chosen, task, storage) for part in parts]
    removed = sum(outcome.chips for outcome in outcomes)
    if removed == 0 and not any(outcome.resumes for outcome in outcomes):
        _raise_not_found(href, platform, item_id, storage)
    _log.info("%s: %d chips removed", redact(href), removed)
    return removed


class _Part(NamedTuple):
    """A folder of an index, or a single file: its files with chips, and its records."""

    href: str
    chips: Sequence[FileEntry]
    records: Sequence[FileEntry] = ()


class _Outcome(NamedTuple):
    """What was removed, and whether a run that was killed had begun to."""

    chips: int
    resumes: bool = False


def _folders(files: IndexFiles) -> Iterator[_Part]:
    """Yield the folders of an index, each with its files with chips and its records."""
    by_folder: dict[str, list[FileEntry]] = defaultdict(list)
    for entry in files.chips:
        by_folder[parent_href(entry.href)].append(entry)
    recorded: dict[str, list[FileEntry]] = defaultdict(list)
    for entry in files.records:
        recorded[parent_href(entry.href)].append(entry)
    for folder, chips in by_folder.items():
        yield _Part(folder, chips, recorded[folder])


def _remove_in(part: _Part, chosen: Selection, task: str, storage: Storage) -> _Outcome:
    """Remove chips from the files of one folder, or from a single file."""
    new = Replacement(part.href, storage, task, grows=True)
    if not new.was_killed and not _may_have(part, chosen, storage):
        return _Outcome(0)
    with new:  # on this machine, nobody else writes from here on
        if new.is_file:
            removed = _remove_from_file(part.chips[0], chosen, new)
        else:
            removed = while_replaced(lambda: _mark(part, chosen, new))
        return _Outcome(removed, new.resumes)


def _may_have(part: _Part, selection: Selection, storage: Storage) -> bool:
    """Return False if no file of a folder has chosen chips."""
    try:
        return any(open_chips(entry, storage).count(selection) for entry in part.chips)
    except (AssetChanged, ObjectNotFound):
        return True  # another writer has replaced files, and the next look is at the new ones


def _open(entry: FileEntry, storage: Storage) -> ChipsFile:
    """Open a file with chips that stay at their place, and as they are."""
    return replace(open_chips(entry, storage), origin=None)


def _remove_from_file(entry: FileEntry, chosen: Selection, new: Replacement) -> int:
    """Write a single file again without the chosen chips; return their number."""
    chips = _open(entry, new.storage)
    removed = chips.count(chosen)
    if removed:
        _write_rest(chips, CHIPS, chosen, new)
        new.replace()
    return removed


def _mark(part: _Part, chosen: Selection, new: Replacement) -> int:
    """Mark the chosen chips of a folder and their records as removed; return their number.

    Files that would have no chips left are deleted.
    """
    new.begin_again()
    seen = new.see()
    now = _look_again(part, new.storage)
    removed: dict[str, Marks] = {}
    gone: set[str] = set()
    lacks_footprints = True
    total = 0
    for entry in now.chips:
        chips = _open(entry, new.storage)
        count = chips.count(chosen)
        total += count
        lacks_footprints &= chips.lacks_footprints
        if 0 < count == chips.rows:
            gone.add(entry.name)
        else:
            removed[entry.name] = _join_marks(entry, chips.file, _numbers(chips, chosen, count))
    if not total:
        return 0
    if len(gone) == len(now.chips):
        # an index without chips is still an index
        empty = store_columns(SCHEMA.empty_table(), "none" if lacks_footprints else "wkb")
        new.write_chips(CHIPS, empty, {})
        new.replace(seen, gone)
        return total
    for entry in now.records:
        file = open_entry(entry, new.storage)
        parts = (
            part[ROW].to_numpy()
            for part in file.scan(["item_id"], chosen.expression, numbered=True)
        )
        removed[entry.name] = _join_marks(entry, file, parts)
    removed = {name: marks for name, marks in removed.items() if marks}
    new.grow(seen, new.next_part(seen), removed=removed, gone=gone)
    return total


def _numbers(chips: ChipsFile, selection: Selection, count: int) -> Iterator[Rows]:
    """Yield the numbers of the chosen rows of a file."""
    if count:
        yield from (rows for rows, _ in chips.scan_numbered(["item_id"], selection))


def _join_marks(entry: FileEntry, file: ParquetFile, parts: Iterable[Rows]) -> Marks:
    """Return the rows of a file that were removed before, and those that are now."""
    now = (RowRanges.of_rows(file.stored_rows(rows)) for rows in parts)
    return Marks(RowRanges.joined([entry.removed.rows, *now]), places_digest(entry.name, file))


def _look_again(part: _Part, storage: Storage) -> _Part:
    """Return the files of a folder as they are now: others may have been written meanwhile."""
    if is_file(part.href):
        return part
    files = at_one_moment(part.href, storage, lambda files: files)
    (now,) = (each for each in _folders(files) if each.href == part.href)
    # what paths tell is the same for all files of a folder
    told = part.chips[0].told
    return now._replace(chips=[replace(entry, told=told) for entry in now.chips])


def _write_rest(
    chips: ChipsFile,
    name: str,
    chosen: Selection,
    new: Replacement,
) -> None:
    """Write the chips of a file that are not chosen to a new one, row group by row group."""
    items = chips.items()
    where = chosen.expression
    if where is None:  # everything is chosen
        raise UsageError("Give what to remove: platform=, item_id=, or both.")
    rest = Selection(where=~where)
    like = conform(chips.file.schema.empty_table(), href=redact(chips.href))
    if items:
        ids = pa.array({key.item_id for key in items}, pa.string())
        wanted = pc.field("item_id").isin(ids) & ~where
        left = row_keys(chips.read(["platform", "item_id"], Selection(where=wanted)))
        like = with_items(like, {key: item for key, item in items.items() if key in left})
    geometry: GeometryForm = "none" if chips.lacks_footprints else "wkb"
    schema = stored_schema(like.schema, geometry)
    with new.open_chips(name, None, schema) as writer:
        for part in chips.scan(chosen=rest):
            if part.num_rows:
                require_short_values(part, redact(chips.href))
                rows = store_columns(part, geometry)
                writer.write_table(rows.replace_schema_metadata(schema.metadata))


def _raise_not_found(
    href: str, platform: str | None, item_id: str | None, storage: Storage
) -> None:
    there: Counter[str] = Counter()
    wanted = "platform" if item_id is None else "item_id"
    for rows in scan_index(href, columns=[wanted], storage=storage):
        counted = pc.value_counts(rows[wanted])
        there.update({str(each["values"]): each["counts"].as_py() for each in counted})
    has = f"it has {list_names(there, near=[item_id or platform or ''], counts=there)}"
    if item_id is not None:
        of = f" of '{platform}'" if platform is not None else ""
        raise ItemNotFound(
            f"The index at {redact(href)} has no chip of item '{item_id}'{of}: "
            f"nothing was removed; {has}.",
            item_id=item_id,
        )
    raise SourceNotFound(
        f"The index at {redact(href)} has no chip of source '{platform}': nothing was removed; "
        f"{has}."
    )
