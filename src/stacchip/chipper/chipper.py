"""`Chipper`: from rows of an index to arrays of pixels."""

from __future__ import annotations

import os
from copy import copy
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa

from stacchip.chipper.chip import Chip, name_bands
from stacchip.chipper.file_versions import FileVersions
from stacchip.chipper.find_item import ItemFinder
from stacchip.chipper.index_rows import ChipRows, grid_table
from stacchip.chipper.open_item import AssetChoice, OpenedItem, open_item
from stacchip.chipper.open_items import OpenItems
from stacchip.chipper.rows_to_cut import rows_to_cut
from stacchip.chipper.stored_rows import StoredRows
from stacchip.errors import ItemNotFound, ObjectNotFound, UsageError
from stacchip.index.dates import refuse_strangers
from stacchip.index.embedded import embedded_items, remote_index_of
from stacchip.index.foreign.item_lookup import ItemLookup
from stacchip.index.foreign.tables import as_table, is_table
from stacchip.index.on_disk import StoredIndex
from stacchip.index.origins import fill_from_indexes
from stacchip.index.read import read_item_index, read_rows
from stacchip.indexer import ChipIndexer, NoStatsChipIndexer
from stacchip.items import item_href, load_items, parse_item, read_assets
from stacchip.items.archive import DEFAULT_CHIP_SIZE, Archive
from stacchip.items.keys import ItemKey, by_key, match_keys
from stacchip.items.mount import Mount
from stacchip.raster.block_requests import NO_CACHES
from stacchip.runtime.names import names_of
from stacchip.sources.harmonize import require_harmonize
from stacchip.storage import Storage, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pystac
    from numpy.typing import NDArray

    from stacchip.chipper.found_item import FoundItem
    from stacchip.chipper.index_rows import Rows
    from stacchip.chipper.kept_chips import KeptChips
    from stacchip.grid.chip_grid import ChipGrid
    from stacchip.index.foreign.item_columns import FindItem
    from stacchip.raster.cache import Caches
    from stacchip.raster.resample import Resampling
    from stacchip.sources import Harmonize

    Arrays = dict[str, NDArray[Any]]

_OPEN_ITEMS = 64  # the headers of one take about a megabyte


