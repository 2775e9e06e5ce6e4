"""An index grows, and has rows removed, while its files stay as they are."""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from index.tables import TAKEN, make_header, make_item, make_table, make_tables, rows_of
from kills import files_of
from servers.range_server import RangeServer
from stacchip.errors import (
    DuplicateChips,
    IndexFormatError,
    IndexReplaced,
    InvalidMetadata,
    ObjectNotFound,
    UsageError,
)
from stacchip.index import (
    ChipGrid,
    append_to_index,
    build_table,
    compact_index,
    concat_indexes,
    merge_indexes,
    read_index,
    read_records,
    read_rows_at,
    read_runs,
    remove,
    scan_index,
    scan_numbered,
    scan_records,
    write_headers,
    write_index,
)
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.index.files.layout import find_files
from stacchip.index.files.opening import open_entry
from stacchip.index.on_disk import StoredIndex
from stacchip.storage import Storage

STORAGE = Storage()
TABLES = make_tables(6)
LARGE = [
    make_table(f"item-{number}", chips=(130, 130), day=number, north=1e6 + 6e5 * number)
    for number in range(7)
]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of four items of two sources."""
    write_index(concat_indexes(TABLES[:4]), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two row groups with contents, to which two more items were added."""
    root = tmp_path_factory.mktemp("large")
    for number, table in enumerate(LARGE):
        write_index(table, root / f"parts/{number}")
    merge_indexes([root / f"parts/{number}" for number in range(5)], root / "index")
    append_to_index(root / "index", root / "parts/5")
    append_to_index(root / "index", LARGE[6])
    return root / "index"


@pytest.fixture
def large(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "index"))


def same_rows(found: Any, wanted: Any) -> bool:
    return sorted(map(str, rows_of(found))) == sorted(map(str, rows_of(wanted)))


def kept(before: dict[str, str], index: Path) -> bool:
    """Whether the files that were there are as they were, but for the manifest."""
    after = files_of(index)
    return all(after.get(name) == was for name, was in before.items() if name != "_index.json")


def ids(index: Path) -> list[str]:
    return [record.item_id for record in read_records(index)]


# -- append


def test_what_is_there_stays_byte_for_byte_and_the_new_chips_are_found(index: Path) -> None:
    before = files_of(index)
    added = append_to_index(index, concat_indexes(TABLES[4:]))
    assert (added.items, added.chips, added.dropped, added.replaced) == (2, 24, 0, 0)
    assert kept(before, index)
    assert same_rows(read_index(index), concat_indexes(TABLES))
    assert ids(index) == [f"item-{number:03}" for number in range(6)]
    assert same_rows(read_index(index, item_id="item-004"), TABLES[4])
    assert [record.item_id for record in scan_records(index)] == ids(index)
    lookup = RecordLookup(index, STORAGE)
    assert [lookup.find(*key).item_id for key in lookups(TABLES)] == ids(index)


def lookups(tables: list[pa.Table]) -> list[tuple[str, str]]:
    return [(table["platform"][0].as_py(), table["item_id"][0].as_py()) for table in tables]


def test_indexes_files_and_tables_may_be_added_together(index: Path, tmp_path: Path) -> None:
    write_index(TABLES[4], tmp_path / "folder")
    append_to_index(index, [tmp_path / "folder", TABLES[5]])
    assert same_rows(read_index(index), concat_indexes(TABLES))


def test_rows_keep_their_numbers_when_an_index_grows(index: Path) -> None:
    before = read_index(index)
    for table in TABLES[4:]:
        append_to_index(index, table)
    whole = read_index(index)
    assert whole.slice(0, before.num_rows).to_pylist() == before.to_pylist()
    assert whole["item_id"][-1].as_py() == "item-005"


def test_the_form_of_the_index_is_that_of_what_is_added(tmp_path: Path) -> None:
    write_index(build("a"), tmp_path / "slim", geometry="none")
    append_to_index(tmp_path / "slim", build("b"))
    part = tmp_path / "slim/chips-mine.part-000001.parquet"
    assert pq.read_schema(part).field("bbox").type.field("xmin").type == pa.float32()
    assert "geometry" not in pq.read_schema(part).names
    found = read_index(tmp_path / "slim", columns=["chipid", "geometry"])
    wanted = concat_indexes([build("a"), build("b")])
    assert found["geometry"].to_pylist() == wanted["geometry"].to_pylist()


