"""Catalogues: a STAC API, searched at a limited pace, or files beside the imagery."""

from __future__ import annotations

import itertools
import json
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import shapely

from stacchip.errors import InvalidMetadata, StorageError
from stacchip.items import load_items
from stacchip.items.record import parse_items
from stacchip.storage import child_href, join_href, redact
from stacchip.storage.documents import parse_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.items.api.client import StacApi
    from stacchip.items.api.pace import Pace
    from stacchip.items.dates import Period
    from stacchip.storage import Storage, StorageOptions

PAGE_SIZE = 100
MOST_ITEMS = 10_000  # a tile has some 150 items a year; more means that a search went wrong
LARGEST_COLLECTION_BYTES = 64 << 20  # the largest collection of LINZ has 0.7 MB

_log = logging.getLogger(__name__)


class OnlineCatalogue:
    """A STAC API, or static files in a store.

    Args:
        href: The API's landing page, or the folder of the static catalogue.
        storage: Reads static files.
        options: Time limits and headers for the API.
        pace: Limits the rate of requests to the API.
    """

    def __init__(self, href: str, *, storage: Storage, options: StorageOptions, pace: Pace) -> None:
        self.href = href
        self.storage = storage
        self.options = options
        self.pace = pace

    def search(
        self,
        collection: str,
        *,
        period: Period | None = None,
        geometry: shapely.Geometry | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> list[pystac.Item]:
        """Return every item of a collection that meets all conditions.

        Raises:
            StorageError: The API does not answer, or it answers with far too many items.
        """
        arguments = {
            "collections": [collection],
            "datetime": None if period is None else period.interval,
            "intersects": None if geometry is None else json.loads(shapely.to_geojson(geometry)),
            "query": query,
            "limit": PAGE_SIZE,
        }
        records = list(itertools.islice(self._api.search(**arguments), MOST_ITEMS + 1))
        if len(records) > MOST_ITEMS:
            raise StorageError(
                f"{redact(self.href)} offers more than {MOST_ITEMS} items of {collection}: "
                "it seems to ignore the search.",
                href=redact(self.href),
            )
        _log.debug("%s: %d items of %s", redact(self.href), len(records), collection)
        limits, origin = self.options.limits, redact(self.href)
        return list(
            parse_items(records, errors="skip", origin=origin, api=self.href, limits=limits)
        )

    def collection_names(self) -> list[str]:
        """Return the ids of an API's collections, sorted; none if it does not list them.

        Static files have no such list.
        """
        if not self.href.startswith(("http://", "https://")):
            return []
        try:
            return sorted(self._api.list_collections())
        except StorageError as error:
            _log.info("%s does not list its collections: %s", redact(self.href), error)
            return []

    @cached_property
    def _api(self) -> StacApi:
        """The API; its landing page is read once."""
        from stacchip.items.api.client import StacApi  # slow to import; static files do not need it

        return StacApi(self.href, self.options, self.pace)

    def item_hrefs(self, prefix: str) -> list[str]:
        """Return the hrefs of the items that a prefix's `collection.json` links to, in its order.

        Raises:
            StorageError: There is no `collection.json`, or it is too large.
            InvalidMetadata: It is not a collection.
        """
        href = child_href(self.href, prefix.strip("/"), "collection.json")
        text = self.storage.read(href, limit_bytes=LARGEST_COLLECTION_BYTES)
        try:
            links = parse_document(text, href, self.options.limits, remedy="")["links"]
            hrefs = [link["href"] for link in links if link["rel"] == "item"]
            return [join_href(href, str(item)) for item in hrefs]
        except (InvalidMetadata, KeyError, TypeError) as error:
            raise InvalidMetadata(
                f"{redact(href)} is not a STAC collection: {error!r}.", field="links"
            ) from error

    def read_item(self, href: str) -> pystac.Item:
        """Return the item in a file.

        Raises:
            InvalidMetadata: The file holds no item.
        """
        item = next(load_items(href, storage=self.storage), None)
        if item is None:
            raise InvalidMetadata(f"{redact(href)} holds no item.", field="type")
        return item
