"""Records of items: what an index keeps of each item beside its chips, as rows of `_items.parquet`.

A record has the whole STAC item and, where they were gathered, the headers of its assets' files, so
that a worker reads pixels without asking a catalogue or a header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import IndexFormatError
from stacchip.raster.header import Header
from stacchip.storage import unsign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pystac

__all__ = [
    "RECORD_SCHEMA",
    "ItemRecord",
    "from_table",
    "to_stored_item",
    "to_table",
    "without_signatures",
]

_ASSET: Final = pa.struct(
    [
        pa.field("key", pa.string()),
        # what a header says, but for its arrays: JSON, so that a new fact needs no new schema
        pa.field("header", pa.string()),
        pa.field("arrays", pa.map_(pa.string(), pa.binary())),
    ]
)
RECORD_SCHEMA: Final = pa.schema(
    [
        pa.field("platform", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("item_href", pa.string()),
        pa.field("item", pa.string()),
        pa.field("assets", pa.list_(_ASSET)),
    ]
)
"""The columns of `_items.parquet`: `item` is the STAC item's JSON, `assets` the headers at hand."""


@dataclass(frozen=True)
class ItemRecord:
    """What an index keeps of one item.

    Attributes:
        platform: Name of the source, as in the index.
        item_id: The item's id.
        item: The STAC item as a dictionary, unsigned.
        item_href: Where the item itself was read from; relative asset hrefs start there.
        headers: Headers of its assets' files, by asset key; empty where none were gathered.
    """

    platform: str
    item_id: str
    item: Mapping[str, Any]
    item_href: str | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)

    def same_item(self, other: ItemRecord) -> bool:
        """Whether both hold the same item. Links do not count: they say where a copy was found."""
        return _without_links(self.item) == _without_links(other.item)


def to_stored_item(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    """A STAC item as an index stores it: a dictionary in which no href is signed.

    Example:
        >>> asset = {"href": "https://example.com/B04.tif?versionId=7&X-Amz-Signature=abc"}
        >>> to_stored_item({"id": "a", "assets": {"red": asset}})["assets"]["red"]["href"]
        'https://example.com/B04.tif?versionId=7'
    """
    if not isinstance(item, Mapping):
        item = item.to_dict(include_self_link=True, transform_hrefs=False)
    stored: dict[str, Any] = _unsigned(item)
    return stored


def _unsigned(value: Any) -> Any:
    """A copy of a JSON value in which every `href` is without its signature."""
    if isinstance(value, Mapping):
        return {
            key: unsign(inner) if key == "href" and isinstance(inner, str) else _unsigned(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_unsigned(inner) for inner in value]
    return value


def _without_links(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "links"}


def without_signatures(chips: pa.Table) -> pa.Table:
    """Rows of an index in which no `item_href` is signed."""
    position = chips.schema.get_field_index("item_href")
    hrefs = chips["item_href"].combine_chunks().dictionary_encode()
    plain = [href and unsign(href) for href in hrefs.dictionary.to_pylist()]
    if plain == hrefs.dictionary.to_pylist():
        return chips
    unsigned = pa.array(plain, pa.string()).take(hrefs.indices)
    return chips.set_column(position, chips.schema.field(position), unsigned)


def to_table(records: Iterable[ItemRecord]) -> pa.Table:
    """Records as rows of `_items.parquet`, in the order given."""
    rows = [
        {
            "platform": record.platform,
            "item_id": record.item_id,
            "item_href": record.item_href,
            "item": _item_json(record.item),
            "assets": [_encode(key, record.headers[key]) for key in sorted(record.headers)],
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def from_table(table: pa.Table, *, href: str | None = None) -> Iterator[ItemRecord]:
    """Records from rows of `_items.parquet`.

    Raises:
        IndexFormatError: A row is no record; `href`, where the table comes from, is named.
    """
    try:
        for row in table.select(RECORD_SCHEMA.names).to_pylist():
            yield ItemRecord(
                platform=row["platform"],
                item_id=row["item_id"],
                item=json.loads(row["item"]),
                item_href=row["item_href"],
                headers=dict(_decode(asset) for asset in row["assets"] or ()),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise IndexFormatError(
            f"{href or 'The table'} does not hold records of items: {error}. "
            "Write the index again; its chips are not affected.",
            href=href,
        ) from error


def _item_json(item: Mapping[str, Any]) -> str:
    """An item's JSON, unsigned."""
    text = _to_json(item)
    # no signature is without a query or userinfo; looking through every item takes milliseconds
    return _to_json(to_stored_item(item)) if "?" in text or "@" in text else text


def _encode(key: str, header: Header) -> dict[str, Any]:
    """A header as the struct that `assets` holds."""
    record = header.to_record()
    arrays = {name: value for name, value in record.items() if isinstance(value, bytes)}
    facts = {name: value for name, value in record.items() if name not in arrays}
    return {"key": key, "header": _to_json(facts), "arrays": sorted(arrays.items())}


def _decode(asset: Mapping[str, Any]) -> tuple[str, Header]:
    return asset["key"], Header.from_record(
        {**json.loads(asset["header"]), **dict(asset["arrays"])}
    )


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored in an index")
