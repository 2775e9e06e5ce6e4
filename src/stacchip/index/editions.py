"""Editions: which records of items the rows of an index were written with.

The records of a source have an edition: a digest of its items and their addresses. Each file of an
index says the editions of its sources, that with the records as well as those with the chips. Rows
that were read keep them in the table's metadata, so that they never meet the records of an index
that has replaced theirs. Headers do not count: an index that gets headers keeps its editions.

Files of other tools and of earlier versions say none, and their rows take any record.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import IndexReplaced
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    Editions = Mapping[str, str]
    """The edition of each source in a file."""
    Known = Mapping[str, frozenset[str]]
    """By source, the editions of the files that rows were read from: one for each folder."""

__all__ = [
    "EDITIONS",
    "NO_RECORDS",
    "Digests",
    "combine",
    "editions_of",
    "from_metadata",
    "is_of",
    "is_part",
    "join",
    "replaced",
    "select_editions",
    "to_metadata",
    "with_editions",
]

EDITIONS: Final = b"stacchip:editions"
"""The key of editions in the metadata of files and tables."""
NO_RECORDS: Final = "none"
"""The edition of a source without records."""


class Digests:
    """Works out the editions of sources from their records.

    Example:
        >>> import pyarrow as pa
        >>> digests = Digests()
        >>> digests.add(pa.table({"platform": ["naip"], "item_id": ["a"], "item": ["{}"]}))
        >>> list(digests.editions())
        ['naip']
    """

    def __init__(self) -> None:
        self._sources: dict[str, Any] = defaultdict(lambda: hashlib.blake2b(digest_size=8))

    def add(self, records: pa.Table) -> None:
        """Count records in, which come in the order of the file."""
        names = [name for name in ("item_id", "item_href", "item") if name in records.column_names]
        columns = (records[name].to_pylist() for name in names)
        for platform, *values in zip(records["platform"].to_pylist(), *columns, strict=True):
            for value in values:
                data = b"" if value is None else value.encode()
                self._sources[platform].update(len(data).to_bytes(8, "little") + data)

    def editions(self) -> dict[str, str]:
        """Return the edition of each source."""
        return {platform: digest.hexdigest() for platform, digest in self._sources.items()}


# -- in files --------------------------------------------------------------------------------------


def to_metadata(editions: Editions) -> dict[bytes, bytes]:
    """Return the metadata of a file that say its editions."""
    return {EDITIONS: json.dumps(dict(sorted(editions.items()))).encode()}


def from_metadata(metadata: Mapping[bytes, bytes] | None) -> Editions | None:
    """Return the editions that a file's metadata say; None if they say none.

    Example:
        >>> from_metadata(to_metadata({"naip": "1f"})), from_metadata({})
        ({'naip': '1f'}, None)
    """
    said = _parse((metadata or {}).get(EDITIONS))
    return said if isinstance(said, dict) and _are_texts(said.values()) else None


def select_editions(editions: Editions | None, platforms: Iterable[str]) -> Editions | None:
    """Return the editions of some sources, also of those without records.

    Example:
        >>> select_editions({"naip": "1f"}, ["linz"])
        {'linz': 'none'}
    """
    if editions is None:
        return None
    return {platform: editions.get(platform, NO_RECORDS) for platform in platforms}


def is_of(known: Known | None, platform: str, found: Editions | None) -> bool:
    """Return True if rows of a source may take records of a file.

    Args:
        known: The editions of the files that the rows were read from; None if they are not known.
        platform: The source.
        found: The editions of the file with records; None if it says none.
    """
    if known is None or found is None or platform not in known:
        return True
    return found.get(platform, NO_RECORDS) in known[platform]


def replaced(href: str) -> IndexReplaced:
    """Return the error for an index that is no longer the one that rows were read from."""
    return IndexReplaced(
        f"The index at {redact(href)} was replaced after these rows were read, and the items of "
        "the new index are not theirs. Open it again: read_index(path), Chipper(path). If you "
        "have the items of these rows, pass them: items=[...].",
        href=redact(href),
    )


# -- in tables -------------------------------------------------------------------------------------


def join(files: Iterable[Editions | None]) -> Known | None:
    """Return the editions of the files of one index; None if one of them says none."""
    known: dict[str, set[str]] = defaultdict(set)
    for editions in files:
        if editions is None:
            return None
        for platform, edition in editions.items():
            known[platform].add(edition)
    return {platform: frozenset(several) for platform, several in known.items()}


def combine(one: Known | None, other: Known | None) -> Known | None:
    """Return the editions of rows of one index that were read at two times.

    If it was replaced in between, there are no records that go with all of the rows.

    Example:
        >>> combine({"naip": frozenset({"1f"})}, {"naip": frozenset({"2e"})})
        {'naip': frozenset()}
    """
    if one is None or other is None:
        return None
    shared = {name: one[name] & other[name] for name in one.keys() & other.keys()}
    return {**one, **other, **shared}


def is_part(known: Known | None, now: Known | None) -> bool:
    """Return True unless the sources of rows have other editions now."""
    if known is None or now is None:
        return True
    return all(now.get(name, frozenset()) >= editions for name, editions in known.items())


def with_editions(table: pa.Table, several: Sequence[Known | None]) -> pa.Table:
    """Return a table with the editions of the indexes that it was read from, in their order."""
    metadata = {name: value for name, value in _metadata(table).items() if name != EDITIONS}
    if any(known is not None for known in several):
        metadata[EDITIONS] = json.dumps([_plain(known) for known in several]).encode()
    return table.replace_schema_metadata(metadata)


def editions_of(table: pa.Table, count: int) -> list[Known | None]:
    """Return the editions of each of the indexes that a table was read from; None if not known.

    Args:
        table: The table.
        count: The number of its indexes.
    """
    said = _parse(_metadata(table).get(EDITIONS))
    if not isinstance(said, list) or len(said) != count:
        return [None] * count
    return [_known(each) for each in said]


def _plain(known: Known | None) -> dict[str, list[str]] | None:
    return None if known is None else {name: sorted(known[name]) for name in sorted(known)}


def _known(said: Any) -> Known | None:
    if not isinstance(said, dict):
        return None
    if not all(isinstance(each, list) and _are_texts(each) for each in said.values()):
        return None
    return {platform: frozenset(each) for platform, each in said.items()}


def _metadata(table: pa.Table) -> Mapping[bytes, bytes]:
    return table.schema.metadata or {}


def _parse(text: bytes | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
