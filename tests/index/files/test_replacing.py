"""Writers are killed before each step that readers can see, and at random moments."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time

import geopandas
import pyarrow.parquet as pq
import pytest

from index import dying
from index.tables import make_item, make_table, make_tables, rows_of
from stacchip.errors import IndexFormatError, UsageError
from stacchip.index import (
    SCHEMA,
    ItemRecord,
    concat_indexes,
    merge_indexes,
    read_index,
    read_records,
    remove,
    write_index,
)
from stacchip.index.files.item_records import to_table
from stacchip.index.files.replacing import Replacement
from stacchip.storage import Storage


def by_source(table):
    sources = {}
    for row in rows_of(table):
        sources.setdefault(row["platform"], []).append(row)
    return sources


@pytest.fixture(scope="module")
def old_and_new(tmp_path_factory):
    """An index of two sources, and what is merged over it: changed, new and gone sources."""
    folder = tmp_path_factory.mktemp("killed")
    old = [*make_tables(4), make_table("gone", platform="gone")]
    new = [*make_tables(6)[1:], make_table("fresh", platform="naip")]
    for name, tables in (("old", old), ("new", new)):
        write_index(concat_indexes(tables), folder / name)
    return folder


def steps_of(tmp_path, old, write, argument):
    """The index after the writer died before its first step, its second, ... and the last time."""
    for step in range(50):
        index = tmp_path / f"step-{step}"
        if old is not None:
            shutil.copytree(old, index)
        writer = dying.start(write, index, argument, die_at=step)
        writer.join(60)
        assert writer.exitcode in (0, 9)
        yield index, writer.exitcode == 0
        if writer.exitcode == 0:
            return


def test_a_merge_over_an_index_leaves_each_source_old_or_new(old_and_new, tmp_path):
    old, new = (read_index(old_and_new / name) for name in ("old", "new"))
    states = (by_source(old), by_source(new))
    steps = 0
    for index, is_done in steps_of(tmp_path, old_and_new / "old", dying.merge, old_and_new / "new"):
        found = read_index(index)
        for source in {**states[0], **states[1]}:
            here = by_source(found).get(source, [])
            assert here in [state.get(source, []) for state in states]
        # tools that open the whole folder see the same
        assert sorted(geopandas.read_parquet(index)["chipid"]) == sorted(
            found["chipid"].to_pylist()
        )
        recorded = {(record.platform, record.item_id) for record in read_records(index)}
        assert {(row["platform"], row["item_id"]) for row in rows_of(found)} <= recorded
        assert (rows_of(found) == rows_of(new)) or not is_done
        steps += 1
    assert steps > 6
    assert rows_of(read_index(tmp_path / "step-0")) == rows_of(old)


def test_a_new_index_is_refused_until_it_is_whole(old_and_new, tmp_path):
    new = rows_of(read_index(old_and_new / "new"))
    refused = 0
    for index, is_done in steps_of(tmp_path, None, dying.merge, old_and_new / "new"):
        if is_done:
            assert rows_of(read_index(index)) == new
        elif (index / "_index.json").exists():
            try:
                assert rows_of(read_index(index)) == new
            except IndexFormatError as error:
                assert "not complete" in str(error)
                refused += 1
        # and the next merge ends the work
        merge_indexes(old_and_new / "new", index)
        assert rows_of(read_index(index)) == new
    assert refused > 2


def test_a_remove_leaves_the_chips_or_takes_them(old_and_new, tmp_path):
    old = read_index(old_and_new / "old")
    for index, is_done in steps_of(tmp_path, old_and_new / "old", dying.remove_item, "item-001"):
        left = [row for row in rows_of(old) if row["item_id"] != "item-001"]
        found = rows_of(read_index(index))
        assert found in (rows_of(old), left)
        if found == rows_of(old):
            remove(index, item_id="item-001")
        assert rows_of(read_index(index)) == left
        assert is_done or found


def test_killed_at_any_moment_a_merge_leaves_the_old_index_whole(old_and_new, tmp_path):
    rng = random.Random(1)
    old, new = (by_source(read_index(old_and_new / name)) for name in ("old", "new"))
    index = tmp_path / "index"
    shutil.copytree(old_and_new / "old", index)
    started = time.monotonic()
    dying.start(dying.merge, index, old_and_new / "old").join(60)
    longest = time.monotonic() - started
    for _ in range(30):
        writer = dying.start(dying.merge, index, old_and_new / rng.choice(["old", "new"]))
        time.sleep(rng.uniform(0, 1.2) * longest)
        writer.kill()
        writer.join(60)
        for source, rows in by_source(read_index(index)).items():
            assert rows in (old.get(source), new.get(source))
        assert len(geopandas.read_parquet(index)) == read_index(index).num_rows
    # what the killed ones left behind is cleared away by the next
    merge_indexes(old_and_new / "new", index)
    assert {path.name for path in index.iterdir()} == {
        "_index.json", "_items.parquet", "chips-landsat-c2l2-sr.parquet",
        "chips-naip.parquet", "chips-sentinel-2-l2a.parquet",
    }  # fmt: skip


def state_of(index):
    chips = rows_of(read_index(index))
    recorded = sorted((record.platform, record.item_id) for record in read_records(index))
    assert {(row["platform"], row["item_id"]) for row in chips} == set(recorded)
    return chips, recorded


@pytest.mark.parametrize(
    ("write", "argument", "steps"),
    [
        (dying.write, "new", range(2, 60, 12)),
        (dying.merge, "new", range(5, 60, 14)),
        (dying.remove_source, "gone", range(1, 60, 9)),
        (dying.remove_item, "item-001", range(4, 60, 11)),
    ],
)
def test_killed_at_any_step_a_writer_leaves_the_old_index_or_the_new_one_and_runs_again(
    old_and_new, tmp_path, write, argument, steps
):
    argument = old_and_new / "new" if argument == "new" else argument
    index = tmp_path / "index"
    shutil.copytree(old_and_new / "old", index)
    old = state_of(index)
    write(index, argument)
    new = state_of(index)
    names = {path.name for path in index.iterdir()}
    seen = []
    for step in steps:
        shutil.rmtree(index)
        shutil.copytree(old_and_new / "old", index)
        writer = dying.start(write, index, argument, die_at=step, at_any_step=True)
        writer.join(60)
        if writer.exitcode == 0:
            break
        assert writer.exitcode == -signal.SIGKILL
        found = state_of(index)
        assert found in (old, new)
        seen.append(found == new)
        write(index, argument)
        assert state_of(index) == new
        assert {path.name for path in index.iterdir()} == names
    assert set(seen) == {False, True}
    assert seen == sorted(seen)


def test_a_reader_that_may_not_write_sees_the_new_index_of_a_killed_writer(old_and_new, tmp_path):
    index, new = tmp_path / "index", state_of(old_and_new / "new")
    for step in range(38, 60):
        shutil.copytree(old_and_new / "old", index)
        dying.start(dying.write, index, old_and_new / "new", die_at=step, at_any_step=True).join(60)
        if any(path.name.startswith(".stacchip-next-") for path in index.iterdir()):
            manifest = json.loads((index / "_index.json").read_text())
            if "next" in manifest:
                break
        shutil.rmtree(index)
    (index / ".stacchip-writer.lock").unlink()  # so that it is not ended by the reader
    before = {path.name for path in index.iterdir()}
    assert state_of(index) == new
    assert {path.name for path in index.iterdir()} == before
    merge_indexes(index, tmp_path / "copy")
    assert state_of(tmp_path / "copy") == new


def test_writers_wait_for_each_other(old_and_new, tmp_path):
    index, old, new = (
        tmp_path / "index", state_of(old_and_new / "old"), state_of(old_and_new / "new"),
    )  # fmt: skip
    for _ in range(3):
        writers = [dying.start(dying.write, index, old_and_new / name) for name in ("old", "new")]
        writers.append(dying.start(dying.merge, index, old_and_new / "old"))
        for writer in writers:
            writer.join(60)
            assert writer.exitcode == 0
        assert state_of(index) in (old, new)
        assert not [path for path in index.iterdir() if path.name.startswith(".")]


def test_readers_see_the_old_index_or_the_new_one_while_it_is_replaced(old_and_new, tmp_path):
    index = tmp_path / "index"
    states = {name: read_index(old_and_new / name) for name in ("old", "new")}
    whole = [rows_of(table) for table in states.values()]
    write_index(states["old"], index)
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for name in ("new", "old"):
                write_index(states[name], index)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(30):
            assert rows_of(read_index(index)) in whole
            assert len(read_records(index)) in (5, 6)
    finally:
        stop.set()
        writer.join()


# -- the new files ---------------------------------------------------------------------------------


def test_chips_have_statistics_that_prune_and_none_of_their_geometry(tmp_path):
    write_index(make_table(), tmp_path / "index")
    group = pq.ParquetFile(tmp_path / "index" / "chips.parquet").metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    measured = {column.path_in_schema for column in columns if column.is_stats_set}
    assert {"item_id", "datetime", "cloud_cover_percentage", "bbox.xmin", "bbox.ymax"} <= measured
    assert "geometry" not in measured
    assert {column.compression for column in columns} == {"ZSTD"}


@pytest.mark.parametrize("name", ["final.parquet", "interim.parquet"])
def test_chips_may_have_any_name_that_is_allowed(tmp_path, name):
    for _ in range(2):  # a new index, and one that is replaced
        write_index(make_table(), tmp_path / "index", name=name)
    assert rows_of(read_index(tmp_path / "index")) == rows_of(make_table())


@pytest.mark.parametrize("name", ["", "_a.parquet", ".a.parquet", "a/b.parquet", "a.parq"])
def test_a_name_that_readers_would_pass_over_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot name the file"):
        write_index(make_table(), tmp_path / "index", name=name)
    assert not (tmp_path / "index").exists()


def test_nothing_is_left_beside_the_files(tmp_path):
    write_index(make_table(), tmp_path / "index")
    write_index(make_table(), tmp_path / "single.parquet")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    in_folder = {f"index/{name}" for name in ("chips.parquet", "_items.parquet", "_index.json")}
    assert names == {"index", "single.parquet", *in_folder}


def test_a_second_use_begins_anew(tmp_path):
    record = to_table([ItemRecord("naip", "a", make_item("a"))])
    new = Replacement(tmp_path / "index", Storage())
    with new:
        new.write_chips("first.parquet", SCHEMA.empty_table())
        new.records.add(record, "here")
    with new:
        new.write_chips("chips.parquet", SCHEMA.empty_table())
        assert len(new.records) == 0
        new.records.add(record, "here")
        new.replace()
    names = {path.name for path in (tmp_path / "index").iterdir()}
    assert names == {"chips.parquet", "_items.parquet", "_index.json"}
    assert [each.item_id for each in read_records(tmp_path / "index")] == ["a"]
