"""pyarrow is given the row groups that are asked for, and reads of them what it reads of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stacchip.index.files import arrow_view
from stacchip.index.files.opening import open_parquet
from stacchip.parquet.footer import Footer
from stacchip.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from stacchip.index.files.parquet import ParquetFile

ROWS, ROWS_PER_GROUP = 100, 7
TABLE = pa.table(
    {
        "item_id": [f"item-{row // 10}" for row in range(ROWS)],
        "day": pa.array(range(ROWS), pa.date32()),
        "when": pa.array(range(ROWS), pa.timestamp("ms", "UTC")),
        "kind": pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode(),
        "many": pa.array([["x"] * (row % 3) for row in range(ROWS)], pa.large_list(pa.string())),
    }
).replace_schema_metadata({"large": "x" * 100_000})


@pytest.fixture(params=["whole", "parts"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrow_view, "_SMALL_BYTES", 1 << 20 if request.param == "whole" else 0)
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path, row_group_size=ROWS_PER_GROUP)
    return open_parquet(str(path), Storage())


def test_the_schema_has_the_metadata_of_the_file(file: ParquetFile) -> None:
    assert file.view.schema.equals(pq.read_schema(file.href), check_metadata=True)
    assert file.view.metadata[b"large"] == b"x" * 100_000


def test_any_row_groups_are_read_as_they_are(file: ParquetFile) -> None:
    where = pc.field("item_id") == "item-4"
    rows = TABLE.slice(40, 10).replace_schema_metadata()
    assert file.read().replace_schema_metadata() == TABLE.replace_schema_metadata()
    assert file.read(where=where).replace_schema_metadata() == rows
    assert file.read(where=where, among=[1, 6, 13]).num_rows == 7, "rows 42 to 48"
    assert file.count(where) == 10
    assert file.count(where, among=[1, 6, 13]) == 7
    taken = file.take(np.array([99, 3, 50, 3]))
    assert taken["item_id"].to_pylist() == ["item-9", "item-0", "item-5", "item-0"]
    assert taken.schema.types == TABLE.schema.types


def test_pyarrow_sees_no_other_row_groups(file: ParquetFile, monkeypatch) -> None:
    given: list[list[int]] = []
    only = Footer.only

    def tell(self: Footer, groups, **options) -> bytes:
        given.append(list(groups))
        return only(self, groups, **options)

    monkeypatch.setattr(Footer, "only", tell)
    file.read(["day"], pc.field("item_id") == "item-4", among=[1, 6, 13])
    is_whole = file.view._whole is not None
    assert given == ([] if is_whole else [[1, 6, 13], [6]])


def test_a_part_of_a_footer_is_a_footer(file: ParquetFile) -> None:
    part = file.footer.only([2, 14, 0])
    end = part + len(part).to_bytes(4, "little") + b"PAR1"
    seen = pq.read_metadata(pa.BufferReader(b"PAR1" + end))
    assert seen.num_rows == 2 * ROWS_PER_GROUP + 2, "the last one has two"
    assert [seen.row_group(number).num_rows for number in range(3)] == [7, 2, 7]
    assert set(seen.metadata) == {b"ARROW:schema"}
