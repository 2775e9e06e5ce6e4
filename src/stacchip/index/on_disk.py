"""An index whose files stay open, and whose rows are read when they are asked for.

What it holds is an entry for each item. So an index of 10^8 chips opens in a second.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from stacchip.index.absent import NamesWanted
from stacchip.index.editions import join, replaced
from stacchip.index.files.chips_file import share_columns
from stacchip.index.files.contents import count_on
from stacchip.index.files.layout import find_files, index_href
from stacchip.index.files.opening import open_entry
from stacchip.index.read import (
    count_left_out,
    open_files,
    read_rows,
    report_absent,
    with_origin,
)
from stacchip.index.schema import SCHEMA
from stacchip.index.table_rows import take_rows
from stacchip.runtime.open_files import most_open_files
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.index.files.chips_file import ChipsFile
    from stacchip.index.filters import Selection
    from stacchip.storage import Storage

    Rows = NDArray[np.int64]

__all__ = ["StoredIndex"]

_log = logging.getLogger(__name__)
# What is held of each run.
_OF_RUN: Final = ("platform", "item_id", "chip_size", "date", "datetime", "item_href")


class StoredIndex:
    """An index that says which of its rows are of which item; see `open`.

    It serves the files that were opened first. A copy in another process opens them again, and
    raises `IndexReplaced` if they are others by then, or had rows removed. What was appended to the
    index meanwhile is in neither.

    Args:
        href: The address of the index.
        storage: How to reach it.
        files: Its files, in their order.
    """

    def __init__(self, href: str, storage: Storage, files: Sequence[ChipsFile]) -> None:
        self._href = href
        self._storage = storage
        self._digests = [chips.file.digest for chips in files]
        self.__dict__["_files"] = list(files)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], storage: Storage, *, first: int | None = None
    ) -> StoredIndex | None:
        """Open an index; None if its files do not tell whose their rows are, or are many.

        Args:
            path: Where it is.
            storage: How to reach it.
            first: The number of its first files, if those that were appended later do not matter.

        Raises:
            ObjectNotFound: Nothing is there.
            IndexFormatError: A file is not a chip index, or is missing.
        """
        href = index_href(path)
        files: list[ChipsFile] = []
        for chips in islice(open_files(href, storage), first):
            lacking = set(SCHEMA.names) - set(chips.file.columns.inside.names)
            is_whole = lacking <= {"geometry"}
            if not is_whole or chips.runs(_OF_RUN) is None:
                return None
            if first is None and len(files) == most_open_files():
                _log.warning(
                    "%s has more than %d files with chips, which cannot all stay open: its rows "
                    "are read into memory. Compact it (stacchip compact).",
                    redact(href),
                    len(files),
                )
                return None
            files.append(chips)
        return cls(href, storage, share_columns(files))

    @cached_property
    def _files(self) -> list[ChipsFile]:
        """The files, opened again in another process."""
        # those of appends come last
        files = list(islice(open_files(self._href, self._storage), len(self._digests)))
        if [chips.file.digest for chips in files] != self._digests:
            raise replaced(self._href)
        return share_columns(files)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the rows: those of `SCHEMA`, and then others."""
        further = {} if self._files[0].further is None else self._files[0].further.shared
        return pa.schema([*SCHEMA, *(pa.field(name, kind) for name, kind in further.items())])

    @cached_property
    def _starts(self) -> Rows:
        """The first row of each file, and the number of all rows."""
        return np.cumsum([0, *(chips.rows for chips in self._files)], dtype=np.int64)

    @cached_property
    def runs(self) -> pa.Table:
        """Which rows are of which item and date, with the index's metadata.

        The columns are those of `read_runs` without bounds and shares, which `read_runs` reads.
        """
        runs = self.read_runs(_OF_RUN)
        items = {key: item for chips in self._files for key, item in chips.items().items()}
        editions = join(chips.file.editions for chips in self._files)
        return with_origin(runs, self._href, items, editions)

    def read_runs(self, columns: Sequence[str]) -> pa.Table:
        """Return which rows are of which item, with some columns of `CONTENTS_SCHEMA`.

        Args:
            columns: Their names; file, first row and number of rows always come first.

        Raises:
            IndexReplaced: The index was replaced since it was opened.
        """
        parts = []
        for chips, before in zip(self._files, self._starts.tolist(), strict=False):
            runs = chips.runs(columns)
            if runs is None:
                raise replaced(self._href)
            parts.append(count_on(runs, before))
        return pa.concat_tables(parts).replace_schema_metadata()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def nulls(self, column: str) -> int | None:
        """Return in how many rows a column is null; None if only the rows tell."""
        counts = [chips.nulls(column) for chips in self._files]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def take(self, rows: Sequence[int] | Rows, columns: Sequence[str]) -> pa.Table:
        """Return rows by their numbers, in the order asked."""
        wanted = np.asarray(rows, np.int64)
        of_file = np.searchsorted(self._starts, wanted, side="right") - 1
        order = np.argsort(of_file, kind="stable")
        there = [name for name in columns if name in self.schema.names]  # a file names others
        parts = [self.schema.empty_table().select(there).replace_schema_metadata()]
        for number in np.unique(of_file).tolist():
            inside = wanted[of_file == number] - self._starts[number]
            part = self._files[number].take(inside, columns)
            parts.append(part.replace_schema_metadata())
        return take_rows(pa.concat_tables(parts), np.argsort(order))

    def scan_numbered(
        self, columns: Sequence[str], chosen: Selection
    ) -> Iterator[tuple[Rows, pa.Table]]:
        """Yield chosen rows with their numbers, one table for each row group that has some."""
        for chips, before in zip(self._files, self._starts.tolist(), strict=False):
            for rows, part in chips.scan_numbered(columns, chosen):
                yield rows + before, part

    @property
    def digest(self) -> str:
        """A digest of the files: that of an index with any other row is another."""
        return hashlib.blake2b("\n".join(self._digests).encode(), digest_size=16).hexdigest()

    @property
    def digests(self) -> list[str]:
        """The digest of each file."""
        return list(self._digests)

    def count_left_out(self, chosen: Selection) -> int:
        """Return how many chips a selection leaves out since a share was not measured."""
        return sum(count_left_out(chips, chosen) for chips in self._files)

    def report_absent(self, chosen: Selection) -> None:
        """Log the platforms and items that a selection names and the index lacks."""
        wanted = NamesWanted(chosen)
        wanted.see(self.runs)
        report_absent(wanted, self._href, self._storage)

    def digest_for(self, chosen: Selection) -> str:
        """A digest of all that decides which rows a selection chooses, and whose they are.

        That is more than the files with chips. Addresses are joined with that of the index, folders
        tell columns by their names, and the footprints of an index that stores none follow from its
        records. Those of all parts count, also of later ones that have no chip in the area: the
        record of an item may be in any part.
        """
        digest = hashlib.blake2b(self.digest.encode(), digest_size=16)
        for chips in self._files:
            local = local_path(chips.href)
            place = chips.href if local is None else str(local.absolute())
            digest.update(repr((place, chips.origin)).encode())
        for name in ("first", "rows"):
            digest.update(np.ascontiguousarray(self.runs[name].to_numpy(), "<i8").data)
        if chosen.area is not None and any(chips.lacks_footprints for chips in self._files):
            for entry in find_files(self._href, self._storage).records:
                digest.update(open_entry(entry, self._storage).digest.encode())
        return digest.hexdigest()

    def read(self) -> pa.Table:
        """Read all rows with all columns into memory."""
        table = read_rows(self._href, storage=self._storage)
        now = [chips.file.digest for chips in open_files(self._href, self._storage)]
        if now != self._digests:
            raise replaced(self._href)
        return table

    def __getstate__(self) -> dict[str, Any]:
        names = ("_href", "_storage", "_digests")
        return {name: self.__dict__[name] for name in names}
