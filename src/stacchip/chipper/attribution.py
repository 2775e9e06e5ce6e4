"""Whose fault it was: errors of files, with the item and the asset that the file belongs to."""

from __future__ import annotations

from typing import TypeVar

from stacchip.errors import StacchipError

E = TypeVar("E", bound=StacchipError)


def attribute(error: E, item_id: str, asset: str | None = None) -> E:
    """The same error, its message and facts naming item and asset (if it is one's) too.

    Raise it `from` the error given. One that names its item already is given back as it is.

    Example:
        >>> from stacchip.errors import ObjectNotFound
        >>> error = attribute(ObjectNotFound("Nothing is at a.tif.", href="a.tif"), "S2A", "red")
        >>> error
        ObjectNotFound("Item 'S2A', asset 'red': Nothing is at a.tif.")
        >>> error.href, error.facts["item_id"]
        ('a.tif', 'S2A')
    """
    if error.facts.get("item_id") is not None:
        return error
    facts = {**error.facts, "item_id": item_id, "asset": asset}
    whose = f"Item {item_id!r}" + (f", asset {asset!r}" if asset is not None else "")
    return type(error)(f"{whose}: {error.message}", **facts)
