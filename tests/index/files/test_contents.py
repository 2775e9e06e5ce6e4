"""`_contents.parquet` says which rows are of which item, and never of other files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.tables import make_table
from stacchip.cli.index_views.summary import COLUMNS, summarise, summarise_runs
from stacchip.errors import IndexFormatError, IndexReplaced
from stacchip.index import (
    concat_indexes,
    merge_indexes,
    read_index,
    read_runs,
    remove,
    scan_index,
    write_index,
)
from stacchip.index.files.contents import CONTENTS, FolderContents, RunCounter, count_tenths
from stacchip.index.files.opening import open_parquet
from stacchip.index.on_disk import StoredIndex
from stacchip.index.schema import SCHEMA
from stacchip.storage import Storage

ITEMS = 9


@pytest.fixture(scope="module")
def tables() -> list[pa.Table]:
    """Three items of a platform and six of another, with ids that tell nothing of their place."""
    return [
        make_table(
            f"item-{7 * number % ITEMS}",
            platform="landsat-c2l2-sr" if number < 3 else "sentinel-2-l2a",
            chips=(130, 130),
            day=number,
            north=1_000_000 + 600_000 * number,
        )
        for number in range(ITEMS)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tables: list[pa.Table]) -> Path:
    """An index of two sources and eight row groups."""
    root = tmp_path_factory.mktemp("contents")
    for number, table in enumerate(tables):
        write_index(table, root / f"parts/{number}")
    merge_indexes(root / "parts", root / "index")
    return root / "index"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the index, to change."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def expected_runs(rows: pa.Table) -> list[dict[str, object]]:
    """The runs of rows, one by one."""
    runs: list[dict[str, object]] = []
    for number, key in enumerate(
        zip(*(rows[name].to_pylist() for name in ("platform", "item_id", "chip_size")), strict=True)
    ):
        if not runs or runs[-1]["key"] != key:
            runs.append({"key": key, "first": number, "rows": 0})
        runs[-1]["rows"] += 1
    return runs


def test_each_item_is_one_run_of_rows_with_its_bounds_and_shares(folder: Path) -> None:
    whole, runs = read_index(folder), read_runs(folder)
    assert runs is not None
    assert runs.num_rows == ITEMS
    for run, wanted in zip(runs.to_pylist(), expected_runs(whole), strict=True):
        rows = whole.slice(run["first"], run["rows"])
        assert (run["first"], run["rows"]) == (wanted["first"], wanted["rows"])
        assert (run["platform"], run["item_id"], run["chip_size"]) == wanted["key"]
        for side, end in (("xmin", "min"), ("ymin", "min"), ("xmax", "max"), ("ymax", "max")):
            assert run["bbox"][side] == pc.min_max(pc.struct_field(rows["bbox"], side))[end].as_py()
        cloud = rows["cloud_cover_percentage"].to_numpy()
        assert (run["cloud_min"], run["cloud_max"]) == (cloud.min(), cloud.max())
        assert run["cloud_mean"] == pytest.approx(cloud.mean(dtype=float))
        assert run["cloud_unmeasured"] == 0
        assert sum(run["cloud_tenths"]) == len(rows)
        assert run["datetime"] == rows["datetime"][0].as_py()


FILTERS = [
    {"item_id": "item-7"},
    {"item_id": ["item-0", "nowhere"]},
    {"platform": "landsat-c2l2-sr", "max_cloud": 0.1},
    {"datetime": "2024-01-04/2024-01-05"},
    {"bbox": (-180, 20, 180, 21)},
    {"bbox": (-180, -90, 180, -80)},
    {"item_id": "item-7", "where": pc.field("chip_index_x") == 3},
]


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_find_the_same_chips_with_it_and_without(folder: Path, filters) -> None:
    found = read_index(folder, **filters)
    parts = [part.num_rows for part in scan_index(folder, **filters)]
    (folder / CONTENTS).unlink()

    assert read_runs(folder) is None
    assert found.equals(read_index(folder, **filters))
    assert sum(parts) == found.num_rows


def test_an_item_is_read_from_its_row_group_alone(folder: Path) -> None:
    """Others may be damaged: by their statistics they could have it, and are not looked at."""
    wanted = read_index(folder, item_id="item-4")
    path = folder / "chips-sentinel-2-l2a.parquet"
    data = bytearray(path.read_bytes())
    file = open_parquet(str(path), Storage())
    spared = {int(file.starts.searchsorted(row, "right")) - 1 for row in rows_of(path, "item-4")}
    for number, group in enumerate(file.footer.groups):
        if number not in spared:
            for chunk in group.chunks:
                data[chunk.start + chunk.length - 1] ^= 0xFF
    path.write_bytes(data)

    assert len(spared) < len(file.footer.groups)
    assert read_index(folder, item_id="item-4").equals(wanted)
    assert read_index(folder, item_id="item-4", max_cloud=0.5).num_rows < len(wanted)
    (folder / CONTENTS).unlink()
    with pytest.raises(IndexFormatError, match="damaged"):
        read_index(folder, item_id="item-4")


def rows_of(path: Path, item_id: str) -> list[int]:
    """The numbers of an item's rows in a file."""
    ids = pq.read_table(path, columns=["item_id"])["item_id"]
    return np.flatnonzero(pc.equal(ids, item_id).to_numpy()).tolist()


