"""Records of items, which an index keeps beside its chips, as rows of `_items.parquet`.

A record has the whole STAC item and, if they were gathered, the headers of its assets' files: a
worker then reads pixels without a request for the item or a header.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from stacchip.errors import IndexFormatError
from stacchip.items.copies import to_json
from stacchip.raster.header import Header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "RECORD_SCHEMA",
    "ItemRecord",
    "from_table",
    "to_table",
]

_ASSET: Final = pa.struct(
    [
        pa.field("key", pa.string()),
        # a header without its arrays, as JSON, so that a new fact needs no new schema
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
"""The columns of `_items.parquet`: `item` is the STAC item's JSON, `assets` its files' headers."""


@dataclass(frozen=True)
class ItemRecord:
    """The record of one item.

    Attributes:
        platform: Name of the source, as in the index.
        item_id: The item's id.
        item: The STAC item as a dictionary; it is written without signatures.
        item_href: Address of the item; relative asset hrefs are relative to it.
        headers: Headers of its assets' files, by asset key; empty if none were gathered.
    """

    platform: str
    item_id: str
    item: Mapping[str, Any]
    item_href: str | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)


def to_table(records: Iterable[ItemRecord]) -> pa.Table:
    """Return records as rows of `_items.parquet`, in the order given."""
    rows = [
        {
            "platform": record.platform,
            "item_id": record.item_id,
            "item_href": record.item_href,
            "item": to_json(record.item),
            "assets": [_encode(key, record.headers[key]) for key in sorted(record.headers)],
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def from_table(table: pa.Table, *, href: str | None = None) -> Iterator[ItemRecord]:
    """Yield records from rows of `_items.parquet`.

    Raises:
        IndexFormatError: A row is not a record; the error names `href`, the table's address.
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


def _encode(key: str, header: Header) -> dict[str, Any]:
    """Return a header as the struct that `assets` holds."""
    record = header.to_record()
    arrays = {name: value for name, value in record.items() if isinstance(value, bytes)}
    facts = {name: value for name, value in record.items() if name not in arrays}
    return {"key": key, "header": to_json(facts), "arrays": sorted(arrays.items())}


def _decode(asset: Mapping[str, Any]) -> tuple[str, Header]:
    return asset["key"], Header.from_record(
        {**json.loads(asset["header"]), **dict(asset["arrays"])}
    )
