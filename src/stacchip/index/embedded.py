"""What the metadata of a table tell: its items, and the indexes that it was read from.

The items are one JSON object, whose names are `{platform}/{item id}`; an item's own `id` says
where the second part begins. Earlier versions wrote the item id alone. Such an item is given the
platform of the rows with its id: if there are several, the one that the item itself says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from stacchip.errors import IndexFormatError
from stacchip.index.editions import editions_of, with_editions
from stacchip.index.remembered import REMEMBERED, remember_signed, signed_address
from stacchip.items.copies import to_json
from stacchip.items.keys import ItemKey, group_by_id, item_key
from stacchip.items.reach import distant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pystac

    from stacchip.index.editions import Known
    from stacchip.storage import Storage

    Items = dict[ItemKey, dict[str, Any]]

__all__ = [
    "embed_items",
    "embedded_items",
    "give_platforms",
    "index_of",
    "indexes_and_editions",
    "indexes_of",
    "parse_items",
    "remote_index_of",
    "row_keys",
    "with_indexes",
    "with_items",
]

Item = TypeVar("Item", bound="pystac.Item | Mapping[str, Any]")
_ITEMS_KEY: Final = b"stacchip:items"
_INDEX_KEY: Final = b"stacchip:index"
_COLUMNS: Final = list(ItemKey._fields)


def row_keys(table: pa.Table) -> set[ItemKey]:
    """Return the keys of the items that a table has rows of.

    Args:
        table: A table with the columns `platform` and `item_id`.

    Raises:
        IndexFormatError: One of these holds no texts.

    Example:
        >>> row_keys(pa.table({"platform": ["naip", "naip"], "item_id": ["a", "a"]}))
        {ItemKey(platform='naip', item_id='a')}
    """
    for name in _COLUMNS:
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind):
            raise IndexFormatError(
                f"Column '{name}' has type {kind}, not string. Write the index again.", column=name
            )
    pairs = table.select(_COLUMNS).group_by(_COLUMNS).aggregate([])
    return set(map(ItemKey, *(pairs[name].to_pylist() for name in _COLUMNS)))


def embed_items(
    table: pa.Table, items: Mapping[ItemKey, Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]
) -> pa.Table:
    """Return the table with STAC items in the schema's metadata, which `pq.write_table` keeps.

    Args:
        table: A chip index.
        items: STAC items as dictionaries, by (platform, item id); their signatures are left out.
            With an item id alone, the platform is that of the rows with this id, or the one of
            them that the item itself says.

    Example:
        >>> item = {"id": "a", "type": "Feature"}
        >>> table = embed_items(pa.table({}), {("naip", "a"): item})
        >>> embedded_items(table)
        {ItemKey(platform='naip', item_id='a'): {'id': 'a', 'type': 'Feature'}}
    """
    by_id = {key: item for key, item in items.items() if isinstance(key, str)}
    keyed = {ItemKey(*key): item for key, item in items.items() if not isinstance(key, str)}
    keyed |= give_platforms(by_id, lambda: _keys_of(table))
    texts = _to_texts(keyed)
    REMEMBERED.add(texts)
    return _with_texts(table, texts)


def with_items(table: pa.Table, items: Mapping[ItemKey, Mapping[str, Any]]) -> pa.Table:
    """Return the table with items in its metadata, as `embed_items` does, but remember none."""
    return _with_texts(table, _to_texts(items))


def _to_texts(items: Mapping[ItemKey, Mapping[str, Any]]) -> dict[ItemKey, str]:
    return {key: to_json(item) for key, item in items.items()}


def _with_texts(table: pa.Table, texts: Mapping[ItemKey, str]) -> pa.Table:
    """Return the table with items, given as JSON text, in its metadata."""
    members = (f"{json.dumps(f'{key.platform}/{key.item_id}')}:{texts[key]}" for key in texts)
    return table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _ITEMS_KEY: f"{{{','.join(members)}}}"}
    )


def embedded_items(table: pa.Table | pa.Schema) -> Items:
    """Return the STAC items in the metadata of a table or schema; empty if none are there.

    After a merge by another tool these are the first file's items only.

    Returns:
        Items as dictionaries, by (platform, item id).
    """
    keyed, by_id = parse_items(table.schema if isinstance(table, pa.Table) else table)
    return keyed | give_platforms(by_id, lambda: _keys_of(table))


def parse_items(schema: pa.Schema) -> tuple[Items, dict[str, dict[str, Any]]]:
    """Return the items of metadata: those with a platform, and those with an id alone.

    Raises:
        IndexFormatError: The metadata is no JSON object of items.
    """
    keyed: Items = {}
    by_id: dict[str, dict[str, Any]] = {}
    for name, item in _parse((schema.metadata or {}).get(_ITEMS_KEY, b"{}")).items():
        platform = name.removesuffix(f"/{item.get('id')}")
        if platform == name or not isinstance(item["id"], str):
            by_id[name] = item
        else:
            keyed[ItemKey(platform, item["id"])] = item
    return keyed, by_id


def _parse(text: bytes) -> dict[str, dict[str, Any]]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    if isinstance(items, dict) and all(isinstance(item, dict) for item in items.values()):
        return items
    raise IndexFormatError(
        f"The metadata {_ITEMS_KEY.decode()!r} is not a JSON object of STAC items. Write the index "
        "again, or leave this metadata out and pass items=[...]."
    )


def give_platforms(
    by_id: Mapping[str, Item], find_keys: Callable[[], Iterable[ItemKey]]
) -> dict[ItemKey, Item]:
    """Return items that are known by id alone, as earlier versions kept them, by key.

    If several platforms have rows with an id, and the item says another one, it cannot be told
    whose item it is: it keeps the platform that it says, and no row finds it.

    Args:
        by_id: Items by id.
        find_keys: Returns the keys of the rows; it is called if there are items.
    """
    platforms = group_by_id(find_keys() if by_id else ())
    found: dict[ItemKey, Item] = {}
    for item_id, item in by_id.items():
        rows = platforms[item_id]
        own = ItemKey(item_key(item).platform, item_id)
        found[rows[0] if len(rows) == 1 else own] = item
    return found


def _keys_of(table: pa.Table | pa.Schema) -> Collection[ItemKey]:
    has_keys = isinstance(table, pa.Table) and set(_COLUMNS) <= set(table.column_names)
    return row_keys(table) if has_keys else ()


# -- indexes ---------------------------------------------------------------------------------------


def index_of(table: pa.Table) -> str | None:
    """Return the address that `read_index` read a table from; None for any other table.

    A table may be written to a file or sent elsewhere, so that it keeps the address without
    signature and password. In the process that read it, these are remembered.

    A table that `concat_indexes` put together from several indexes is another table, too.

    Example:
        >>> index_of(pa.table({})) is None
        True
    """
    found = indexes_of(table)
    return found[0] if len(found) == 1 else None


def indexes_of(table: pa.Table) -> tuple[str, ...]:
    """Return the addresses that the parts of a table were read from.

    Example:
        >>> indexes_of(with_indexes(pa.table({}), ["index", "s3://bucket/index"]))
        ('index', 's3://bucket/index')
    """
    text = (table.schema.metadata or {}).get(_INDEX_KEY, b"").decode(errors="backslashreplace")
    return tuple(map(signed_address, text.split("\n"))) if text else ()


def remote_index_of(table: pa.Table, storage: Storage) -> str | None:
    """Return the address of a remote index that rows of a table were read from; None if of none.

    Whose rows are whose is not known, so that one remote index makes all of them remote.
    """
    return next((each for each in indexes_of(table) if distant(each, storage)), None)


def indexes_and_editions(table: pa.Table) -> dict[str, Known | None]:
    """Return the addresses that the parts of a table were read from, and the editions there."""
    hrefs = indexes_of(table)
    return dict(zip(hrefs, editions_of(table, len(hrefs)), strict=True))


def with_indexes(table: pa.Table, hrefs: Iterable[str] | Mapping[str, Known | None]) -> pa.Table:
    """Return the table with the addresses that its parts were read from in its metadata.

    Args:
        table: A table.
        hrefs: The addresses, if they are known with the editions of the files there.
    """
    plain = map(remember_signed, hrefs)
    metadata = {**(table.schema.metadata or {}), _INDEX_KEY: "\n".join(plain)}
    known = list(hrefs.values()) if isinstance(hrefs, Mapping) else []
    return with_editions(table.replace_schema_metadata(metadata), known)
