"""Compact an index that grew, or of which rows were removed: as if it were written in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.errors import UsageError
from stacchip.index.files.layout import find_files, index_href, is_file
from stacchip.index.files.manifest import load_manifest
from stacchip.index.files.replacing import clear_remains
from stacchip.index.files.snapshot import open_index
from stacchip.index.merge import merge_indexes
from stacchip.storage import Storage, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from stacchip.index.merge import Merged

__all__ = ["compact_index"]


def compact_index(
    path: str | os.PathLike[str],
    *,
    storage: Storage | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Merged | None:
    """Write an index that grew again: sorted by place and time, in one file for each source.

    Rows that were removed are gone from the files thereafter, and so are their items. The index is
    merged into itself (`merge_indexes`), in bounded memory: it needs local disk of about its size,
    and readers see the old files or the new ones. Footprints are stored if they were.

    Args:
        path: Folder of the index.
        storage: How to reach it.
        progress: Called with the address of each file that is read and the number of all files.

    Returns:
        Counts of what was written; None if the index has not grown and had no rows removed, so that
        there was nothing to do.

    Raises:
        DuplicateChips: A chip is in two files, which no append does.
        IndexReplaced: Others added to an index in a store meanwhile; it is as they left it.
        ObjectNotFound: There is no index.
        UsageError: It is a single file, or a tree of indexes in subfolders.

    Example:
        >>> import tempfile
        >>> from stacchip.index.schema import SCHEMA
        >>> from stacchip.index.write import write_index
        >>> folder = tempfile.mkdtemp()
        >>> write_index(SCHEMA.empty_table(), folder)
        >>> compact_index(folder) is None
        True
    """
    storage = storage or Storage()
    href = index_href(path)
    name = redact(href)
    if is_file(href):
        raise UsageError(f"{name} is a single file, which never grows: it needs no compaction.")
    clear_remains(href, storage)
    files = find_files(href, storage)
    if any(parent_href(entry.href) != href for entry in files.chips):
        raise UsageError(
            f"The index at {name} has indexes in subfolders: compact these, or merge all into one "
            "with merge_indexes (stacchip merge)."
        )
    manifest = load_manifest(href, storage)
    if manifest is None or manifest.is_plain:
        return None
    lacks = all(chips.lacks_footprints for chips in open_index(href, storage))
    return merge_indexes(
        href, href, geometry="none" if lacks else "wkb", storage=storage, progress=progress
    )
