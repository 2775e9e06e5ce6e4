"""The key of an item, (platform, item id), and what is given for the keys of an index.

STAC makes an id unique within its collection only (STAC Item Specification 1.0.0, "Item fields",
`id`). The quads of a monthly basemap, for example, have the same ids in every month's collection.
So an item is known by its platform and its id together, as the rows of an index are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from stacchip.errors import InvalidMetadata, UsageError
from stacchip.items.copies import describe_difference, is_same_item
from stacchip.items.naming import platform_name
from stacchip.sources import find_source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pystac

    Known = Callable[["ItemKey"], pystac.Item | Mapping[str, Any] | None]

Item = TypeVar("Item", bound="pystac.Item | Mapping[str, Any]")
T = TypeVar("T")


class ItemKey(NamedTuple):
    """The key of an item: its platform, as in the index, and its id.

    Example:
        >>> print(ItemKey("naip", "m_4709963_se"))
        'm_4709963_se' (naip)
    """

    platform: str
    item_id: str

    def __str__(self) -> str:
        return f"{self.item_id!r} ({self.platform})"


def item_key(item: pystac.Item | Mapping[str, Any]) -> ItemKey:
    """Return the key that an item has by itself; an index may give it another platform.

    Args:
        item: The item, or its dictionary, which need not be complete.

    Example:
        >>> item_key({"id": "L15-1087E-1210N", "collection": "monthly_2024_01"})
        ItemKey(platform='monthly_2024_01', item_id='L15-1087E-1210N')
    """
    said: Any = _read_facts(item) if isinstance(item, Mapping) else item
    return ItemKey(platform_name(said, find_source(said)), said.id)


def _read_facts(item: Mapping[str, Any]) -> SimpleNamespace:
    """Return what a source looks at in the dictionary of an item; what is no asset is left out."""
    assets = item.get("assets")
    asset_items = assets.items() if isinstance(assets, Mapping) else ()
    return SimpleNamespace(
        id=str(item.get("id")),
        collection_id=item.get("collection"),
        properties=item.get("properties") or {},
        assets={
            key: SimpleNamespace(href=str(asset.get("href")))
            for key, asset in asset_items
            if isinstance(asset, Mapping)
        },
    )


def by_key(items: Iterable[Item]) -> dict[ItemKey, Item]:
    """Return items by their keys; the same item may come twice.

    Raises:
        UsageError: Two different items have one key. Taking one for the other would give the wrong
            pixels.

    Example:
        >>> items = [{"id": "a", "links": []}, {"id": "a"}, {"id": "a", "collection": "naip"}]
        >>> [key.platform for key in by_key(items)]
        ['unknown', 'naip']
    """
    found: dict[ItemKey, Item] = {}
    for item in items:
        add_item(found, item_key(item), item)
    return found


def add_item(items: dict[ItemKey, Item], key: ItemKey, item: Item) -> None:
    """Add an item to others, unless a copy of it is there.

    Raises:
        UsageError: Another item has that key.

    Example:
        >>> items = {ItemKey("naip", "a"): {"id": "a", "collection": "naip"}}
        >>> add_item(items, ItemKey("naip", "a"), {"id": "a", "collection": "naip-2"})
        Traceback (most recent call last):
            ...
        stacchip.errors.UsageError: Two different items have the key 'a' (naip): collection is ...
    """
    there = items.setdefault(key, item)
    if not is_same_item(there, item):
        raise UsageError(
            f"Two different items have the key {key}: {describe_difference(there, item)}. "
            "Leave one of them out, or give one of them another platform, such as its collection."
        )


def pick_item(items: Iterable[Item], platform: str | None, item_id: str) -> Item | None:
    """Return the item of a platform and id, else the only one of that id; None if there is none.

    Raises:
        UsageError: Two different items have one key.

    Example:
        >>> items = [{"id": "a", "collection": name} for name in ("naip", "linz")]
        >>> pick_item(items, "linz", "a"), pick_item(items[:1], "mine", "a")
        ({'id': 'a', 'collection': 'linz'}, {'id': 'a', 'collection': 'naip'})
        >>> pick_item(items, "mine", "a") is None
        True
    """
    there = {key: item for key, item in by_key(items).items() if key.item_id == item_id}
    alone = next(iter(there.values())) if len(there) == 1 else None
    return there.get(ItemKey(platform or "", item_id), alone)


def differing_copies(
    key: ItemKey, one: Mapping[str, Any], other: Mapping[str, Any], places: tuple[str, str]
) -> InvalidMetadata:
    """Return the error for two different items that are kept under one key.

    Args:
        key: Their key.
        one: The first item.
        other: The second item.
        places: Where each is kept.
    """
    return InvalidMetadata(
        f"Item {key} in {places[1]} differs from that in {places[0]}: "
        f"{describe_difference(one, other)}. An index keeps one item of a platform and id. Index "
        "it again from one of them, or give one of them another platform.",
        item_id=key.item_id,
    )


def _nothing_known(_: ItemKey) -> None:
    """Return no item for any key."""


def match_keys(
    wanted: Collection[ItemKey],
    given: Mapping[ItemKey, T],
    *,
    known: Known = _nothing_known,
    what: str = "items=",
) -> dict[ItemKey, T]:
    """Return what is given for each of the keys wanted, as far as anything is.

    A key that agrees in platform and id comes first. Otherwise the id alone decides if it leaves
    no choice: an index may call an item's platform by another name than the item does.

    Args:
        wanted: The keys of an index's rows.
        given: What the caller gives, by the keys that it has by itself. What fits no id is left
            out.
        known: Returns the item that the row with a key is known to have, if any. Only what is given
            under that item's own key is then taken by its id.
        what: Name of the argument, for the error.

    Raises:
        UsageError: Several platforms share an id, and it cannot be told which of them is meant, or
            what is given is known to be of another item.

    Example:
        >>> given = {ItemKey("unknown", "a"): "an item"}
        >>> match_keys({ItemKey("mine", "a")}, given)
        {ItemKey(platform='mine', item_id='a'): 'an item'}
    """
    found = {key: value for key, value in given.items() if key in wanted}
    strangers = group_by_id(given.keys() - found.keys())
    rows = group_by_id(key for key in wanted if key.item_id in strangers)
    for item_id, keys in sorted(rows.items()):
        for key in keys:
            if key in found:
                continue
            item = known(key)
            own = None if item is None else item_key(item)
            if own is None and (len(keys) > 1 or len(strangers[item_id]) > 1):
                raise _cannot_tell(item_id, keys, strangers[item_id], what)
            chosen = strangers[item_id][0] if own is None else own
            if chosen not in strangers[item_id]:
                raise stranger(key, strangers[item_id], chosen, what=what)
            found[key] = given[chosen]
    return found


def resolve_ids(
    wanted: Collection[ItemKey],
    given: Mapping[ItemKey, T] | Mapping[str, T],
    *,
    known: Known = _nothing_known,
    what: str,
) -> dict[ItemKey, T]:
    """Return what is given by key or by plain id, by key; see `match_keys`.

    Args:
        wanted: The keys of an index's rows.
        given: Values by key, or by id where one platform has it.
        known: As in `match_keys`.
        what: Name of the argument, for the error.

    Raises:
        UsageError: A plain id belongs to several platforms, or as in `match_keys`.

    Example:
        >>> resolve_ids({ItemKey("naip", "a")}, {"a": 1}, what="headers=")
        {ItemKey(platform='naip', item_id='a'): 1}
    """
    rows = group_by_id(wanted)
    keyed: dict[ItemKey, T] = {}
    for key, value in given.items():
        if not isinstance(key, str):
            keyed[ItemKey(*key)] = value
        elif len(rows[key]) > 1:
            raise _cannot_tell(key, rows[key], [], what)
        elif rows[key]:
            keyed[rows[key][0]] = value
    return match_keys(wanted, keyed, known=known, what=what)


def stranger(
    key: ItemKey, given: Iterable[ItemKey], own: ItemKey, *, what: str = "items="
) -> UsageError:
    """Return the error for what only its id matches with a row whose item is known.

    Args:
        key: The key of the row.
        given: The keys of what is given for it.
        own: The key that the row's item has by itself.
        what: Name of the argument.
    """
    called = "" if own == key else f", called {key.platform!r}"
    return UsageError(
        f"{what} has {' and '.join(map(str, given))}, and the index has {own}{called}: another "
        "item with that id. Leave it out, or give the item of the index."
    )


def group_by_id(keys: Iterable[ItemKey]) -> defaultdict[str, list[ItemKey]]:
    """Return keys by their item ids, each group in the order given.

    Example:
        >>> group_by_id([ItemKey("naip", "a"), ItemKey("linz", "a")])["a"]
        [ItemKey(platform='naip', item_id='a'), ItemKey(platform='linz', item_id='a')]
    """
    found: defaultdict[str, list[ItemKey]] = defaultdict(list)
    for key in keys:
        found[key.item_id].append(key)
    return found


def _cannot_tell(
    item_id: str, rows: Iterable[ItemKey], given: Iterable[ItemKey], what: str
) -> UsageError:
    """Return the error for an id that several platforms share."""
    theirs, ours = (
        " and ".join(sorted(repr(key.platform) for key in keys)) for keys in (rows, given)
    )
    said = f" of platform {ours}" if ours else ""
    return UsageError(
        f"{what} has {item_id!r}{said}, and the index has that id of platform {theirs}: they "
        "cannot be told apart by the id. Give the platform, too: a mapping by (platform, item id) "
        "where one is taken, or an item whose collection is the platform."
    )
