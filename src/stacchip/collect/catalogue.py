"""Catalogues: a STAC API asked no faster than it likes, and files beside imagery."""

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.items.api import StacApi
    from stacchip.items.dates import Period
    from stacchip.items.pace import Pace
    from stacchip.storage import Storage, StorageOptions

PAGE_SIZE = 100
MOST_ITEMS = 10_000  # a tile has some 150 items a year: more is a search gone wrong
LARGEST_COLLECTION_BYTES = 64 << 20  # the largest of LINZ's has 0.7 MB

_log = logging.getLogger(__name__)


class OnlineCatalogue:
    """A STAC API, or static files in a store.

    Args:
        href: The API's landing page, or the folder of the static catalogue.
        storage: Reads static files.
        options: Time limits and headers of the API.
        pace: How fast the API is asked.
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
        """Every item of a collection that answers to all of this.

        Raises:
            StorageError: The API does not answer, or with more items than can be meant.
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
                "it does not heed the search.",
                href=redact(self.href),
            )
        _log.debug("%s: %d items of %s", redact(self.href), len(records), collection)
        return list(parse_items(records, errors="skip", origin=redact(self.href)))

    @cached_property
    def _api(self) -> StacApi:
        """The API; its landing page is read once."""
        from stacchip.items.api import StacApi  # slow to import; static files do not need it

        return StacApi(self.href, self.options, self.pace)

    def item_hrefs(self, prefix: str) -> list[str]:
        """The items that the `collection.json` below a prefix links to, in its order.

        Raises:
            StorageError: There is none, or it is too large.
            InvalidMetadata: It is no collection.
        """
        href = child_href(self.href, prefix.strip("/"), "collection.json")
        text = self.storage.read(href, limit_bytes=LARGEST_COLLECTION_BYTES)
        try:
            links = json.loads(text)["links"]
            hrefs = [link["href"] for link in links if link["rel"] == "item"]
            return [join_href(href, str(item)) for item in hrefs]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidMetadata(
                f"{redact(href)} is no STAC collection: {error!r}.", field="links"
            ) from error

    def read_item(self, href: str) -> pystac.Item:
        """One item from its file.

        Raises:
            InvalidMetadata: The file holds none.
        """
        item = next(load_items(href, storage=self.storage), None)
        if item is None:
            raise InvalidMetadata(f"{redact(href)} holds no item.", field="type")
        return item
