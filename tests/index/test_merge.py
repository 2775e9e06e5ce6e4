from __future__ import annotations

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_header, make_item, make_table, make_tables, rows_of
from stacchip.errors import (
    DuplicateChips,
    IndexFormatError,
    IndexReplaced,
    InvalidMetadata,
    ObjectNotFound,
    UsageError,
)
from stacchip.index import (
    KEY,
    SCHEMA,
    concat_indexes,
    embed_items,
    merge_indexes,
    read_index,
    read_records,
    write_index,
)
from stacchip.index.files.switch import WRITER
from stacchip.runtime.whole_file import writing
from stacchip.storage import Storage


def write_each(tables, folder, *, ours=True, **options):
    """Write indexes to folders `{platform}/{item}`; give the folders."""
    paths = []
    for number, table in enumerate(tables):
        path = folder / f"{table['platform'][0]}" / f"{table['item_id'][0]}-{number}"
        if ours:
            write_index(table, path, **options)
        else:
            path.mkdir(parents=True)
            pq.write_table(table, path / "index.parquet")
        paths.append(path)
    return paths


@pytest.mark.parametrize("ours", [True, False], ids=["our folders", "plain files"])
def test_indexes_of_all_sources_and_sizes_become_one(tmp_path, ours):
    tables = make_tables(12)
    write_each(tables, tmp_path / "in", ours=ours)
    merged = merge_indexes(tmp_path / "in", tmp_path / "out")
    assert rows_of(read_index(tmp_path / "out")) == rows_of(pa.concat_tables(tables))
    assert (merged.files, merged.items, merged.chips, merged.dropped) == (12, 12, 144, 0)
    assert merged.platforms == ("landsat-c2l2-sr", "sentinel-2-l2a")
    assert [record.item_id for record in read_records(tmp_path / "out")] == [
        f"item-{i:03d}" for i in range(12)
    ]


