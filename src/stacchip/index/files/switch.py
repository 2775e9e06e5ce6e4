"""The switch of an index from its old files to new ones, at one moment for our readers.

1. Each new file is put beside its place, as `.stacchip-next-{16 digits}-{name}`.
2. `_index.json` is replaced by one that names the files of the new index, and which of them have
   yet to take their places. From now on our readers see the new index, before now the old one.
3. Files of sources that are gone are deleted, and the new files take their places.
4. `_index.json` names the files alone.

A writer that is killed before step 2 leaves the old index, and afterwards the new one; the next
writer ends its work, or the next reader that may write there. Tools that do not know `_index.json`
see each file old or new meanwhile.

Files that an index gets when it grows take no file's place. In an object store they are put to
their final names at once, and `_index.json` is replaced only if it is still the one that the writer
saw: of several writers who add files at the same time, each finds what the others added. The files
of those that were killed stay until `compact_index`; only tools that do not know `_index.json` see
them. A local writer is alone, and adds files by a switch.

A new index needs no switch: `_index.json` comes first, so that readers refuse the folder until the
last of its files is there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stacchip.errors import AssetChanged, IndexReplaced, ObjectNotFound, StorageError
from stacchip.index.files.manifest import MANIFEST, NEXT, Manifest, load_manifest, see_manifest
from stacchip.runtime.unwritable import naming_unwritable
from stacchip.runtime.whole_file import held_at_once, move_whole
from stacchip.storage import child_href, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stacchip.index.files.manifest import Seen
    from stacchip.storage import Storage

__all__ = [
    "WRITER",
    "add_files",
    "end_switch",
    "make_files",
    "put_file",
    "resume_switch",
    "switch_files",
]

_log = logging.getLogger(__name__)
WRITER: Final = ".stacchip-writer.lock"
"""The file that a writer of a local index locks."""


def switch_files(
    folder: str,
    new: Mapping[str, Path],
    files: Manifest,
    storage: Storage,
    seen: Seen | None = None,
) -> None:
    """Put new files into an index, at one moment for our readers.

    Args:
        folder: Address of the index.
        new: Finished local files, by the names that they take; they are moved if both are local.
        files: The files with chips of the new index, and those to delete.
        storage: Reaches the folder.
        seen: The `_index.json` to replace, and no other, in an object store; by default any.

    Raises:
        IndexReplaced: Another writer has replaced `_index.json`; the index is as that left it.
        StorageError: A file could not be written. The index is the old one, or the next writer ends
            the work.
    """
    token = secrets.token_hex(8)
    next_names = {name: f"{NEXT}{token}-{name}" for name in new}
    try:
        for name, file in new.items():
            put_file(file, child_href(folder, next_names[name]), storage)
        _put_manifest(folder, replace(files, next_names=next_names), storage, seen)
    finally:  # if a step failed, the new files are deleted
        end_switch(folder, storage)


def add_files(
    folder: str, new: Mapping[str, Path], files: Manifest, seen: Seen, storage: Storage
) -> None:
    """Put files that take no file's place into an index, at one moment for our readers.

    Args:
        folder: Address of the index.
        new: As in `switch_files`.
        files: As in `switch_files`.
        seen: The `_index.json` to replace, and no other.
        storage: Reaches the folder.

    Raises:
        IndexReplaced: Another writer has replaced `_index.json`; the index is as that left it.
        StorageError: A file could not be written. The index is the old one or the new one.
    """
    if local_path(folder) is not None:
        switch_files(folder, new, files, storage)
        return
    put: list[str] = []
    try:
        for name, file in new.items():
            put_file(file, child_href(folder, name), storage)
            put.append(name)
        _put_manifest(folder, files, storage, seen)
    except IndexReplaced:
        there = load_manifest(folder, storage) or Manifest(())
        if not any(there.names(name) for name in put):
            for name in put:
                storage.delete(child_href(folder, name))
            raise
        # the answer to our own write was lost, and another writer has built on it
    if not files.is_settled:
        end_switch(folder, storage, clears=False)


def make_files(folder: str, new: Mapping[str, Path], files: Manifest, storage: Storage) -> None:
    """Put the files of a new index into a folder; readers refuse it until the last is there.

    Args:
        folder: Address of the folder.
        new: Finished local files, by the names that they take. Those of chips come last.
        files: The files with chips, and remains to delete.
        storage: Reaches the folder.

    Raises:
        StorageError: A file could not be written. Those put before it are deleted again.
    """
    is_new = load_manifest(folder, storage) is None
    for name in files.gone:
        storage.delete(child_href(folder, name))
    put: list[str] = []
    try:
        _put_manifest(folder, Manifest(files.files), storage)
        put += [MANIFEST] if is_new else []
        for name in sorted(new, key=lambda name: (name in files.files, name)):
            put_file(new[name], child_href(folder, name), storage)
            put.append(name)
    except StorageError:
        for name in reversed(put):
            with contextlib.suppress(StorageError):
                storage.delete(child_href(folder, name))
        raise


def resume_switch(folder: str, storage: Storage) -> bool:
    """End the switch of a folder whose writer was killed; return False if nothing can be done.

    A reader does so, that other tools see what it sees. It cannot if the index is not local, if the
    writer is at work, or if the folder may not be written to.
    """
    local = local_path(folder)
    if local is None:
        return False
    try:
        with held_at_once(local / WRITER):
            end_switch(folder, storage)
    except (OSError, StorageError) as error:
        _log.debug("the switch of %s is not ended: %s", folder, error)
        return False
    return True


def end_switch(folder: str, storage: Storage, *, clears: bool = True) -> None:
    """End the switch of a folder that was begun, if any, and delete new files of any other.

    Only one writer at a time may do so.

    Args:
        folder: Address of the index.
        storage: Reaches the folder.
        clears: False to leave new files of other switches, whose writers may be at work.
    """
    hidden = _list_next(folder, storage)
    seen = see_manifest(folder, storage)
    manifest = seen.manifest
    if manifest is not None and not manifest.is_settled:
        try:
            _settle(folder, manifest, hidden, seen, storage)
        except (IndexReplaced, ObjectNotFound):
            # in a store, another writer may end it at the same time, and go on from there
            if load_manifest(folder, storage) == manifest:
                raise
        hidden = [name for name in hidden if name not in manifest.next_names.values()]
    for name in hidden if clears else ():
        storage.delete(child_href(folder, name))


def _settle(
    folder: str, manifest: Manifest, hidden: Sequence[str], seen: Seen, storage: Storage
) -> None:
    """Let the new files of a switch take their places, and say so in the manifest that was seen."""
    for name in manifest.gone:
        storage.delete(child_href(folder, name))
    for name, there in sorted(manifest.next_names.items()):
        if there in hidden:
            _move(child_href(folder, there), child_href(folder, name), storage)
    _put_manifest(folder, replace(manifest, next_names={}, gone=()), storage, seen)


def _list_next(folder: str, storage: Storage) -> list[str]:
    """Return the names of files in a folder that have yet to take their places."""
    local = local_path(folder)
    if local is not None:
        try:
            # `glob` takes a folder that it may not list for an empty one
            with naming_unwritable(local):
                return [name for name in os.listdir(local) if name.startswith(NEXT)]  # noqa: PTH208 - names are enough
        except ObjectNotFound:
            return []
    names = (entry.href[len(folder) :].strip("/") for entry in storage.list(folder))
    return [name for name in names if "/" not in name and name.startswith(NEXT)]


def put_file(file: Path, href: str, storage: Storage) -> None:
    """Put a finished local file to a place, where it appears whole or not at all."""
    target = local_path(href)
    if target is None:
        storage.write(href, file)
    else:
        move_whole(file, target)


def _move(source: str, target: str, storage: Storage) -> None:
    """Give a file of a folder another name."""
    there, place = local_path(source), local_path(target)
    if there is not None and place is not None:
        move_whole(there, place)
        return
    storage.copy(source, target)
    storage.delete(source)


def _put_manifest(
    folder: str, manifest: Manifest, storage: Storage, seen: Seen | None = None
) -> None:
    """Replace `_index.json`; in an object store, only the one that was seen, if one is given."""
    local = local_path(folder)
    if local is None:
        _put_remote(child_href(folder, MANIFEST), folder, manifest, storage, seen)
        return
    part = local / f"{NEXT}{secrets.token_hex(8)}-{MANIFEST}"  # a killed writer's is deleted
    try:
        with naming_unwritable(local / MANIFEST):
            part.write_bytes(manifest.to_bytes())
        move_whole(part, local / MANIFEST)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _put_remote(
    place: str, folder: str, manifest: Manifest, storage: Storage, seen: Seen | None
) -> None:
    if seen is None:
        storage.write(place, manifest.to_bytes())
        return
    try:
        storage.write_over(place, manifest.to_bytes(), seen.identity)
    except StorageError as error:
        # a request that is repeated because its answer was lost finds what it wrote itself
        there = load_manifest(folder, storage)
        if there is not None and there.to_bytes() == manifest.to_bytes():
            return
        if not isinstance(error, AssetChanged):
            raise
        raise IndexReplaced(
            f"Another writer changed the index at {redact(folder)} at the same time. Its work is "
            "whole, and nothing of this was written: run this again.",
            href=redact(folder),
        ) from error
