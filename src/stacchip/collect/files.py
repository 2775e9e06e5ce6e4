"""The files of one item: copied or converted into the archive, or found for links."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stacchip.collect.stored_item import Placed
from stacchip.collect.transfer import (
    Original,
    clear_conversions,
    convert_file,
    copy_file,
    find_original,
)
from stacchip.errors import (
    InvalidMetadata,
    NotARaster,
    RasterError,
    StacchipError,
    UnsupportedRaster,
    attribute,
)
from stacchip.grid.crs import name_crs, same_crs
from stacchip.items.archive import ITEM_NAME, file_name
from stacchip.items.media import is_raster_file
from stacchip.items.reach import require_allowed
from stacchip.raster import read_header
from stacchip.raster.gdal import Conversion
from stacchip.raster.reader import open_reader
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.task_name import in_this_task
from stacchip.storage import redact, unsign
from stacchip.storage.s3.orphaned_uploads import abort_orphans

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.collect.recipe import Choices, Recipe
    from stacchip.collect.settings import Settings
    from stacchip.grid.geobox import GeoBox
    from stacchip.raster import Header
    from stacchip.storage import Storage

ASSETS_AT_A_TIME = 4
_LARGEST_BYTES = 1 << 63

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilesOfItem:
    """The files of an item.

    Attributes:
        placed: The files, by asset key.
        written: Keys of the files that were copied or converted now.
        headers: Headers of the files, by asset key; a file that is not a TIFF has none.
    """

    placed: dict[str, Placed]
    written: tuple[str, ...]
    headers: dict[str, Header]


@dataclass(frozen=True)
class Placer:
    """Brings the files of one source into the archive.

    Attributes:
        recipe: The source.
        choices: The user's choices.
        settings: The settings of the run.
        storage: The stores to read from and write to.
    """

    recipe: Recipe
    choices: Choices
    settings: Settings
    storage: Storage

    def candidates(self, item: pystac.Item, key: str) -> tuple[str, ...]:
        """Return the unsigned hrefs at which an asset's file may be.

        Raises:
            NotAllowed: A remote catalogue names what is local to this machine.
        """
        found = tuple(unsign(href) for href in self.recipe.find_hrefs(item, key))
        catalogue = self.settings.catalogue or self.recipe.catalogue
        for href in found:
            require_allowed(href, catalogue, self.storage, item_id=item.id, asset=key)
        return found

    def look(self, item: pystac.Item, key: str) -> Original:
        """Return an asset's file, and its size if that is known without reading the file."""
        candidates = self.candidates(item, key)
        size = _stated_size(item, key)
        if size is not None and len(candidates) == 1:
            return Original(candidates[0], size)
        try:
            return find_original(candidates, self.storage)
        except StacchipError:
            _log.info("the size of %s cannot be read", redact(candidates[0]))
            return Original(candidates[0], size)

    def link(self, item: pystac.Item, keys: tuple[str, ...]) -> FilesOfItem:
        """Return the files where they are; looks for a file only if it has several candidates."""
        placed = {}
        for key in keys:
            candidates = self.candidates(item, key)
            original = Original(candidates[0], _stated_size(item, key))
            if len(candidates) > 1:
                original = find_original(candidates, self.storage)
            placed[key] = Placed(original.href, original.size_bytes)
        return FilesOfItem(placed, (), self._read_headers(item, placed))

    def place(
        self, item: pystac.Item, keys: tuple[str, ...], folder: str, present: Mapping[str, int]
    ) -> FilesOfItem:
        """Copy or convert the files into the archive, unless they are there, and return them.

        Uploads that a killed job left in the item's folder are aborted, and its temporary files
        deleted.

        Args:
            item: The item, as the catalogue gave it.
            keys: The assets to take.
            folder: The item's folder in the archive, with a slash at the end.
            present: Sizes of the files that are there already, by name.
        """
        abort_orphans(folder, self.storage.options_for(folder))
        if self.recipe.converts:
            clear_conversions()  # of a job that was killed once its file was there
        places = {key: self.candidates(item, key) for key in keys}
        names = {key: file_name(hrefs[0], item_id=item.id) for key, hrefs in places.items()}
        _refuse_same_names(names, item.id)
        put = self._convert if self.recipe.converts else self._copy

        def place_one(key: str) -> bool:
            return put(places[key], folder + names[key], present.get(names[key]))

        # not `map_concurrently`: if one asset fails, those under way must end before the item does
        with ThreadPoolExecutor(ASSETS_AT_A_TIME, thread_name_prefix="asset") as pool:
            was_written = dict(zip(keys, pool.map(in_this_task(place_one), keys), strict=True))
        listed = self.storage.list(folder)
        sizes = {entry.href.rpartition("/")[2]: entry.size_bytes for entry in listed}
        placed = {key: Placed(folder + name, sizes[name]) for key, name in names.items()}
        headers = self._read_headers(item, placed, keep=False)
        if self.recipe.converts:
            placed = {
                key: Placed(file.href, file.size_bytes, _projection_in(headers[key], file.href))
                for key, file in placed.items()
            }
        return FilesOfItem(placed, tuple(key for key in keys if was_written[key]), headers)

    def _copy(self, candidates: tuple[str, ...], target: str, present: int | None) -> bool:
        """Copy a file unless it is there; return True if it was copied."""
        original = self._choose(candidates, must_look=present is not None)
        is_there = present is not None and original.size_bytes in {None, present}
        if is_there and not self.settings.write_again:
            return False
        copy_file(original, target, self.storage, by_store=self.settings.store_copies)
        return True

    def _convert(self, candidates: tuple[str, ...], target: str, present: int | None) -> bool:
        """Convert a file unless the result is there already; return True if it was converted."""
        conversion = Conversion(self.choices.crs, self.choices.resolution, self.choices.band_count)
        is_there = present is not None and self._fits(target, conversion)
        if is_there and not self.settings.write_again:
            return False
        convert_file(self._choose(candidates), target, conversion, self.storage)
        return True

    def _choose(self, candidates: tuple[str, ...], *, must_look: bool = False) -> Original:
        """Return the candidate that exists; look a single one up only if its size is needed."""
        if len(candidates) == 1 and not must_look:
            return Original(candidates[0], None)
        return find_original(candidates, self.storage)

    def _fits(self, href: str, conversion: Conversion) -> bool:
        """Return True if a file that is there is what the conversion would give."""
        header = read_header(self.storage, href)
        geobox, size = header.geobox, conversion.resolution
        if geobox is None:
            return False
        return (
            (conversion.crs is None or same_crs(geobox.crs, conversion.crs))
            and (size is None or abs(abs(geobox.affine.a) - size) < 1e-6 * size)
            and (conversion.band_count is None or header.count == conversion.band_count)
        )

    def _read_headers(
        self, item: pystac.Item, placed: Mapping[str, Placed], *, keep: bool = True
    ) -> dict[str, Header]:
        """Return the headers of files, and check that each raster among them is one.

        Args:
            item: The item.
            placed: The files, by asset key.
            keep: False to delete a file that is no raster: a log-in page, say, that was copied.

        Raises:
            NotARaster: Neither reader can open a file that its asset says is a raster.
        """

        def read(key: str) -> Header | None:
            href = placed[key].href
            try:
                return _undated(read_header(self.storage, href))
            except (NotARaster, UnsupportedRaster):
                if not is_raster_file(item.assets[key]):
                    return None
            try:
                open_reader(href, self.storage)  # such as JPEG 2000, which GDAL reads
            except RasterError as error:
                if not keep:
                    self.storage.delete(href)  # or it would count as there the next time
                raise attribute(error, item.id, key) from error
            return None

        found = zip(placed, map_concurrently(read, placed), strict=True)
        return {key: header for key, header in found if header is not None}


