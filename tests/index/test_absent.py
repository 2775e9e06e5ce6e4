"""A filter that names what an index lacks is told what there is."""

from __future__ import annotations

import pyarrow as pa
import pytest

from index.tables import make_table
from stacchip.index import merge_indexes, read_index, scan_index, write_index


@pytest.fixture(params=["folder", "file", "many folders"])
def index(request, tmp_path):
    """Two items of Sentinel-2 and one of NAIP."""
    tables = [make_table("S2A_35TLF"), make_table("S2B_35TLF"), make_table("m_47", platform="naip")]
    if request.param == "many folders":
        for number, table in enumerate(tables):
            write_index(table, tmp_path / "index" / str(number))
        return tmp_path / "index"
    if request.param == "folder":
        for number, table in enumerate(tables):
            write_index(table, tmp_path / "parts" / str(number))
        merge_indexes(tmp_path / "parts", tmp_path / "index")
        return tmp_path / "index"
    write_index(pa.concat_tables(tables), tmp_path / "index.parquet")
    return tmp_path / "index.parquet"


def read(path, **filters):
    return read_index(path, **filters).num_rows


def scan(path, **filters):
    return sum(part.num_rows for part in scan_index(path, **filters))


@pytest.mark.parametrize("reading", [read, scan])
def test_a_platform_that_is_not_there_is_said_with_those_that_are(index, reading, caplog):
    assert reading(index, platform="sentinel-2") == 0
    assert "'sentinel-2'; it has: naip, sentinel-2-l2a" in caplog.text


@pytest.mark.parametrize("reading", [read, scan])
def test_an_item_that_is_not_there_is_said_with_those_it_may_mean(index, reading, caplog):
    assert reading(index, item_id="S2A_35TLG") == 0
    assert "'S2A_35TLG'; close to it are: S2A_35TLF" in caplog.text
    assert reading(index, item_id="elephant") == 0
    assert "'elephant'; it has: S2A_35TLF" in caplog.text


def test_one_of_several_names_is_said(index, caplog):
    assert read(index, platform=["naip", "landsat"], columns=["chipid"]) == 12
    assert "'landsat'" in caplog.text
    assert "'naip'" not in caplog.text


@pytest.mark.parametrize(
    "filters",
    [
        {"platform": "naip"},
        {"platform": ["naip", "sentinel-2-l2a"], "columns": ["chipid"]},
        {"platform": "naip", "max_cloud": 0.0, "bbox": (100, 0, 101, 1)},
        {"item_id": "m_47", "datetime": "1999"},
        {"item_id": ["m_47", "S2A_35TLF"]},
        {"item_id": "m_47", "platform": "sentinel-2-l2a"},
    ],
    ids=str,
)
def test_a_name_that_is_there_is_not_said_even_if_nothing_is_found(index, filters, caplog):
    read(index, **filters)
    assert "has no" not in caplog.text
