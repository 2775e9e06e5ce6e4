"""Records of items, which an index keeps beside its chips, as rows of `_items.parquet`.

A record has the whole STAC item and, if they were gathered, the headers of its assets' files: a
worker then reads pixels without a request for the item or a header. `RecordFile` makes one file of
records from many places, with one for each item.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from sys import intern
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from stacchip.errors import IndexFormatError
from stacchip.index.editions import Digests, to_metadata
from stacchip.index.files.item_addresses import store_records
from stacchip.index.files.spill import Spill
from stacchip.items.copies import is_same_item, to_json
from stacchip.items.keys import ItemKey, differing_copies
from stacchip.items.reach import is_out_of_reach, keep_origin
from stacchip.parquet.sealed_writer import SealedWriter
from stacchip.raster.header import Header
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from stacchip.index.editions import Editions

__all__ = [
    "RECORD_SCHEMA",
    "ItemRecord",
    "RecordFile",
    "decode_headers",
    "encode_headers",
    "from_table",
    "of_origin",
    "one_record",
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
# An item of 200,000 lists and objects, which is the most that an item has (`Limits.item_parts`),
# takes 10 MB. A position of its footprint has two or three values.
_MOST_TEXT: Final = 24 << 20
_MOST_PARTS: Final = 4_000_000
# Records of a row group, the smallest unit of a look-up; a record has about 30 KB. A look-up takes
# 2 ms with 32 records and 20 ms with 256, in files of the same size.
_RECORDS_PER_GROUP: Final = 32
_NONE_KEPT: Final[Editions] = {}


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

    @property
    def key(self) -> ItemKey:
        """The item's platform and id."""
        return ItemKey(self.platform, self.item_id)


def of_origin(record: ItemRecord, origin: str | None) -> ItemRecord:
    """Return a record as one of the place that gave it, so that it may be kept elsewhere.

    Args:
        record: The record.
        origin: Result of `stacchip.items.reach.distant` for its file.
    """
    if origin is None:
        return record
    href = record.item_href
    if href is not None and is_out_of_reach(href, origin):
        href = None
    return replace(record, item=keep_origin(record.item, origin), item_href=href)


def one_record(key: ItemKey, found: Iterable[tuple[ItemRecord, str]]) -> ItemRecord:
    """Return the one of several records of an item that has most headers; of equals, the first.

    Args:
        key: The item's key.
        found: The records, each with the address of its file.

    Raises:
        InvalidMetadata: They are of different items.
    """
    (best, origin), *others = found
    for record, href in others:
        if not is_same_item(best.item, record.item):
            raise differing_copies(key, best.item, record.item, (origin, href))
        if len(record.headers) > len(best.headers):
            best, origin = record, href
    return best


def to_table(records: Iterable[ItemRecord]) -> pa.Table:
    """Return records as rows of `_items.parquet`, in the order given."""
    rows = [
        {
            "platform": record.platform,
            "item_id": record.item_id,
            "item_href": record.item_href,
            "item": to_json(record.item),
            "assets": encode_headers(record.headers),
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
                platform=_text(row, "platform"),
                item_id=_text(row, "item_id"),
                item=_read_object(row["item"]),
                item_href=None if row["item_href"] is None else _text(row, "item_href"),
                headers=decode_headers(row["assets"] or ()),
            )
    except (*ODD_VALUES, pa.ArrowException) as error:
        raise IndexFormatError(
            f"{href or 'The table'} does not hold records of items: {error}. "
            "Write the index again; its chips are not affected.",
            href=href,
        ) from error


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row[name], str):
        raise TypeError(f"{name} is {row[name]!r}")
    return str(row[name])


