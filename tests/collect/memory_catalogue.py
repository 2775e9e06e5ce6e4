"""A catalogue in memory that answers like a STAC API and remembers its searches."""

from __future__ import annotations

import copy
import datetime as dt
from typing import TYPE_CHECKING, Any

import pystac
import shapely

from stacchip.items import item_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.collect.choice import Period

COMPARE = {
    "eq": lambda value, limit: value == limit,
    "lte": lambda value, limit: value is not None and value <= limit,
    "lt": lambda value, limit: value is not None and value < limit,
}


class MemoryCatalogue:
    def __init__(self, items: list[pystac.Item], files: Mapping[str, pystac.Item] | None = None):
        self.items = items
        self.files = dict(files or {})
        self.asked: list[dict[str, Any]] = []

    def search(
        self,
        collection: str,
        *,
        period: Period | None = None,
        geometry: shapely.Geometry | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> list[pystac.Item]:
        self.asked.append(
            {"collection": collection, "period": period, "geometry": geometry, "query": query}
        )
        return [
            item
            for item in self.items
            if item.collection_id == collection
            and (period is None or item_datetime(item) in period)
            and (geometry is None or shapely.intersects(footprint(item), geometry))
            and all(
                COMPARE[operator](item.properties.get(name), limit)
                for name, rule in (query or {}).items()
                for operator, limit in rule.items()
            )
        ]

    def item_hrefs(self, prefix: str) -> list[str]:
        return [href for href in self.files if href.startswith(prefix)]

    def read_item(self, href: str) -> pystac.Item:
        return copy.deepcopy(self.files[href])


def footprint(item: pystac.Item) -> shapely.Geometry:
    import json

    return shapely.from_geojson(json.dumps(item.geometry))


def make_item(
    item_id: str,
    moment: str,
    *,
    collection: str,
    assets: tuple[str, ...],
    box: tuple[float, float, float, float] = (0, 0, 1, 1),
    **properties: Any,
) -> pystac.Item:
    """Return an item with these properties; `__` in a name stands for `:`."""
    item = pystac.Item(
        id=item_id,
        geometry=shapely.geometry.mapping(shapely.box(*box)),
        bbox=list(box),
        datetime=dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC),
        properties={name.replace("__", ":"): value for name, value in properties.items()},
        collection=collection,
    )
    for key in assets:
        item.add_asset(key, pystac.Asset(f"https://example.com/{item_id}/{key}.tif"))
    return item
