"""Tables of other libraries pass one door, without those libraries being imported."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import geopandas
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_table, rows_of
from stacchip.errors import UsageError
from stacchip.index import concat_indexes, read_index, validate, write_index
from stacchip.index.foreign.tables import as_table, is_table


class Exporting:
    """A table of a library that nobody knows."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def _as_geopandas(table, path):
    path = path / "index.parquet"
    pq.write_table(table, path)
    return geopandas.read_parquet(path)


FORMS = {
    "pyarrow": lambda table, _: table,
    "batch": lambda table, _: table.combine_chunks().to_batches()[0],
    "reader": lambda table, _: table.to_reader(),
    "pandas": lambda table, _: table.to_pandas(),
    "geopandas": _as_geopandas,
    "geopandas, as Arrow": lambda table, path: _as_geopandas(table, path).to_arrow(),
    "duckdb": lambda table, _: duckdb.from_arrow(table),
    "any stream": lambda table, _: Exporting(table),
    "views": lambda table, _: table.cast(
        pa.schema(
            field.with_type({pa.string(): pa.string_view()}.get(field.type, field.type))
            for field in table.schema
        )
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_any_library_is_written_and_put_together(tmp_path, form):
    ours = make_table()
    theirs = FORMS[form](ours, tmp_path)
    write_index(theirs, tmp_path / "index")
    assert rows_of(read_index(tmp_path / "index")) == rows_of(ours)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "reader"])
def test_a_table_of_any_library_is_checked_and_put_together(tmp_path, form):
    theirs = FORMS[form](make_table("b"), tmp_path)
    validate(theirs)
    both = concat_indexes([make_table("a"), theirs])
    assert both["item_id"].to_pylist() == ["a"] * 12 + ["b"] * 12


def test_the_index_of_a_data_frame_is_no_column():
    frame = make_table().to_pandas()
    assert as_table(frame[frame.chip_index_x == 1]).column_names == make_table().column_names


def test_a_named_index_of_a_data_frame_is_a_column():
    frame = make_table().to_pandas().set_index("chipid")
    assert rows_of(as_table(frame)) == rows_of(make_table())


@pytest.mark.parametrize("value", ["my-index", 3, {"chipid": ["a-0-0"]}, [1, 2], pa.Table])
def test_what_is_no_table_is_refused_by_its_type(value):
    assert not is_table(value)
    with pytest.raises(UsageError, match=type(value).__name__):
        as_table(value)


def test_a_column_that_arrow_cannot_hold_is_refused():
    frame = pd.DataFrame({"chipid": ["a-0-0"], "odd": [object()]})
    with pytest.raises(UsageError, match="odd"):
        as_table(frame)


def test_no_other_library_is_imported():
    program = (
        "import sys, pyarrow as pa\n"
        "from stacchip.index import SCHEMA, validate\n"
        "validate(SCHEMA.empty_table().to_reader())\n"
        "assert not {'geopandas', 'polars', 'duckdb'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