def _stated_size(item: pystac.Item, key: str) -> int | None:
    """Return the size of a file in bytes, as its item states it; None if that cannot be one."""
    size = item.assets[key].extra_fields.get("file:size")
    return size if type(size) is int and 0 <= size < _LARGEST_BYTES else None


def _undated(header: Header) -> Header:
    """Return a header without the time its file was written, if an ETag identifies the version.

    A job that was killed and ran again copied some files later than a job that ran through, but
    must write the same index.
    """
    if not header.identity.etag:
        return header
    identity = dataclasses.replace(header.identity, last_modified=None)
    mask = None if header.mask is None else _undated(header.mask)
    return dataclasses.replace(header, identity=identity, mask=mask)


def _projection_in(header: Header, href: str) -> dict[str, Any]:
    """Return the grid that a file's header gives, as `projection_fields`."""
    geobox = header.geobox
    if geobox is None or geobox.crs is None:
        raise InvalidMetadata(f"{redact(href)} has no grid on Earth.", field="proj:transform")
    return projection_fields(geobox)


def projection_fields(grid: GeoBox) -> dict[str, Any]:
    """Return a grid in the fields of the projection extension (version 2: `proj:code`)."""
    name = name_crs(str(grid.crs))
    named: dict[str, Any] = {"proj:code": name}
    if "[" in name:  # WKT
        named = {"proj:code": None, "proj:wkt2": name}
    return {
        **named,
        "proj:shape": [int(size) for size in grid.shape],
        "proj:transform": [float(number) for number in tuple(grid.affine)[:6]],
    }


def _refuse_same_names(names: Mapping[str, str], item_id: str) -> None:
    """Check that no two files of an item have the same name, and would overwrite each other."""
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
