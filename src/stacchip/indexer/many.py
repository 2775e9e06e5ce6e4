"""`index_items`: many items to one index. Each is indexed alone, and all are merged at the end."""

from __future__ import annotations

import os
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.errors import DiskFull, DuplicateChips, StacchipError, UsageError, unexpected
from stacchip.grid.geobox import pixel_size_m
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.index.files.layout import index_href, is_file
from stacchip.index.files.staging import staging
from stacchip.index.headers import gather_headers
from stacchip.index.stored import require_form
from stacchip.indexer.base import require_arguments
from stacchip.indexer.by_source import Indexer
from stacchip.indexer.intake import Intake
from stacchip.indexer.outcome import Indexed, Outcome, Tally
from stacchip.indexer.unmeasured import UnmeasuredChipIndexer
from stacchip.items import best_candidates
from stacchip.items.keys import ItemKey
from stacchip.items.record import Unreadable
from stacchip.runtime.presence import is_folder, is_there
from stacchip.runtime.whole_file import temporary_folder
from stacchip.storage import Storage, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from contextlib import AbstractContextManager

    import pystac

    from stacchip.errors import Errors
    from stacchip.grid.chip_grid import Edge
    from stacchip.index import GeometryForm
    from stacchip.indexer.base import ChipIndexer
    from stacchip.items import AssetInfo
    from stacchip.items.load import ItemSource

__all__ = ["Indexed", "index_items"]

_AT_ONCE = 4  # an item first waits for its store, and then decodes on all cores


def index_items(
    items: ItemSource,
    path: str | os.PathLike[str],
    *,
    chip_size: int = 256,
    max_nodata: float = 0.5,
    edge: Edge = "drop",
    stats: bool = True,
    headers: bool = True,
    open_files: bool = False,
    indexer: Callable[..., ChipIndexer] | None = None,
    geometry: GeometryForm = "wkb",
    errors: Errors = "raise",
    progress: Callable[[str], None] | None = None,
    storage: Storage | None = None,
) -> Indexed:
    """Index the chips of items, several items at a time, and write one index.

    Memory holds a few items at a time, whatever their number. An index at `path` is replaced once
    all items are indexed; it stays if the run fails or is stopped, or if no item is indexed. An
    item that comes again (a search may give it on two pages) is dropped and counted. A file whose
    header cannot be read costs its header, unless it is the reference band's.

    Args:
        items: Anything that `load_items` takes: items, paths, URLs, a search, a list of these.
        path: Folder of the index, or a single `.parquet` file, which keeps no headers.
        chip_size: Side of a chip in pixels of the reference band.
        max_nodata: Chips with a larger share of nodata (0..1) get no row.
        edge: `"drop"` leaves out chips that reach beyond a scene's edge, `"pad"` keeps them.
        stats: Measure the shares of cloud and nodata; False reads no pixels, and all shares are
            null. An item without a QA band takes a read of its whole reference band, if that has a
            mask or a nodata value.
        headers: Read the headers of the items' files. They decide where the chips lie, whatever the
            item says (`Indexed.differences`). A folder keeps them, so that the first chip of a file
            takes fewer reads.
        open_files: Let the files decide also if they have no such headers (JPEG 2000), or if
            `headers` is False.
        indexer: A subclass of `ChipIndexer` that measures chips; by default `Indexer`, or
            `UnmeasuredChipIndexer` without `stats`.
        geometry: Whether the index stores footprints, as for `write_index`.
        errors: `"skip"` leaves out items that fail, and reports them. If the source of items itself
            fails (a search whose next page cannot be fetched), what came before is indexed, and
            `Indexed.failure` is the error.
        progress: Called with the id of each item once it is indexed or left out.
        storage: Reads the files and writes the index: credentials, endpoint, retries.

    Raises:
        UsageError: No index can be written to `path`, or an argument is wrong; nothing was indexed.
        DuplicateChips: Two different items have one id and platform, and `errors="raise"`; no index
            is written.
        StacchipError: An item failed in another way, and `errors="raise"`; no index is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     indexed = index_items(item, folder + "/index", headers=False)
        >>> indexed.items, indexed.chips, indexed.skipped
        (1, 16, ())
    """
    if errors not in ("raise", "skip"):
        raise UsageError(f'errors is {errors!r}, and must be "raise" or "skip".')
    storage = storage or Storage()
    path = os.fspath(path)
    _require_place(path)
    require_arguments(chip_size, max_nodata, edge)
    require_form(geometry)
    kind = indexer or (Indexer if stats else UnmeasuredChipIndexer)

    # an `indexer` of the user's may know nothing of an option that is not asked for
    options: dict[str, Any] = {"open_files": True} if open_files else {}

    def make(item: pystac.Item) -> ChipIndexer:
        return kind(item, chip_size, max_nodata, edge=edge, storage=storage, **options)

    intake, tally = Intake(items, storage, strict=errors == "raise"), Tally()
    with _working_folder(path) as place:
        folder = str(place)
        work = _Work(folder, make, storage, headers=headers, keep_headers=not is_file(path))
        # closing ends the threads that write into the folder before the folder is removed
        with closing(_index_each(intake, work)) as outcomes:
            for outcome in map(work.claim, outcomes):
                if outcome.error is not None and errors == "raise":
                    raise outcome.error
                tally.add(outcome)
                if progress is not None:
                    progress(outcome.name)
        if tally.items:
            _merge(folder, path, geometry, storage)
    return tally.indexed(intake.repeats, intake.failure)


