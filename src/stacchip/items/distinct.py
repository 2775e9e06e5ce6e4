"""Items by their id, where an id stands for one item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pystac

Item = TypeVar("Item", bound="pystac.Item | Mapping[str, Any]")


def by_id(items: Iterable[Item]) -> dict[str, Item]:
    """Items by their id; the same one may come twice.

    Links do not count, since they say where a copy was found; where the files lie does.

    Raises:
        UsageError: Two different items have one id, as those of two platforms may. Taking either
            for the other would give its pixels.

    Example:
        >>> list(by_id([{"id": "a", "links": []}, {"id": "a"}, {"id": "b"}]))
        ['a', 'b']
    """
    found: dict[str, Item] = {}
    for item in items:
        item_id = str(item["id"]) if isinstance(item, Mapping) else item.id
        if item_id in found and _content(found[item_id]) != _content(item):
            raise UsageError(
                f"Two different items have the id {item_id!r}. Give them apart: an index of each, "
                "joined by merge_indexes, keeps both."
            )
        found.setdefault(item_id, item)
    return found


def _content(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return {key: value for key, value in item.items() if key != "links"}
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"] = [asset.get_absolute_href() for asset in item.assets.values()]
    return content
