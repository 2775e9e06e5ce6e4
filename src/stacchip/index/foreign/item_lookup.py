"""The items of rows, for columns that the rows lack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from stacchip.errors import ItemNotFound
from stacchip.items import load_items, parse_item
from stacchip.items.keys import pick_item
from stacchip.items.reach import distant, require_allowed
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pystac

    from stacchip.storage import Storage

    AnyItem = pystac.Item | Mapping[str, Any]

__all__ = ["ItemLookup"]

_MOST_KEPT = 256


class ItemLookup:
    """Finds items among those at hand, else at a row's `item_href`.

    Args:
        at_hand: Returns the items at hand, such as those in a table's metadata; it is called when
            the first item is looked for.
        storage: Reads the others.
        origin: Address of the file of the rows, if they came from one.
    """

    def __init__(
        self, at_hand: Callable[[], Iterable[AnyItem]], storage: Storage, origin: str | None = None
    ) -> None:
        self._at_hand = at_hand
        self._origin = None if origin is None else distant(origin, storage)
        # not a method: with one, the lookup and what `at_hand` keeps open would live until a
        # collection of garbage
        self._load = lru_cache(_MOST_KEPT)(partial(_load, self._origin, storage))

    @cached_property
    def _by_id(self) -> dict[str, list[AnyItem]]:
        by_id: dict[str, list[AnyItem]] = defaultdict(list)
        for item in self._at_hand():
            by_id[str(item["id"]) if isinstance(item, Mapping) else item.id].append(item)
        return by_id

    def find(self, platform: str | None, item_id: str, item_href: str | None) -> pystac.Item:
        """Return the item of this id.

        Args:
            platform: Its platform, which chooses among several items of this id; None if unknown.
            item_id: Its id.
            item_href: Its address, or None.

        Raises:
            ItemNotFound: It is neither at hand nor at its address.
            StorageError: Its address cannot be read.
        """
        there = [self._parse(item, item_href) for item in self._by_id.get(item_id, ())]
        found = pick_item(there, platform, item_id)
        if found is not None:
            return found
        if item_href is None:
            raise ItemNotFound(
                f"Item {item_id!r} is not at hand, and its rows have no item_href.",
                item_id=item_id,
            )
        return self._load(platform, item_id, item_href)

    def _parse(self, item: AnyItem, item_href: str | None) -> pystac.Item:
        if not isinstance(item, Mapping):
            return item
        return parse_item(item, base=item_href, origin=self._origin)


def _load(
    origin: str | None, storage: Storage, platform: str | None, item_id: str, item_href: str
) -> pystac.Item:
    require_allowed(item_href, origin, storage, item_id=item_id)
    storage.name_server(None)  # rows may be another's: they name no server
    items = load_items(item_href, storage=storage)
    found = pick_item((item for item in items if item.id == item_id), platform, item_id)
    if found is not None:
        return found
    raise ItemNotFound(
        f"Item {item_id!r} is not at its item_href {redact(item_href)}, or is one of several "
        "with that id there.",
        item_id=item_id,
    )