def test_it_is_not_believed_of_another_file(folder: Path, tables: list[pa.Table]) -> None:
    name = "chips-sentinel-2-l2a.parquet"
    rows = pq.read_table(folder / name)
    other = rows.take(pa.array(np.arange(len(rows))[::-1]))
    pq.write_table(other, folder / name, row_group_size=20_000)

    found = read_index(folder, item_id="item-4")

    assert read_runs(folder) is None
    assert found["chipid"].to_pylist() == [
        each for each in other["chipid"].to_pylist() if each.startswith("item-4-")
    ]


def test_it_stays_true_when_an_item_is_removed(folder: Path) -> None:
    before = (folder / CONTENTS).read_bytes()
    remove(folder, item_id="item-7")
    assert (folder / CONTENTS).read_bytes() == before
    runs = read_runs(folder)
    assert runs is not None
    assert "item-7" not in runs["item_id"].to_pylist()
    assert pc.sum(runs["rows"]).as_py() == read_index(folder, columns=["chipid"]).num_rows


def test_an_item_is_found_without_a_look_at_shares(folder: Path) -> None:
    path = folder / CONTENTS
    file = open_parquet(str(path), Storage())
    data = bytearray(path.read_bytes())
    (leaf,) = [n for n, each in enumerate(file.footer.columns) if each.path[0] == b"cloud_tenths"]
    chunk = file.footer.groups[0].chunks[leaf]
    data[chunk.start + chunk.length - 1] ^= 0xFF
    path.write_bytes(data)

    assert read_index(folder, item_id="item-7").num_rows == 130 * 130
    with pytest.raises(IndexFormatError, match=CONTENTS):
        read_runs(folder)


def test_further_columns_are_read_beside_those_read_earlier(folder: Path) -> None:
    contents = FolderContents(Storage())
    chips = str(folder / "chips-sentinel-2-l2a.parquet")
    first = contents.of(chips, ["item_id"])
    second = contents.of(chips, ["bbox"])
    assert first is not None
    assert second is not None
    assert first.table.column_names == ["file", "first", "rows", "item_id"]
    assert second.table.column_names == ["file", "first", "rows", "item_id", "bbox"]
    assert contents.of(chips, ["item_id"]) is second
    assert second.table.equals(pq.read_table(folder / CONTENTS).select(second.table.column_names))


def test_columns_of_two_versions_do_not_come_together(folder: Path) -> None:
    contents = FolderContents(Storage())
    chips = str(folder / "chips-sentinel-2-l2a.parquet")
    contents.of(chips, ["item_id"])
    fewer = pq.read_table(folder / CONTENTS).slice(3)
    pq.write_table(fewer, folder / CONTENTS)
    found = contents.of(chips, ["chip_size"])
    assert found is not None
    assert found.table.equals(fewer.select(["file", "first", "rows", "item_id", "chip_size"]))


