"""Headers of items' files, kept in an index so that readers need not fetch them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import (
    AssetNotFound,
    NotAllowed,
    RasterError,
    StacchipError,
    StorageError,
    UnsupportedRaster,
    UsageError,
    attribute,
)
from stacchip.grid.geobox import describe_geobox, is_same_grid, read_grid
from stacchip.index.files.replacing import clear_remains
from stacchip.index.record_scan import scan_records
from stacchip.index.write import write_headers
from stacchip.items import load_items, parse_item, read_assets
from stacchip.items.copies import content_digest
from stacchip.items.keys import item_key
from stacchip.items.reach import distant
from stacchip.raster import Header, read_header
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.names import names_of
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import pystac

    from stacchip.errors import Errors
    from stacchip.index.files.item_records import ItemRecord
    from stacchip.items.assets import AssetInfo
    from stacchip.items.keys import ItemKey

    Headers = dict[ItemKey, dict[str, Header]]

__all__ = ["add_headers", "gather_headers", "stream_headers"]

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 256  # rasters; a header takes a few kilobytes, and a store answers in 50 ms


def gather_headers(
    items: Any,
    assets: str | Sequence[str] | None = None,
    *,
    storage: Storage | None = None,
    errors: Errors = "raise",
    on_error: Callable[[StacchipError], None] | None = None,
) -> Headers:
    """Read the headers of the items' rasters, all at the same time, with one request for each COG.

    More requests (`Storage.requests` counts them) are needed only if the directories do not lie at
    the front of the file. A raster that is not a TIFF has no header, and is left out.

    Args:
        items: Items in any form that `stacchip.items.load_items` takes.
        assets: Keys of the wanted assets; an item may lack some. By default every raster.
        storage: How to reach the files.
        errors: `"skip"` leaves out files that cannot be read, and logs a warning.
        on_error: Called with the error of each file that cannot be read, which names item and
            asset; the file is left out. It takes the place of `errors`.

    Returns:
        Headers by (platform, item id) and asset key, for `write_index(..., headers=...)`.

    Raises:
        AssetNotFound: No item has one of `assets`.
        UsageError: Two different items have one platform and id.
        RasterError: A file is broken; the error names item and asset.
        StorageError: A file could not be read.
    """
    return dict(stream_headers(items, assets, storage=storage, errors=errors, on_error=on_error))


def stream_headers(
    items: Any,
    assets: str | Sequence[str] | None = None,
    *,
    storage: Storage | None = None,
    errors: Errors = "raise",
    on_error: Callable[[StacchipError], None] | None = None,
) -> Iterator[tuple[ItemKey, dict[str, Header]]]:
    """Yield what `gather_headers` returns, item by item: a few hundred files are read at a time.

    `write_headers(path, stream_headers(items))` takes any number of items.

    Args:
        items: As in `gather_headers`; they are loaded as they are needed.
        assets: As in `gather_headers`.
        storage: As in `gather_headers`.
        errors: As in `gather_headers`.
        on_error: As in `gather_headers`.

    Yields:
        The key of an item, and the headers of its files by asset key; no item without headers.

    Raises:
        AssetNotFound: No item has one of `assets`; this is known at the end.
        UsageError: Two different items have one platform and id.
        RasterError: A file is broken; the error names item and asset.
        StorageError: A file could not be read.
    """
    storage = storage or Storage()
    names = None if assets is None else names_of(assets, "assets")
    handle = on_error or _way_with(errors)
    return _stream(items, names, storage, handle)


def _stream(
    items: Any,
    assets: Sequence[str] | None,
    storage: Storage,
    on_error: Callable[[StacchipError], None],
) -> Iterator[tuple[ItemKey, dict[str, Header]]]:
    seen: dict[ItemKey, bytes] = {}
    lacking = set(assets or ())

    def find_places() -> Iterator[Sequence[_Place]]:
        for item in load_items(items, storage=storage):
            key = item_key(item)
            if _is_seen(seen, key, item):
                continue
            places = list(_places_of(key, item, assets, storage))
            lacking.difference_update(place.asset for place in places)
            yield places

    for places in _in_batches(find_places()):
        yield from _read_all(places, storage, on_error).items()
    _refuse_lacking(lacking, len(seen))


def _is_seen(seen: dict[ItemKey, bytes], key: ItemKey, item: pystac.Item) -> bool:
    """Return True if an item came before.

    Raises:
        UsageError: Another item with its key did.
    """
    digest = content_digest(item)
    there = seen.setdefault(key, digest)
    if there is digest:
        return False
    if there == digest:
        return True
    raise UsageError(
        f"Two different items have the key {key}. Leave one of them out, or give one of them "
        "another platform, such as its collection."
    )


def _in_batches(each: Iterable[Sequence[_Place]]) -> Iterator[list[_Place]]:
    """Yield the rasters of several items together, as many as are read at a time."""
    batch: list[_Place] = []
    for places in each:
        batch += places
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def add_headers(
    path: str | os.PathLike[str],
    assets: str | Sequence[str] | None = None,
    *,
    refresh: bool = False,
    storage: Storage | None = None,
    errors: Errors = "raise",
    on_error: Callable[[StacchipError], None] | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> int:
    """Add headers to an index that lacks them; `stacchip headers` does it, too.

    Args:
        path: Folder of an index.
        assets: Keys of the wanted assets; an item may lack some. By default every raster.
        refresh: Also read headers that the index already has, in case files have changed.
        storage: How to reach the files and the index.
        errors: As in `gather_headers`.
        on_error: As in `gather_headers`.
        progress: Called with the item of each file that was read and the number of all files, from
            several threads.

    Returns:
        The number of headers read.

    Raises:
        AssetNotFound: No item has one of `assets`.
        ObjectNotFound: The folder has no records of items.
        RasterError: A file is broken; the index stays as it was.
        StorageError: A file could not be read; the index stays as it was.
    """
    storage = storage or Storage()
    assets = None if assets is None else names_of(assets, "assets")
    total = _count_places(path, assets, storage, refresh=refresh)
    read = 0

    def read_each() -> Iterator[tuple[ItemKey, dict[str, Header]]]:
        nonlocal read
        handle = on_error or _way_with(errors)
        for batch in _batches_of_records(path, assets, storage, refresh=refresh):
            places = [place for _, there in batch for place in there]
            headers = _read_all(places, storage, handle, progress, total)
            for record, _ in batch:
                found = headers.get(record.key, {})
                _warn_of_another_grid(record, found)
                read += len(found)
            yield from headers.items()

    found = read_each() if total else iter(())
    first = next(found, None)
    if first is None:
        clear_remains(path, storage)
    else:
        write_headers(path, chain([first], found), storage=storage)
    return read


def _count_places(
    path: str | os.PathLike[str],
    assets: Sequence[str] | None,
    storage: Storage,
    *,
    refresh: bool,
) -> int:
    """Return how many headers are to be read for an index.

    Raises:
        AssetNotFound: No item has one of `assets`.
    """
    lacking = set(assets or ())
    total = items = 0
    for record in scan_records(path, storage=storage):
        places = _places_of_record(record, path, assets, storage)
        lacking.difference_update(place.asset for place in places)
        total += sum(refresh or place.asset not in record.headers for place in places)
        items += 1
    _refuse_lacking(lacking, items)
    return total


def _batches_of_records(
    path: str | os.PathLike[str],
    assets: Sequence[str] | None,
    storage: Storage,
    *,
    refresh: bool,
) -> Iterator[list[tuple[ItemRecord, list[_Place]]]]:
    """Yield records with the rasters whose headers are to be read, as many as are read at a time.

    Records of which nothing is to be read are left out.
    """
    batch: list[tuple[ItemRecord, list[_Place]]] = []
    size = 0
    for record in scan_records(path, storage=storage):
        there = _places_of_record(record, path, assets, storage)
        places = [place for place in there if refresh or place.asset not in record.headers]
        if places:
            batch.append((record, places))
            size += len(places)
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _places_of_record(
    record: ItemRecord,
    path: str | os.PathLike[str],
    assets: Sequence[str] | None,
    storage: Storage,
) -> list[_Place]:
    return list(_places_of(record.key, _item_of(record, path, storage), assets, storage))


def _item_of(record: ItemRecord, path: str | os.PathLike[str], storage: Storage) -> pystac.Item:
    origin = distant(os.fspath(path), storage)
    return parse_item(record.item, base=record.item_href, origin=origin)


@dataclass(frozen=True)
class _Place:
    """One raster of one item."""

    key: ItemKey
    asset: str
    info: AssetInfo


def _places_of(
    key: ItemKey, item: pystac.Item, assets: Sequence[str] | None, storage: Storage
) -> Iterator[_Place]:
    """Yield the rasters of an item, all or those with the asset keys given."""
    for asset, info in read_assets(item, storage).items():
        if info.is_raster if assets is None else asset in assets:
            yield _Place(key, asset, info)


def _warn_of_another_grid(record: ItemRecord, headers: Mapping[str, Header]) -> None:
    """Say so if a file does not have the grid of its item's chips.

    That is the one recorded, of the reference band, or else those of the headers before.
    """
    grid = read_grid(record.item)
    known = {asset: header.geobox for asset, header in record.headers.items()}
    if grid is not None and grid.reference is not None:
        known = {grid.reference: grid.geobox}
    for asset, geobox in known.items():
        found = headers[asset].geobox if asset in headers else None
        if geobox is None or found is None or is_same_grid(found, geobox):
            continue
        _log.warning(
            "Item %r: the index says of asset %r: %s; its file says: %s. Its chips lie on the "
            "former: index the item again.",
            record.key.item_id,
            asset,
            describe_geobox(geobox),
            describe_geobox(found),
        )


def _refuse_lacking(assets: Collection[str], item_count: int) -> None:
    """Refuse asset keys that no item has.

    Raises:
        AssetNotFound: There are some, and there are items.
    """
    if assets and item_count:
        key = min(assets)
        raise AssetNotFound(
            f"None of the {item_count} items has an asset {key!r}. Name assets that they have.",
            asset=key,
        )


def _way_with(errors: Errors) -> Callable[[StacchipError], None]:
    """Return what is done with the error of a file: raise it, or log it."""

    def handle(error: StacchipError) -> None:
        if errors == "raise":
            raise error
        _log.warning("no header is kept: %s", error)

    return handle


def _read_all(
    places: Sequence[_Place],
    storage: Storage,
    on_error: Callable[[StacchipError], None],
    progress: Callable[[str, int], None] | None = None,
    total: int = 0,
) -> Headers:
    """Return the headers of some rasters, which are read at the same time.

    Args:
        places: The rasters.
        storage: Reads them.
        on_error: Called with the error of each that cannot be read.
        progress: Called with the item of each and `total`.
        total: The number of rasters of all calls.
    """

    def read_one(place: _Place) -> Header | StacchipError | None:
        header = read(place)
        if progress is not None:
            progress(place.key.item_id, total)
        return header

    def read(place: _Place) -> Header | StacchipError | None:
        try:
            return read_header(storage, place.info.require_href())
        except UnsupportedRaster as error:
            _log.info("no header is kept: %s", error)
        except (NotAllowed, RasterError, StorageError) as error:
            named: StacchipError = attribute(error, place.key.item_id, place.asset)
            named.__cause__ = error
            return named
        return None

    headers: Headers = {}
    for place, header in zip(places, map_concurrently(read_one, places), strict=True):
        if isinstance(header, StacchipError):
            on_error(header)
        elif header is not None:
            headers.setdefault(place.key, {})[place.asset] = header
    return headers
