"""A plan's file is whole or not there, and notices damage before a wrong row is read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cubes import dying
from cubes.dying import PARTS
from kills import files_of, left_by_kills
from stacchip.cubes.plan_file import PlanFile, write_plan_file
from stacchip.errors import AssetChanged, IndexFormatError, ObjectNotFound
from stacchip.storage import Storage
from storage.small_store import SmallStore

HEAD = dying.HEAD


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    dying.write_plan(tmp_path)
    return tmp_path / "cubes/_cubes.plan"


@pytest.mark.parametrize("rows", [100, 1 << 40])
def test_a_job_reads_its_own_rows_and_the_head_alone(tmp_path: Path, rows: int) -> None:
    big = [part + (rows - 100) for part in PARTS]
    href, storage = str(tmp_path / "plan"), Storage()
    write_plan_file(href, {**HEAD, "index_rows": rows, "more": "x" * 100_000}, big, storage)
    file = PlanFile.read(href, storage)
    assert file.head["more"] == "x" * 100_000
    before = storage.bytes_read
    for job in (2, 0, 1):
        assert file.rows(job, len(big[job]), storage).tolist() == big[job].tolist()
    width = 4 if rows == 100 else 8
    assert storage.bytes_read - before == width * 25 + 3 * 8


def test_the_same_plan_has_the_same_bytes(plan: Path, tmp_path: Path) -> None:
    before = plan.read_bytes()
    dying.write_plan(tmp_path)
    assert plan.read_bytes() == before


def test_a_plan_takes_the_place_of_the_one_that_was_seen_alone(plan: Path) -> None:
    before, storage = plan.read_bytes(), Storage()
    seen = storage.stat(str(plan))
    other = {**HEAD, "seed": 2}
    with pytest.raises(AssetChanged):
        write_plan_file(str(plan), other, PARTS, storage)
    assert plan.read_bytes() == before
    write_plan_file(str(plan), other, PARTS, storage, expect=seen)
    after = plan.read_bytes()
    assert after != before
    for expect in (None, seen):
        with pytest.raises(AssetChanged):
            write_plan_file(str(plan), {**HEAD, "seed": 33}, PARTS, storage, expect=expect)
    plan.unlink()
    with pytest.raises(AssetChanged):
        write_plan_file(str(plan), HEAD, PARTS, storage, expect=seen)
    assert list(plan.parent.iterdir()) == []


def test_of_writers_at_once_the_first_wins(tmp_path: Path) -> None:
    def write(seed: int) -> int:
        try:
            write_plan_file(str(tmp_path / "plan"), {**HEAD, "seed": seed}, PARTS, Storage())
        except AssetChanged:
            return 0
        return seed

    with ThreadPoolExecutor(8) as pool:
        won = [seed for seed in pool.map(write, range(1, 9)) if seed]
    assert len(won) == 1
    assert PlanFile.read(str(tmp_path / "plan"), Storage()).head["seed"] == won[0]
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_a_large_plan_goes_to_a_store_in_one_request() -> None:
    part = np.arange(3_000_000)
    head = {"index_rows": len(part), "chips_per_job": len(part)}
    with SmallStore() as store:
        write_plan_file("s3://cubes/_cubes.plan", head, [part], store.storage)
        assert store.requests == ["PUT /cubes/_cubes.plan"], "no parts that could be left there"
        store.put_status, store.code = 412, "PreconditionFailed"
        with pytest.raises(AssetChanged):
            write_plan_file("s3://cubes/_cubes.plan", head, [part], store.storage)


def test_every_damaged_byte_is_noticed(plan: Path) -> None:
    data = plan.read_bytes()
    for place in range(len(data)):
        plan.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(IndexFormatError, match="prechip --plan"):
            read_all(plan)


@pytest.mark.parametrize("length", [0, 10, 30, 200, -1])
def test_a_plan_that_is_cut_off_is_noticed(plan: Path, length: int) -> None:
    plan.write_bytes(plan.read_bytes()[:length])
    with pytest.raises(IndexFormatError, match="prechip --plan"):
        read_all(plan)


def test_rows_of_another_plan_are_not_taken_for_its_own(plan: Path) -> None:
    file = PlanFile.read(str(plan), Storage())
    dying.write_plan(plan.parent.parent, {**HEAD, "seed": 2})
    with pytest.raises(IndexFormatError, match="replaced while it was read"):
        file.rows(0, 10, Storage())


def test_a_plan_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound):
        PlanFile.read(str(tmp_path / "plan"), Storage())


def test_a_plan_whose_making_fails_is_not_there(tmp_path: Path) -> None:
    def parts():
        yield PARTS[0]
        raise ValueError("the second part")

    with pytest.raises(ValueError, match="second"):
        write_plan_file(str(tmp_path / "cubes/plan"), HEAD, parts(), Storage())
    assert list((tmp_path / "cubes").iterdir()) == []


def test_a_killed_planner_leaves_a_whole_plan_or_none(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lefts = left_by_kills(dying.write_plan, folder, copies=tmp_path / "copies", every=4)
    files = files_of(folder)
    assert list(files) == ["cubes/", "cubes/_cubes.plan"]
    found = set()
    for left in lefts:
        there = files_of(left.folder)
        there = {name: there[name] for name in there if not name.endswith("/") and "/." not in name}
        assert there in ({}, {"cubes/_cubes.plan": files["cubes/_cubes.plan"]}), left.step
        found.add(len(there))
    assert found == {0, 1}
    dying.write_plan(lefts[0].folder)
    assert files_of(lefts[0].folder) == files


def read_all(plan: Path) -> None:
    file = PlanFile.read(str(plan), Storage())
    for job, part in enumerate(PARTS):
        assert np.array_equal(file.rows(job, len(part), Storage()), part)