def test_the_runs_of_a_file_need_not_come_together(folder: Path) -> None:
    runs = read_runs(folder)
    stored = pq.read_table(folder / CONTENTS)
    mixed = stored.take(pa.array([3, 0, 4, 5, 1, 6, 7, 2, 8]))
    pq.write_table(mixed, folder / CONTENTS)
    assert runs is not None
    assert runs.equals(read_runs(folder))


@pytest.mark.parametrize("order", [[1, 0, *range(2, 9)], [0, 1, *range(2, 9), 2]])
def test_runs_that_do_not_follow_one_another_are_not_believed(folder: Path, order) -> None:
    wanted = read_index(folder, item_id="item-7")
    stored = pq.read_table(folder / CONTENTS)
    pq.write_table(stored.take(pa.array(order)), folder / CONTENTS)
    assert read_runs(folder) is None
    assert read_index(folder, item_id="item-7").equals(wanted)


def test_an_open_index_reads_further_columns_of_its_own_runs(folder: Path) -> None:
    wanted = read_runs(folder)
    index = StoredIndex.open(folder, Storage())
    assert index is not None
    assert wanted is not None
    assert "bbox" not in index.runs.column_names
    assert index.runs.equals(wanted.select(index.runs.column_names))
    assert index.read_runs(["bbox"]).equals(wanted.select(["file", "first", "rows", "bbox"]))

    (folder / CONTENTS).unlink()
    with pytest.raises(IndexReplaced):
        index.read_runs(["cloud_mean"])


def test_an_index_of_few_chips_has_none(tmp_path: Path) -> None:
    write_index(make_table(), tmp_path)
    assert not (tmp_path / CONTENTS).exists()


def test_damage_is_said_and_mended_by_the_next_writer(folder: Path, tables) -> None:
    data = bytearray((folder / CONTENTS).read_bytes())
    data[20] ^= 0xFF
    (folder / CONTENTS).write_bytes(data)
    with pytest.raises(IndexFormatError, match=CONTENTS):
        read_index(folder, item_id="item-7")

    write_index(concat_indexes(tables), folder)
    assert read_index(folder, item_id="item-7").num_rows == 130 * 130


def test_one_of_another_version_is_passed_over(folder: Path) -> None:
    wanted = read_index(folder, item_id="item-7")
    pq.write_table(pa.table({"file": ["chips.parquet"]}), folder / CONTENTS)
    assert read_index(folder, item_id="item-7").equals(wanted)


def test_the_summary_of_an_index_is_the_same_from_its_items(folder: Path) -> None:
    runs = read_runs(folder)
    assert runs is not None
    chips = summarise(scan_index(folder, columns=COLUMNS))
    assert summarise_runs(runs).document() == chips.document()


def test_rows_in_random_order_are_not_counted_as_items() -> None:
    rows = concat_indexes([make_table("a", chips=(60, 60)), make_table("b", chips=(60, 60))])
    order = np.random.default_rng(0).permutation(len(rows))
    counter = RunCounter()
    counter.add(rows.take(pa.array(order)))
    assert counter.finish("chips.parquet") is None


def test_what_is_not_known_of_chips_is_null_in_their_item() -> None:
    rows = make_table("a")
    for name in ("cloud_cover_percentage", "bbox"):
        place = rows.schema.get_field_index(name)
        field = SCHEMA.field(name)
        rows = rows.set_column(place, field, pa.nulls(len(rows), field.type))
    counter = RunCounter()
    counter.add(rows)
    found = counter.finish("chips.parquet")
    assert found is not None
    (run,) = found.to_pylist()
    assert run["bbox"] is None
    assert run["cloud_mean"] is None
    assert run["cloud_unmeasured"] == len(rows)


@given(st.lists(st.floats(0, 1, width=32)))
def test_tenths_are_those_of_numpy(values: list[float]) -> None:
    shares = np.array(values, np.float32)
    expected, _ = np.histogram(shares, bins=np.linspace(0, 1, 11, dtype=np.float32))
    assert count_tenths(shares, np.zeros(len(shares), np.int64), 1)[0].tolist() == expected.tolist()
