"""Addresses of items in the files of an index: relative ones within an archive in a folder.

An index inside a local archive names the archive's items relative to its own files, such as
`../../../naip/m_1/stac_item.json`. So the folder of the archive can be moved, or copied into a
bucket. Readers of our own give such an address as an absolute one. Any other index holds absolute
addresses: it may be moved away from the items.

Only addresses that begin with `./` or `../` are relative to the file.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.index.table_rows import change_texts
from stacchip.items.archive import ITEM_NAME
from stacchip.items.copies import to_json
from stacchip.items.reach import is_out_of_reach
from stacchip.storage import join_href, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "HREF",
    "drop_local_addresses",
    "read_addresses",
    "store_addresses",
    "store_item",
    "store_records",
]

HREF: Final = "item_href"
_RELATIVE: Final = ("./", "../")


def read_addresses(table: pa.Table, file: str) -> pa.Table:
    """Return rows of a file with absolute addresses of items.

    Args:
        table: Rows of chips, or of records; with or without the column `item_href`.
        file: Address of the file that they were read from.

    Example:
        >>> rows = pa.table({"item_href": ["../naip/m_1/stac_item.json", "s3://b/i.json", None]})
        >>> read_addresses(rows, "/data/index/chips.parquet")["item_href"].to_pylist()
        ['/data/naip/m_1/stac_item.json', 's3://b/i.json', None]
    """
    if HREF not in table.column_names:
        return table
    column = table[HREF]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not is_text or not pc.any(pc.starts_with(column, ".")).as_py():
        return table
    local = local_path(file)
    base = file if local is None else local.absolute().as_posix()
    return _change(
        table, lambda href: join_href(base, href) if href.startswith(_RELATIVE) else href
    )


def drop_local_addresses(table: pa.Table, origin: str | None) -> pa.Table:
    """Return rows of a remote file without addresses that it may not name.

    A copy of the rows in a local index, or in another library's table, would name them.

    Args:
        table: Rows with absolute addresses.
        origin: Result of `stacchip.items.reach.distant` for the file.

    Example:
        >>> rows = pa.table({"item_href": ["/etc/a.json", "s3://b/i.json"]})
        >>> drop_local_addresses(rows, "https://example.com/chips.parquet")["item_href"].to_pylist()
        [None, 's3://b/i.json']
    """
    if origin is None or HREF not in table.column_names:
        return table
    return _change(table, lambda href: None if is_out_of_reach(href, origin) else href)


def store_addresses(table: pa.Table, folder: str) -> pa.Table:
    """Return rows with the addresses that a file of an index holds.

    Args:
        table: Rows with absolute addresses.
        folder: Address of the folder that the file is in.

    Example:
        >>> rows = pa.table({"item_href": ["/data/naip/m_1/stac_item.json", "/other/item.json"]})
        >>> store_addresses(rows, "/data/index")["item_href"].to_pylist()
        ['../naip/m_1/stac_item.json', '/other/item.json']
    """
    place = _local_folder(folder)
    if place is None or HREF not in table.column_names:
        return table
    return _change(table, lambda href: _from_within(place, href))


def store_records(table: pa.Table, folder: str) -> pa.Table:
    """Return records of items with the addresses that a file of an index holds."""
    stored = store_addresses(table, folder)
    if stored is table:
        return table
    items = [to_json(store_item(json.loads(item), folder)) for item in stored["item"].to_pylist()]
    position = stored.schema.get_field_index("item")
    field = stored.schema.field(position)
    return stored.set_column(position, field, pa.array(items, field.type))


def store_item(item: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
    """Return an item as a file of an index holds it: one with a relative address has no self link.

    Relative hrefs of its assets then start from where it is found.

    Example:
        >>> item = {"links": [{"rel": "self", "href": "/data/naip/m_1/stac_item.json"}]}
        >>> store_item(item, "/data/index"), store_item(item, "/elsewhere") is item
        ({'links': []}, True)
    """
    place = _local_folder(folder)
    if place is None:
        return item
    links = item.get("links")
    if not isinstance(links, list):
        return item
    kept = [link for link in links if not _is_self_within(place, link)]
    return item if len(kept) == len(links) else {**item, "links": kept}


def _is_self_within(place: str, link: Any) -> bool:
    """Return True for the self link of an item in the archive that a folder is in."""
    if not isinstance(link, dict) or link.get("rel") != "self":
        return False
    href = link.get("href")
    return isinstance(href, str) and _from_within(place, href) != href


def _local_folder(folder: str) -> str | None:
    local = local_path(folder)
    return None if local is None else posixpath.normpath(local.absolute().as_posix())


def _from_within(folder: str, href: str) -> str:
    """Return an item's address relative to a folder, if one archive holds both; else unchanged."""
    if not href.startswith("/"):
        return href
    parts = posixpath.normpath(href).rsplit("/", 3)  # the archive, platform, item id, name
    if len(parts) < 4 or parts[3] != ITEM_NAME:
        return href
    if folder != parts[0] and not folder.startswith(f"{parts[0]}/"):
        return href
    relative = posixpath.relpath(href, folder)
    return relative if relative.startswith(_RELATIVE) else f"./{relative}"


def _change(table: pa.Table, change: Callable[[str], str | None]) -> pa.Table:
    """Return a table with other addresses, each worked out once; itself if none changes."""
    position = table.schema.get_field_index(HREF)
    field = table.schema.field(position)
    changed = change_texts(table[HREF], change)
    return table if changed is None else table.set_column(position, field, changed)
