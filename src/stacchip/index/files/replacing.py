"""Replacing the files of an index, so that a reader never sees half an index.

The new files are written to a hidden folder, and then put into the index at one moment (the module
`switch`): a reader sees the old index or the new one, wherever the writer was killed, and the next
writer ends its work. Local writers of one folder wait for each other. In an object store, writers
that only add files or mark rows as removed (`Replacement.grow`) may work at the same time, also
beside one that replaces the index. Two that replace it are not supported.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final, Self

from stacchip.errors import IndexFormatError, StacchipError, UsageError
from stacchip.index.files.chips_writer import ROWS_PER_GROUP, ChipsWriter
from stacchip.index.files.contents import (
    CONTENTS,
    Contents,
    join_contents,
    read_contents,
    write_contents,
)
from stacchip.index.files.item_records import RecordFile
from stacchip.index.files.layout import (
    CHIPS,
    RECORDS,
    chips_in_folder,
    chips_name,
    files_of_parts,
    index_href,
    is_file,
    require_unmarked,
)
from stacchip.index.files.manifest import (
    MANIFEST,
    Manifest,
    is_listable,
    load_manifest,
    see_manifest,
)
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.parts import find_part, next_part, part_name
from stacchip.index.files.removed import REMOVED, write_removed
from stacchip.index.files.snapshot import see_settled
from stacchip.index.files.staging import alone, lock_place, staging
from stacchip.index.files.switch import (
    add_files,
    end_switch,
    make_files,
    put_file,
    switch_files,
)
from stacchip.runtime.near_names import list_names
from stacchip.runtime.presence import is_there
from stacchip.storage import child_href, local_path, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import TypeVar

    import pyarrow as pa

    from stacchip.index.editions import Editions
    from stacchip.index.files.contents import KnownRuns, RunCounter
    from stacchip.index.files.manifest import Seen
    from stacchip.index.files.removed import Removed
    from stacchip.runtime.whole_file import Turn
    from stacchip.storage import Storage

    T = TypeVar("T")

__all__ = ["Replacement", "clear_remains"]

_RECORDS_STAGED: Final = "_final.parquet"


@dataclass(eq=False)
class Replacement:
    """New files of an index, on their way to their places; use it in a `with` statement.

    The files are written beside the index. `replace`, `grow` or `put_records` moves them to their
    places; if none of these is called, the index stays as it was.

    Attributes:
        path: The index: a folder, or a single parquet file.
        storage: How to reach it.
        stage: The local folder of the new files, within the `with` statement. If the index is
            local, this is a hidden folder beside its files, so that they are moved by renaming.
            Folders that killed writers left are deleted.
        task: What the writer does, in words that are the same when it is run again.
        grows: True for a writer that only adds files or marks rows: in an object store, it leaves
            the files of other writers alone.
        resumes: True within the `with` statement if a writer of the same task was killed here, and
            no other came since.

    Raises:
        UsageError: At the start: the index is on a web server, which cannot be written to.
    """

    path: str | os.PathLike[str]
    storage: Storage
    task: str = ""
    grows: bool = False
    stage: Path = field(init=False)
    resumes: bool = field(init=False, default=False)
    _turn: Turn | None = field(init=False, default=None)
    _seen: Seen | None = field(init=False, default=None)
    _chips: dict[str, Path] = field(init=False, default_factory=dict)
    _runs: dict[str, RunCounter | KnownRuns] = field(init=False, default_factory=dict)
    _stack: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    @cached_property
    def href(self) -> str:
        """Address of the index."""
        return index_href(self.path)

    @cached_property
    def is_file(self) -> bool:
        """True if the index is a single parquet file."""
        return is_file(self.href)

    @cached_property
    def records(self) -> RecordFile:
        """The new records of items; all are added before the first file with chips is opened."""
        return self._stack.enter_context(RecordFile(self.stage, self.folder))

    def write_records(self, leave_out: Collection[tuple[str, str]] = ()) -> Editions | None:
        """Write the new records to the stage, once all are added; return their editions.

        Args:
            leave_out: As for `RecordFile.write`.
        """
        staged = self.stage / _RECORDS_STAGED
        if not staged.exists():
            self.records.write(staged, leave_out=leave_out)
        return self.records.editions

    def begin_again(self) -> None:
        """Forget the files that were written to the stage; records that were added stay."""
        self._chips.clear()
        self._runs.clear()
        (self.stage / _RECORDS_STAGED).unlink(missing_ok=True)

    @cached_property
    def folder(self) -> str:
        """Address of the folder that its files are in."""
        return parent_href(self.href) if self.is_file else self.href

    @property
    def was_killed(self) -> bool:
        """True if a local index has what a killed writer left, or one writes it now."""
        place = lock_place(self.href)
        return place is not None and is_there(place)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._turn = stack.enter_context(alone(self.href, self.task))
            self.resumes = self._turn is not None and self._turn.left == self.task != ""
            stack.push(self._note_unfinished)
            if not self.is_file:
                self._end_others()
            self.stage = stack.enter_context(staging(self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        finally:
            self._forget()

    def _end_others(self) -> None:
        """End what killed writers began; in a store, one that adds files leaves new ones alone."""
        if not self.grows or self._turn is not None:
            end_switch(self.folder, self.storage)
            self._seen = see_manifest(self.folder, self.storage)

    def see(self) -> Seen:
        """Return what `_index.json` says now, which `grow` will replace.

        A switch that is under way in a store is waited for; if it does not end, its writer was
        killed.
        """
        seen = see_settled(self.folder, self.storage)
        if seen.manifest is not None and not seen.manifest.is_settled:
            end_switch(self.folder, self.storage, clears=False)
            seen = see_manifest(self.folder, self.storage)
        return seen

    def _note_unfinished(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave a switch that failed halfway to the next reader or writer, as a killed one does."""
        if kind is None or self._turn is None or self.is_file:
            return
        with contextlib.suppress(StacchipError):
            manifest = load_manifest(self.folder, self.storage)
            self._turn.is_unfinished = manifest is not None and not manifest.is_settled

    def _forget(self) -> None:
        self._chips.clear()
        self._runs.clear()
        self.__dict__.pop("records", None)  # they were written to the stage

    # -- new files

    def name_chips(self, platforms: Sequence[str], *, name: str | None = None) -> dict[str, str]:
        """Return the name of the file for the chips of each source of a folder.

        A source keeps the file that holds its chips alone, `chips.parquet` or
        `chips-{source}.parquet`, so that they are replaced in one step. The only source of a new
        index gets `chips.parquet`.

        A name that the caller chose (`name`) is not remembered: the caller gives it each time. If a
        source gets another name than it had, readers find both files until the old one is deleted.

        Args:
            platforms: The sources of the new index. An index without chips also has a file, for the
                source "".
            name: The name to use for the only source, whatever file it has; by default as above.

        Raises:
            UsageError: A name is given for several sources, or is hidden or not that of a parquet
                file; or the folder has parquet files that would stay beside the new ones.
        """
        names = self._choose_names(platforms, name)
        strangers = chips_in_folder(self.href, self.storage, strangers=True)
        strangers = sorted(set(strangers) - set(names.values()))
        if strangers:
            raise UsageError(
                f"{redact(self.href)} holds parquet files that stacchip has not written: "
                f"{', '.join(strangers[:3])}. Readers of the folder would read them as chips. "
                "Choose another folder.",
            )
        return names

    def _choose_names(self, platforms: Sequence[str], name: str | None) -> dict[str, str]:
        if name is not None:
            _require_chips_name(name, platforms)
            return dict.fromkeys(platforms or [""], name)
        if not platforms:
            return {"": CHIPS}
        there = [
            name for name in chips_in_folder(self.href, self.storage) if find_part(name) is None
        ]
        if len(platforms) == 1 and set(there) <= {CHIPS}:
            return {platforms[0]: CHIPS}
        holder = None
        if CHIPS in there:
            holder = _sole_platform(child_href(self.href, CHIPS), self.storage)
        return {each: CHIPS if each == holder else chips_name(each) for each in platforms}

    def open_chips(
        self,
        name: str,
        editions: Editions | None,
        schema: pa.Schema,
        runs: pa.Table | None = None,
    ) -> ChipsWriter:
        """Return a writer of a new file with chips, compressed with ZSTD.

        With footprints, it is GeoParquet 1.1.

        Args:
            name: The name of the file.
            editions: The editions of its sources; None if nothing is known of them.
            schema: The schema of its rows, which have the columns of `store_columns`.
            runs: As for `ChipsWriter.open`.
        """
        self._chips[name] = self.stage / name
        writer = ChipsWriter.open(self._chips[name], schema, self.folder, editions, runs)
        self._runs[name] = writer.runs
        return writer

    def write_chips(self, name: str, chips: pa.Table, editions: Editions | None = None) -> None:
        """Write a new file with chips; arguments are those of `open_chips`."""
        with self.open_chips(name, editions, chips.schema) as writer:
            writer.write_table(chips, row_group_size=ROWS_PER_GROUP)

    # -- to their places

    def replace(self, seen: Seen | None = None, gone: Collection[str] = ()) -> None:
        """Put the new files in the place of all files of the index.

        Args:
            seen: The `_index.json` to replace, in a store; by default what it said at first.
            gone: Names of files with chips, of other tools perhaps, to delete as well.

        Raises:
            IndexReplaced: Another writer has changed an index in a store meanwhile.
            StorageError: A file could not be written; the index is the old one or the new one.
            UsageError: A file to delete has a name that a manifest cannot list; or it is a single
                file, from which the index around it had chips removed.
        """
        if self.is_file:
            require_unmarked(self.href, self.storage)
            (chips,) = self._chips.values()
            put_file(chips, self.href, self.storage)
            return
        self.write_records()
        new = {**self._chips, RECORDS: self.stage / _RECORDS_STAGED}
        before = {*chips_in_folder(self.href, self.storage), *gone}
        if (contents := self._gather_contents(CONTENTS, self._chips)) is not None:
            new[CONTENTS] = self.stage / CONTENTS
            write_contents(new[CONTENTS], contents)
        old = before.union(files_of_parts(self.href, self.storage)) - set(self._chips)
        files = Manifest(tuple(self._chips), gone=tuple(sorted(old)))
        files.require_readable(self.href)
        seen = seen or self._seen
        named = None if seen is None else seen.manifest
        # an incomplete index that a killed writer left need not stay readable
        if before and before.issuperset(() if named is None else named.files):
            switch_files(self.href, new, files, self.storage, seen)
        else:
            make_files(self.href, new, files, self.storage)

    def _gather_contents(self, name: str, chips: Collection[str]) -> Contents | None:
        """Return which rows of new files are of which item, for a file of a name.

        None if the new index is as small as what a look-up reads at least, and the old one had
        none, whose file would stay.
        """
        is_large = False
        with contextlib.suppress(IndexFormatError):  # it is damaged, and replaced
            is_large = read_contents(child_href(self.href, name), self.storage, ()) is not None
        contents, has_groups = self._join_contents(chips)
        return contents if is_large or has_groups else None

    def _join_contents(self, chips: Collection[str]) -> tuple[Contents, bool]:
        """Return the runs of new files, and whether one of them has several row groups."""
        parts, has_groups = [], False
        for name in sorted(chips):
            file = open_parquet(
                str(self._chips[name]), self.storage
            )  # one at a time: footers take memory
            has_groups |= len(file.footer.groups) > 1
            runs = self._runs[name].finish(name)
            if runs is not None:
                parts.append(Contents(runs, {name: file.digest}))
        return join_contents(parts), has_groups

    def next_part(self, seen: Seen) -> str:
        """Return the part that `grow` adds to an index."""
        manifest = seen.manifest or Manifest(())
        there = [*manifest.parts, find_part(manifest.removed or "")]
        is_shared = local_path(self.folder) is None
        if not is_shared:  # nobody's file is written over
            there += map(find_part, files_of_parts(self.href, self.storage))
        return next_part((part for part in there if part is not None), is_shared=is_shared)

    def _make_manifest(self) -> Manifest:
        """Return what the manifest of a folder that has none would say.

        It names all files with chips, also those of other tools: readers behind a web server read
        no others.

        Raises:
            UsageError: Files in it have names that only mean something with a manifest.
        """
        parts = [name for name in files_of_parts(self.href, self.storage) if name[0] not in "._"]
        if parts:
            raise UsageError(
                f"{redact(self.href)} has no {MANIFEST}, and {list_names(parts)} named as the "
                "files of an index that grew are. Rename them, or copy the whole index."
            )
        several = (
            chips_in_folder(self.href, self.storage, strangers=strangers)
            for strangers in (False, True)
        )
        return Manifest(tuple(chain(*several)))

    def grow(
        self, seen: Seen, part: str, *, removed: Removed | None = None, gone: Collection[str] = ()
    ) -> None:
        """Add the new files to the folder, whose own files stay as they are.

        The names of new files with chips are those of the part. If there are any, the records go
        with them.

        Args:
            seen: Result of `see` before anything was read that led to the new files.
            part: Result of `next_part`.
            removed: All rows that are removed from now on; None to leave it at those that are.
            gone: Names of files with chips to delete.

        Raises:
            IndexReplaced: Another writer has changed an index in a store meanwhile.
            StorageError: A file could not be written; the index is the old one or the new one.
            UsageError: A file of another tool has a name that a manifest cannot list.
        """
        before = seen.manifest or self._make_manifest()
        new, parts, mark = dict(self._chips), before.parts, before.removed
        if new:
            contents = self.stage / CONTENTS
            write_contents(contents, self._join_contents(self._chips)[0])
            new[part_name(CONTENTS, part)] = contents
            new[part_name(RECORDS, part)] = self.stage / _RECORDS_STAGED
            parts = (*parts, part)
        if removed is not None:
            mark = part_name(REMOVED, part)
            new[mark] = self.stage / REMOVED
            write_removed(new[mark], removed)
        old_mark = () if before.removed in (None, mark) else (before.removed,)
        marked = {name for name in removed or () if not name.startswith("_")}
        manifest = Manifest(
            tuple({*before.files, *marked, *self._chips}.difference(gone)),
            gone=tuple(sorted((*gone, *old_mark))),
            parts=parts,
            removed=mark,
        )
        manifest.require_readable(self.href)
        add_files(self.href, new, manifest, seen, self.storage)

    def replace_chips(self, seen: Seen, removed: Removed) -> None:
        """Put new files with chips into the places of those of their names; the records stay.

        Args:
            seen: Result of `see` before anything was read that led to the new files.
            removed: The rows of other files that stay removed.

        Raises:
            IndexReplaced: Another writer has changed an index in a store meanwhile.
            StorageError: A file could not be written; the index is the old one or the new one.
            UsageError: A file has a name that a manifest cannot list.
        """
        before = seen.manifest or self._make_manifest()
        new, mark = dict(self._chips), None
        for part in {find_part(name) for name in self._chips}:
            name = CONTENTS if part is None else part_name(CONTENTS, part)
            own = [each for each in self._chips if find_part(each) == part]
            if (contents := self._gather_contents(name, own)) is not None:
                new[name] = self.stage / name
                write_contents(new[name], contents)
        if removed:
            mark = part_name(REMOVED, self.next_part(seen))
            new[mark] = self.stage / REMOVED
            write_removed(new[mark], removed)
        gone = () if before.removed is None else (before.removed,)
        manifest = Manifest(before.files, gone=gone, parts=before.parts, removed=mark)
        manifest.require_readable(self.href)
        switch_files(self.href, new, manifest, self.storage, seen)

    def put_records(self, records: RecordFile, href: str, editions: Editions | None) -> None:
        """Put new records into the place of present ones; the chips stay as they are.

        Args:
            records: The new ones.
            href: Address of the file with the present ones.
            editions: What these say, whose items are the same.
        """
        put_file(records.write(self.stage / _RECORDS_STAGED, kept=editions), href, self.storage)


def clear_remains(path: str | os.PathLike[str], storage: Storage) -> None:
    """End or clear away what a killed writer of a local index left, if one did."""
    new = Replacement(path, storage)
    if new.was_killed:
        with new:
            pass


def _require_chips_name(name: str, platforms: Sequence[str]) -> None:
    if (
        len(platforms) > 1
        or not is_listable(name)
        or name.startswith("_")
        or not name.endswith(".parquet")
        or find_part(name) is not None
    ):
        raise UsageError(
            f"{name!r} cannot name the file of {len(platforms)} sources: it names the file of "
            "one, ends in .parquet (and not in .part-...), does not begin with '_' or '.', and has "
            "no slash, '%2F', '%5C' or control character."
        )


def _sole_platform(href: str, storage: Storage) -> str | None:
    """Return the source of the chips in a file; None if there are several or none."""
    found = open_parquet(href, storage).read(["platform"])["platform"].unique()
    return found[0].as_py() if len(found) == 1 else None
