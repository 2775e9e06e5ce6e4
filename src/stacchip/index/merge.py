"""Merge any number of indexes into one, in bounded memory; how is said in `gathering`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from stacchip.errors import NothingFound, UsageError
from stacchip.index.editions import select_editions
from stacchip.index.files.layout import index_href
from stacchip.index.files.replacing import Replacement
from stacchip.index.files.spill import Spill
from stacchip.index.gathering import Gathered, by_source, write_source
from stacchip.index.recorded_splits import join_splits
from stacchip.index.schema import SCHEMA
from stacchip.index.stored import require_form, stored_schema
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from stacchip.index.stored import GeometryForm

    Duplicates: TypeAlias = Literal["error", "drop"]

__all__ = ["Merged", "merge_indexes"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        files: Files with chips that were read.
        items: Items in the merged index, counted once for each source and chip size.
        chips: Rows of the merged index.
        dropped: Rows that were left out because they repeat a chip.
        platforms: Names of the sources.
        records: Items that the merged index keeps a record of.
    """

    files: int
    items: int
    chips: int
    dropped: int
    platforms: tuple[str, ...]
    records: int


def merge_indexes(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    duplicates: Duplicates = "error",
    geometry: GeometryForm = "wkb",
    allow_empty: bool = True,
    storage: Storage | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Merged:
    """Merge indexes of any sources and chip sizes into one folder, sorted by place and time.

    The order of the inputs only decides which of two duplicates is kept; the same inputs give the
    same bytes. Columns that were added to an input are kept; rows of others are null there. A split
    that one input records (`stacchip.add_split`) is that of all rows.
    Meanwhile, the merge needs local disk of about the size of the merged index: beside
    `out` if that is local, else in the folder for temporary files (`TMPDIR`).

    Args:
        paths: Folders of indexes (with everything below them) and parquet files, including those
            that `pyarrow.parquet.write_table` made. An `out` below one of the folders is not read.
        out: Folder of the merged index. An index there is replaced at the end, and may be among the
            inputs.
        duplicates: What to do with rows of the same key (`stacchip.index.KEY`): `"drop"` keeps the
            first, in the order of the inputs; `"error"` raises.
        geometry: Whether the merged index stores footprints, as for `write_index`. Where an input
            stores none and the merged index does, they are made from the items.
        allow_empty: False to raise if the inputs have no chips, and leave `out` as it is.
        storage: How to reach all of them.
        progress: Called with the address of each file that is read and the number of all files.

    Returns:
        Counts of what was merged.

    Raises:
        DuplicateChips: A chip is there twice, and `duplicates="error"`.
        InvalidMetadata: Two inputs have different items of one id and source, or rows with one of
            these have several dates.
        IndexFormatError: An input is not an index; or a further column has types in two inputs that
            no type holds without loss, or one that no index keeps.
        IndexReplaced: An input was replaced while it was read.
        NothingFound: The inputs have no chips, and `allow_empty` is False.
        ObjectNotFound: Nothing is at one of the paths.
        UsageError: There is nothing to merge, `out` is a file or holds other parquet files, two
            inputs record different splits of one name, or `duplicates` or `geometry` is unknown.
    """
    require_form(geometry)
    storage = storage or Storage()
    new = Replacement(out, storage)
    if duplicates not in ("error", "drop"):
        raise UsageError(f"duplicates must be 'error' or 'drop', not {duplicates!r}.")
    if new.is_file:
        name = redact(new.href)
        raise UsageError(f"A merged index is a folder, but {name} is the name of a file.")
    several = [paths] if isinstance(paths, str) or hasattr(paths, "__fspath__") else list(paths)
    hrefs = [index_href(path) for path in several]
    schema = stored_schema(SCHEMA, geometry)
    with new, Spill(new.stage / "chips.spill") as spill:
        gathered = Gathered(spill, new.records, schema)
        files = gathered.read(hrefs, new.href, storage, progress, verb="merge")
        if not gathered.parts and not allow_empty:
            raise NothingFound(
                f"The indexes have no chips: {', '.join(map(redact, files))}. "
                f"Nothing was written to {redact(new.href)}."
            )
        if duplicates == "error":
            gathered.refuse_repeats()
        return _write(gathered, new, files=len(files))


def _write(gathered: Gathered, new: Replacement, *, files: int) -> Merged:
    """Write the rows, and put the files into the target folder."""
    sources = by_source(gathered.parts)
    gathered.split_by(join_splits(gathered.splits))
    gathered.dates.clear()  # they were compared, and take memory for each item
    written = 0
    names = new.name_chips(list(sources))
    editions = new.write_records()
    for platform, name in names.items():
        own = select_editions(editions, sources and [platform])
        with new.open_chips(name, own, gathered.schema) as writer:
            written += write_source(gathered, sources.get(platform, []), writer)
    merged = Merged(
        files=files,
        items=len(gathered.parts),
        chips=written,
        dropped=gathered.chips - written,
        platforms=tuple(sources),
        records=len(gathered.records),
    )
    new.replace()
    _log.info("%s: %s", redact(new.href), merged)
    return merged