def _read_object(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise ValueError(f"a record has {len(text):,} characters of JSON")
    value = parse_json(text, _MOST_PARTS)
    if not isinstance(value, dict):
        raise TypeError(f"it is no JSON object: {text[:40]!r}")
    return value


def encode_headers(headers: Mapping[str, Header]) -> list[dict[str, Any]]:
    """Return headers of an item's files, by asset key, as the column `assets` holds them."""
    return [_encode(key, headers[key]) for key in sorted(headers)]


def decode_headers(assets: Iterable[Mapping[str, Any]]) -> dict[str, Header]:
    """Return the headers in a value of the column `assets`, by asset key.

    Raises:
        LookupError: A value is missing.
        TypeError: A value is of another type.
        ValueError: A value is not one of a header.
    """
    return dict(_decode(asset) for asset in assets)


def _encode(key: str, header: Header) -> dict[str, Any]:
    """Return a header as the struct that `assets` holds."""
    record = header.to_record()
    arrays = {name: value for name, value in record.items() if isinstance(value, bytes)}
    facts = {name: value for name, value in record.items() if name not in arrays}
    return {"key": key, "header": to_json(facts), "arrays": sorted(arrays.items())}


def _decode(asset: Mapping[str, Any]) -> tuple[str, Header]:
    facts, arrays = _read_object(asset["header"]), dict(asset["arrays"])
    return _text(asset, "key"), Header.from_record({**facts, **arrays})


# -- the file of records -------------------------------------------------------------------------


class RecordFile:
    """Records of items put aside on disk, one for each platform and item id.

    Memory holds their ids only.

    Args:
        stage: A folder for the records that are put aside.
        folder: Address of the folder that the file will be in; None keeps addresses as they are.

    Attributes:
        editions: What the file that was written says; None if it says none.
    """

    editions: Editions | None = None

    def __init__(self, stage: Path, folder: str | None = None) -> None:
        self._folder = folder
        self._spill = Spill(stage / "records.spill")
        self._numbers: dict[tuple[str, str], int] = {}  # (item id, platform) -> batch in the spill
        self._origins: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.__exit__()

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._numbers

    def find(self, platform: str, item_id: str) -> ItemRecord | None:
        """Return the record of an item; None if there is none.

        Raises:
            IndexFormatError: It is broken.
        """
        there = self._numbers.get((item_id, platform))
        if there is None:
            return None
        table = pa.Table.from_batches([self._spill.read(there)], RECORD_SCHEMA)
        return next(from_table(table, href=self._origins[there]))

    def add(self, table: pa.Table, origin: str, *, only_new: bool = False) -> None:
        """Add rows of `_items.parquet`.

        If an item is there already, the two must agree; the record with more headers is kept.

        Args:
            table: Rows of `RECORD_SCHEMA`.
            origin: Their address, for errors.
            only_new: Leave out items that are already there, without comparing them.

        Raises:
            IndexFormatError: The table holds no records.
            InvalidMetadata: An item differs from the one that is already there under its id.
        """
        try:
            table = table.select(RECORD_SCHEMA.names).cast(RECORD_SCHEMA)
            for name in ("platform", "item_id", "item"):
                if table[name].null_count:
                    raise ValueError(f"{name} is null in a row")
            table.validate(full=True)
        except (*ODD_VALUES, pa.ArrowException) as error:
            raise IndexFormatError(
                f"{origin} does not hold records of items: {error}.", href=origin
            ) from error
        keys = zip(table["item_id"].to_pylist(), table["platform"].to_pylist(), strict=True)
        for row, (item_id, platform) in enumerate(keys):
            key = intern(item_id), intern(platform)
            record = table.slice(row, 1)
            there = self._numbers.get(key)
            if there is not None and (only_new or not self._replaces(record, there, origin)):
                continue
            self._numbers[key] = self._spill.append(record.combine_chunks().to_batches()[0])
            self._origins.append(origin)

    def _replaces(self, record: pa.Table, there: int, origin: str) -> bool:
        """Return True if a record has more headers than the one already there for its item."""
        old, new = self._spill.read(there).to_pylist()[0], record.to_pylist()[0]
        try:
            items = _read_object(old["item"]), _read_object(new["item"])
        except (*ODD_VALUES, pa.ArrowException) as error:
            raise IndexFormatError(
                f"{origin} does not hold records of items: {error}.", href=origin
            ) from error
        if not is_same_item(*items):
            key = ItemKey(new["platform"], new["item_id"])
            raise differing_copies(key, *items, (self._origins[there], origin))
        return len(new["assets"] or ()) > len(old["assets"] or ())

    def write(
        self,
        path: Path,
        *,
        leave_out: Collection[tuple[str, str]] = (),
        kept: Editions | None = _NONE_KEPT,
    ) -> Path:
        """Write the records as `_items.parquet`, sorted by item id and platform; return the path.

        Args:
            path: The file to write.
            leave_out: (item id, platform) of records to leave out.
            kept: The editions of sources whose records stay as they were; those of the others are
                worked out. None if the file that is replaced says no editions: nor does this one.
        """
        keys = [key for key in sorted(self._numbers) if key not in leave_out]
        digests = Digests()
        with _open_writer(path) as writer:
            for first in range(0, len(keys), _RECORDS_PER_GROUP):
                group = keys[first : first + _RECORDS_PER_GROUP]
                batches = [self._spill.read(self._numbers[key]) for key in group]
                table = pa.Table.from_batches(batches, RECORD_SCHEMA)
                if self._folder is not None:
                    table = store_records(table, self._folder)
                digests.add(table)
                writer.write_table(table)
            self.editions = None if kept is None else {**digests.editions(), **kept}
            if self.editions is not None:
                writer.add_metadata(to_metadata(self.editions))
        return path


def _open_writer(path: Path) -> SealedWriter:
    """Return a writer of `_items.parquet`; records are found by id, so only ids have statistics."""
    return SealedWriter(
        path,
        RECORD_SCHEMA,
        compression="zstd",
        use_dictionary=["platform"],
        write_statistics=["platform", "item_id"],
    )
