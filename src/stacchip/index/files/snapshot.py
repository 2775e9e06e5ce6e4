"""The files of an index opened at one moment: all of the old index, or all of the new one.

An open file keeps its version (`open_parquet`). Every switch of an index replaces its `_index.json`
twice, so that files opened between two looks at the same `_index.json` are of one index. So are
those of an index that grows: none of its files is ever another.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Final

from stacchip.errors import AssetChanged, IndexFormatError, IndexReplaced, ObjectNotFound
from stacchip.index.files.chips_file import ChipsFile, open_chips, share_columns, share_with
from stacchip.index.files.contents import FolderContents
from stacchip.index.files.layout import find_files, is_file, see_file
from stacchip.index.files.manifest import manifest_version, see_manifest
from stacchip.index.files.switch import resume_switch
from stacchip.index.further_columns import FurtherColumns
from stacchip.runtime.concurrently import map_concurrently, stream_concurrently
from stacchip.runtime.open_files import most_open_files
from stacchip.storage import local_path, parent_href, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from stacchip.index.files.layout import FileEntry, IndexFiles
    from stacchip.index.files.manifest import Seen
    from stacchip.storage import Storage

    T = TypeVar("T")

__all__ = ["at_one_moment", "open_index", "refusing_replaced", "see_settled"]

_FOOTERS_AHEAD: Final = 16
_MOST_OF_A_TREE: Final = 64
_TRIES: Final = 100
_TRIES_OF_A_FILE: Final = 5  # a server may also tag each of its answers differently
_LONGEST_PAUSE_S: Final = 0.1


def open_index(href: str, storage: Storage, *, shares: bool = False) -> Iterator[ChipsFile]:
    """Yield the files with chips of an index, opened at one moment; those of a tree one by one.

    Each has the further columns of all (`share_columns`). To know those of a tree of many files,
    all of its footers are read first, which only a caller that needs them asks for.

    Args:
        href: The index.
        storage: Reaches it.
        shares: True if the files of a tree, too, have the further columns of all.

    Raises:
        ObjectNotFound: Nothing is there.
        IndexFormatError: A file is not a chip index, or is missing.
        IndexReplaced: The index was replaced again and again.
    """
    contents = FolderContents(storage)

    def open_one(entry: FileEntry) -> ChipsFile:
        return open_chips(entry, storage, contents)

    def open_all(files: IndexFiles) -> Iterator[ChipsFile]:
        if len(files.chips) <= _most_at_once(files):
            return iter(share_columns(map_concurrently(open_one, files.chips)))
        if not shares:
            return stream_concurrently(open_one, files.chips, ahead=_FOOTERS_AHEAD)
        further = FurtherColumns()
        for chips in stream_concurrently(open_one, files.chips, ahead=_FOOTERS_AHEAD):
            further.add(chips.file.schema, redact(chips.href))
        opened = stream_concurrently(open_one, files.chips, ahead=_FOOTERS_AHEAD)
        return (share_with(chips, further) for chips in opened)

    return at_one_moment(href, storage, open_all)


def _most_at_once(files: IndexFiles) -> int:
    """Return how many files are opened at one moment.

    An index has a file for each source, and one for each that an append adds to. A tree of more
    files is of many indexes, which change apart.
    """
    is_tree = len({parent_href(entry.href) for entry in files.chips}) > 1
    return _MOST_OF_A_TREE if is_tree else most_open_files()


def at_one_moment(href: str, storage: Storage, look: Callable[[IndexFiles], T]) -> T:
    """Return what `look` makes of the files of an index, while none of them was replaced.

    Args:
        href: The index.
        storage: Reaches it.
        look: Opens the files or reads them; it is called again if the index was replaced meanwhile.

    Raises:
        IndexReplaced: The index was replaced again and again.
        StacchipError: `look` raised it, while the index stayed the same.
    """
    folder = href
    if is_file(href):
        if local_path(href) is None:
            return look(find_files(href, storage))
        folder = parent_href(href)
    for attempt in range(_TRIES):
        seen = see_file(href, storage) if is_file(href) else see_manifest(href, storage)
        try:
            files = find_files(href, storage, seen)
            found = look(files)
        except (AssetChanged, IndexFormatError, ObjectNotFound) as error:
            # headers that are added replace the records alone, and not `_index.json`; nor does a
            # file that takes its place
            is_moving = seen.manifest is not None and not seen.manifest.is_settled
            may_pass = (is_moving or isinstance(error, AssetChanged)) and attempt < _TRIES_OF_A_FILE
            if not may_pass and manifest_version(folder, storage) == seen.version:
                raise
        else:
            # one remote file is of one version, and needs no second look
            is_one = len(files.chips) == 1 and local_path(href) is None
            if is_one or manifest_version(folder, storage) == seen.version:
                return found
        time.sleep(random.uniform(0, _LONGEST_PAUSE_S))  # noqa: S311 - no secret
    raise IndexReplaced(
        f"The index at {redact(href)} is replaced again and again while it is read. "
        "Read it when its writers are done.",
        href=redact(href),
    )


@contextlib.contextmanager
def refusing_replaced(hrefs: Sequence[str], storage: Storage) -> Iterator[Mapping[str, Seen]]:
    """Read indexes in a `with` statement, file by file; none may be replaced meanwhile.

    Yields:
        What the `_index.json` of each folder says.

    Raises:
        IndexReplaced: One was replaced or deleted.
    """
    folders = [href for href in dict.fromkeys(hrefs) if not is_file(href)]
    manifests = map_concurrently(lambda href: see_settled(href, storage), folders)
    seen = dict(zip(folders, manifests, strict=True))
    try:
        yield seen
    except (AssetChanged, IndexFormatError, ObjectNotFound) as error:
        if replaced := _find_replaced(seen, storage):  # a file that is gone may be of the old index
            raise replaced from error
        raise
    if replaced := _find_replaced(seen, storage):
        raise replaced


def see_settled(href: str, storage: Storage) -> Seen:
    """Return what `_index.json` says, once a switch that is under way has ended."""
    seen = see_manifest(href, storage)
    for _ in range(_TRIES_OF_A_FILE):
        if seen.manifest is None or seen.manifest.is_settled:
            break
        if not resume_switch(href, storage):
            time.sleep(_LONGEST_PAUSE_S)
        seen = see_manifest(href, storage)
    return seen


def _find_replaced(seen: Mapping[str, Seen], storage: Storage) -> IndexReplaced | None:
    """Return the error for the first index that is no longer the one seen."""
    versions = map_concurrently(lambda href: manifest_version(href, storage), seen)
    for (href, before), now in zip(seen.items(), versions, strict=True):
        if before.version != now:
            return IndexReplaced(
                f"The index at {redact(href)} was replaced or deleted while it was read. "
                "Run this again.",
                href=redact(href),
            )
    return None
