"""`index_items`: many items to one index. Each is indexed alone, and all are merged at the end."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pystac

from stacchip.errors import DuplicateChips, StacchipError, UsageError, forget_frames
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.index.files.layout import is_file
from stacchip.index.headers import gather_headers
from stacchip.indexer.base import NoStatsChipIndexer
from stacchip.indexer.by_source import Indexer
from stacchip.items import load_items, platform_name
from stacchip.sources import find_source
from stacchip.storage import Storage, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from stacchip.errors import Errors
    from stacchip.grid.chip_grid import Edge
    from stacchip.indexer.base import ChipIndexer
    from stacchip.items.load import ItemSource

_AT_ONCE = 4  # an item first waits for its store, and then decodes on all cores


@dataclass(frozen=True)
class Indexed:
    """The result of `index_items`.

    Attributes:
        items: Number of items indexed.
        chips: Number of chips indexed.
        skipped: The id (or address) and the error of each item that was left out.
    """

    items: int
    chips: int
    skipped: tuple[tuple[str, StacchipError], ...]


def index_items(
    items: ItemSource,
    path: str | os.PathLike[str],
    *,
    chip_size: int = 256,
    max_nodata: float = 0.5,
    edge: Edge = "drop",
    stats: bool = True,
    headers: bool = True,
    indexer: Callable[..., ChipIndexer] | None = None,
    errors: Errors = "raise",
    progress: Callable[[str], None] | None = None,
    storage: Storage | None = None,
) -> Indexed:
    """Index the chips of items, several items at a time, and write one index.

    Memory holds a few items at a time, whatever their number. An index at `path` is replaced once
    all items are indexed; it stays if the run fails or is stopped, or if no item is indexed.

    Args:
        items: Anything that `load_items` takes: items, paths, URLs, a search, a list of these.
        path: Folder of the index, or a single `.parquet` file, which keeps no headers.
        chip_size: Side of a chip in pixels of the reference band.
        max_nodata: Chips with a larger share of nodata (0..1) get no row.
        edge: `"drop"` leaves out chips that reach beyond a scene's edge, `"pad"` keeps them.
        stats: Measure the shares of cloud and nodata. Without them no pixels are read.
        headers: Keep the headers of the items' files in the index, so that the first chip of a file
            takes fewer reads.
        indexer: A subclass of `ChipIndexer` that measures chips; by default `Indexer`, or
            `NoStatsChipIndexer` without `stats`.
        errors: `"skip"` leaves out items that fail, and reports them. If the source of items itself
            fails (a search whose next page cannot be fetched), the error is raised anyway.
        progress: Called with the id of each item once it is indexed or left out.
        storage: Reads the files and writes the index: credentials, endpoint, retries.

    Raises:
        UsageError: No index can be written to `path`; nothing was indexed.
        DuplicateChips: An item came twice, and `errors="raise"`; no index is written.
        StacchipError: An item failed in another way, and `errors="raise"`; no index is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index_items(item, folder + "/index", headers=False)
        Indexed(items=1, chips=16, skipped=())
    """
    if errors not in ("raise", "skip"):
        raise UsageError(f'errors is {errors!r}, and must be "raise" or "skip".')
    storage = storage or Storage()
    path = os.fspath(path)
    _require_place(path)
    kind = indexer or (Indexer if stats else NoStatsChipIndexer)

    def make(item: pystac.Item) -> ChipIndexer:
        return kind(item, chip_size, max_nodata, edge=edge, storage=storage)

    with tempfile.TemporaryDirectory(prefix="stacchip-index-") as folder:
        run = _Run(folder, make, storage, keep_headers=headers and not is_file(path))
        # closing ends the threads that write into the folder before the folder is removed
        with closing(run.each(_fail_repeats(_load_each(items, storage)))) as finished:
            for item_id, error in finished:
                if error is not None:
                    if errors == "raise":
                        raise error
                    forget_frames(error)  # or each would keep its item's shares and headers
                if progress is not None:
                    progress(item_id)
        if run.items:
            _merge(folder, path, storage)
    return Indexed(run.items, run.chips, tuple(run.skipped))


@dataclass(frozen=True)
class _Unreadable:
    """Something that could not be read as an item: its address, and the reason."""

    id: str
    error: StacchipError


@dataclass
class _Run:
    """Indexes items one by one into a folder, a few at the same time, and counts them."""

    folder: str
    make: Callable[[pystac.Item], ChipIndexer]
    storage: Storage
    keep_headers: bool
    items: int = 0
    chips: int = 0
    skipped: list[tuple[str, StacchipError]] = field(default_factory=list)

    def each(
        self, items: Iterable[pystac.Item | _Unreadable]
    ) -> Generator[tuple[str, StacchipError | None], None, None]:
        """Yield the id of each item, in order, with the error if it failed."""
        running: deque[tuple[str, Future[int]]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, "stacchip-index")
        try:
            for number, item in enumerate(items):
                running.append((item.id, pool.submit(self._index_one, number, item)))
                if len(running) > 2 * _AT_ONCE:
                    yield self._finish(*running.popleft())
            while running:
                yield self._finish(*running.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _finish(self, item_id: str, future: Future[int]) -> tuple[str, StacchipError | None]:
        try:
            chips = future.result()
        except StacchipError as error:
            self.skipped.append((item_id, error))
            return item_id, error
        self.items += 1
        self.chips += chips
        return item_id, None

    def _index_one(self, number: int, item: pystac.Item | _Unreadable) -> int:
        if isinstance(item, _Unreadable):
            raise item.error
        made = self.make(item)
        table = made.create_index()
        headers = gather_headers([made.item], storage=self.storage) if self.keep_headers else None
        write_index(table, Path(self.folder, f"{number:08}"), headers=headers, storage=self.storage)
        return int(table.num_rows)


def _require_place(path: str) -> None:
    """Refuse a path that cannot hold an index before any item is measured."""
    if path.startswith(("http://", "https://")):
        raise UsageError(f"{redact(path)} cannot be written to: name a folder or an object store.")
    local = local_path(path)
    if local is None:
        return
    folder = local.absolute().parent if is_file(path) else local.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise UsageError(f"{path} cannot hold an index: {there} is a file. Name a folder.")


def _load_each(source: Any, storage: Storage) -> Iterator[pystac.Item | _Unreadable]:
    """Yield the items of a source; if one path or dictionary in a list fails, the others go on."""
    is_one = isinstance(source, pystac.Item | str | bytes | os.PathLike | Mapping)
    if is_one or hasattr(source, "__arrow_c_stream__") or not isinstance(source, Iterable):
        source = [source]
    for part in source:
        try:
            yield from load_items(part, storage=storage)
        except StacchipError as error:
            yield _Unreadable(_name(part), error)


def _name(part: Any) -> str:
    if isinstance(part, str | os.PathLike):
        return redact(os.fspath(part))
    return str(part.get("id")) if isinstance(part, Mapping) else type(part).__name__


def _fail_repeats(
    items: Iterable[pystac.Item | _Unreadable],
) -> Iterator[pystac.Item | _Unreadable]:
    """Yield the items; a repeated item is an error, since its chips would be there twice."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        if isinstance(item, _Unreadable):
            yield item
            continue
        platform = platform_name(item, find_source(item))
        if (platform, item.id) in seen:
            error = DuplicateChips(
                f"Item {item.id!r} ({platform}) comes twice. Name it once, or leave out what "
                'comes again: errors="skip", or --skip-errors.',
                item_id=item.id,
                platform=platform,
            )
            yield _Unreadable(item.id, error)
            continue
        seen.add((platform, item.id))
        yield item


def _merge(folder: str, path: str, storage: Storage) -> None:
    """Write the indexes in a folder as one: a folder, or a single file."""
    if is_file(path):
        write_index(read_index(folder, storage=storage), path, storage=storage)
    else:
        merge_indexes(folder, path, storage=storage)
