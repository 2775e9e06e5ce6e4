"""Headers of items' files, kept in an index so that readers need not fetch them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from stacchip.errors import (
    AssetNotFound,
    NotAllowed,
    RasterError,
    StacchipError,
    StorageError,
    UnsupportedRaster,
    attribute,
)
from stacchip.grid.geobox import describe_geobox, is_same_grid, read_grid
from stacchip.index.files.replacing import clear_remains
from stacchip.index.read import read_records
from stacchip.index.write import write_headers
from stacchip.items import load_items, parse_item, read_assets
from stacchip.items.keys import by_key
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

__all__ = ["add_headers", "gather_headers"]

_log = logging.getLogger(__name__)


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
    storage = storage or Storage()
    assets = None if assets is None else names_of(assets, "assets")
    loaded = by_key(load_items(items, storage=storage))
    places = [
        place for key, item in loaded.items() for place in _places_of(key, item, assets, storage)
    ]
    _require_assets(assets, places, len(loaded))
    return _read_all(places, storage, on_error or _way_with(errors))


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
    records = read_records(path, storage=storage)
    rasters = [
        list(_places_of(each.key, _item_of(each, path, storage), assets, storage))
        for each in records
    ]
    _require_assets(assets, chain(*rasters), len(records))
    places = []
    for record, there in zip(records, rasters, strict=True):
        known: Collection[str] = () if refresh else record.headers
        places += [place for place in there if place.asset not in known]
    headers = _read_all(places, storage, on_error or _way_with(errors), progress)
    if headers:
        write_headers(path, headers, storage=storage)
    else:
        clear_remains(path, storage)
    for record in records:
        _warn_of_another_grid(record, headers.get(record.key, {}))
    return sum(map(len, headers.values()))


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


def _require_assets(
    assets: Sequence[str] | None, places: Iterable[_Place], item_count: int
) -> None:
    """Refuse a key that no item has."""
    lacking = set(assets or ()) - {place.asset for place in places}
    if lacking and item_count:
        key = min(lacking)
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
    rasters: Iterable[_Place],
    storage: Storage,
    on_error: Callable[[StacchipError], None],
    progress: Callable[[str, int], None] | None = None,
) -> Headers:
    places = list(rasters)

    def read_one(place: _Place) -> Header | StacchipError | None:
        header = read(place)
        if progress is not None:
            progress(place.key.item_id, len(places))
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
