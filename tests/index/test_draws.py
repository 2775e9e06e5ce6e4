"""A few rows of an index are drawn without a look at the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_table, make_tables
from servers.range_server import RangeServer
from stacchip.index import concat_indexes, index_of, read_index, write_index
from stacchip.index.draws import count_items, count_rows, draw_evenly, read_evenly, read_places
from stacchip.index.nulls import may_be_null
from stacchip.items.keys import ItemKey
from stacchip.storage import Storage

FILTERS = [
    {},
    {"max_cloud": 0.5},
    {"item_id": ["item-001", "item-003", "nowhere"]},
    {"platform": "landsat-c2l2-sr", "bbox": (-180, 0, 180, 90)},
    {"item_id": "nowhere"},
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two files, one for each source."""
    path = tmp_path_factory.mktemp("draws") / "index"
    write_index(concat_indexes(make_tables(8)), path)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that says which rows are of which item."""
    path = tmp_path_factory.mktemp("draws") / "index"
    write_index(concat_indexes([make_table(each, chips=(170, 170)) for each in "abc"]), path)
    assert (path / "_contents.parquet").exists()
    return path


def test_a_seed_draws_the_same_chips_as_ever() -> None:
    counts = {ItemKey("b", "z"): 1000, ItemKey("a", "x"): 5, ItemKey("a", "y"): 40}
    drawn = draw_evenly(counts, 9, seed=3)
    assert {"".join(key): rows.tolist() for key, rows in drawn.items()} == {
        "ax": [4, 0],
        "ay": [7, 32],
        "bz": [433, 93, 579, 39, 331],
    }


@pytest.mark.parametrize("filters", FILTERS)
def test_chips_are_drawn_on_disk_as_in_memory(small: Path, filters) -> None:
    table = read_index(small, **filters)
    chosen, counts = read_evenly(small, 10, 4, Storage(), filters)

    assert counts == count_rows([table])
    assert counts.total() == table.num_rows
    wanted = draw_evenly(counts, 10, 4)
    expected: list[dict] = []
    for key, rows in wanted.items():
        of_item = [
            row for row in table.to_pylist() if ItemKey(row["platform"], row["item_id"]) == key
        ]
        expected += [of_item[place] for place in rows]
    assert sorted(chosen["chipid"].to_pylist()) == sorted(row["chipid"] for row in expected)
    order = {row["chipid"]: place for place, row in enumerate(table.to_pylist())}
    places = [order[chipid] for chipid in chosen["chipid"].to_pylist()]
    assert places == sorted(places), "they are in the order of the index"
    assert index_of(chosen) == index_of(table), "so that their items are found"


def test_the_draw_does_not_depend_on_row_groups(tmp_path: Path) -> None:
    rows = concat_indexes(make_tables(8))
    drawn = []
    for size in (1, 7, 1000):
        pq.write_table(rows, tmp_path / "a.parquet", row_group_size=size)
        chosen, _ = read_evenly(tmp_path / "a.parquet", 9, 1, Storage(), {"max_nodata": 0.4})
        drawn.append(chosen["chipid"].to_pylist())
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(drawn[0]) == 9


def test_whole_items_are_counted_without_their_chips(large: Path, monkeypatch) -> None:
    table = read_index(large)
    counts = {
        filters: count_items(large, Storage(), {"item_id": filters}) for filters in ("a", "c")
    }
    assert counts == {name: {ItemKey("sentinel-2-l2a", name): 28_900} for name in ("a", "c")}
    assert count_items(large, Storage(), {"datetime": "1999"}) == Counter()
    assert count_items(large, Storage(), {}) == count_rows([table])

    def scan(*_, **__):
        raise AssertionError("chips are read")

    monkeypatch.setattr("stacchip.index.draws.scan_numbered", scan)
    assert count_items(large, Storage(), {"platform": "sentinel-2-l2a"}).total() == 3 * 28_900
    with pytest.raises(AssertionError, match="chips are read"):
        count_items(large, Storage(), {"max_cloud": 0.5})


def test_an_item_that_is_not_there_is_reported(large: Path, caplog) -> None:
    count_items(large, Storage(), {"item_id": ["a", "aa"]})
    assert "no item 'aa'" in caplog.text


def test_a_draw_reads_a_part_of_the_index(tmp_path: Path) -> None:
    items = [make_table(f"item-{n:02}", chips=(170, 170), day=n) for n in range(8)]
    pq.write_table(
        concat_indexes(items),
        tmp_path / "chips.parquet",
        row_group_size=170 * 170,
        compression=None,
    )
    size = (tmp_path / "chips.parquet").stat().st_size
    with RangeServer(tmp_path) as server:
        before = server.bytes
        chosen, _ = read_evenly(server.url("chips.parquet"), 1, 0, Storage(), {"max_cloud": 0.9})
        sent = server.bytes - before
    assert chosen.num_rows == 1
    assert sent < size / 4, "ids and shares of all chips, and one row group of eight"


def test_places_among_chosen_chips_are_found(small: Path) -> None:
    for filters in FILTERS[:4]:
        table = read_index(small, **filters)
        places = np.arange(0, table.num_rows, 3)
        found = read_places(small, places, Storage(), filters)
        assert found["chipid"].to_pylist() == table["chipid"].take(pa.array(places)).to_pylist()


def test_columns_of_an_index_that_are_never_null_are_known(small: Path, tmp_path: Path) -> None:
    assert not may_be_null(small, "bbox", Storage())
    assert may_be_null(small, "shadow_percentage", Storage())
    rows = make_table()
    pq.write_table(rows.drop_columns("bbox"), tmp_path / "a.parquet")
    assert may_be_null(tmp_path / "a.parquet", "bbox", Storage()), "it is derived"
    pq.write_table(rows, tmp_path / "b.parquet", write_statistics=False)
    assert may_be_null(tmp_path / "b.parquet", "bbox", Storage()), "nothing tells"
