"""`_index.json`: the files of an index folder, and which of them have yet to take their places.

An index that was written in one go has format 1: the names of its files with chips. Format 2 is of
an index that grew, or of which rows were removed: it also names the parts that were added
(`parts`), and the file with the rows that were removed (`removed`). Earlier versions would read
these rows, and lose the records of what was added. They look at no number, but refuse a name that
is none: so one of "files" is a notice, which they show.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.errors import IndexFormatError, LimitExceeded, ObjectNotFound, UsageError
from stacchip.index.files.parts import find_part, is_part
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import child_href, local_path, redact
from stacchip.storage.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from stacchip.storage import Identity, Storage

__all__ = [
    "MANIFEST",
    "NEXT",
    "Manifest",
    "Seen",
    "final_href",
    "is_listable",
    "load_manifest",
    "manifest_version",
    "read_manifest",
    "see_manifest",
]

MANIFEST: Final = "_index.json"
NEXT: Final = ".stacchip-next-"
"""The start of the names of new files, until they take their places (the module `switch`)."""
_MOST_PARTS: Final = 3_000_000  # as many files, or 216 MB of lists
_FORMAT: Final = 2
_NOTICE: Final = "stacchip/this index has grown or had rows removed: upgrade stacchip to read it"
_NEXT: Final = re.compile(r"\.stacchip-next-[0-9a-f]{16}-(.+)")
_INNER: Final = r"[^/\\\x00-\x1f\x7f\ud800-\udfff]"
_NAME: Final = re.compile(rf"(?!\.|.*%(2f|5c)){_INNER}+\.(geo)?parquet", re.IGNORECASE)


@dataclass(frozen=True)
class Manifest:
    """What `_index.json` says.

    Attributes:
        files: The names of the files with chips.
        next_names: By name, those of new files that have yet to take it.
        gone: Names of files that have yet to be deleted.
        parts: The parts that were added, in their order (the module `parts`).
        removed: The name of the file with the rows that were removed; None if none were.
    """

    files: tuple[str, ...]
    next_names: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    removed: str | None = None

    @property
    def is_plain(self) -> bool:
        """True for an index that was written in one go, and of which no rows were removed."""
        return not self.parts and self.removed is None

    @property
    def is_settled(self) -> bool:
        """True unless files have yet to take their places."""
        return not (self.next_names or self.gone)

    def names(self, name: str) -> bool:
        """Return True if a file is of the index by what this says."""
        return name in self.files or name == self.removed or find_part(name) in self.parts

    def require_readable(self, folder: str) -> None:
        """Check before it is written that readers will accept its names.

        Args:
            folder: Address of the index.

        Raises:
            UsageError: A file of another tool has a name that none of ours could have.
        """
        for name in (*self.files, *self.gone):
            if not is_listable(name):
                raise UsageError(
                    f"{redact(folder)} holds {name!r}, and {MANIFEST} cannot list a name like "
                    "that. Rename the file, and run this again."
                )

    def to_bytes(self) -> bytes:
        """Return the content of `_index.json`."""
        record: dict[str, Any] = {"files": sorted(self.files), "format": 1}
        if not self.is_plain:
            record = {
                "files": [*sorted(self.files), _NOTICE],
                "format": _FORMAT,
                "parts": list(self.parts),
                "removed": self.removed,
            }
        if not self.is_settled:
            record |= {"next": dict(sorted(self.next_names.items())), "gone": sorted(self.gone)}
        return json.dumps(record).encode()


def is_listable(name: str) -> bool:
    """Return True if `_index.json` may list a file of this name.

    Others would lead to another folder or host, or are hidden, or not those of parquet files.

    Example:
        >>> is_listable("part 0.parquet"), is_listable("a%2fb.parquet")
        (True, False)
    """
    return _NAME.fullmatch(name) is not None


def final_href(href: str) -> str | None:
    """Return the address that a new file will have in its place; None if it is no such file."""
    folder, _, name = href.rpartition("/")
    match = _NEXT.fullmatch(name)
    return None if match is None else f"{folder}/{match[1]}" if folder else match[1]


def read_manifest(href: str, storage: Storage) -> list[str] | None:
    """Read the names of the files with chips of an index; None if there is no `_index.json`."""
    manifest = load_manifest(href, storage)
    return None if manifest is None else list(manifest.files)


def load_manifest(href: str, storage: Storage) -> Manifest | None:
    """Read what `_index.json` says; None if there is none.

    Raises:
        IndexFormatError: It is not a list of an index's files.
    """
    return see_manifest(href, storage).manifest


class Seen(NamedTuple):
    """What `_index.json` says, and what changes whenever it is replaced; both None without one.

    `identity` is its version as a store tells it.
    """

    manifest: Manifest | None
    version: Hashable
    identity: Identity | None = None


def see_manifest(href: str, storage: Storage) -> Seen:
    """Read what `_index.json` says, and its version.

    Raises:
        IndexFormatError: It is not a list of an index's files.
    """
    place = child_href(href, MANIFEST)
    version = _local_version(place)  # first: what is read next is of this version or a later one
    try:
        blob = storage.read_blob(place, limit="document_bytes")
        manifest = _parse(bytes(blob.data), place)
    except ObjectNotFound:
        return Seen(None, None)
    except (IndexFormatError, LimitExceeded):
        raise
    except ODD_VALUES as error:
        raise IndexFormatError(
            f"{redact(place)} is not a list of an index's files: {error!r}. "
            "Delete it, or write the index again.",
            href=redact(place),
        ) from error
    return Seen(manifest, version or (blob.identity, bytes(blob.data)), blob.identity)


def manifest_version(href: str, storage: Storage) -> Hashable:
    """Return what changes whenever `_index.json` is replaced; None without one."""
    place = child_href(href, MANIFEST)
    if local_path(place) is not None:
        return _local_version(place)
    try:
        blob = storage.read_blob(place, limit="document_bytes")
    except ObjectNotFound:
        return None
    return blob.identity, bytes(blob.data)


def _local_version(place: str) -> Hashable:
    local = local_path(place)
    if local is None:
        return None
    try:
        facts = local.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def _parse(text: bytes, place: str) -> Manifest:
    said: dict[str, Any] = parse_json(text, _MOST_PARTS)
    version = said.get("format", 1)
    if type(version) is not int or not 1 <= version <= _FORMAT:  # True and 1.0 equal 1
        raise IndexFormatError(
            f"{redact(place)} has format {json.dumps(version)[:40]}, and this version of stacchip "
            f"reads formats 1 to {_FORMAT}. If a later version wrote the index, upgrade stacchip; "
            "else write it again.",
            href=redact(place),
        )
    removed = said.get("removed")
    manifest = Manifest(
        tuple(str(name) for name in said["files"] if name != _NOTICE),
        dict(said.get("next", {})),
        tuple(str(name) for name in said.get("gone", ())),
        tuple(str(part) for part in said.get("parts", ())),
        None if removed is None else str(removed),
    )
    named = [] if manifest.removed is None else [manifest.removed]
    for name in (*manifest.files, *manifest.next_names, *manifest.gone, *named):
        if not is_listable(name):
            raise ValueError(f"{name!r} is not the name of a parquet file in this folder")
    for name, hidden in manifest.next_names.items():
        if final_href(hidden) != name:
            raise ValueError(f"{hidden!r} cannot become {name!r}")
    for part in manifest.parts:
        if not is_part(part):
            raise ValueError(f"{part!r} is not a part of an index")
    return manifest
