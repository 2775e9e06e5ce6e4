"""The files of an index: which there are, and where they lie.

An index is a folder:

```
chips.parquet           the chips; or a file for each source, chips-{source}.parquet
_items.parquet          a record of each item: the STAC item, and the headers of its assets' files
_index.json             the names of the files with chips
```

Tools that open the whole folder (pyarrow, geopandas, Dask, Spark) skip names that begin with an
underscore; give DuckDB `folder/chips*.parquet`. Each source has a file of its own, so that it can
be removed or replaced without touching the others.

By `_index.json` our readers notice that a new index is not complete yet. (The module `replacing`
gives the order in which files are written.) A single parquet file, with the items in its metadata,
is an index as well; so is a tree of folders, such as one folder for each item. The folders' names
may tell columns (the module `paths`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import IndexFormatError, LimitExceeded, ObjectNotFound
from stacchip.index.files.paths import told_by_paths
from stacchip.storage import Entry, child_href, local_path, parent_href, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from stacchip.storage import Storage

__all__ = [
    "CHIPS",
    "MANIFEST",
    "RECORDS",
    "ChipsEntry",
    "IndexFiles",
    "chips_in_folder",
    "chips_name",
    "find_files",
    "index_href",
    "is_file",
    "read_manifest",
]

CHIPS: Final = "chips.parquet"
RECORDS: Final = "_items.parquet"
MANIFEST: Final = "_index.json"
_OURS: Final = re.compile(r"chips(-[a-z0-9._-]+)?\.parquet")


@dataclass(frozen=True)
class ChipsEntry(Entry):
    """A file with chips: its href, its size (-1 if not known), and the columns its path tells."""

    told: Mapping[str, pa.Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class IndexFiles:
    """The files of an index.

    Attributes:
        href: The folder or file of the index.
        chips: The files with chips, in the order of their hrefs.
        records: Hrefs of the files with records of items.
    """

    href: str
    chips: tuple[ChipsEntry, ...]
    records: tuple[str, ...]

    @classmethod
    def of(cls, href: str, chips: Iterable[Entry], records: Iterable[str] = ()) -> IndexFiles:
        """Return the files of an index, with what their paths tell.

        Raises:
            IndexFormatError: A path gives a column a value of another type.
        """
        found = list(chips)
        told = told_by_paths(href, [each.href for each in found])
        entries = (ChipsEntry(each.href, each.size_bytes, told[each.href]) for each in found)
        return cls(href, tuple(entries), tuple(records))


def chips_name(platform: str) -> str:
    """Return the name of the file with one source's chips.

    Names that a file system or URL could misread get a hash, so that no two sources share a file.

    Example:
        >>> chips_name("sentinel-2-l2a"), chips_name("LANDSAT 8")
        ('chips-sentinel-2-l2a.parquet', 'chips-landsat-8-42909a7c.parquet')
    """
    plain = re.sub(r"[^a-z0-9._-]", "-", platform.lower())[:100]
    if plain != platform:
        plain += "-" + hashlib.sha256(platform.encode()).hexdigest()[:8]
    return f"chips-{plain}.parquet"


def index_href(path: str | os.PathLike[str]) -> str:
    """Return the href of an index as it begins its files' hrefs: no trailing slash, no `./`."""
    href = os.fspath(path)
    local = local_path(href)
    return href.rstrip("/") if local is None else str(local)


def is_file(href: str) -> bool:
    """Return True if an index at this href is a single parquet file."""
    local = local_path(href)
    if local is not None and local.is_dir():
        return False
    return _is_parquet(href.partition("?")[0])


def _is_parquet(name: str) -> bool:
    return name.lower().endswith((".parquet", ".geoparquet"))


