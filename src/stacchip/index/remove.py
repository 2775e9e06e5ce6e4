"""Remove a source or an item from an index, without touching the chips of other sources."""

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
from stacchip.index.editions import select_editions
from stacchip.index.embedded import row_keys, with_items
from stacchip.index.files.chips_file import ChipsFile, open_chips
from stacchip.index.files.layout import (
    CHIPS,
    ChipsEntry,
    IndexFiles,
    find_files,
    index_href,
    is_file,
)
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.replacing import Replacement
from stacchip.index.filters import Selection
from stacchip.index.read import scan_index
from stacchip.index.schema import SCHEMA, conform, require_short_values
from stacchip.index.stored import store_columns, stored_schema
from stacchip.runtime.near_names import list_names
from stacchip.storage import Storage, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from stacchip.index.editions import Editions
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

    The files of other sources stay as they are, byte for byte. A file of several sources, as other
    tools write it, is written again without the chips. If a removal is killed, each source has
    either all of its chips or none of those to remove; run it again to complete it. If it was
    killed after its last step, the second run finds nothing to remove, and says so.

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
    chosen = Selection(platform=platform, item_id=item_id).expression
    task = f"remove platform={platform!r} item_id={item_id!r}"
    files = find_files(href, storage)
    parts = [_Part(href, files.chips, None)] if is_file(href) else list(_folders(files))
    outcomes = [_remove_in(part, chosen, task, storage) for part in parts]
    removed = sum(outcome.chips for outcome in outcomes)
    if removed == 0 and not any(outcome.resumes for outcome in outcomes):
        _raise_not_found(href, platform, item_id, storage)
    _log.info("%s: %d chips removed", redact(href), removed)
    return removed


class _Part(NamedTuple):
    """A folder of an index, or a single file: its files with chips, and its records."""

    href: str
    chips: Sequence[ChipsEntry]
    records: str | None


class _Outcome(NamedTuple):
    """What was removed, and whether a run that was killed had begun to."""

    chips: int
    resumes: bool = False


def _folders(files: IndexFiles) -> Iterator[_Part]:
    """Yield the folders of an index, each with its files with chips and its records."""
    by_folder: dict[str, list[ChipsEntry]] = defaultdict(list)
    for entry in files.chips:
        by_folder[parent_href(entry.href)].append(entry)
    recorded = {parent_href(href): href for href in files.records}
    for folder, chips in by_folder.items():
        yield _Part(folder, chips, recorded.get(folder))


def _remove_in(part: _Part, chosen: pc.Expression, task: str, storage: Storage) -> _Outcome:
    """Remove chips from the files of one folder, or from a single file."""
    selection = Selection(where=chosen)
    new = Replacement(part.href, storage, task)
    if not new.was_killed and not _may_have(part, selection, storage):
        return _Outcome(0)
    with new:  # nobody else writes from here on
        now = _look_again(part, storage)
        files = [_count(entry, selection, storage) for entry in now.chips]
        removed = sum(file.chosen for file in files)
        if removed and new.is_file:
            _write_rest(_open(files[0].entry, storage), CHIPS, chosen, new, None)
            new.replace()
        elif removed:
            _remove_files(now, files, chosen, new)
        return _Outcome(removed, new.resumes)


def _may_have(part: _Part, selection: Selection, storage: Storage) -> bool:
    """Return False if no file of a folder has chosen chips."""
    try:
        return any(open_chips(entry, storage).count(selection) for entry in part.chips)
    except (AssetChanged, ObjectNotFound):
        return True  # another writer has replaced files, and the next look is at the new ones


class _Counted(NamedTuple):
    """A file with chips, which is closed again; how many it has, and how many of them to remove."""

    entry: ChipsEntry
    rows: int
    chosen: int

    @property
    def name(self) -> str:
        return self.entry.href.rpartition("/")[2]


def _count(entry: ChipsEntry, selection: Selection, storage: Storage) -> _Counted:
    chips = _open(entry, storage)
    return _Counted(entry, chips.rows, chips.count(selection))


def _open(entry: ChipsEntry, storage: Storage) -> ChipsFile:
    """Open a file with chips that stay at their place, and as they are."""
    return replace(open_chips(entry, storage), origin=None)


def _remove_files(
    part: _Part, files: Sequence[_Counted], chosen: pc.Expression, new: Replacement
) -> None:
    """Remove chips from the files of a folder."""
    has_fewer = part.records is not None and _keep_records(part.records, chosen, new)
    gone = {file.name for file in files if 0 < file.chosen == file.rows}
    for file in files:
        if file.chosen and file.name not in gone:
            chips = _open(file.entry, new.storage)
            editions = chips.file.editions
            if has_fewer and editions is not None:
                editions = select_editions(new.write_records(), editions)
            _write_rest(chips, file.name, chosen, new, editions)
    if len(gone) == len(files):
        # an index without chips is still an index
        lacks = all(_open(file.entry, new.storage).lacks_footprints for file in files)
        empty = store_columns(SCHEMA.empty_table(), "none" if lacks else "wkb")
        new.write_chips(CHIPS, empty, {})
        gone.discard(CHIPS)
    new.change(delete=gone, with_records=has_fewer)


def _look_again(part: _Part, storage: Storage) -> _Part:
    """Return the files of a folder as they are now: others may have been written meanwhile."""
    if is_file(part.href):
        return part
    (now,) = (each for each in _folders(find_files(part.href, storage)) if each.href == part.href)
    # what paths tell is the same for all files of a folder
    told = part.chips[0].told
    return now._replace(chips=[replace(entry, told=told) for entry in now.chips])


def _write_rest(
    chips: ChipsFile,
    name: str,
    chosen: pc.Expression,
    new: Replacement,
    editions: Editions | None,
) -> None:
    """Write the chips of a file that are not chosen to a new one, row group by row group."""
    items = chips.items()
    rest = Selection(where=~chosen)
    like = conform(chips.file.schema.empty_table(), href=redact(chips.href))
    if items:
        ids = pa.array({key.item_id for key in items}, pa.string())
        wanted = pc.field("item_id").isin(ids) & ~chosen
        left = row_keys(chips.read(["platform", "item_id"], Selection(where=wanted)))
        like = with_items(like, {key: item for key, item in items.items() if key in left})
    geometry: GeometryForm = "none" if chips.lacks_footprints else "wkb"
    schema = stored_schema(like.schema, geometry)
    with new.open_chips(name, editions, schema) as writer:
        for part in chips.scan(chosen=rest):
            if part.num_rows:
                require_short_values(part, redact(chips.href))
                rows = store_columns(part, geometry)
                writer.write_table(rows.replace_schema_metadata(schema.metadata))


def _keep_records(href: str, chosen: pc.Expression, new: Replacement) -> bool:
    """Write the records that are not chosen as the new ones; return False if none is chosen."""
    file = open_parquet(href, new.storage)
    changed = row_keys(file.read(["platform", "item_id"], chosen))
    if not changed:
        return False
    for table in file.scan(where=~chosen):
        new.records.add(table, redact(href))
    platforms = {key.platform for key in changed}
    said = file.editions
    new.write_records(said and {name: said[name] for name in said.keys() - platforms})
    return True


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
