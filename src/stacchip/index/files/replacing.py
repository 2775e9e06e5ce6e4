"""Replacing the files of an index, so that a reader never sees half an index.

The new files are written to a hidden folder, and then put into the index at one moment (the module
`switch`): a reader sees the old index or the new one, wherever the writer was killed, and the next
writer ends its work. Local writers of one folder wait for each other. Two writers of one folder in
an object store at a time are not supported.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
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
    index_href,
    is_file,
    read_manifest,
)
from stacchip.index.files.manifest import Manifest, load_manifest
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.switch import (
    WRITER,
    end_switch,
    make_files,
    put_file,
    switch_files,
)
from stacchip.runtime.presence import is_there
from stacchip.runtime.unwritable import naming_unwritable
from stacchip.runtime.whole_file import Turn, scratch_folder, temporary_folder, writing
from stacchip.storage import child_href, local_path, parent_href, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from stacchip.index.editions import Editions
    from stacchip.index.files.contents import RunCounter
    from stacchip.storage import Storage

__all__ = ["Replacement", "clear_remains", "staging"]

_STAGE_PREFIX: Final = ".stacchip-stage-"
_RECORDS_STAGED: Final = "_final.parquet"


@dataclass(eq=False)
class Replacement:
    """New files of an index, on their way to their places; use it in a `with` statement.

    The files are written beside the index. `replace`, `change` or `put_records` moves them to their
    places; if none of these is called, the index stays as it was.

    Attributes:
        path: The index: a folder, or a single parquet file.
        storage: How to reach it.
        stage: The local folder of the new files, within the `with` statement. If the index is
            local, this is a hidden folder beside its files, so that they are moved by renaming.
            Folders that killed writers left are deleted.
        task: What the writer does, in words that are the same when it is run again.
        resumes: True within the `with` statement if a writer of the same task was killed here, and
            no other came since.

    Raises:
        UsageError: At the start: the index is on a web server, which cannot be written to.
    """

    path: str | os.PathLike[str]
    storage: Storage
    task: str = ""
    stage: Path = field(init=False)
    resumes: bool = field(init=False, default=False)
    _turn: Turn | None = field(init=False, default=None)
    _chips: dict[str, Path] = field(init=False, default_factory=dict)
    _runs: dict[str, RunCounter] = field(init=False, default_factory=dict)
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

    def write_records(self, kept: Editions | None = MappingProxyType({})) -> Editions | None:
        """Write the new records to the stage, once all are added; return their editions.

        Args:
            kept: As for `RecordFile.write`.
        """
        staged = self.stage / _RECORDS_STAGED
        if not staged.exists():
            self.records.write(staged, kept=kept)
        return self.records.editions

    @cached_property
    def folder(self) -> str:
        """Address of the folder that its files are in."""
        return parent_href(self.href) if self.is_file else self.href

    @property
    def was_killed(self) -> bool:
        """True if a local index has what a killed writer left, or one writes it now."""
        place = _lock_place(self.href)
        return place is not None and is_there(place)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._turn = stack.enter_context(_alone(self.href, self.task))
            self.resumes = self._turn is not None and self._turn.left == self.task != ""
            stack.push(self._note_unfinished)
            if not self.is_file:
                end_switch(self.folder, self.storage)
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
        there = chips_in_folder(self.href, self.storage)
        if len(platforms) == 1 and set(there) <= {CHIPS}:
            return {platforms[0]: CHIPS}
        holder = None
        if CHIPS in there:
            holder = _sole_platform(child_href(self.href, CHIPS), self.storage)
        return {each: CHIPS if each == holder else chips_name(each) for each in platforms}

    def open_chips(self, name: str, editions: Editions | None, schema: pa.Schema) -> ChipsWriter:
        """Return a writer of a new file with chips, compressed with ZSTD.

        With footprints, it is GeoParquet 1.1.

        Args:
            name: The name of the file.
            editions: The editions of its sources; None if nothing is known of them.
            schema: The schema of its rows, which have the columns of `store_columns`.
        """
        self._chips[name] = self.stage / name
        writer = ChipsWriter.open(self._chips[name], schema, self.folder, editions)
        self._runs[name] = writer.runs
        return writer

    def write_chips(self, name: str, chips: pa.Table, editions: Editions | None = None) -> None:
        """Write a new file with chips; arguments are those of `open_chips`."""
        with self.open_chips(name, editions, chips.schema) as writer:
            writer.write_table(chips, row_group_size=ROWS_PER_GROUP)

    # -- to their places

    def replace(self) -> None:
        """Put the new files in the place of all files of the index.

        Raises:
            StorageError: A file could not be written; the index is the old one or the new one.
        """
        if self.is_file:
            (chips,) = self._chips.values()
            put_file(chips, self.href, self.storage)
            return
        before = chips_in_folder(self.href, self.storage)
        self.change(delete=set(before) - set(self._chips), with_records=True)

    def change(self, *, delete: Collection[str] = (), with_records: bool = False) -> None:
        """Put the new files with chips into the folder, beside those that stay.

        Args:
            delete: Names of files with chips to delete.
            with_records: Put the new records into the place of the present ones.

        Raises:
            StorageError: A file could not be written; the index is the old one or the new one.
        """
        new = dict(self._chips)
        if with_records:
            self.write_records()
            new[RECORDS] = self.stage / _RECORDS_STAGED
        before = set(chips_in_folder(self.href, self.storage))
        contents = self._gather_contents(before - set(delete) - set(new))
        if contents is not None:
            new[CONTENTS] = self.stage / CONTENTS
            write_contents(new[CONTENTS], contents)
        named = read_manifest(self.href, self.storage)
        files = Manifest(
            tuple((before | set(self._chips)) - set(delete)), gone=tuple(sorted(delete))
        )
        # an incomplete index that a killed writer left need not stay readable
        is_whole = bool(before or delete) and before.issuperset(named or ())
        put = switch_files if is_whole else make_files
        put(self.href, new, files, self.storage)

    def _gather_contents(self, kept: Collection[str]) -> Contents | None:
        """Return which rows are of which item: of the new files, and of files that stay.

        None if the new index is as small as what a look-up reads at least.
        """
        there = None
        with contextlib.suppress(IndexFormatError):  # it is damaged, and replaced
            there = read_contents(self.href, self.storage)
        parts = [] if there is None else [there.only(kept)]
        is_large = there is not None
        for name, path in sorted(self._chips.items()):
            file = open_parquet(str(path), self.storage)
            is_large |= len(file.footer.groups) > 1
            runs = self._runs[name].finish(name)
            if runs is not None:
                parts.append(Contents(runs, {name: file.digest}))
        return join_contents(parts) if is_large else None

    def put_records(self, editions: Editions | None) -> None:
        """Put the new records into the place of the present ones; the chips stay as they are.

        Args:
            editions: What the present ones say, whose items are the same.
        """
        self.write_records(editions)
        put_file(self.stage / _RECORDS_STAGED, child_href(self.href, RECORDS), self.storage)


@contextlib.contextmanager
def staging(href: str) -> Iterator[Path]:
    """Yield a local folder for files on their way to a folder; it is deleted at the end.

    It is a hidden folder within the other if that is local, which is made. Those that killed
    processes left there are deleted.

    Raises:
        UsageError: The folder is on a web server, which cannot be written to.
    """
    _refuse_web(href)
    target = local_path(href)
    if target is None:
        with temporary_folder("stacchip-") as folder:
            yield folder
        return
    with _made(target), scratch_folder(target, _STAGE_PREFIX) as stage:
        yield stage


@contextlib.contextmanager
def _alone(href: str, task: str) -> Iterator[Turn | None]:
    """Wait until no other process of this machine writes to a local index, and keep others waiting.

    Yields:
        The writer's turn; None if the index is not local.
    """
    _refuse_web(href)
    place = _lock_place(href)
    if place is None:
        yield None
        return
    with _made(place.parent), writing(place, task) as turn:
        yield turn


def _lock_place(href: str) -> Path | None:
    """Return the file that the writers of a local index lock."""
    target = local_path(href)
    if target is None:
        return None
    if is_file(href):
        return target.with_name(f".{target.name}{WRITER}")
    return target / WRITER


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there; if it is empty at the end, it goes again.

    Folders above it stay, since another writer may be about to use them.
    """
    is_new = not is_there(folder)
    with naming_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                folder.rmdir()


def _refuse_web(href: str) -> None:
    if href.startswith(("http://", "https://")):
        raise UsageError(f"{redact(href)} cannot be written to: give a folder or an object store.")


def clear_remains(path: str | os.PathLike[str], storage: Storage) -> None:
    """End or clear away what a killed writer of a local index left, if one did."""
    new = Replacement(path, storage)
    if new.was_killed:
        with new:
            pass


def _require_chips_name(name: str, platforms: Sequence[str]) -> None:
    if (
        len(platforms) > 1
        or "/" in name
        or name[:1] in ("", ".", "_")
        or not name.endswith(".parquet")
    ):
        raise UsageError(
            f"{name!r} cannot name the file of {len(platforms)} sources: it names the file of "
            "one, ends in .parquet, and does not begin with '_' or '.'."
        )


def _sole_platform(href: str, storage: Storage) -> str | None:
    """Return the source of the chips in a file; None if there are several or none."""
    found = open_parquet(href, storage).read(["platform"])["platform"].unique()
    return found[0].as_py() if len(found) == 1 else None
