"""The files of one item in the archive: found, copied or converted unless they are there."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacchip.collect.stored_item import Placed
from stacchip.collect.transfer import Original, convert_file, copy_file, find_original
from stacchip.errors import InvalidMetadata, NotARaster, StacchipError, UnsupportedRaster
from stacchip.grid.crs import same_crs
from stacchip.items.archive import ITEM_NAME, file_name
from stacchip.raster import read_header
from stacchip.raster.gdal import Conversion
from stacchip.runtime.concurrently import map_concurrently
from stacchip.storage import is_remote, redact, unsign

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.collect.recipe import Choices, Recipe
    from stacchip.collect.settings import Settings
    from stacchip.grid.geobox import GeoBox
    from stacchip.raster import Header
    from stacchip.storage import Storage

ASSETS_AT_A_TIME = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilesOfItem:
    """Where an item's files lie now.

    Attributes:
        placed: The files, by asset key.
        written: Keys of those that were copied or converted now.
        headers: Their headers, by asset key; a file that is no TIFF has none.
    """

    placed: dict[str, Placed]
    written: tuple[str, ...]
    headers: dict[str, Header]


@dataclass(frozen=True)
class Placer:
    """Brings files of one source into the archive.

    Attributes:
        recipe: The source.
        choices: What the user decided.
        settings: What the run was told.
        storage: The stores.
    """

    recipe: Recipe
    choices: Choices
    settings: Settings
    storage: Storage

    def candidates(self, item: pystac.Item, key: str) -> tuple[str, ...]:
        """Where an asset's pixels may lie, unsigned.

        Raises:
            InvalidMetadata: A catalogue from elsewhere names a file of this machine.
        """
        found = tuple(unsign(href) for href in self.recipe.find_hrefs(item, key))
        catalogue = self.settings.catalogue or self.recipe.catalogue
        if is_remote(catalogue) and not all(is_remote(href) for href in found):
            raise InvalidMetadata(
                f"Item {item.id!r}: asset {key!r} names a local file, {redact(found[0])!r}, "
                "though its catalogue is elsewhere. Nothing was read.",
                item_id=item.id,
                asset=key,
                field="href",
            )
        return found

    def look(self, item: pystac.Item, key: str) -> Original:
        """An asset's file and its size, as far as they can be known without fetching it."""
        candidates = self.candidates(item, key)
        told = item.assets[key].extra_fields.get("file:size")
        if told is not None and len(candidates) == 1:
            return Original(candidates[0], told)
        try:
            return find_original(candidates, self.storage)
        except StacchipError:
            _log.info("%s cannot be looked at", redact(candidates[0]))
            return Original(candidates[0], told)

    def link(self, item: pystac.Item, keys: tuple[str, ...]) -> FilesOfItem:
        """The files where they lie; only where there are several candidates is one looked for."""
        placed = {}
        for key in keys:
            candidates = self.candidates(item, key)
            told = item.assets[key].extra_fields.get("file:size")
            original = Original(candidates[0], told)
            if len(candidates) > 1:
                original = find_original(candidates, self.storage)
            placed[key] = Placed(original.href, original.size_bytes)
        return FilesOfItem(placed, (), self._read_headers(placed))

    def place(
        self, item: pystac.Item, keys: tuple[str, ...], folder: str, present: Mapping[str, int]
    ) -> FilesOfItem:
        """The files in the archive.

        Args:
            item: As the catalogue gave it.
            keys: Its assets.
            folder: Where they go, with a slash at the end.
            present: Sizes of the files that are there, by name.
        """
        places = {key: self.candidates(item, key) for key in keys}
        names = {key: file_name(hrefs[0], item_id=item.id) for key, hrefs in places.items()}
        _refuse_same_names(names, item.id)
        put = self._convert if self.recipe.converts else self._copy

        def place_one(key: str) -> bool:
            return put(places[key], folder + names[key], present.get(names[key]))

        # not `map_concurrently`: if one asset fails, those under way must end before the item does
        with ThreadPoolExecutor(ASSETS_AT_A_TIME, thread_name_prefix="asset") as pool:
            was_written = dict(zip(keys, pool.map(place_one, keys), strict=True))
        listed = self.storage.list(folder)
        sizes = {entry.href.rpartition("/")[2]: entry.size_bytes for entry in listed}
        placed = {key: Placed(folder + name, sizes[name]) for key, name in names.items()}
        headers = self._read_headers(placed)
        if self.recipe.converts:
            placed = {
                key: Placed(file.href, file.size_bytes, _grid_of(headers[key], file.href))
                for key, file in placed.items()
            }
        return FilesOfItem(placed, tuple(key for key in keys if was_written[key]), headers)

    def _copy(self, candidates: tuple[str, ...], target: str, present: int | None) -> bool:
        """Copy a file unless it is there; whether it was copied."""
        original = self._choose(candidates, must_look=present is not None)
        is_there = present is not None and original.size_bytes in {None, present}
        if is_there and not self.settings.write_again:
            return False
        copy_file(original, target, self.storage, by_store=self.settings.store_copies)
        return True

    def _convert(self, candidates: tuple[str, ...], target: str, present: int | None) -> bool:
        """Convert a file unless it is there as it would be made; whether it was converted."""
        conversion = Conversion(self.choices.crs, self.choices.resolution, self.choices.band_count)
        is_there = present is not None and self._fits(target, conversion)
        if is_there and not self.settings.write_again:
            return False
        convert_file(self._choose(candidates), target, conversion, self.storage)
        return True

    def _choose(self, candidates: tuple[str, ...], *, must_look: bool = False) -> Original:
        """The candidate that exists; a single one is not looked at unless its size is needed."""
        if len(candidates) == 1 and not must_look:
            return Original(candidates[0], None)
        return find_original(candidates, self.storage)

    def _fits(self, href: str, conversion: Conversion) -> bool:
        """Whether a file that is there is what the conversion would give."""
        header = read_header(self.storage, href)
        geobox, size = header.geobox, conversion.resolution
        if geobox is None:
            return False
        return (
            (conversion.crs is None or same_crs(geobox.crs, conversion.crs))
            and (size is None or abs(abs(geobox.affine.a) - size) < 1e-6 * size)
            and (conversion.band_count is None or header.count == conversion.band_count)
        )

    def _read_headers(self, placed: Mapping[str, Placed]) -> dict[str, Header]:
        def read(file: Placed) -> Header | None:
            try:
                return _undated(read_header(self.storage, file.href))
            except (NotARaster, UnsupportedRaster):  # JPEG 2000, say: GDAL will read it
                return None

        found = zip(placed, map_concurrently(read, placed.values()), strict=True)
        return {key: header for key, header in found if header is not None}


def _undated(header: Header) -> Header:
    """The header without the moment of its file's writing, where an ETag tells versions apart.

    A job that was killed and ran again copied some files later than one that ran through; what it
    writes must not differ for that.
    """
    if not header.identity.etag:
        return header
    identity = dataclasses.replace(header.identity, last_modified=None)
    mask = None if header.mask is None else _undated(header.mask)
    return dataclasses.replace(header, identity=identity, mask=mask)


def _grid_of(header: Header, href: str) -> GeoBox:
    """Return the grid that a file's header gives."""
    geobox = header.geobox
    if geobox is None or geobox.crs is None:
        raise InvalidMetadata(f"{redact(href)} has no grid on Earth.", field="proj:transform")
    return geobox


def _refuse_same_names(names: Mapping[str, str], item_id: str) -> None:
    """Two assets with files of the same name would overwrite each other."""
    seen: dict[str, str] = {}
    for key, name in names.items():
        if name in seen or name == ITEM_NAME:
            raise InvalidMetadata(
                f"Item {item_id!r}: asset {key!r} has the file name {name!r}, which "
                f"{seen.get(name, 'the item itself')!r} has too.",
                item_id=item_id,
                asset=key,
                field="href",
            )
        seen[name] = key