def find_files(href: str, storage: Storage) -> IndexFiles:
    """Return the files of the index at a folder or parquet file.

    A folder's subfolders belong to it. A folder behind a web server cannot be listed: its files are
    those that its `_index.json` names, or else `chips.parquet`. A single remote file is not looked
    for, since opening it says in the same request whether it is there.

    Raises:
        ObjectNotFound: Nothing is there, or no parquet file.
        IndexFormatError: A file is missing: the index is being written, or a writer was killed.
    """
    storage.name_server(href)
    if is_file(href):
        if local_path(href) is not None and not storage.exists(href):
            raise _no_index(href, "there is no such file")
        return IndexFiles.of(href, [Entry(href, -1)])
    if href.startswith(("http://", "https://")):
        named = read_manifest(href, storage)
        chips = (Entry(child_href(href, name), -1) for name in named or [CHIPS])
        return IndexFiles.of(href, chips, [child_href(href, RECORDS)])
    return _list_files(href, storage)


def _no_index(href: str, reason: str) -> ObjectNotFound:
    local = local_path(href)
    is_bare = local is not None and "/" not in href and not local.exists()
    other = f" For a bucket, write s3://{href}." if is_bare else ""
    return ObjectNotFound(
        f"There is no index at {redact(href)}: {reason}. Give the folder or parquet file that an "
        f"index was written to.{other}",
        href=redact(href),
    )


def _list_files(href: str, storage: Storage) -> IndexFiles:
    found: dict[str, list[Entry]] = {"chips": [], RECORDS: [], MANIFEST: []}
    for entry in storage.list(href):
        *folders, name = entry.href[len(href) :].strip("/").split("/")
        if any(folder.startswith((".", "_")) for folder in folders):
            continue  # pyarrow skips these as well; our half-written files lie there
        if name in (RECORDS, MANIFEST):
            found[name].append(entry)
        elif _is_parquet(name) and not name.startswith((".", "_")):
            found["chips"].append(entry)
    chips = sorted(found["chips"], key=lambda entry: entry.href)
    _require_complete(href, chips, [entry.href for entry in found[MANIFEST]], storage)
    if not chips:
        raise _no_index(href, "it holds no parquet file with chips")
    records = sorted(entry.href for entry in found[RECORDS])
    return IndexFiles.of(href, chips, records)


def _require_complete(
    href: str, chips: list[Entry], manifests: list[str], storage: Storage
) -> None:
    """Refuse an index that lacks a file.

    Only the manifest of the folder itself is read, since there may be thousands of subfolders. A
    subfolder with a manifest must have chips. (The folder of one item has only one file of them.)
    """
    there = {entry.href for entry in chips}
    missing: list[str] = []
    if child_href(href, MANIFEST) in manifests:
        named = (child_href(href, name) for name in read_manifest(href, storage) or [])
        missing += [name for name in named if name not in there]
    filled = {parent_href(name) for name in there}
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


def read_manifest(href: str, storage: Storage) -> list[str] | None:
    """Read the names of the files with chips of an index; None if there is no `_index.json`."""
    place = child_href(href, MANIFEST)
    try:
        manifest: dict[str, Any] = json.loads(storage.read(place, limit="document_bytes"))
        return [str(name) for name in manifest["files"]]
    except ObjectNotFound:
        return None
    except LimitExceeded:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IndexFormatError(
            f"{redact(place)} is not a list of an index's files: {error!r}. "
            "Delete it, or write the index again.",
            href=redact(place),
        ) from error


def chips_in_folder(href: str, storage: Storage, *, strangers: bool = False) -> list[str]:
    """Return the names of the files with chips in a folder: ours, or the others (`strangers`).

    Ours are those that the manifest names, or whose names have the form of `chips_name`.
    """
    named = read_manifest(href, storage) or []
    names = (entry.href[len(href) :].strip("/") for entry in storage.list(href))
    chips = [
        name
        for name in names
        if "/" not in name and _is_parquet(name) and not name.startswith((".", "_"))
    ]
    return [name for name in chips if (name in named or bool(_OURS.fullmatch(name))) != strangers]
