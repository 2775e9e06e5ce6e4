"""Writing a file with chips, and counting whose they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from stacchip.index.editions import to_metadata
from stacchip.index.files.contents import KnownRuns, RunCounter
from stacchip.index.files.item_addresses import store_addresses
from stacchip.index.further_columns import further_types, is_measured, is_text
from stacchip.index.schema import SCHEMA
from stacchip.parquet.sealed_writer import SealedWriter

if TYPE_CHECKING:
    from pathlib import Path

    from stacchip.index.editions import Editions

__all__ = ["ROWS_PER_GROUP", "ChipsWriter"]

ROWS_PER_GROUP: Final = 50_000
"""Rows of a row group, the smallest unit of a filtered read: about 5 MB."""

# Columns whose values repeat; a chipid is different in every row.
_REPEATING: Final = ["platform", "item_id", "crs", "item_href", "chip_size", "date", "datetime"]
# Readers skip row groups by the statistics of these. A footprint's bytes have no useful statistics.
_MEASURED: Final = [
    path
    for field in SCHEMA
    if field.name != "geometry"
    for path in (
        [f"{field.name}.{side.name}" for side in field.type]
        if pa.types.is_struct(field.type)
        else [field.name]
    )
]

# A column of a row group is one page: the header of each is looked at before it is read, and large
# ones are decoded a tenth faster. Bounds whose bytes are apart take half of the space.
_PAGES: Final[dict[str, Any]] = {
    "data_page_size": 16 << 20,
    "use_byte_stream_split": [f"bbox.{side.name}" for side in SCHEMA.field("bbox").type],
}
if "max_rows_per_page" in signature(pq.ParquetWriter).parameters:  # earlier versions have no limit
    _PAGES["max_rows_per_page"] = ROWS_PER_GROUP


@dataclass(frozen=True)
class ChipsWriter:
    """A writer of a file with chips; use it in a `with` statement.

    Attributes:
        file: The file.
        folder: Address of the folder that it will be in.
        editions: The editions of its sources, which it says at the end; None to say none.
        runs: Counts the items whose chips are written, unless they are known.
    """

    file: SealedWriter
    folder: str
    editions: Editions | None = None
    runs: RunCounter | KnownRuns = field(default_factory=RunCounter)

    @classmethod
    def open(
        cls,
        path: Path,
        schema: pa.Schema,
        folder: str,
        editions: Editions | None,
        runs: pa.Table | None = None,
    ) -> ChipsWriter:
        """Return a writer of a new file: GeoParquet 1.1, compressed with ZSTD.

        Args:
            path: The file to write.
            schema: The schema of its rows.
            folder: Address of the folder that it will be in.
            editions: As in `ChipsWriter`.
            runs: Which rows will be of which item, if that is known: rows of `CONTENTS_SCHEMA`.
        """
        further = further_types(schema)
        file = SealedWriter(
            path,
            schema,
            compression="zstd",
            # names of splits repeat; pyarrow itself gives up on texts that do not
            use_dictionary=[*_REPEATING, *(name for name in further if is_text(further[name]))],
            write_statistics=[
                *_MEASURED,
                *(name for name in further if is_measured(further[name])),
            ],
            **_PAGES,
        )
        known = RunCounter() if runs is None else KnownRuns(store_addresses(runs, folder))
        return cls(file, folder, editions, known)

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write chips, with the addresses of items as an index holds them."""
        stored = store_addresses(table, self.folder)
        self.file.write_table(stored, row_group_size)
        self.runs.add(stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self.editions is not None:
            self.file.add_metadata(to_metadata(self.editions))
        self.file.__exit__(kind, *rest)
