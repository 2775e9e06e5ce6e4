"""Items from any place: objects, files, addresses, collections, stac-geoparquet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pystac

from stacchip.errors import Errors, InvalidMetadata, StacchipError, UsageError
from stacchip.items.copies import unsign_item
from stacchip.items.geoparquet import read_rows
from stacchip.items.reach import require_allowed
from stacchip.items.record import FoundItems, Unreadable, try_record
from stacchip.items.record_checks import require_sound
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import Storage, join_href, local_path, redact
from stacchip.storage.documents import parse_document, require_depth

if TYPE_CHECKING:
    import pyarrow as pa

    from stacchip.storage import Limits

ItemSource = (
    pystac.Item | pystac.ItemCollection | Mapping[str, Any] | str | os.PathLike[str] | Iterable[Any]
)

_PARQUET_SUFFIXES = (".parquet", ".geoparquet")
_PARQUET_MAGIC = b"PAR1"
_BATCH = 1000  # rows of a parquet file
_Found = pystac.Item | Unreadable


def load_items(
    source: ItemSource, *, storage: Storage | None = None, errors: Errors = "raise"
) -> Iterator[pystac.Item]:
    """Return an iterator over the items of almost anything that holds items.

    Args:
        source: A `pystac.Item` or `ItemCollection`; the JSON object of an item, a FeatureCollection
            or a list of items; the path or URL of one of these, or of a STAC Collection or Catalog
            whose links name its items, or of a stac-geoparquet file; or an iterable of all these.
        storage: How to read files; by default with the usual credentials.
        errors: `"raise"` raises for a wrong item; `"skip"` leaves it out and logs a warning.

    Yields:
        Items as pystac migrates them, one at a time. The self href of an item from a file is that
        file; an item of a collection keeps its own, if absolute. Hrefs are unsigned, and otherwise
        left as they are written. An item that is passed in is never changed: it is passed on, or
        copied if a href in it is signed.

    Raises:
        UsageError: `source` holds no items.
        MissingMetadata: An item lacks a field.
        InvalidMetadata: An item is wrong, or a file is not JSON.
        LimitExceeded: An item or a file is above a limit of its place.
        StorageError: A file cannot be read.

    Example:
        >>> [item.id for item in load_items({"type": "FeatureCollection", "features": []})]
        []
    """
    if errors not in ("raise", "skip"):
        raise UsageError(f'errors is {errors!r}; it must be "raise" or "skip".')
    return FoundItems(find_items(source, storage=storage), errors)


def find_items(source: ItemSource, *, storage: Storage | None = None) -> Iterator[_Found]:
    """Return an iterator over the items of a source, with an `Unreadable` for each wrong one.

    Arguments and errors are those of `load_items`. An error that ends the source, such as a file
    that is not JSON, is raised.
    """
    return _Loader(storage or Storage()).open(source)


class _Loader:
    """The forms in which items come; every method returns or yields items."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, source: Any) -> Iterator[_Found]:
        """Return the items of a source; refuse one that holds none now, not at the first item."""
        if isinstance(source, pystac.Item):
            require_sound(source, self._limits(None))
            return iter((unsign_item(source),))
        if isinstance(source, FoundItems):
            return source.found
        if isinstance(source, pystac.Catalog):
            raise UsageError(
                f"{source!r} is not a list of items. Pass catalog.get_items(recursive=True)."
            )
        if isinstance(source, str | os.PathLike):
            self._storage.name_server(source)
            return self._read_href(os.fspath(source))
        if isinstance(source, Mapping):
            return self._read_object(source, None)
        if hasattr(source, "__arrow_c_stream__"):
            return self._read_stream(source)
        if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray):
            return (item for part in source for item in self.open(part))
        raise UsageError(
            f"{type(source).__name__} holds no items. Pass a pystac.Item, an ItemCollection, a "
            "dict, a path, a URL, or a list of these."
        )

    def _limits(self, href: str | None) -> Limits:
        """Return the limits of what is at an address, or is given by the caller."""
        return self._storage.options_for(href or "").limits

    def _read_href(self, href: str, *, is_linked: bool = False) -> Iterator[_Found]:
        """Yield the items of a file, which is opened at the first item."""
        path = local_path(href)
        if path is not None:
            href = str(path.absolute())
        suffix = Path(href.partition("?")[0]).suffix.lower()
        if suffix in _PARQUET_SUFFIXES:
            yield from self._read_parquet(href)
            return
        limits = self._limits(href)
        data = self._storage.read(href, limit_bytes=limits.document_bytes)
        if data[:4] == _PARQUET_MAGIC:
            yield from self._read_parquet(href)
            return
        yield from self._read_object(
            parse_document(data, href, limits, of_items=True), href, is_linked=is_linked
        )

    def _read_object(
        self, record: Any, href: str | None, *, is_linked: bool = False
    ) -> Iterator[_Found]:
        """Return the items of a JSON value: an item, a FeatureCollection, a list or a catalogue."""
        if isinstance(record, list):
            return self._read_records(record, href)
        kind = record.get("type") if isinstance(record, Mapping) else None
        if kind == "FeatureCollection":
            features = record.get("features")
            if not isinstance(features, list):
                raise InvalidMetadata(
                    f"{_name(href)} is a FeatureCollection without a list of features.",
                    field="features",
                )
            return self._read_records(features, href)
        if kind in ("Collection", "Catalog") or (kind is None and _has_links_only(record)):
            if is_linked:  # following it could lead in a circle
                raise InvalidMetadata(
                    f"{_name(href)} is a STAC {kind or 'Catalog'}, but another one links to it as "
                    "an item. Mend the link's rel, which is child.",
                    field="type",
                )
            return self._follow(record, href)
        return iter((try_record(record, href=href, limits=self._limits(href)),))

    def _follow(self, record: Mapping[str, Any], href: str | None) -> Iterator[_Found]:
        """Return the items that a STAC Collection or Catalog links to, but not its children's."""
        limits = self._limits(href)
        most_parts = limits.listed + limits.item_parts
        require_depth(record, _name(href), limits, most_parts=most_parts)
        hrefs = {rel: _linked_hrefs(record, rel) for rel in ("item", "child", "self")}
        if not hrefs["item"]:
            raise UsageError(
                f"{_name(href)} is a STAC {record.get('type', 'Catalog')} that links to no items "
                f"({len(hrefs['child'])} children). Pass one of its children, or search its API "
                "with search_items."
            )
        base = href if href is not None else next(iter(hrefs["self"]), "")
        # each once: a list of links to itself would be read again for every link
        links = {_joined(base, link): link for link in reversed(hrefs["item"])}
        return (found for link in reversed(links.values()) for found in self._read_link(base, link))

    def _read_link(self, base: str, link: str) -> Iterator[_Found]:
        """Yield the items behind one link of a catalogue, or why they cannot be read."""
        try:
            href = require_allowed(join_href(base, link), base or None, self._storage)
            yield from self._read_href(href, is_linked=True)
        except StacchipError as error:
            yield Unreadable(redact(link), error)
        except ValueError as error:  # urllib's, for a host that is none
            named = InvalidMetadata(f"{redact(link)!r} is not an address: {error}.", field="links")
            yield Unreadable(redact(link), named)

    def _read_parquet(self, href: str) -> Iterator[_Found]:
        import pyarrow as pa  # slow to import, seldom used

        from stacchip.parquet.batches import iterate_batches

        limits = self._limits(href)
        with self._storage.open(href) as file, _arrow_errors(_name(href)):
            for batch in iterate_batches(file, href, limits, rows=_BATCH):
                yield from self._read_table(pa.Table.from_batches([batch]), href)

    def _read_stream(self, stream: Any) -> Iterator[_Found]:
        import pyarrow as pa  # slow to import, seldom used

        with _arrow_errors(type(stream).__name__):
            yield from self._read_table(pa.table(stream), None)

    def _read_records(self, records: Iterable[Any], href: str | None) -> Iterator[_Found]:
        limits = self._limits(href)
        return (try_record(record, base=href, limits=limits) for record in records)

    def _read_table(self, table: pa.Table, href: str | None) -> Iterator[_Found]:
        """Yield the items of an Arrow table in the form of stac-geoparquet."""
        limits = self._limits(href)
        for row in read_rows(table, _name(href), limits):
            if isinstance(row, Unreadable):
                yield row
            else:
                yield try_record(row, base=href, limits=limits)


@contextmanager
def _arrow_errors(name: str) -> Iterator[None]:
    """Turn errors of pyarrow into one that names the file or object that it could not read."""
    try:
        yield
    except StacchipError:
        raise
    except (*ODD_VALUES, OSError, NotImplementedError, SystemError) as error:
        raise InvalidMetadata(
            f"{name} cannot be read as an Arrow table: {type(error).__name__}: {error}. "
            "Write the file again.",
            field="type",
        ) from error


def _linked_hrefs(record: Mapping[str, Any], rel: str) -> list[str]:
    links = record.get("links")
    return [
        str(link.get("href"))
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, Mapping) and link.get("rel") == rel
    ]


def _joined(base: str, link: str) -> str:
    """Return the address of a link; the link itself if it has none, which is reported later."""
    try:
        return join_href(base, link)
    except (StacchipError, ValueError):
        return link


def _has_links_only(record: Any) -> bool:
    """Return True for a catalogue of STAC before 1.0, which has no type."""
    return isinstance(record, Mapping) and "links" in record and "geometry" not in record


def _name(href: str | None) -> str:
    return "The object" if href is None else redact(href)
