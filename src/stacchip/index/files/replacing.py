"""Replacing the files of an index folder, so that a reader never sees half an index.

A file appears whole or not at all: locally by renaming, in a store by one put. The order of the
files makes sure that readers, ours and others, find the chips of each source either old or new,
each with its record, at any time and wherever the writer was killed:

1. For a new index: `_index.json`, which names all files (now our readers refuse the folder, since
   it is not complete); then the records; then the chips.
2. For an index that is replaced: `_index.json`, which names the files that stay in place; old and
   new records together; each file with chips; then the files of sources that are gone are deleted;
   the new records alone; `_index.json`, which names the new files.

So if a writer was killed, readers refuse a new index. An index that was being replaced is whole,
but if it has several sources, some of them may be new already. To change all of them at one moment,
write the new index to a new folder. Two writers of one folder at a time are not supported.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacchip.errors import UsageError
from stacchip.index.files.layout import (
    CHIPS,
    MANIFEST,
    RECORDS,
    chips_in_folder,
    chips_name,
    read_manifest,
)
from stacchip.index.files.parquet import open_parquet
from stacchip.runtime.whole_file import move_whole, scratch_folder
from stacchip.storage import child_href, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from stacchip.index.files.item_records_writer import RecordFile
    from stacchip.storage import Storage

__all__ = [
    "name_files",
    "put_file",
    "refuse_strangers",
    "replace_files",
    "replace_index",
    "staging",
]

_STAGE_PREFIX: Final = ".stacchip-stage-"


@contextlib.contextmanager
def staging(href: str) -> Iterator[Path]:
    """Yield a local folder for files on their way to a folder; it is deleted at the end.

    If the target is local, the staging folder is a hidden folder inside it, so that files are moved
    by renaming. Folders that killed writers left are deleted.

    Raises:
        UsageError: The target is on a web server, which cannot be written to.
    """
    if href.startswith(("http://", "https://")):
        raise UsageError(f"{redact(href)} cannot be written to: give a folder or an object store.")
    target = local_path(href)
    if target is None:
        with tempfile.TemporaryDirectory(prefix="stacchip-") as folder:
            yield Path(folder)
        return
    is_new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(target, _STAGE_PREFIX) as stage:
            yield stage
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                target.rmdir()


def name_files(
    href: str, platforms: Sequence[str], storage: Storage, *, name: str | None = None
) -> dict[str, str]:
    """Return the name of the file for the chips of each source.

    A source keeps the file that it has, so that its chips are replaced in one step. The only source
    of a new index gets `chips.parquet`.

    Args:
        href: Folder of the index.
        platforms: The sources of the new index. An index without chips also has a file, for the
            source "".
        storage: How to reach it.
        name: The name to use, if there is only one source.

    Raises:
        UsageError: A name is given for several sources, or is hidden or not that of a parquet file.
    """
    if name is not None:
        if len(platforms) > 1 or "/" in name or name[0] in "._" or not name.endswith(".parquet"):
            raise UsageError(
                f"{name!r} cannot name the file of {len(platforms)} sources: it names the file of "
                "one, ends in .parquet, and does not begin with '_' or '.'."
            )
        return dict.fromkeys(platforms or [""], name)
    there = chips_in_folder(href, storage)
    if len(platforms) <= 1 and set(there) <= {CHIPS}:
        return dict.fromkeys(platforms or [""], CHIPS)
    holder = _sole_platform(child_href(href, CHIPS), storage) if CHIPS in there else None
    return {
        platform: CHIPS if platform == holder else chips_name(platform) for platform in platforms
    }


def _sole_platform(href: str, storage: Storage) -> str | None:
    """Return the source of the chips in a file; None if there are several or none."""
    found = open_parquet(href, storage).read(["platform"])["platform"].unique()
    return found[0].as_py() if len(found) == 1 else None


def replace_index(
    href: str, chips: Mapping[str, Path], records: RecordFile, stage: Path, storage: Storage
) -> None:
    """Put a new index into a folder, in the order that this module describes.

    Args:
        href: The folder.
        chips: New files with chips by name, in the stage; they are moved from there. Files with
            other names are deleted.
        records: The new records.
        stage: The `staging` folder.
        storage: How to reach the folder.

    Raises:
        StorageError: A file could not be written; the steps before it stay.
    """
    final = records.write(stage / "final.parquet")
    before = chips_in_folder(href, storage)
    place = child_href(href, RECORDS)
    interim = final
    if before and storage.exists(place):
        known = len(records)
        for table in open_parquet(place, storage).scan():
            records.add(table, place, only_new=True)
        if len(records) > known:
            interim = records.write(stage / "interim.parquet")
    gone = set(before) - set(chips)
    replace_files(href, chips, gone, stage, records=final, interim_records=interim, storage=storage)


def replace_files(
    href: str,
    chips: Mapping[str, Path],
    delete: Collection[str],
    stage: Path,
    *,
    records: Path | None,
    interim_records: Path | None,
    storage: Storage,
) -> None:
    """Put new files into an index folder, in the order that this module describes.

    Args:
        href: The folder.
        chips: New files with chips by name, in the stage; they are moved from there.
        delete: Names of files with chips to delete.
        stage: The `staging` folder.
        records: The new `_items.parquet`; None keeps the present one.
        interim_records: Old and new records together, for the time when only some files are new;
            None keeps the present records until all files are new.
        storage: How to reach the folder.

    Raises:
        StorageError: A file could not be written; the steps before it stay.
    """
    before = set(chips_in_folder(href, storage))
    after = (before | set(chips)) - set(delete)
    named = read_manifest(href, storage)
    # an incomplete index that a killed writer left need not stay readable
    is_whole = bool(before) and before.issuperset(named or ())
    if not is_whole or before != after:
        _put_manifest(href, before & after if is_whole else after, stage, storage)
    first = interim_records if is_whole else records
    if first is not None:
        put_file(first, child_href(href, RECORDS), storage)
    for name in sorted(chips):
        put_file(chips[name], child_href(href, name), storage)
    for name in sorted(before & set(delete)):
        storage.delete(child_href(href, name))
    if records is not None and records != first:
        put_file(records, child_href(href, RECORDS), storage)
    if is_whole:
        _put_manifest(href, after, stage, storage)


def _put_manifest(href: str, names: Collection[str], stage: Path, storage: Storage) -> None:
    """Write `_index.json`: the names of the files with chips."""
    path = stage / MANIFEST
    path.write_text(json.dumps({"files": sorted(names), "format": 1}))
    put_file(path, child_href(href, MANIFEST), storage)


def refuse_strangers(href: str, names: Collection[str], storage: Storage) -> None:
    """Refuse a folder with parquet files that would stay beside the new ones.

    Raises:
        UsageError: There are such files; readers of the folder would read them as chips.
    """
    strangers = sorted(set(chips_in_folder(href, storage, strangers=True)) - set(names))
    if strangers:
        raise UsageError(
            f"{redact(href)} holds parquet files that stacchip has not written: "
            f"{', '.join(strangers[:3])}. Readers of the folder would read them as chips. "
            "Choose another folder.",
        )


def put_file(staged: Path, href: str, storage: Storage) -> None:
    """Move a staged file to its place, where it appears whole or not at all."""
    target = local_path(href)
    if target is None:
        storage.write(href, staged)
        return
    move_whole(staged, target)