def test_the_order_of_inputs_does_not_matter(tmp_path):
    paths = write_each(make_tables(12), tmp_path / "in")
    merge_indexes(paths, tmp_path / "one")
    random.Random(0).shuffle(paths)
    merge_indexes(paths, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("name", ["in/notes.csv", "out/notes.csv", "notes.csv"])
def test_an_error_of_a_callback_stays_what_it_is(tmp_path, name):
    write_each([make_table()], tmp_path / "in")
    with pytest.raises(FileNotFoundError, match="notes") as caught:
        merge_indexes(
            tmp_path / "in", tmp_path / "out", progress=lambda *_: (tmp_path / name).read_text()
        )
    assert caught.value.filename == str(tmp_path / name)
    assert not (tmp_path / "out").exists()


def test_a_merged_index_can_be_merged_again(tmp_path):
    tables = make_tables(9)
    write_each(tables, tmp_path / "in")
    merge_indexes(tmp_path / "in", tmp_path / "one")
    new = make_table("new", platform="naip")
    write_index(new, tmp_path / "new", headers={"new": {"red": make_header()}})
    merge_indexes([tmp_path / "one", tmp_path / "new"], tmp_path / "one")
    assert rows_of(read_index(tmp_path / "one")) == rows_of(pa.concat_tables([*tables, new]))
    assert set(read_records(tmp_path / "one", item_ids=["new"])[0].headers) == {"red"}


def test_a_merged_index_below_its_inputs_is_no_input(tmp_path):
    write_each(make_tables(3), tmp_path)
    for _ in range(2):
        merged = merge_indexes(tmp_path, tmp_path / "merged")
        assert (merged.files, merged.chips) == (3, 36)


def test_rows_of_one_item_from_several_files_come_together(tmp_path):
    table = make_table(chips=(6, 5))
    parts = [table.slice(0, 7), table.slice(19), table.slice(7, 12)]
    merge_indexes(write_each(parts, tmp_path / "in"), tmp_path / "out")
    assert read_index(tmp_path / "out").select(SCHEMA.names).equals(table.select(SCHEMA.names))


def test_rows_in_any_order_are_sorted_by_item(tmp_path):
    tables = make_tables(6)
    whole = pa.concat_tables(tables)
    shuffled = whole.take(pa.array(np.random.default_rng(0).permutation(len(whole))))
    pq.write_table(shuffled, tmp_path / "in.parquet", row_group_size=17)
    merge_indexes(tmp_path / "in.parquet", tmp_path / "out")
    found = read_index(tmp_path / "out")
    assert rows_of(found) == rows_of(whole)
    for source in found["platform"].unique():
        ids = found.filter(pc.field("platform") == source)["item_id"].to_pylist()
        assert len([1 for one, other in pairwise(ids) if one != other]) == 2


# --- duplicates


def test_a_chip_that_is_there_twice_is_refused_and_named(tmp_path):
    paths = write_each([make_table(), make_table().slice(5, 1)], tmp_path / "in")
    with pytest.raises(
        DuplicateChips, match=r"\(1, 1\) of item 'item-1'.*item-1-0.*item-1-1"
    ) as caught:
        merge_indexes(paths, tmp_path / "out")
    assert caught.value.facts["chip_index_x"] == 1
    assert not (tmp_path / "out").exists()


def test_a_chip_that_is_twice_in_one_file_is_refused(tmp_path):
    table = make_table()
    pq.write_table(pa.concat_tables([table, table.slice(3, 1)]), tmp_path / "in.parquet")
    with pytest.raises(DuplicateChips, match=r"\(3, 0\)"):
        merge_indexes(tmp_path / "in.parquet", tmp_path / "out")


def test_of_duplicates_the_first_is_kept(tmp_path):
    position = SCHEMA.names.index("cloud_cover_percentage")
    field = SCHEMA.field(position)
    tables = [
        make_table().set_column(position, field, pa.array([cloud] * 12, pa.float32()))
        for cloud in (0.25, 0.75)
    ]
    paths = write_each([tables[0].slice(0, 5), tables[1], tables[1]], tmp_path / "in")
    merged = merge_indexes(paths, tmp_path / "out", duplicates="drop")
    assert (merged.chips, merged.dropped) == (12, 17)
    clouds = read_index(tmp_path / "out")["cloud_cover_percentage"].to_pylist()
    assert clouds == [0.25] * 5 + [0.75] * 7


def test_what_differs_in_any_part_of_the_key_is_no_duplicate(tmp_path):
    tables = [
        make_table(),
        make_table(platform="other"),
        make_table(chip_size=128),
        make_table("b"),
    ]
    assert len({tuple(row[name] for name in KEY) for t in tables for row in t.to_pylist()}) == 48
    assert merge_indexes(write_each(tables, tmp_path / "in"), tmp_path / "out").chips == 48


def test_an_unknown_rule_for_duplicates_is_refused(tmp_path):
    with pytest.raises(UsageError, match="'keep'"):
        merge_indexes(tmp_path, tmp_path / "out", duplicates="keep")


# --- records


def test_another_item_of_the_same_id_is_refused(tmp_path):
    paths = write_each(
        [
            make_table().slice(0, 6),
            embed_items(make_table(chip_size=64), {"item-1": make_item("item-1")}),
        ],
        tmp_path / "in",
    )
    with pytest.raises(InvalidMetadata, match=r"'item-1'.*item-1-1.*item-1-0") as caught:
        merge_indexes(paths, tmp_path / "out")
    assert caught.value.item_id == "item-1"


def test_another_item_of_the_same_id_and_another_source_is_kept(tmp_path):
    other = embed_items(make_table(platform="other"), {"item-1": make_item("item-1", nir="n.tif")})
    merge_indexes(write_each([make_table(), other], tmp_path / "in"), tmp_path / "out")
    assets = {
        record.platform: set(record.item["assets"]) for record in read_records(tmp_path / "out")
    }
    assert assets == {"sentinel-2-l2a": {"red"}, "other": {"nir"}}


def test_links_make_no_other_item(tmp_path):
    item = {
        **make_item("item-1", red="https://example.com/item-1/red.tif"),
        "links": [{"rel": "self", "href": "x"}],
    }
    other = embed_items(make_table(chip_size=64), {"item-1": item})
    assert (
        merge_indexes(write_each([make_table(), other], tmp_path / "in"), tmp_path / "out").records
        == 1
    )


def test_of_two_records_the_one_with_headers_is_kept(tmp_path):
    write_index(make_table(), tmp_path / "a")
    write_index(
        make_table(chip_size=64), tmp_path / "b", headers={"item-1": {"red": make_header()}}
    )
    merge_indexes([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    (record,) = read_records(tmp_path / "out")
    assert set(record.headers) == {"red"}


def test_a_generic_merge_says_nothing_of_items_that_it_does_not_name(tmp_path):
    # pyarrow keeps the first table's metadata
    pq.write_table(pa.concat_tables([make_table("a"), make_table("b")]), tmp_path / "in.parquet")
    merge_indexes(tmp_path / "in.parquet", tmp_path / "out")
    assert [record.item_id for record in read_records(tmp_path / "out")] == ["a"]


# --- inputs


def test_inputs_that_are_no_indexes_are_named(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(IndexFormatError, match=r"x\.parquet"):
        merge_indexes(tmp_path, tmp_path / "out")
    with pytest.raises(ObjectNotFound, match="nowhere"):
        merge_indexes([tmp_path / "nowhere"], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one"):
        merge_indexes([], tmp_path / "out")
    with pytest.raises(UsageError, match="folder"):
        merge_indexes(tmp_path, tmp_path / "out.parquet")
    assert not (tmp_path / "out").exists()


def test_an_item_whose_index_is_not_complete_is_missed(tmp_path):
    paths = write_each(make_tables(3), tmp_path / "in")
    (paths[1] / "chips.parquet").unlink()
    with pytest.raises(IndexFormatError, match=r"item-001-1/chips\.parquet is missing"):
        merge_indexes(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), -1e308, 1e308])
@pytest.mark.parametrize("wrong_rows", [range(3), range(12)])
def test_bounds_that_are_wrong_in_part_cost_no_row(tmp_path, wrong, wrong_rows):
    table = make_table()
    bounds = table["bbox"].to_pylist()
    for row in wrong_rows:
        bounds[row] = {**bounds[row], "xmin": wrong, "ymax": wrong}
    place = table.schema.get_field_index("bbox")
    table = table.set_column(place, "bbox", pa.array(bounds, table.schema.field("bbox").type))
    pq.write_table(table, tmp_path / "a.parquet")
    merge_indexes([tmp_path / "a.parquet"], tmp_path / "all")
    assert read_index(tmp_path / "all")["chipid"].equals(table["chipid"])


def test_merges_into_one_index_at_the_same_time_lose_nothing(tmp_path):
    platforms = ["naip", "linz", "modis"]
    for platform in platforms:
        write_index(make_table(platform, platform=platform), tmp_path / platform)
    write_index(make_table("first", platform="gone"), tmp_path / "all")

    def add(platform):
        paths = [tmp_path / "all", tmp_path / platform]
        return merge_indexes(paths, tmp_path / "all", duplicates="drop")

    with ThreadPoolExecutor(4) as threads:
        with writing(tmp_path / "all" / WRITER, "another"):
            merges = [threads.submit(add, platform) for platform in platforms]
            time.sleep(0.3)  # all of them wait
            write_index(make_table("first"), tmp_path / "new")
            (tmp_path / "all" / "_index.json").unlink()
            (tmp_path / "all" / "_items.parquet").unlink()
            (tmp_path / "all" / "chips.parquet").unlink()
            for name in ("chips.parquet", "_items.parquet", "_index.json"):
                (tmp_path / "new" / name).rename(tmp_path / "all" / name)
        for merge in merges:
            merge.result()
    rows = rows_of(read_index(tmp_path / "all"))
    assert {row["platform"] for row in rows} == {"sentinel-2-l2a", *platforms}
    assert len(read_records(tmp_path / "all")) == 4


@pytest.mark.parametrize("platform", ["naip", "linz"], ids=["the same files", "other files"])
def test_an_input_that_is_replaced_while_it_is_merged_is_refused(tmp_path, platform):
    inputs = [*write_each(make_tables(30), tmp_path / "in"), tmp_path / "last"]
    write_index(concat_indexes([make_table("a"), make_table("b", platform="naip")]), inputs[-1])
    write_index(make_table("before"), tmp_path / "out")
    new = concat_indexes([make_table("c"), make_table("d", platform=platform)])

    def replace_last(*_):
        write_index(new, inputs[-1])

    with pytest.raises(IndexReplaced, match=r"last was replaced or deleted .* Run this again"):
        merge_indexes(inputs, tmp_path / "out", progress=replace_last)
    assert rows_of(read_index(tmp_path / "out")) == rows_of(make_table("before"))
    merge_indexes(inputs, tmp_path / "out")
    assert {"c", "d"} <= {row["item_id"] for row in rows_of(read_index(tmp_path / "out"))}


def test_empty_indexes_merge(tmp_path):
    write_index(SCHEMA.empty_table(), tmp_path / "a")
    write_index(make_table(), tmp_path / "b")
    assert merge_indexes([tmp_path / "a"], tmp_path / "none").chips == 0
    assert read_index(tmp_path / "none").num_rows == 0
    assert merge_indexes([tmp_path / "a", tmp_path / "b"], tmp_path / "out").chips == 12


@pytest.mark.servers
def test_indexes_merge_from_and_to_an_object_store(seaweed, tmp_path):
    storage = Storage(options=seaweed.options)
    tables = make_tables(8)
    for table in tables:
        write_index(table, f"s3://private/in/{table['item_id'][0]}", storage=storage)
    for out in ("s3://private/out", tmp_path / "out"):
        merge_indexes("s3://private/in", out, storage=storage)
        assert rows_of(read_index(out, storage=storage)) == rows_of(pa.concat_tables(tables))
        assert len(read_records(out, storage=storage)) == 8
    for name in ("chips-landsat-c2l2-sr.parquet", "_items.parquet", "_index.json"):
        assert storage.read(f"s3://private/out/{name}") == (tmp_path / "out" / name).read_bytes()


# --- at scale


def many(number, rows=256):
    """Indexes at random places and times, two thirds of one source."""
    rng = np.random.default_rng(0)
    side = int(rows**0.5)
    return [
        make_table(
            f"item-{i:04d}",
            platform=("a", "b")[i % 3 == 2],
            day=int(rng.integers(0, 2000)),
            east=float(rng.integers(3, 7)) * 1e5,
            north=float(rng.integers(1, 80)) * 1e5,
            zone=int(rng.integers(1, 61)),
            chips=(side, side),
        )
        for i in range(number)
    ]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, request):
    """So many indexes of 256 chips, and what they merge to in 40 row groups."""
    folder = tmp_path_factory.mktemp("archive")
    tables = many(request.param)
    write_each(tables, folder / "in", ours=False)
    program = (
        "import sys, resource\n"
        "import stacchip.index.gathering as gathering\n"
        "import stacchip.index.merge as merge\n"
        "gathering.ROWS_PER_GROUP = int(sys.argv[3])\n"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "merge.merge_indexes(sys.argv[1], sys.argv[2])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)\n"
    )
    rows = f"{len(tables) * 256 // 40}"
    done = subprocess.run(
        [sys.executable, "-c", program, folder / "in", folder / "out", rows],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return folder / "out", concat_indexes(tables), int(done.stdout)


def groups_read(folder, where):
    counts = []
    for path in folder.glob("chips*.parquet"):
        fragment = pa.dataset.ParquetFileFormat().make_fragment(
            str(path), filesystem=pa.fs.LocalFileSystem()
        )
        counts.append((fragment.subset(where).num_row_groups, fragment.num_row_groups))
    return [sum(column) for column in zip(*counts, strict=True)]


@pytest.mark.parametrize("archive", [100], indirect=True)
def test_filters_by_place_and_time_prune_row_groups(archive):
    from stacchip.index import Selection

    folder, rows, _ = archive
    footprint = shapely.from_wkb(rows["geometry"][0].as_py())
    place, time = Selection(geometry=footprint), Selection(datetime="2026-03")
    both = Selection(geometry=footprint, datetime=rows["datetime"][0].as_py())
    for selection, most in ((place, 0.4), (time, 0.4), (both, 0.12)):
        read, there = groups_read(folder, selection.expression)
        assert 0 < read <= most * there
        found = read_index(folder, where=selection.expression, columns=["chipid"])
        assert found.num_rows == rows.filter(selection.expression).num_rows > 0


@pytest.mark.slow
@pytest.mark.parametrize("archive", [400], indirect=True)
def test_memory_is_that_of_a_few_row_groups(archive):
    _, rows, used_mb = archive
    assert rows.nbytes > 25e6
    assert used_mb < 100
