"""One row of one source: search, choose, copy or convert, write the item, index, write the index.

Every object is written whole or not at all, the index last. So the archive shows how far a job
got, and a job that was killed continues from there.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from stacchip.collect.choice import Chosen, row_generator
from stacchip.collect.files import Placer
from stacchip.collect.proof import cut_one_chip
from stacchip.collect.report import ItemReport, PlannedFile, RowPlan, RowReport, describe_error
from stacchip.collect.stored_item import (
    CHOICES,
    make_stored_item,
    parse_stored_item,
    stored_href,
    to_bytes,
)
from stacchip.errors import ObjectNotFound, StacchipError, is_lasting
from stacchip.index.files.layout import MANIFEST, RECORDS
from stacchip.index.files.staging import while_replaced
from stacchip.index.write import write_index
from stacchip.indexer import Indexer
from stacchip.items import parse_item, platform_name
from stacchip.items.archive import ITEM_NAME
from stacchip.items.keys import ItemKey, add_item
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.task_name import in_this_task, named_task
from stacchip.runtime.whole_file import locked_folder
from stacchip.sources import find_source
from stacchip.storage.href import local_path
from stacchip.storage.writable import require_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pystac

    from stacchip.collect.catalogue import OnlineCatalogue
    from stacchip.collect.files import FilesOfItem
    from stacchip.collect.recipe import Catalogue, Choices, Recipe
    from stacchip.collect.sample import Row
    from stacchip.collect.settings import Settings
    from stacchip.items.archive import ItemPlace
    from stacchip.storage import Storage

_log = logging.getLogger(__name__)
_locks: PerProcess[dict[str, Lock]] = PerProcess(dict)


@dataclass(frozen=True)
class Job:
    """The work of a run on one source; picklable.

    Attributes:
        recipe: The source.
        choices: The user's choices.
        settings: The settings of the run.
    """

    recipe: Recipe
    choices: Choices
    settings: Settings

    def __getstate__(self) -> dict[str, Any]:
        names = ("recipe", "choices", "settings")  # open connections belong to one process
        return {name: getattr(self, name) for name in names}

    @cached_property
    def storage(self) -> Storage:
        """The stores to read from and write to, opened once in a process."""
        return self.settings.open_storage(self.recipe)

    @cached_property
    def _placer(self) -> Placer:
        return Placer(self.recipe, self.choices, self.settings, self.storage)

    def open_catalogue(self) -> OnlineCatalogue:
        """Return the catalogue to search."""
        return self.settings.open_catalogue(self.recipe, self.storage)

    def require_target(self) -> None:
        """Check that the archive can be written to.

        Raises:
            UsageError: It cannot: its bucket is not there, or refuses.
        """
        require_writable(self.settings.archive.href, self.storage)

    def choose(
        self, row: Row, *, catalogue: Catalogue | None = None, choices: Choices | None = None
    ) -> Chosen:
        """Choose the items of a row, each once.

        Args:
            row: The row.
            catalogue: A catalogue to search in place of the job's.
            choices: Choices to make in place of the job's.

        Raises:
            UsageError: Two different items have one place in the archive.
        """
        catalogue = catalogue or self.open_catalogue()
        choices = choices or self.choices
        dice = row_generator(choices.seed, row.number)
        chosen = self.recipe.choose(row, choices, catalogue, dice, self.recipe)
        items: dict[ItemKey, pystac.Item] = {}
        for item in chosen.items:
            add_item(items, ItemKey(self.platform(item), item.id), item)
        return replace(chosen, items=tuple(items.values()))

    def run(
        self, row: Row, *, workers: int = 1, on_item: Callable[[ItemReport], None] | None = None
    ) -> RowReport:
        """Bring a row into the archive.

        Raises nothing but an interrupt by the user and errors of `on_item`. Other errors are in the
        report.

        Args:
            row: The row.
            workers: Number of its items to work on at once.
            on_item: Called when an item is in the archive, in the thread that brought it.
        """
        with named_task(row.title):
            return self._run(row, workers, on_item)

    def _run(
        self, row: Row, workers: int, on_item: Callable[[ItemReport], None] | None
    ) -> RowReport:
        try:
            choice = self.choose(row)
        except Exception as error:  # noqa: BLE001 - a bad row is reported and must not end the run
            return RowReport(row.number, row.name, errors=(describe_error(error),))
        # not `map_concurrently`, which would work on more items at a time than was asked for
        with ThreadPoolExecutor(workers, thread_name_prefix="item") as pool:
            bring = in_this_task(partial(self._try_item, on_item))
            outcomes = list(pool.map(bring, choice.items))
        return RowReport(
            row.number,
            row.name,
            items=tuple(outcome for outcome in outcomes if isinstance(outcome, ItemReport)),
            notes=choice.notes,
            errors=tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
        )

    def _try_item(
        self, on_item: Callable[[ItemReport], None] | None, item: pystac.Item
    ) -> ItemReport | str:
        try:
            report = self.archive(item)
        except Exception as error:  # noqa: BLE001 - as above, for one item of a row
            return f"{str(item.id)[:80]}: {describe_error(error)}"
        if on_item is not None:
            on_item(report)
        return report

    # -- one item ----------------------------------------------------------------------------------

    def archive(self, item: pystac.Item) -> ItemReport:
        """Bring one item into the archive: its files, then the item, then its index.

        Finally, a chip is cut from what was written, also of an item that was there already. If
        that one cannot be read, its files are fetched again. Rows near each other share items: the
        first row fetches such an item, and the others wait for it.

        Raises:
            StacchipError: Anything that kept it out, or keeps it from being read.
        """
        place = self._place_of(item)
        with _alone_at(place.folder):
            return self._bring(item, place)

    def _bring(self, item: pystac.Item, place: ItemPlace) -> ItemReport:
        present = self._list_present(place)
        if not self.settings.write_again and self._is_complete(item, place, present):
            if self._is_readable(place):
                return ItemReport(item.id, place.platform)
            present = {}  # nothing of it is good enough to keep
        started = time.monotonic()
        files = self._bring_files(item, place, present)
        brought_s = time.monotonic()
        stored = self._write_item(item, place, files)
        chips = self._write_index(stored, place, files)
        self._prove(place)
        return ItemReport(
            item.id,
            place.platform,
            files_written=len(files.written),
            bytes_written=sum(files.placed[key].size_bytes or 0 for key in files.written),
            chips=chips,
            files_s=brought_s - started,
            index_s=time.monotonic() - brought_s,
        )

    def _bring_files(
        self, item: pystac.Item, place: ItemPlace, present: Mapping[str, int]
    ) -> FilesOfItem:
        """Copy or convert the files that are not there yet, or find them for a link."""
        keys = self._asset_keys(item)
        if self.settings.assets == "link":
            return self._placer.link(item, keys)
        return self._placer.place(item, keys, place.folder, present)

    def _write_item(self, item: pystac.Item, place: ItemPlace, files: FilesOfItem) -> pystac.Item:
        """Write the item as the archive keeps it, and return it."""
        href = place.item_href
        record = make_stored_item(
            item,
            files.placed,
            href=href,
            choices=self._made_by(item),
            collection_href=self._collection_href(item),
        )
        self.storage.write(href, to_bytes(record))
        return parse_item(record, href=href)

    def _write_index(self, stored: pystac.Item, place: ItemPlace, files: FilesOfItem) -> int:
        """Index an item of the archive; return its number of chips.

        In a store, another job may index the same item at the same time. The last one stays.
        """
        indexer = Indexer(stored, self.choices.chip_size, storage=self.storage)
        indexer.use_headers(files.headers)
        table = indexer.create_index()
        while_replaced(
            lambda: write_index(
                table,
                place.index_folder,
                name=place.index_name,
                headers={stored.id: files.headers},
                geometry=self.settings.geometry,
                storage=self.storage,
            )
        )
        return int(table.num_rows)

    def _prove(self, place: ItemPlace) -> None:
        """Cut a chip of an item in the archive, whose index another job may replace meanwhile.

        Raises:
            StacchipError: It cannot be cut.
        """
        try:
            while_replaced(lambda: cut_one_chip(place, self.storage))
        except StacchipError as error:
            raise type(error)(
                f"It was written, but no chip of it can be read: {error.message} Run the row again "
                "when that is mended.",
                **error.facts,
            ) from error

    def _is_readable(self, place: ItemPlace) -> bool:
        """Return True if a chip of an item that is there can be cut.

        Raises:
            StorageError: A store does not say; it may have the item, and answer later.
        """
        try:
            cut_one_chip(place, self.storage)
        except StacchipError as error:
            if not is_lasting(error):
                raise
            _log.warning("%s is written again: %s", place.item_id, error)
            return False
        return True

    def platform(self, item: pystac.Item) -> str:
        """Return the folder of an item, which is also the platform of its chips in the index."""
        return self.recipe.platform or platform_name(item, find_source(item))

    def _place_of(self, item: pystac.Item) -> ItemPlace:
        return self.settings.archive.place(self.platform(item), item.id)

    def _collection_href(self, item: pystac.Item) -> str | None:
        """Return an API's address of the item's collection, or None for a static catalogue.

        Items of static catalogues link to their collection themselves.
        """
        api = self.settings.catalogue or self.recipe.catalogue
        if not api.startswith(("http://", "https://")) or not item.collection_id:
            return None
        return f"{api.rstrip('/')}/collections/{item.collection_id}"

    def _asset_keys(self, item: pystac.Item) -> tuple[str, ...]:
        return self.recipe.asset_keys_of(item, self.choices)

    def _made_by(self, item: pystac.Item) -> dict[str, Any]:
        """Return the choices that decide what is written of an item."""
        return {
            "source": self.recipe.name,
            "assets": self.settings.assets,
            "bands": list(self._asset_keys(item)),
            "chip_size": self.choices.chip_size,
            "crs": self.choices.crs,
            "resolution": self.choices.resolution,
            "band_count": self.choices.band_count,
        }

    def _list_present(self, place: ItemPlace) -> dict[str, int]:
        """Return the sizes of an item's files in the archive, by name."""
        listed = self.storage.list(place.folder)
        return {entry.href.rpartition("/")[2]: entry.size_bytes for entry in listed}

    def _is_complete(self, item: pystac.Item, place: ItemPlace, present: Mapping[str, int]) -> bool:
        """Return True if item, files and index are there as they would be made now."""
        if ITEM_NAME not in present:
            return False
        index = {entry.href.rpartition("/")[2] for entry in self.storage.list(place.index_folder)}
        was_killed = any(name.startswith(".stacchip-") for name in index)
        if was_killed or not index >= {place.index_name, RECORDS, MANIFEST}:
            return False
        try:
            text = self.storage.read(place.item_href, limit="document_bytes")
        except ObjectNotFound:
            return False
        record = parse_stored_item(
            text, place.item_href, self.storage.options_for(place.item_href).limits
        )
        if record is None or record["properties"].get(CHOICES) != self._made_by(item):
            return False
        if self.settings.assets == "link":
            return True
        return all(
            asset["href"] == stored_href(f"{place.folder}{name}", place.item_href)
            and present.get(name) == asset.get("file:size")
            for asset in record["assets"].values()
            for name in [asset["href"].rpartition("/")[2]]
        )

    # -- dry run -----------------------------------------------------------------------------------

    def plan_row(self, row: Row) -> RowPlan:
        """Return what a run would bring of a row. Writes nothing.

        Leaves out items that are there already as they would be made now.

        Raises:
            StacchipError: The catalogue cannot be searched, or an item cannot be archived.
        """
        choice = self.choose(row)
        planned, notes, there = [], list(choice.notes), 0
        for item in choice.items:
            place = self._place_of(item)
            is_there = self._is_complete(item, place, self._list_present(place))
            if is_there and not self.settings.write_again:
                notes.append(f"{item.id} is there already")
                there += 1
                continue
            for key in self._asset_keys(item):
                original = self._placer.look(item, key)
                planned.append(PlannedFile(item.id, key, original.href, original.size_bytes))
        return RowPlan(tuple(planned), tuple(notes), there)


@contextmanager
def _alone_at(folder: str) -> Iterator[None]:
    """Wait until nobody else archives the item of this folder, and hold it meanwhile.

    Threads of this process wait for each other at any place. In a folder of this machine processes
    do too (Dask's workers, say): a file that is written again there is another version, even if it
    has the same bytes, and an index of the first version would be of no use.
    """
    path = local_path(folder)
    with _locks.get().setdefault(folder, Lock()), locked_folder(path) if path else nullcontext():
        yield