class Chipper:
    """Cuts chips out of the original files.

    It is made from an index (a table of any library, or the path or URL of its folder or parquet
    file), from an indexer, or from an item in a bucket (`bucket=`, `platform=`, `item_id=`). Files
    are opened when their first chip is cut. A chipper can be used from several threads, and
    pickled.

    | call | chip is named by | returns |
    |---|---|---|
    | `chip(x, y)` | its place or id | pixels by asset key: `{"red": (band, y, x), ...}` |
    | `chipper[row]` | its row | `(x, y, pixels by asset key)`; a slice gives a list, `for` all |
    | `cut(x, y)` | its place or id | a `Chip`: all bands in one array, `valid`, place and time |
    | `cut_row(row)` | its row | the same `Chip` |

    `chip` and `chipper[row]` are the original stacchip's, and keep each asset's own type; a `Chip`
    has the common type of its bands.

    Args:
        index: The index, or the indexer. A table of any library will do, also a thin one: `chipid`
            is enough with `items=` or a column `item_href`. The module `rows_to_cut` says how the
            rest is derived; a `chip_size` that nothing tells is the one given, else 256.
        mountpath: A folder or bucket that has copies of the assets' files, each at
            `{mountpath}/{path of its href}`, as a mounted bucket has them, or at
            `{mountpath}/{platform}/{item_id}/{file name}`; the first that is there is read. By
            default the files are where the items say.
        assets: Keys of the assets to cut, in this order, or one key; by default every raster.
        asset_blacklist: Keys of assets to leave out.
        bucket: The archive of an item that was collected: a bucket's name, an address, or a local
            path with a slash; see `stacchip.items.Archive.named`.
        platform: The item's platform; a `pyarrow` scalar will do.
        item_id: The item's id; a `pyarrow` scalar will do.
        items: Items of the index that the caller has, in any form that
            `stacchip.items.load_items` takes.
        chip_size: Pixels a side, for an item in a bucket (by default that of its index, else 256),
            and for rows of a thin table whose chip size nothing tells.
        resampling: The method for bands that do not lie on the chip grid: one for all, or by asset
            key. The default is nearest neighbour.
        harmonize: `"boa_offset"` brings Sentinel-2 Level-2A of all processing baselines onto the
            scale before 04.00, reflectance times 10,000; see `stacchip.sources.harmonize`. An item
            that does not say what that takes is refused. Other imagery stays as it is.
        edge: `"pad"` keeps chips that reach beyond the reference band; their pixels there are
            nodata and not valid. `"drop"` refuses them. By default the rows of an index, or the
            `edge` of an indexer, decide.
        storage: Reads the files: credentials, endpoint, retries.
        caches: Keep decoded blocks in memory and encoded ones on a local disk, for chips that are
            cut at random or again. By default nothing is kept.
        store: Keeps chips as they are cut, and serves them from then on without their files: a
            `stacchip.ChipStore`.

    Raises:
        IndexFormatError: `index` is not an index.
        UsageError: Neither an index nor a bucket is given, or both are.

    Example:
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> chipper = Chipper(NoStatsChipIndexer(item))
        >>> len(chipper)
        16
    """

    def __init__(
        self,
        index: Any = None,
        mountpath: str | os.PathLike[str] | None = None,
        assets: str | Sequence[str] | None = None,
        asset_blacklist: str | Iterable[str] | None = None,
        *,
        bucket: str | os.PathLike[str] | None = None,
        platform: str | pa.StringScalar | None = None,
        item_id: str | pa.StringScalar | None = None,
        items: Any = None,
        chip_size: int | None = None,
        resampling: Resampling | Mapping[str, Resampling] = "nearest",
        harmonize: Harmonize | None = None,
        edge: Literal["drop", "pad"] | None = None,
        storage: Storage | None = None,
        caches: Caches = NO_CACHES,
        store: KeptChips | None = None,
    ) -> None:
        if (index is None) == (bucket is None):
            raise UsageError("Give either an index or indexer, or bucket=, platform= and item_id=.")
        if isinstance(index, ChipIndexer):
            storage = storage or index.storage
        self.storage = storage or Storage()
        self.caches = caches
        self.store = store
        require_harmonize(harmonize)
        self.choice = AssetChoice(
            None if assets is None else names_of(assets, "assets"),
            frozenset(names_of(asset_blacklist or (), "asset_blacklist")),
            resampling,
            harmonize,
        )
        self.edge = edge
        self._mount: Mount | Archive | None = None
        if mountpath is not None:
            self._mount = Mount(os.fspath(mountpath))
        loaded = {} if items is None else by_key(load_items(items, storage=self.storage))
        rows, own = (
            self._read_rows(index, loaded, chip_size)
            if bucket is None
            else self._find_in_bucket(bucket, platform, item_id, chip_size, loaded)
        )
        self.rows: Rows = ChipRows(rows) if isinstance(rows, pa.Table) else rows
        table = rows if isinstance(rows, pa.Table) else rows.runs
        if loaded:
            given = match_keys(self.rows.item_keys(), loaded, known=embedded_items(table).get)
            refuse_strangers(table, given)
            own = given | own
        archive = None if self._mount is None else Archive(self._mount.href)
        self._finder = ItemFinder(own, table, self.storage, archive)
        self._opened: OpenItems[OpenedItem] = OpenItems(_OPEN_ITEMS)
        self._versions = FileVersions()

    def _find_in_bucket(
        self,
        bucket: str | os.PathLike[str],
        platform: Any,
        item_id: Any,
        chip_size: int | None,
        loaded: dict[ItemKey, pystac.Item],
    ) -> tuple[pa.Table, dict[ItemKey, pystac.Item]]:
        """Return the index of an item in a bucket, else its whole grid; and the item, if read."""
        platform, item_id = (_as_text(value) for value in (platform, item_id))
        if not platform or not item_id:
            raise UsageError("With bucket=, give platform= and item_id= of an item in that bucket.")
        place, key = Archive.named(bucket), ItemKey(platform, item_id)
        own = match_keys({key}, loaded)
        table = None
        if chip_size is None:
            table = read_item_index(place, platform, item_id, self.storage)
        if key not in own and (table is None or key not in embedded_items(table)):
            own[key] = place.read_item(platform, item_id, self.storage)
        if table is None:
            size = chip_size or DEFAULT_CHIP_SIZE
            indexer = NoStatsChipIndexer(own[key], size, storage=self.storage)
            table = grid_table(item_id, platform, self._grid_of(indexer))
        self._mount = self._mount or place
        return table, own

    def _read_rows(
        self, index: Any, loaded: Mapping[ItemKey, pystac.Item], chip_size: int | None
    ) -> tuple[pa.Table | StoredRows, dict[ItemKey, pystac.Item]]:
        """Return the rows to cut, and an indexer's item; those of a large index stay on disk."""
        if isinstance(index, ChipIndexer):
            item = parse_item(index.recorded_item(), href=item_href(index.item))
            rows = grid_table(index.item.id, index.platform, self._grid_of(index))
            return rows, {ItemKey(index.platform, index.item.id): item}
        if isinstance(index, StoredIndex):  # opened at a moment: what it lacks came later
            return StoredRows(index), {}
        if isinstance(index, str | os.PathLike):
            stored = StoredIndex.open(index, self.storage)
            if stored is not None:
                return StoredRows(stored), {}
            table = read_rows(index, storage=self.storage)
        elif is_table(index):
            self.storage.name_server(None)  # what its metadata name is not what the caller named
            table = fill_from_indexes(as_table(index), self.storage)
        else:
            raise UsageError(
                f"{type(index).__name__} is not an index: give a table, a path or an indexer."
            )
        return rows_to_cut(table, self._item_lookup(table, loaded), chip_size), {}

    def _item_lookup(self, table: pa.Table, loaded: Mapping[ItemKey, pystac.Item]) -> FindItem:
        """Return what finds items for columns that the rows lack."""
        ids = {key.item_id for key in loaded}

        def at_hand() -> list[Any]:
            embedded = embedded_items(table).items()
            return [*loaded.values(), *(item for key, item in embedded if key.item_id not in ids)]

        known = ItemLookup(at_hand, self.storage, remote_index_of(table, self.storage))

        def find(platform: str | None, item_id: str, item_href: str | None) -> pystac.Item:
            try:
                return known.find(platform, item_id, item_href)
            except (ItemNotFound, ObjectNotFound):
                if self._mount is None or platform is None:
                    raise
                archive = Archive(self._mount.href)
                return archive.read_item(platform, item_id, self.storage)

        return find

    def _grid_of(self, indexer: ChipIndexer) -> ChipGrid:
        return indexer.grid if self.edge is None else replace(indexer.grid, edge=self.edge)

    # --- as a sequence

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int, Arrays]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int, Arrays]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return `(x, y, chip)` of a row, or a list of these.

        Raises:
            ChipOutOfRange: Past the end; it is an `IndexError`.
        """
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = self.rows.position(index)
        key = self.rows.key(row)
        return key.x, key.y, self._cut_arrays(row)

    def __iter__(self) -> Iterator[tuple[int, int, Arrays]]:
        return (self[row] for row in range(len(self)))

    # --- one chip

    def chip(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        platform: str | None = None,
        item_id: str | None = None,
        chip_size: int | None = None,
        chipid: str | None = None,
    ) -> Arrays:
        """Return the pixels of a chip by asset key, each (band, chip_size, chip_size).

        Args:
            x: Column in the chip grid.
            y: Row in the chip grid.
            platform: Needed if two sources share an item id.
            item_id: Needed if the index has several items.
            chip_size: Needed if the index has several chip sizes.
            chipid: The chip's id, instead of x, y and item_id.

        Raises:
            ChipNotFound: The index has no such chip.
            AmbiguousChip: It has several.
            ItemNotFound: Its item cannot be found.
            AssetNotFound: The item lacks an asset in `assets`.
            GridMismatch: A file contradicts the grid of the index.
            RasterError: A file is broken.
            StorageError: A file could not be read.
        """
        row = self.rows.find(
            x, y, platform=platform, item_id=item_id, chip_size=chip_size, chipid=chipid
        )
        return self._cut_arrays(row)

    def cut(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        platform: str | None = None,
        item_id: str | None = None,
        chip_size: int | None = None,
        chipid: str | None = None,
    ) -> Chip:
        """Return a chip as a `Chip`: all bands in one array, in the order of `assets`, and `valid`.

        Arguments and errors are those of `chip`.
        """
        row = self.rows.find(
            x, y, platform=platform, item_id=item_id, chip_size=chip_size, chipid=chipid
        )
        return self.cut_row(row)

    def cut_row(self, row: int) -> Chip:
        """Return the chip of a row, as `cut` does."""
        row = self.rows.position(row)
        key, read = self.rows.key(row), self._read(row)
        arrays = [pixels for pixels, _ in read.values()]
        valid = [np.broadcast_to(valid, pixels.shape) for pixels, valid in read.values()]
        names = (name_bands(name, len(pixels)) for name, (pixels, _) in read.items())
        return self.open(row).make_chip(
            key,
            np.concatenate(arrays, dtype=np.result_type(*arrays)),
            np.concatenate(valid),
            tuple(chain.from_iterable(names)),
        )

    def find_item(self, row: int) -> pystac.Item:
        """Return the item that the chip of a row is cut from.

        Raises:
            ItemNotFound: It cannot be found.
        """
        return self._find(self.rows.position(row)).item

    def find_named_item(
        self, platform: str | None, item_id: str, item_href: str | None
    ) -> pystac.Item:
        """Return an item of the rows by its platform, id and address.

        Raises:
            ItemNotFound: It cannot be found.
        """
        return self._finder.find(ItemKey(platform or "", item_id), item_href).item

    def with_assets(self, assets: str | Iterable[str]) -> Chipper:
        """Return a chipper of the same rows that cuts other assets."""
        other = copy(self)
        other.choice = replace(self.choice, assets=names_of(assets, "assets"))
        return other

    def with_rows(self, rows: Sequence[int] | NDArray[np.integer]) -> Chipper:
        """Return a chipper of some of the rows, in this order; a row may come several times.

        It holds them in memory.

        Args:
            rows: Their numbers, from 0.

        Example:
            >>> from stacchip.indexer import NoStatsChipIndexer
            >>> chipper = Chipper(NoStatsChipIndexer(item)).with_rows([5, 0, 5])
            >>> [chipper.rows.key(row).x for row in range(len(chipper))]
            [1, 0, 1]
        """
        other = copy(self)
        other.rows = ChipRows(self.rows.take(np.asarray(rows, np.int64)))
        return other

    def _cut_arrays(self, row: int) -> Arrays:
        return {name: pixels for name, (pixels, _) in self._read(row).items()}

    def _read(self, row: int) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Return pixels and valid of a chip, by asset key."""
        key, opened = self.rows.key(row), self.open(row)
        window = key.window
        opened.require_chip(key, window, self.edge)
        if self.store is None:
            return opened.read(window)
        kept = self.store.read(key, opened)
        lacking = [asset for asset in opened.placements if asset not in kept]
        if lacking:
            fetched = opened.fetch(window, lacking)
            self.store.keep(key, opened, fetched)
            kept |= fetched
        return opened.place(window, kept)

    def open(self, row: int) -> OpenedItem:
        """Return the opened item of a row's chip, and keep it open for further chips.

        Raises:
            StacchipError: As for `chip`.
        """
        key = self.rows.key(row)
        return self._opened.get(key.item, lambda: self.open_anew(row))

    def open_anew(self, row: int) -> OpenedItem:
        """Return the item as `open` does, but do not keep it open, for a caller that does.

        Raises:
            StacchipError: As for `chip`.
        """
        found = self._find(row)
        grid = found.kept_grid
        if grid is None:  # the chip itself is looked at only then: its row may be on disk
            key = self.rows.key(row)
            grid = found.find_grid(key, self.rows.value(row, "bbox"), self.storage)
        return open_item(
            found,
            grid,
            self.choice,
            self.storage,
            caches=self.caches,
            versions=self._versions,
        )

    def opens_without_store(self, row: int) -> bool:
        """True if `open` needs no remote store: the item is at hand, and so are headers or files.

        Raises:
            StacchipError: The item cannot be found, or lacks an asset.
        """
        key, href = self.rows.item(row), self.rows.value(row, "item_href")
        places = [] if self._mount is None else [self._mount.href]
        if not self._finder.is_at_hand(key):
            places.append(href or "")
        if any(map(is_remote, places)):
            return False
        found = self._find(row)
        infos = read_assets(found.item, self.storage)
        keys = self.choice.keys(found.item, infos)
        known = found.headers.keys() - found.moved
        return not any(is_remote(infos[key].href) for key in keys if key not in known)

    def _find(self, row: int) -> FoundItem:
        key = self.rows.item(row)
        found = self._finder.find(key, self.rows.value(row, "item_href"))
        if self._mount is None:
            return found
        if isinstance(self._mount, Archive):
            return found.with_files_of(self._mount.relocate(found.item, key.platform))
        # without a grid that is kept, any asset's file may be asked for it
        keys = None if found.kept_grid is None else self.choice.assets
        mounted = self._mount.relocate(found.item, key.platform, self.storage, keys)
        return found.with_files_of(mounted.item, mounted.absent)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": OpenItems(_OPEN_ITEMS)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # pickles of 0.x have another value there, and a lock
        state = {name: value for name, value in state.items() if name != "_lock"}
        # those of versions before stores lack one
        state = {"_versions": FileVersions(), "store": None, **state}
        self.__dict__.update(state, _opened=OpenItems(_OPEN_ITEMS))
        self._finder = self._finder.of_today(self.rows.item_keys)


def _as_text(value: Any) -> str | None:
    """Return a name as text; it may be a `pyarrow` scalar out of a table."""
    text = value.as_py() if isinstance(value, pa.Scalar) else value
    if text is not None and not isinstance(text, str):
        raise UsageError(f"platform= and item_id= are texts, not {text!r}.")
    return text
