"""The files of an index: which there are, and where they lie.

An index is a folder:

```
chips.parquet           the chips; or a file for each source, chips-{source}.parquet
_items.parquet          a record of each item: the STAC item, and the headers of its assets' files
_contents.parquet       which rows are of which item; small indexes have none
_index.json             the names of the files with chips
```

An index that grew has more of the same, in parts (the module `parts`), and if rows were removed, a
file that says which (the module `removed`).

Tools that open the whole folder (pyarrow, geopandas, Dask, Spark) skip names that begin with an
underscore; give DuckDB `folder/chips*.parquet`. Each source has a file of its own, so that it can
be removed or replaced without touching the others.

By `_index.json` our readers notice that a new index is not complete yet, and see an index that is
replaced as the old one or the new one (the module `switch`). A single parquet file, with the items
in its metadata, is an index as well; so is a tree of folders, such as one folder for each item. The
folders' names may tell columns (the module `paths`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stacchip.errors import IndexFormatError, ObjectNotFound, UsageError
from stacchip.index.files.manifest import (
    MANIFEST,
    NEXT,
    Manifest,
    Seen,
    final_href,
    load_manifest,
    manifest_version,
    read_manifest,
    see_manifest,
)
from stacchip.index.files.parts import find_part, is_part_of, part_name
from stacchip.index.files.paths import told_by_paths
from stacchip.index.files.removed import NO_MARKS, REMOVED, Marks, read_removed
from stacchip.index.files.switch import resume_switch
from stacchip.runtime.presence import is_folder, is_there
from stacchip.storage import Entry, child_href, local_path, parent_href, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from stacchip.storage import Storage

__all__ = [
    "CHIPS",
    "MANIFEST",
    "RECORDS",
    "FileEntry",
    "IndexFiles",
    "chips_in_folder",
    "chips_name",
    "files_of_parts",
    "find_files",
    "index_href",
    "is_file",
    "read_manifest",
    "require_unmarked",
    "see_file",
]

CHIPS: Final = "chips.parquet"
RECORDS: Final = "_items.parquet"
_TRIES: Final = 5
_PAUSE_S: Final = 0.1
_OURS: Final = re.compile(r"chips(-[a-z0-9._-]+)?\.parquet")


@dataclass(frozen=True)
class FileEntry(Entry):
    """A file of an index with chips or records; `stacchip.index.files.opening.open_entry` opens it.

    Attributes:
        href: Its address.
        size_bytes: Its size; -1 if it is not known.
        told: The columns that its path tells.
        removed: Its rows that were removed from the index.
    """

    told: Mapping[str, pa.Scalar] = field(default_factory=dict)
    removed: Marks = NO_MARKS

    @property
    def name(self) -> str:
        """The name that it has, or will have, in its folder."""
        return (final_href(self.href) or self.href).rpartition("/")[2]


@dataclass(frozen=True)
class IndexFiles:
    """The files of an index.

    Attributes:
        href: The folder or file of the index.
        chips: The files with chips: in the order of their hrefs, and those of parts thereafter, in
            the order of the parts. So the rows of an index keep their numbers when it grows.
        records: The files with records of items.
    """

    href: str
    chips: tuple[FileEntry, ...]
    records: tuple[FileEntry, ...]

    @classmethod
    def of(
        cls,
        href: str,
        chips: Iterable[Entry],
        records: Iterable[Entry] = (),
        removed: Mapping[str, Marks] | None = None,
    ) -> IndexFiles:
        """Return the files of an index, with what their paths tell.

        Args:
            href: The folder or file.
            chips: Its files with chips.
            records: Those with records of items.
            removed: By the final address of a file, what was removed from it.

        Raises:
            IndexFormatError: A path gives a column a value of another type.
        """
        found = list(chips)
        told = told_by_paths(href, [each.href for each in found])

        def enter(each: Entry, told: Mapping[str, pa.Scalar]) -> FileEntry:
            gone = (removed or {}).get(final_href(each.href) or each.href, NO_MARKS)
            return FileEntry(each.href, each.size_bytes, told, gone)

        return cls(
            href,
            tuple(enter(each, told[each.href]) for each in sorted(found, key=_place_in_order)),
            tuple(enter(each, {}) for each in sorted(records, key=_place_in_order)),
        )


def _place_in_order(entry: Entry) -> tuple[str, str]:
    return find_part(final_href(entry.href) or entry.href) or "", entry.href


def chips_name(platform: str) -> str:
    """Return the name of the file with one source's chips.

    Names that a file system or URL could misread get a hash, so that no two sources share a file.

    Example:
        >>> chips_name("sentinel-2-l2a"), chips_name("LANDSAT 8")
        ('chips-sentinel-2-l2a.parquet', 'chips-landsat-8-42909a7c.parquet')
    """
    plain = re.sub(r"[^a-z0-9._-]", "-", platform.lower())[:100]
    if plain != platform or find_part(f"chips-{plain}.parquet"):
        plain += "-" + hashlib.sha256(platform.encode()).hexdigest()[:8]
    return f"chips-{plain}.parquet"


def index_href(path: str | os.PathLike[str]) -> str:
    """Return the href of an index as it begins its files' hrefs: no trailing slash, no `./`.

    Raises:
        UsageError: No file of this machine can have that path.
    """
    href = os.fspath(path)
    local = local_path(href)
    if local is None:
        return href.rstrip("/")
    try:
        os.lstat(local)
    except ValueError as error:  # a NUL, or half a character
        raise _no_path(href, error) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _no_path(href, error) from None
    return str(local)


def _no_path(href: str, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"{redact(href)[:200]!r} cannot be the path of an index: {reason}.")


def is_file(href: str) -> bool:
    """Return True if an index at this href is a single parquet file."""
    local = local_path(href)
    if local is not None and is_folder(local):
        return False
    return _is_parquet(href.partition("?")[0])


def _is_parquet(name: str) -> bool:
    return name.lower().endswith((".parquet", ".geoparquet"))


def find_files(href: str, storage: Storage, seen: Seen | None = None) -> IndexFiles:
    """Return the files of the index at a folder or parquet file.

    A folder's subfolders belong to it. A folder behind a web server cannot be listed: its files are
    those that its `_index.json` names, or else `chips.parquet`. A single remote file is not looked
    for, since opening it says in the same request whether it is there; nor is the folder around it,
    so that such a file comes with the rows that were removed from its index.

    Args:
        href: The folder or file.
        storage: How to reach it.
        seen: What its `_index.json` says, if that was read already.

    Raises:
        ObjectNotFound: Nothing is there, or no parquet file.
        IndexFormatError: A file is missing: the index is being written, or a writer was killed.
    """
    storage.name_server(href)
    if is_file(href):
        if local_path(href) is not None and not storage.exists(href):
            raise _no_index(href, "there is no such file")
        if local_path(href) is None:
            return IndexFiles.of(href, [Entry(href, -1)])
        return _find_file(href, storage, seen or see_file(href, storage))
    if href.startswith(("http://", "https://")):
        manifest = (seen or see_manifest(href, storage)).manifest or Manifest((CHIPS,))
        named = [manifest.files, (RECORDS, *(part_name(RECORDS, each) for each in manifest.parts))]
        chips, records = (
            [Entry(_place(href, name, manifest, storage), -1) for name in names] for names in named
        )
        return IndexFiles.of(href, chips, records, _removed_in(href, manifest, storage))
    return _list_files(href, storage, seen)


def _removed_in(folder: str, manifest: Manifest, storage: Storage) -> dict[str, Marks]:
    """Return what was removed from the files of a folder, by their addresses."""
    if manifest.removed is None:
        return {}
    removed = read_removed(_place(folder, manifest.removed, manifest, storage), storage)
    return {child_href(folder, name): marks for name, marks in removed.items()}


def see_file(href: str, storage: Storage) -> Seen:
    """Read what the `_index.json` beside a single local file says, if it is of that index.

    Raises:
        IndexFormatError: It is damaged, and the file has a name of ours.
    """
    folder, name = parent_href(href), href.rpartition("/")[2]
    try:
        seen = see_manifest(folder, storage)
        for _ in range(_TRIES):
            if seen.manifest is None or seen.manifest.is_settled:
                break
            if not resume_switch(folder, storage):
                time.sleep(_PAUSE_S)
            seen = see_manifest(folder, storage)
    except IndexFormatError:
        if _OURS.fullmatch(name) or find_part(name):
            raise
        return Seen(None, manifest_version(folder, storage))  # it may be of another tool
    if seen.manifest is None or not seen.manifest.names(name):
        return seen._replace(manifest=None)
    return seen


def _find_file(href: str, storage: Storage, seen: Seen) -> IndexFiles:
    """Return a single local file of an index, and what was removed from it."""
    if seen.manifest is None:
        return IndexFiles.of(href, [Entry(href, -1)])
    folder, name = parent_href(href), href.rpartition("/")[2]
    marks = _removed_in(folder, seen.manifest, storage).get(child_href(folder, name), NO_MARKS)
    place = _place(folder, name, seen.manifest, storage) if not seen.manifest.is_settled else href
    return IndexFiles.of(href, [Entry(place, -1)], removed={href: marks})


def require_unmarked(href: str, storage: Storage) -> None:
    """Refuse a single file from which an index had chips removed: it may not be written again.

    Raises:
        UsageError: It is one.
    """
    if local_path(href) is None or not storage.exists(href):
        return
    if find_files(href, storage).chips[0].removed:
        raise UsageError(
            f"{redact(href)} is a file of an index, which had chips removed from it: give the "
            "folder of the index."
        )


def _place(folder: str, name: str, manifest: Manifest, storage: Storage) -> str:
    """Return where a file of a folder is now: in its place, or on its way there."""
    if name in manifest.next_names:
        there = child_href(folder, manifest.next_names[name])
        if storage.exists(there):
            return there
    return child_href(folder, name)


def _no_index(href: str, reason: str) -> ObjectNotFound:
    local = local_path(href)
    is_bare = local is not None and "/" not in href and not is_there(local)
    other = f" For a bucket, write s3://{href}." if is_bare else ""
    return ObjectNotFound(
        f"There is no index at {redact(href)}: {reason}. Give the folder or parquet file that an "
        f"index was written to.{other}",
        href=redact(href),
    )


def _list_files(href: str, storage: Storage, seen: Seen | None = None) -> IndexFiles:
    found, changing, grown = _sort_files(href, storage)
    manifests = {parent_href(entry.href) for entry in found[MANIFEST]}
    removed: dict[str, Marks] = {}
    top = None
    # of thousands of subfolders, only the manifests of those that change or have grown are read
    for folder in (manifests & ({href} | changing)) | grown.keys():
        is_top = folder == href
        manifest = seen.manifest if seen and is_top else load_manifest(folder, storage)
        top = manifest if is_top else top
        if manifest is not None and not manifest.is_settled:
            if resume_switch(folder, storage):
                return _list_files(href, storage)
            _follow(folder, manifest, found, storage)
        _add_parts(folder, manifest, grown.get(folder, []), found)
        if manifest is not None:
            try:
                removed |= _removed_in(folder, manifest, storage)
            except IndexFormatError:
                now = load_manifest(folder, storage)
                if now is None or now.removed == manifest.removed:
                    raise
                return _list_files(href, storage)  # more was removed meanwhile
    _require_complete(href, found, [entry.href for entry in found[MANIFEST]], top)
    if not found["chips"]:
        raise _no_index(href, "it holds no parquet file with chips")
    return IndexFiles.of(href, found["chips"], found[RECORDS], removed)


def _sort_files(
    href: str, storage: Storage
) -> tuple[dict[str, list[Entry]], set[str], dict[str, list[Entry]]]:
    """Return the files below a folder by kind, its folders that change, and the files of parts."""
    found: dict[str, list[Entry]] = {"chips": [], RECORDS: [], MANIFEST: []}
    changing: set[str] = set()
    grown: dict[str, list[Entry]] = {}
    for entry in storage.list(href):
        *folders, name = entry.href[len(href) :].strip("/").split("/")
        if any(folder.startswith((".", "_")) for folder in folders):
            continue  # pyarrow skips these as well; our half-written files lie there
        if name in (RECORDS, MANIFEST):
            found[name].append(entry)
        elif name.startswith(NEXT):
            changing.add(parent_href(entry.href))
        elif find_part(name):
            grown.setdefault(parent_href(entry.href), []).append(entry)
        elif _is_parquet(name) and not name.startswith((".", "_")):
            found["chips"].append(entry)
    return found, changing, grown


def _follow(
    folder: str, manifest: Manifest, found: dict[str, list[Entry]], storage: Storage
) -> None:
    """Put the new files of a folder in the place of those listed."""
    records = (RECORDS, *(part_name(RECORDS, part) for part in manifest.parts))
    for kind, names in (("chips", manifest.files), (RECORDS, records)):
        left_out = {child_href(folder, name) for name in (*manifest.gone, *manifest.next_names)}
        found[kind] = [entry for entry in found[kind] if entry.href not in left_out]
        for name in names:
            if name in manifest.next_names:
                found[kind].append(Entry(_place(folder, name, manifest, storage), -1))


def _add_parts(
    folder: str, manifest: Manifest | None, listed: list[Entry], found: dict[str, list[Entry]]
) -> None:
    """Add the files of the parts that a manifest names to those found.

    Raises:
        IndexFormatError: There is none, and rows were removed.
    """
    names = {entry.href.rpartition("/")[2]: entry for entry in listed}
    if manifest is None and any(is_part_of(REMOVED, name) for name in names):
        raise IndexFormatError(
            f"The index at {redact(folder)} had rows removed, and lacks the {MANIFEST} that says "
            "which. Copy the whole folder.",
            href=redact(folder),
        )
    moving = () if manifest is None else (*manifest.gone, *manifest.next_names)
    for name, entry in names.items():
        if name in moving:
            continue
        if is_part_of(RECORDS, name):
            if manifest is None or find_part(name) in manifest.parts:
                found[RECORDS].append(entry)
        elif not name.startswith(("_", ".")) and (manifest is None or name in manifest.files):
            found["chips"].append(entry)


def _require_complete(
    href: str, found: Mapping[str, list[Entry]], manifests: list[str], top: Manifest | None
) -> None:
    """Refuse an index that lacks a file.

    Only the manifest of the folder itself is read, since there may be thousands of subfolders. A
    subfolder with a manifest must have chips. (The folder of one item has only one file of them.)
    """
    chips, records = (
        {final_href(entry.href) or entry.href for entry in found[kind]}
        for kind in ("chips", RECORDS)
    )
    missing: list[str] = []
    if top is not None:
        named = [child_href(href, name) for name in top.files]
        missing += [name for name in named if name not in chips]
        named = [child_href(href, part_name(RECORDS, part)) for part in top.parts]
        missing += [name for name in named if name not in records]
    filled = {parent_href(name) for name in chips}
    folders = (parent_href(manifest) for manifest in manifests)
    missing += [
        child_href(folder, CHIPS) for folder in folders if folder not in filled and folder != href
    ]
    if missing:
        raise IndexFormatError(
            f"The index at {redact(href)} is not complete: {redact(missing[0])} is missing. It is "
            "being written, or its writer was stopped: write or merge it again. If the file was "
            f"deleted by hand, delete {MANIFEST} as well.",
            href=redact(href),
        )


def chips_in_folder(href: str, storage: Storage, *, strangers: bool = False) -> list[str]:
    """Return the names of the files with chips in a folder: ours, or the others (`strangers`).

    Ours are those that the manifest names, or whose names have the form of `chips_name`. Those of
    parts that no manifest names are of an append that was killed, or is under way.
    """
    named = read_manifest(href, storage) or []
    names = (entry.href[len(href) :].strip("/") for entry in storage.list(href))
    chips = [
        name
        for name in names
        if "/" not in name and _is_parquet(name) and not name.startswith((".", "_"))
    ]
    return [name for name in chips if (name in named or bool(_OURS.fullmatch(name))) != strangers]


def files_of_parts(href: str, storage: Storage) -> list[str]:
    """Return the names of all files in a folder that are of a part, whether it is named or not."""
    names = (entry.href[len(href) :].strip("/") for entry in storage.list(href))
    return [name for name in names if "/" not in name and find_part(name)]