@dataclass(frozen=True)
class _Work:
    """What is done with one item: measure it, and write its own index into a folder."""

    folder: str
    make: Callable[[pystac.Item], ChipIndexer]
    storage: Storage
    headers: bool
    keep_headers: bool
    claimed: set[ItemKey] = field(default_factory=set)

    def claim(self, outcome: Outcome) -> Outcome:
        """Return the outcome; an error in its place if an item before it has its key.

        `Intake` compares items by the platforms that they have by themselves. A user's indexer may
        give two of them the same one.
        """
        if outcome.key is None:
            return outcome
        if outcome.key not in self.claimed:
            self.claimed.add(outcome.key)
            return outcome
        shutil.rmtree(self._place(outcome.number))
        platform, item_id = outcome.key
        error = DuplicateChips(
            f"The indexer gives two items the key {outcome.key}: their chips would have the same "
            "keys. Let its platform tell their collections apart, or leave one of them out.",
            item_id=item_id,
            platform=platform,
        )
        return Outcome(outcome.name, error=error)

    def _place(self, number: int) -> Path:
        """Return the folder of the index of an item."""
        return Path(self.folder, f"{number:08}")

    def index(self, number: int, item: pystac.Item) -> Outcome:
        """Index an item as the given one of the run; whatever fails costs this item only."""
        try:
            return self._index(number, item)
        except DiskFull:  # no fault of the item, and the others would fail too
            raise
        except StacchipError as error:
            return Outcome(item.id, error=error)
        except Exception as error:  # noqa: BLE001 - libraries and indexers raise any error at all
            named = unexpected(error, f"Item {item.id!r}", item_id=item.id)
            return Outcome(item.id, error=named)

    def _index(self, number: int, item: pystac.Item) -> Outcome:
        made = self.make(item)
        # first, since they decide where the chips lie
        headers, failed = self._gather_headers(made) if self.headers else (None, ())
        table = made.create_index()
        kept = headers if self.keep_headers else None
        write_index(table, self._place(number), headers=kept, storage=self.storage)
        return Outcome(
            item.id,
            int(table.num_rows),
            made.no_chips,
            number=number,
            key=ItemKey(made.platform, made.item.id),
            without_header=failed,
            differences=made.differences,
        )

    def _gather_headers(self, made: ChipIndexer) -> tuple[Any, tuple[StacchipError, ...]]:
        """Give an indexer the headers of its item's files; return them, and what cannot be read.

        Raises:
            StacchipError: One of these is the reference band's, or might be: the item says where
                the pixels of the finest band lie, but nothing of this band.
        """
        failed: list[StacchipError] = []
        headers = gather_headers([made.item], storage=self.storage, on_error=failed.append)
        made.use_headers(next(iter(headers.values()), {}))
        if failed and made.reference is not None:
            reference = made.assets[made.reference.key]
            for error in failed:
                if _may_carry_the_grid(made, made.assets[error.facts["asset"]], reference):
                    raise error
        return headers, tuple(failed)


def _may_carry_the_grid(made: ChipIndexer, asset: AssetInfo, reference: AssetInfo) -> bool:
    """Return whether an asset is the reference band, or might be, if its file could be read."""
    if asset.key == reference.key:
        return True
    if reference.geobox is None or asset.geobox is not None:
        return False
    is_coarser = asset.gsd is not None and asset.gsd > pixel_size_m(reference.geobox)
    best = best_candidates(made.item, made.assets, source=made.source)
    return not is_coarser and any(each.key == asset.key for each in best)


def _index_each(
    items: Iterable[pystac.Item | Unreadable], work: _Work
) -> Generator[Outcome, None, None]:
    """Yield what became of each item, in order; several are indexed at the same time."""
    running: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(_AT_ONCE, "stacchip-index")
    try:
        for number, item in enumerate(items):
            if isinstance(item, Unreadable):
                running.append(pool.submit(Outcome, item.name, error=item.error))
            else:
                running.append(pool.submit(work.index, number, item))
            if len(running) > 2 * _AT_ONCE:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _require_place(path: str) -> None:
    """Refuse a path that cannot hold an index before any item is measured."""
    if path.startswith(("http://", "https://")):
        raise UsageError(f"{redact(path)} cannot be written to: name a folder or an object store.")
    local = local_path(path)
    if local is None:
        return
    folder = local.absolute().parent if is_file(path) else local.absolute()
    there = next(each for each in (folder, *folder.parents) if is_there(each))
    if not is_folder(there):
        raise UsageError(f"{path} cannot hold an index: {there} is a file. Name a folder.")


def _working_folder(path: str) -> AbstractContextManager[Path]:
    """Return a folder for the indexes of items: beside the index, if it can be made there.

    What a killed run left is deleted by the next one that writes there.
    """
    local = local_path(index_href(path))
    beside = None if local is None else local.absolute().parent
    if beside is not None and is_folder(beside) and os.access(beside, os.W_OK | os.X_OK):
        return staging(str(beside))
    return temporary_folder("stacchip-index-")


def _merge(folder: str, path: str, geometry: GeometryForm, storage: Storage) -> None:
    """Write the indexes in a folder as one: a folder, or a single file."""
    if is_file(path):
        table = read_index(folder, storage=storage)
        write_index(table, path, geometry=geometry, storage=storage)
    else:
        merge_indexes(folder, path, geometry=geometry, storage=storage)
