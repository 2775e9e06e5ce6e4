"""An index as it was when its chips were planned: files that were appended since do not count.

An append leaves the files and the numbers of the rows that are there, and its own come last. So a
plan stays valid for its rows as long as the first files of the index are those that it was made of.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from stacchip.index.files.layout import index_href
from stacchip.index.read import open_files
from stacchip.runtime.open_files import most_open_files

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from stacchip.storage import Storage

__all__ = ["IndexState"]

_MOST_FILES: Final = 1_000_000
_KINDS = {"files": int, "rows": int, "digest": str}


@dataclass(frozen=True)
class IndexState:
    """The first files of an index.

    Attributes:
        files: Their number.
        rows: The number of their rows.
        digest: A digest of them; with any other row it is another.
    """

    files: int
    rows: int
    digest: str

    @classmethod
    def of(cls, files: Iterable[tuple[str, int]]) -> IndexState:
        """Return the state of files, each given as its digest and the number of its rows.

        Example:
            >>> IndexState.of([("5f", 10), ("a7", 20)]).rows
            30
        """
        digests, rows = zip(*files, strict=True)
        text = "\n".join(digests).encode()
        return cls(len(digests), sum(rows), hashlib.blake2b(text, digest_size=16).hexdigest())

    @classmethod
    def read(cls, path: str | os.PathLike[str], storage: Storage) -> IndexState | None:
        """Return the state of an index now; None if it has too many files to look at all.

        Raises:
            ObjectNotFound: Nothing is there.
            IndexFormatError: A file is not a chip index, or is missing.
        """
        most = most_open_files()
        files = _read_files(path, storage, most + 1)
        return cls.of(files) if len(files) <= most else None

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> IndexState | None:
        """Return the state that the record of cubes holds (`as_record`); None if it holds none."""
        said = record.get("index_files")
        if not isinstance(said, dict) or {*said} != {*_KINDS}:
            return None
        if any(type(said[name]) is not kind for name, kind in _KINDS.items()):
            return None
        if not 1 <= said["files"] <= _MOST_FILES:
            return None
        return cls(**said)

    def as_record(self) -> dict[str, Any]:
        """Return what `recorded` reads, to be joined with the record of cubes."""
        return {"index_files": asdict(self)}

    def has_grown(self, path: str | os.PathLike[str], storage: Storage) -> bool | None:
        """Return True if files came after these, False if none did; None if these are not there.

        Raises:
            ObjectNotFound: Nothing is there.
            IndexFormatError: A file is not a chip index, or is missing.
        """
        files = _read_files(path, storage, self.files + 1)
        if IndexState.of(files[: self.files]) != self:
            return None
        return len(files) > self.files


def _read_files(path: str | os.PathLike[str], storage: Storage, most: int) -> list[tuple[str, int]]:
    """Return the digest and the number of rows of the first files of an index."""
    opened = islice(open_files(index_href(path), storage), most)
    return [(chips.file.digest, chips.rows) for chips in opened]