def build(item_id: str, chip_size: int = 256) -> pa.Table:
    """The index of an item whose record tells its grid."""
    grid = ChipGrid(GeoBox((512, 512), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633"), chip_size)
    return build_table(make_item(item_id), grid, platform="mine", datetime=TAKEN, reference="red")


def test_chips_that_are_there_are_refused_left_out_or_replaced(index: Path) -> None:
    before = files_of(index)
    with pytest.raises(DuplicateChips, match=r"\(0, 0\) of item 'item-001'") as caught:
        append_to_index(index, concat_indexes([TABLES[4], TABLES[1]]))
    assert caught.value.item_id == "item-001"
    assert files_of(index) == before
    added = append_to_index(index, concat_indexes([TABLES[4], TABLES[1]]), duplicates="drop")
    assert (added.items, added.chips, added.dropped) == (1, 12, 12)
    again = append_to_index(index, concat_indexes([TABLES[4], TABLES[1]]), duplicates="drop")
    assert (again.items, again.chips, again.dropped) == (0, 0, 24)
    assert same_rows(read_index(index), concat_indexes(TABLES[:5]))


def test_an_item_takes_the_place_of_its_earlier_chips_and_record(index: Path) -> None:
    before = files_of(index)
    newer = make_table("item-001", platform="landsat-c2l2-sr", day=9, chips=(2, 2))
    with pytest.raises(InvalidMetadata, match="they are of two items"):
        append_to_index(index, newer, duplicates="drop")
    added = append_to_index(index, newer, duplicates="replace")
    assert (added.chips, added.replaced) == (4, 12)
    assert kept(before, index)
    assert same_rows(read_index(index, item_id="item-001"), newer)
    assert read_index(index).num_rows == 40
    (record,) = read_records(index, item_ids=["item-001"])
    assert record.item == read_records_of(newer)
    append_to_index(index, newer, duplicates="replace")
    assert read_index(index).num_rows == 40


def read_records_of(table: pa.Table) -> Any:
    from stacchip.index import embedded_items

    (item,) = embedded_items(table).values()
    return item


def test_another_item_of_the_same_key_is_refused(index: Path, tmp_path: Path) -> None:
    table = make_table("item-000", chip_size=128)
    write_index(table, tmp_path / "other", items=[make_item("item-000", nir="https://e.com/n.tif")])
    with pytest.raises(InvalidMetadata, match="differs from that in"):
        append_to_index(index, tmp_path / "other")
    assert read_index(index).num_rows == 48


def test_further_chips_of_an_item_find_its_record(tmp_path: Path) -> None:
    write_index(build("a"), tmp_path, geometry="none")
    append_to_index(tmp_path, build("a", chip_size=128))
    found = read_index(tmp_path, columns=["chip_size", "geometry"])
    assert pc.count(found["geometry"]).as_py() == found.num_rows == 20
    assert len(read_records(tmp_path)) == 1


def test_what_cannot_grow_is_refused(tmp_path: Path) -> None:
    write_index(make_table(), tmp_path / "index.parquet")
    with pytest.raises(UsageError, match="single file"):
        append_to_index(tmp_path / "index.parquet", make_table("b"))
    with pytest.raises(ObjectNotFound):
        append_to_index(tmp_path / "nothing", make_table("b"))
    assert not (tmp_path / "nothing").exists()
    write_index(make_table(), tmp_path / "index")
    with pytest.raises(UsageError, match="duplicates must be"):
        append_to_index(tmp_path / "index", make_table("b"), duplicates="keep")  # type: ignore[arg-type]


def test_writers_that_append_at_once_all_succeed(index: Path) -> None:
    tables = [make_table(f"new-{number}") for number in range(4)]
    threads = [Thread(target=append_to_index, args=(index, table)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same_rows(read_index(index), concat_indexes([*TABLES[:4], *tables]))


def test_a_reader_sees_whole_states_while_several_add_and_remove(index: Path) -> None:
    tables = {f"new-{number}": make_table(f"new-{number}") for number in range(3)}
    gone = ["item-000", "item-001", "item-002"]
    writers = [
        *(Thread(target=append_to_index, args=(index, table)) for table in tables.values()),
        *(Thread(target=remove, args=(index,), kwargs={"item_id": name}) for name in gone),
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = read_index(index, columns=["item_id"])["item_id"].value_counts().to_pylist()
        assert {each["counts"] for each in found} == {12}
        assert "item-003" in {each["values"] for each in found}
    assert same_rows(read_index(index), concat_indexes([TABLES[3], *tables.values()]))
    assert ids(index) == ["item-003", *tables]


def test_headers_are_added_to_all_records_of_an_index_that_grew(index: Path) -> None:
    append_to_index(index, concat_indexes(TABLES[4:]))
    remove(index, item_id="item-000")
    given = {f"item-{number:03}": {"red": make_header(f'"{number}"')} for number in (2, 5)}
    write_headers(index, given)
    found = {
        record.item_id: {key: each.identity.etag for key, each in record.headers.items()}
        for record in read_records(index)
    }
    assert {name: tags for name, tags in found.items() if tags} == {
        "item-002": {"red": '"2"'},
        "item-005": {"red": '"5"'},
    }
    assert sorted(found) == [f"item-{number:03}" for number in range(1, 6)]


def test_an_index_that_grew_is_read_from_a_web_server(index: Path) -> None:
    append_to_index(index, TABLES[4])
    remove(index, item_id="item-000")
    with RangeServer(index) as server:
        href = server.url("").rstrip("/")
        assert rows_of(read_index(href)) == rows_of(read_index(index))
        assert len(read_records(href)) == 4


# -- contents, and rows by number


def test_runs_of_what_was_added_and_removed_are_right(large: Path) -> None:
    remove(large, item_id="item-2")
    append_to_index(large, LARGE[2])
    remove(large, item_id="item-5")
    whole, runs = read_index(large), read_runs(large)
    assert runs is not None
    assert sorted(runs["item_id"].to_pylist()) == [f"item-{n}" for n in (0, 1, 2, 3, 4, 6)]
    for run in runs.to_pylist():
        rows = whole.slice(run["first"], run["rows"])
        assert rows["item_id"].unique().to_pylist() == [run["item_id"]]
        cloud = rows["cloud_cover_percentage"].to_numpy()
        assert run["cloud_mean"] == pytest.approx(cloud.mean(dtype=float))
    assert sum(runs["rows"].to_pylist()) == whole.num_rows


FILTERS = [
    {},
    {"item_id": "item-3"},
    {"item_id": ["item-1", "item-6"]},
    {"max_cloud": 0.2},
    {"datetime": "2024-01-03/2024-01-06"},
    {"where": pc.field("chip_index_x") == 3},
    {"bbox": (-180, 15, 180, 30)},
]


@pytest.mark.parametrize("filters", FILTERS)
def test_every_reader_leaves_out_the_rows_that_were_removed(large: Path, filters: Any) -> None:
    before = read_index(large, **filters)
    for item_id in ("item-1", "item-4", "item-5"):
        remove(large, item_id=item_id)
    gone = pc.is_in(before["item_id"], pa.array(["item-1", "item-4", "item-5"]))
    wanted = before.filter(pc.invert(gone))["chipid"].to_pylist()

    assert read_index(large, **filters)["chipid"].to_pylist() == wanted
    parts = list(scan_index(large, columns=["chipid"], **filters))
    assert [each for part in parts for each in part["chipid"].to_pylist()] == wanted
    numbered = [rows for rows, _ in scan_numbered(large, columns=["chipid"], **filters)]
    numbers = np.concatenate([np.array([], np.int64), *numbered])
    assert read_rows_at(large, numbers, columns=["chipid"])["chipid"].to_pylist() == wanted
    stored = StoredIndex.open(large, STORAGE)
    assert stored is not None
    assert len(stored) == 4 * 130 * 130
    assert stored.take(numbers, ["chipid"])["chipid"].to_pylist() == wanted
    assert {record.item_id for record in scan_records(large)} == {f"item-{n}" for n in (0, 2, 3, 6)}


def test_a_removal_writes_a_mark_and_no_chips(large: Path) -> None:
    before = files_of(large)
    remove(large, item_id="item-3")
    assert kept(before, large)
    assert set(files_of(large)) - set(before) == {"_removed.part-000003.parquet"}
    remove(large, item_id="item-2")
    assert set(files_of(large)) - set(before) == {"_removed.part-000004.parquet"}
    files = find_files(str(large), STORAGE)
    assert [open_entry(entry, STORAGE).rows for entry in files.chips] == [50_700, 16_900, 16_900]
    assert pq.read_metadata(large / "chips.parquet").num_rows == 84_500


def test_an_item_that_was_removed_can_be_added_again(index: Path) -> None:
    remove(index, item_id="item-001")
    append_to_index(index, TABLES[1])
    assert same_rows(read_index(index), concat_indexes(TABLES[:4]))
    remove(index, item_id="item-001")
    assert read_index(index, item_id="item-001").num_rows == 0
    assert "item-001" not in ids(index)


# -- other versions, and copies


def test_earlier_versions_refuse_an_index_that_grew(index: Path) -> None:
    append_to_index(index, TABLES[4])
    said = json.loads((index / "_index.json").read_text())
    assert said["format"] == 2
    # what an earlier version takes for the name of a file, and refuses aloud
    assert said["files"][-1] == (
        "stacchip/this index has grown or had rows removed: upgrade stacchip to read it"
    )


def test_a_later_format_is_refused(index: Path) -> None:
    place = index / "_index.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "format": 3}))
    with pytest.raises(IndexFormatError, match=r"format 3.*upgrade stacchip"):
        read_index(index)


def test_a_copy_without_what_says_the_removed_rows_is_refused(index: Path) -> None:
    remove(index, item_id="item-001")
    (mark,) = index.glob("_removed*")
    (index / "_index.json").rename(index / "aside")
    with pytest.raises(IndexFormatError, match="had rows removed, and lacks the"):
        read_index(index)
    (index / "aside").rename(index / "_index.json")
    mark.unlink()
    with pytest.raises(IndexFormatError, match="does not say which rows of the index were removed"):
        read_index(index)


def test_files_of_a_part_that_no_manifest_names_are_not_of_the_index(index: Path) -> None:
    append_to_index(index, TABLES[4])
    before = read_index(index)
    for name in ("chips-sentinel-2-l2a", "_items", "_contents"):
        shutil.copy(index / f"{name}.part-000001.parquet", index / f"{name}.part-000009.parquet")
    assert read_index(index).num_rows == before.num_rows
    assert len(ids(index)) == 5
    compact_index(index)
    assert not list(index.glob("*part*"))


def test_subfolders_of_a_tree_grow_and_shrink(tmp_path: Path) -> None:
    write_index(concat_indexes(TABLES[:4]), tmp_path / "tree/a")
    write_index(TABLES[4], tmp_path / "tree/b")
    append_to_index(tmp_path / "tree/b", TABLES[5])
    remove(tmp_path / "tree", item_id="item-002")
    assert same_rows(read_index(tmp_path / "tree"), concat_indexes([*TABLES[:2], *TABLES[3:]]))
    append_to_index(tmp_path / "tree", TABLES[2])
    assert same_rows(read_index(tmp_path / "tree"), concat_indexes(TABLES))
    with pytest.raises(UsageError, match="in a subfolder"):
        append_to_index(tmp_path / "tree", TABLES[0], duplicates="replace")
    with pytest.raises(UsageError, match="compact these"):
        compact_index(tmp_path / "tree")
    assert merge_indexes(tmp_path / "tree", tmp_path / "merged").chips == 72


# -- compact


def test_a_compact_index_is_what_a_merge_of_all_would_be(large: Path, tmp_path: Path) -> None:
    remove(large, item_id="item-2")
    append_to_index(large, LARGE[2])
    remove(large, item_id="item-0")
    compacted = compact_index(large)
    assert compacted is not None
    assert (compacted.chips, compacted.items) == (6 * 16_900, 6)
    for table in LARGE[1:]:
        write_index(table, tmp_path / "in" / table["item_id"][0].as_py())
    merge_indexes(tmp_path / "in", tmp_path / "merged")
    assert files_of(large) == files_of(tmp_path / "merged")
    assert compact_index(large) is None


def test_the_form_stays_when_an_index_is_compacted(tmp_path: Path) -> None:
    write_index(TABLES[0], tmp_path, geometry="none")
    append_to_index(tmp_path, TABLES[2])
    compact_index(tmp_path)
    assert "geometry" not in pq.read_schema(tmp_path / "chips.parquet").names
    assert json.loads((tmp_path / "_index.json").read_text())["format"] == 1


def test_many_appends_are_read_at_once(tmp_path: Path) -> None:
    write_index(make_table("first"), tmp_path)
    append_to_index(tmp_path, [make_table("second")])
    # as many appends would leave them
    said = json.loads((tmp_path / "_index.json").read_text())
    for number in range(2, 100):
        part = f"{number:06}"
        for name in ("chips-sentinel-2-l2a", "_items", "_contents"):
            shutil.copy(
                tmp_path / f"{name}.part-000001.parquet", tmp_path / f"{name}.part-{part}.parquet"
            )
        said["parts"].append(part)
        said["files"].insert(0, f"chips-sentinel-2-l2a.part-{part}.parquet")
    (tmp_path / "_index.json").write_text(json.dumps(said))
    assert read_index(tmp_path).num_rows == 100 * 12
    assert len(read_records(tmp_path)) == 2
    assert append_to_index(tmp_path, make_table("third")).parts == 100
    assert read_index(tmp_path)["item_id"][-1].as_py() == "third"


def test_a_copy_in_another_process_serves_the_rows_that_it_had_before_an_append(
    large: Path,
) -> None:
    stored = StoredIndex.open(large, STORAGE)
    assert stored is not None
    text, digest = pickle.dumps(stored), stored.digest
    append_to_index(large, make_table("more"))
    copy, now = pickle.loads(text), StoredIndex.open(large, STORAGE)
    assert now is not None
    assert (len(copy), copy.digest) == (7 * 16_900, digest)
    assert (len(now), now.digest != digest) == (7 * 16_900 + 12, True)
    assert copy.take([0], ["chipid"]).equals(stored.take([0], ["chipid"]))
    remove(large, item_id="item-6")
    with pytest.raises(IndexReplaced):
        len(pickle.loads(text))
    after = StoredIndex.open(large, STORAGE)
    assert after is not None
    assert after.digest not in (digest, now.digest)


def test_an_index_of_more_files_than_may_stay_open_is_said(
    large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_to_index(large, concat_indexes([make_table(platform=f"p{n}") for n in range(62)]))
    wanted = read_index(large, platform="p61")["chipid"].to_pylist()
    with few_files_allowed(8 * 65):
        stored = StoredIndex.open(large, STORAGE)
        assert stored is not None
        assert stored.take([len(stored) - 1], ["platform"]).num_rows == 1
    with few_files_allowed(8 * 64):
        assert StoredIndex.open(large, STORAGE) is None
        assert "Compact it (stacchip compact)" in caplog.text
        assert read_index(large, platform="p61")["chipid"].to_pylist() == wanted


@contextlib.contextmanager
def few_files_allowed(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- object stores


@pytest.mark.servers
def test_an_index_in_an_object_store_grows_and_shrinks(seaweed: Any) -> None:
    storage, href = Storage(options=seaweed.options), "s3://private/grown/index"
    write_index(concat_indexes(TABLES[:3]), href, storage=storage)
    kept = storage.stat(f"{href}/chips-sentinel-2-l2a.parquet")
    append_to_index(href, TABLES[3], storage=storage)
    remove(href, item_id="item-000", storage=storage)
    append_to_index(href, [TABLES[4], TABLES[3]], duplicates="drop", storage=storage)
    assert storage.stat(f"{href}/chips-sentinel-2-l2a.parquet") == kept
    assert same_rows(read_index(href, storage=storage), concat_indexes(TABLES[1:5]))
    compact_index(href, storage=storage)
    names = {entry.href.rpartition("/")[2] for entry in storage.list(href)}
    assert names == {
        *("_index.json", "_items.parquet"),
        *("chips-landsat-c2l2-sr.parquet", "chips-sentinel-2-l2a.parquet"),
    }
    assert same_rows(read_index(href, storage=storage), concat_indexes(TABLES[1:5]))


class Meanwhile(Storage):
    """Another writer does something once, just before `_index.json` is replaced.

    Args:
        options: As of `Storage`.
        change: What the other does.
        turn: Before which of the replacements.
        is_lost: True if this one succeeded before, and its answer was lost: it is tried again.
    """

    def __init__(
        self, options: Any, change: Callable[[], object], turn: int = 1, *, is_lost: bool = False
    ) -> None:
        super().__init__(options=options)
        self.change, self.turn, self.is_lost = change, turn, is_lost

    def write_over(self, href: Any, data: bytes, expect: Any) -> None:
        self.turn -= 1
        if self.turn == 0 and self.is_lost:
            super().write_over(href, data, expect)
        if self.turn == 0:
            self.change()
        super().write_over(href, data, expect)


@pytest.mark.servers
def test_two_appends_at_once_to_an_object_store_both_survive(seaweed: Any) -> None:
    storage, href = Storage(options=seaweed.options), "s3://private/both/index"
    write_index(TABLES[0], href, storage=storage)
    other = Meanwhile(seaweed.options, lambda: append_to_index(href, TABLES[1:3], storage=storage))
    append_to_index(href, TABLES[2:4], duplicates="drop", storage=other)
    assert same_rows(read_index(href, storage=storage), concat_indexes(TABLES[:4]))
    assert len(list(storage.list(href))) == 3 + 2 * 4 - 1  # of a part: one or two files with chips


@pytest.mark.servers
def test_a_compaction_that_others_overtake_loses_nothing(seaweed: Any) -> None:
    storage, href = Storage(options=seaweed.options), "s3://private/overtaken/index"
    write_index(TABLES[0], href, storage=storage)
    append_to_index(href, TABLES[2], storage=storage)
    other = Meanwhile(seaweed.options, lambda: append_to_index(href, TABLES[4], storage=storage))
    with pytest.raises(IndexReplaced, match="Another writer changed the index"):
        compact_index(href, storage=other)
    wanted = concat_indexes(TABLES[::2])
    assert same_rows(read_index(href, storage=storage), wanted)
    compact_index(href, storage=storage)
    assert same_rows(read_index(href, storage=storage), wanted)


@pytest.mark.servers
def test_an_append_whose_answer_was_lost_is_kept_by_those_after_it(seaweed: Any) -> None:
    storage, href = Storage(options=seaweed.options), "s3://private/lost/index"
    write_index(TABLES[0], href, storage=storage)
    later = lambda: append_to_index(href, TABLES[2], storage=storage)  # noqa: E731 - short
    own = Meanwhile(seaweed.options, later, is_lost=True)
    append_to_index(href, TABLES[1], storage=own)
    assert same_rows(read_index(href, storage=storage), concat_indexes(TABLES[:3]))


@pytest.mark.servers
def test_a_writer_that_ends_late_takes_nothing_from_those_after_it(seaweed: Any) -> None:
    storage, href = Storage(options=seaweed.options), "s3://private/late/index"
    write_index(concat_indexes(TABLES[:3]), href, storage=storage)
    remove(href, item_id="item-000", storage=storage)
    later = lambda: append_to_index(href, TABLES[4], storage=storage)  # noqa: E731 - short
    # the second replacement says that the old marks are deleted
    own = Meanwhile(seaweed.options, later, turn=2)
    remove(href, item_id="item-001", storage=own)
    assert same_rows(read_index(href, storage=storage), concat_indexes([TABLES[2], TABLES[4]]))


def test_more_chips_of_an_item_leave_rows_that_were_read_before_as_they_are(tmp_path: Path) -> None:
    rows = concat_indexes([TABLES[0], TABLES[2]])
    write_index(rows, tmp_path / "whole")
    items = {record.key: record.item for record in read_records(tmp_path / "whole")}
    rows = rows.replace_schema_metadata(None)
    write_index(rows.slice(3), tmp_path / "index", items=items)
    write_index(rows.slice(0, 3), tmp_path / "more", items=dict(list(items.items())[:1]))
    before = read_index(tmp_path / "index")
    append_to_index(tmp_path / "index", tmp_path / "more")
    write_index(before, tmp_path / "copy")
    assert {record.key: record.item for record in read_records(tmp_path / "copy")} == items


def test_no_file_of_a_user_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_index(TABLES[0], path)
    own = path / "chips-sentinel-2-l2a.part-000001.parquet"
    own.write_bytes(b"mine")
    append_to_index(path, TABLES[1])
    assert own.read_bytes() == b"mine"
    assert same_rows(read_index(path), concat_indexes(TABLES[:2]))
    own.unlink()
    (path / "_index.json").unlink()
    with pytest.raises(UsageError, match=r"has no _index.json, and chips-.* Rename them"):
        append_to_index(path, TABLES[2])
