"""Headers of items' files put aside on disk, item by item, on their way to the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from stacchip.index.files.item_records import RECORD_SCHEMA, decode_headers, encode_headers
from stacchip.index.files.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacchip.items.keys import ItemKey
    from stacchip.raster.header import Header

__all__ = ["HeaderSpill"]

_SPILLED: Final = pa.schema([RECORD_SCHEMA.field("assets")])


class HeaderSpill:
    """Headers of any number of items; memory holds the items' keys only.

    Args:
        path: A file to create.

    Attributes:
        numbers: The number that `read` takes, for each item.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from stacchip.items.keys import ItemKey
        >>> with HeaderSpill(Path(tempfile.mkdtemp()) / "headers") as spill:
        ...     spill.add(ItemKey("naip", "a"), {})
        ...     spill.numbers, spill.read(0)
        ({ItemKey(platform='naip', item_id='a'): 0}, {})
    """

    def __init__(self, path: Path) -> None:
        self._spill = Spill(path)
        self.numbers: dict[ItemKey, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.__exit__()

    def add(self, key: ItemKey, headers: Mapping[str, Header]) -> None:
        """Put aside headers of an item, by asset key; they are added to those that are there."""
        if key in self.numbers:
            headers = {**self.read(self.numbers[key]), **headers}
        batch = pa.RecordBatch.from_pylist([{"assets": encode_headers(headers)}], _SPILLED)
        self.numbers[key] = self._spill.append(batch)

    def read(self, number: int) -> dict[str, Header]:
        """Return the headers of an item, by its number."""
        return decode_headers(self._spill.read(number).to_pylist()[0]["assets"])
