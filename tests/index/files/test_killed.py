"""Writers of indexes are killed before every step, and fail at every step."""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
import time

import geopandas
import pytest

from failures import failures_of, few_open_files, small_files
from index import dying
from index.tables import make_table, make_tables, rows_of
from kills import ALL, files_of, kill_before, left_by_kills
from scenes import make_scene
from stacchip.errors import (
    AccessDenied,
    DiskFull,
    IndexFormatError,
    ItemNotFound,
    ObjectNotFound,
    SourceNotFound,
    StacchipError,
)
from stacchip.index import (
    append_to_index,
    concat_indexes,
    merge_indexes,
    read_index,
    read_records,
    remove,
    write_index,
)
from steps import in_a_process


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An index of three sources, what is written over it (changed, new and gone), and an item."""
    folder = tmp_path_factory.mktemp("killed")
    old = [*make_tables(4), make_table("gone", platform="gone")]
    new = [*make_tables(6)[1:], make_table("fresh", platform="naip")]
    anew = [make_table("item-001", platform="landsat-c2l2-sr", day=9), new[-1]]
    for name, tables in (("old", old), ("new", new), ("fresh", new[-1:]), ("anew", anew)):
        write_index(concat_indexes(tables), folder / name)
    shutil.copytree(folder / "old", folder / "grown")
    append_to_index(folder / "grown", folder / "fresh")
    remove(folder / "grown", item_id="item-002")
    make_scene(folder / "scene")
    return folder


def state_of(index):
    chips = rows_of(read_index(index))
    recorded = sorted((record.platform, record.item_id) for record in read_records(index))
    assert {(row["platform"], row["item_id"]) for row in chips} == set(recorded)
    return chips, recorded


def nameless(text):
    """Leave out what is random in a name."""
    return re.sub("[0-9a-f]{16}", "", text)


def hidden(files):
    return [name for name in files if ".stacchip" in name]


WRITERS = {
    "write": (dying.write, "new"),
    "merge": (dying.merge, "new"),
    "merge into itself": (dying.merge_into_itself, "fresh"),
    "append": (dying.append, "fresh"),
    "remove a source": (dying.remove_source, "gone"),
    "remove an item": (dying.remove_item, "item-001"),
}


@pytest.fixture(params=WRITERS)
def over(request, world, tmp_path):
    """A writer, the index that it writes over, and its argument."""
    write, argument = WRITERS[request.param]
    shutil.copytree(world / "old", tmp_path / "index")
    return write, tmp_path / "index", world / argument if (world / argument).exists() else argument


def test_a_killed_writer_leaves_the_old_index_or_the_new_one_and_runs_again(over, tmp_path):
    write, index, argument = over
    old = state_of(index)
    lefts = left_by_kills(write, index, argument, copies=tmp_path / "copies", every=4)
    new, files = state_of(index), files_of(index)
    assert hidden(files) == []
    seen = []
    for left in lefts:
        found = state_of(left.folder)
        assert found in (old, new), left.step
        # tools that open the whole folder see the same, but for chips that are marked as removed
        if write is dying.remove_item:
            found = old
        chips = geopandas.read_parquet(left.folder)["chipid"]
        assert sorted(chips) == sorted(row["chipid"] for row in found[0]), left.step
        seen.append(state_of(left.folder) == new)
        if left is lefts[-1] and write in (dying.remove_item, dying.remove_source):
            # all is done, and nothing tells this from a name that was never there
            with pytest.raises((ItemNotFound, SourceNotFound), match="nothing was removed"):
                write(left.folder, argument)
        else:
            write(left.folder, argument)
        assert files_of(left.folder) == files, left.step
    assert set(seen) == {False, True}
    assert seen == sorted(seen)


@pytest.mark.parametrize(("write", "name"), [(dying.append_anew, "old"), (dying.compact, "grown")])
def test_an_index_that_is_compacted_or_gets_items_anew_is_old_or_new(world, tmp_path, write, name):
    index = tmp_path / "index"
    shutil.copytree(world / name, index)
    arguments = [world / "anew"] if write is dying.append_anew else []
    whole = [state_of(index)]
    lefts = left_by_kills(write, index, *arguments, copies=tmp_path / "copies", every=4)
    files = files_of(index)
    whole.append(state_of(index))
    assert (whole[0] == whole[1]) == (write is dying.compact)
    for left in lefts:
        assert state_of(left.folder) in whole, left.step
        write(left.folder, *arguments)
        assert state_of(left.folder) == whole[1], left.step
        assert hidden(files_of(left.folder)) == []
        if write is dying.compact:
            assert files_of(left.folder) == files, left.step


@pytest.mark.parametrize(
    ("write", "name", "arguments"),
    [
        (dying.inside, "index", (dying.merge, "index", "new")),
        (dying.inside, "index.parquet", (dying.write, "index.parquet", "new")),
        (dying.index_items, "index", ("index", "scene/item.json")),
        (dying.index_items, "index.parquet", ("index.parquet", "scene/item.json")),
    ],
)
def test_a_new_index_is_refused_until_it_is_whole(world, tmp_path, write, name, arguments):
    *first, last = arguments
    folder = tmp_path / "folder"
    folder.mkdir()
    lefts = left_by_kills(write, folder, *first, world / last, copies=tmp_path / "c", every=8)
    files, new = files_of(folder), rows_of(read_index(folder / name))
    assert hidden(files) == []
    for left in lefts:
        try:
            assert rows_of(read_index(left.folder / name)) == new, left.step
        except ObjectNotFound:
            assert not (left.folder / name / "_index.json").exists()
        except IndexFormatError as error:
            assert "not complete" in str(error)
        write(left.folder, *first, world / last)
        assert files_of(left.folder) == files, left.step


def test_a_reader_that_may_not_write_sees_the_new_index_of_a_killed_writer(world, tmp_path):
    new, halfway = state_of(world / "new"), 0
    shutil.copytree(world / "old", tmp_path / "index")
    lefts = left_by_kills(
        dying.write, tmp_path / "index", world / "new", copies=tmp_path / "copies", every=1
    )
    for left in lefts:
        if "next" not in json.loads((left.folder / "_index.json").read_text()):
            continue
        (left.folder / ".stacchip-writer.lock").unlink()  # so that it is not ended by the reader
        before = files_of(left.folder)
        assert state_of(left.folder) == new
        assert files_of(left.folder) == before
        halfway += 1
    assert halfway > 5
    merge_indexes(lefts[-2].folder, tmp_path / "merged")
    assert state_of(tmp_path / "merged") == new


def test_killed_at_any_moment_a_merge_leaves_each_source_old_or_new(world, tmp_path):
    """Not only at steps: pyarrow writes its files by itself."""
    rng = random.Random(1)
    whole = [state_of(world / name) for name in ("old", "new")]
    index = tmp_path / "index"
    shutil.copytree(world / "old", index)
    started = time.monotonic()
    dying.start(dying.merge, index, world / "old").join(60)
    longest = time.monotonic() - started
    for _ in range(30 if ALL else 6):
        writer = dying.start(dying.merge, index, world / rng.choice(["old", "new"]))
        time.sleep(rng.uniform(0, 1.2) * longest)
        writer.kill()
        writer.join(60)
        assert state_of(index) in whole
    # what the killed ones left behind is cleared away by the next
    merge_indexes(world / "new", index)
    assert sorted(files_of(index)) == sorted(files_of(world / "new"))


def varies(name: str) -> bool:
    """A list of new files has their random names, and threads spill records in any order."""
    return name.endswith(("_index.json", "records.spill"))


def test_a_kill_leaves_what_the_copies_show(world, tmp_path):
    """The sweeps above stand on this."""
    shutil.copytree(world / "old", tmp_path / "copied")
    lefts = left_by_kills(
        dying.write, tmp_path / "copied", world / "new", copies=tmp_path / "copies"
    )
    for step in ("make .*records.spill", "rename .*naip.parquet as", "delete /chips-gone"):
        left = next(left for left in lefts if re.search(step, left.step))
        index = tmp_path / f"killed-{step[:4]}"
        shutil.copytree(world / "old", index)
        kill_before(dying.write, index, world / "new", step=step)
        ours, theirs = (
            {nameless(name): varies(name) or digest for name, digest in files_of(folder).items()}
            for folder in (left.folder, index)
        )
        assert ours == theirs, step


# -- steps that fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, pytest.param(errno.EROFS, marks=pytest.mark.slow)])
def test_a_writer_that_fails_leaves_the_old_index_or_the_new_one_and_runs_again(
    over, tmp_path, code
):
    write, index, argument = over
    before, old = files_of(index), state_of(index)
    failures = failures_of(write, index, argument, code=code, every=4)
    assert len(failures) > 2
    write(index, argument)
    after, new = files_of(index), state_of(index)
    for failure in failures:
        if failure.error is None:  # only what is cleared away at the end has failed
            assert failure.step.startswith("delete")
            continue
        assert isinstance(failure.error, StacchipError), failure
        assert str(index) in str(failure.error)
        if code == errno.ENOSPC:
            assert isinstance(failure.error, DiskFull), failure
            # nothing is left, or the next reader or writer ends the work
            is_old = failure.files == before
            assert is_old or ".stacchip-writer.lock" in failure.files, failure
    assert before != after
    assert old != new


def test_a_switch_that_fails_is_ended_by_the_next_reader(world, tmp_path):
    index, copy = tmp_path / "index", tmp_path / "copy"
    shutil.copytree(world / "old", index)
    # a name that is taken by a folder: nothing can be renamed to it
    (index / "chips-naip.parquet").mkdir()
    with pytest.raises(StacchipError, match=r"chips-naip\.parquet cannot be written: it is a fold"):
        write_index(read_index(world / "new"), index)
    shutil.copytree(index, copy)
    (index / "chips-naip.parquet").rmdir()
    assert state_of(index) == state_of(world / "new")
    assert hidden(files_of(index)) == [".stacchip-writer.lock"]
    write_index(read_index(world / "new"), index)
    assert hidden(files_of(index)) == []


@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_a_full_disk_leaves_the_old_index_and_no_more(over, limit):
    write, index, argument = over
    before = files_of(index)
    with small_files(limit), pytest.raises(DiskFull, match=str(index)):
        write(index, argument)
    assert files_of(index) == before


def test_a_writer_that_may_open_few_files_leaves_the_old_index_or_the_new_one(world, tmp_path):
    """A folder that cannot be listed is not taken for an empty one."""
    index, whole = tmp_path / "index", [state_of(world / name) for name in ("old", "new")]
    shutil.copytree(world / "old", index)
    tries = in_a_process(write_with_few_files, index, world / "new")
    for error, state, names in tries:
        assert error is None or isinstance(error, StacchipError), error
        assert state in whole
        for name in names:  # the next writer finds it by its lock
            assert f"{name.partition('/')[0].removesuffix('.lock')}.lock" in names
    dying.write(index, world / "new")
    assert files_of(index) == files_of(world / "new")


def write_with_few_files(answer, index, source):
    read_index(source)  # imports what it takes
    tries = []
    for more in range(8):
        error = None
        try:
            with few_open_files(more):
                dying.write(index, source)
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            error = failure
            error.__cause__ = error.__context__ = error.__traceback__ = None
        tries.append((error, state_of(index), hidden(files_of(index))))
    answer(tries)


def test_a_new_index_that_cannot_be_finished_is_not_begun(world, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    failures = failures_of(
        dying.inside, folder, dying.write, "index", world / "new", code=errno.ENOSPC
    )
    assert len(failures) > 8
    for failure in failures:
        assert isinstance(failure.error, DiskFull), failure
        assert failure.files == {}, failure.step


def test_a_disk_that_was_mounted_read_only_refuses(world, tmp_path):
    (tmp_path / "index").mkdir()
    first, *_ = failures_of(dying.write, tmp_path / "index", world / "new", code=errno.EROFS)
    assert isinstance(first.error, AccessDenied)
    assert "its file system is read-only" in str(first.error)
