"""The plan is the same for every job; cubes of another plan are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cubes.cube_world import ITEMS, PER_ITEM, PLATFORM, World, make_world
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import CubePlan, PlanSettings, read_plan
from stacchip.cubes.sinks import CubeFolder
from stacchip.errors import LimitExceeded, StacchipError, UsageError
from stacchip.storage import Limits, Storage, StorageOptions

CHIPS = ITEMS * PER_ITEM


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


def plan_of(world: World, rows: list[int] | None = None, **settings) -> CubePlan:
    imagery = Imagery(world.index, PLATFORM, bands=("blue",))
    chipper = imagery.open(Storage())
    if rows is not None:
        chipper = imagery.chipper_of(chipper.rows.table.take(rows), Storage())
    return CubePlan(chipper, PlanSettings(**settings), ("blue",))


@pytest.mark.parametrize(("cube_size", "per_job"), [(10, 1), (7, 3), (100, 2), (1000, 1)])
def test_the_jobs_share_all_chips_once_in_whole_cubes(local, cube_size, per_job):
    plan = plan_of(local, cube_size=cube_size, cubes_per_job=per_job)
    cubes = [rows for job in range(plan.jobs) for rows in plan.rows(job).values()]
    assert sorted(np.concatenate(cubes).tolist()) == list(range(CHIPS))
    assert all(len(rows) == cube_size for rows in cubes[:-1])


@pytest.mark.parametrize("wrong", [{"cube_size": 0}, {"cubes_per_job": 0}, {"last_cube": "pad"}])
def test_settings_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PlanSettings(**wrong)


@pytest.mark.parametrize(
    ("options", "cubes", "jobs", "chips"),
    [
        ({}, 3, 1, CHIPS),
        ({"last_cube": "drop"}, 2, 1, 256),
        ({"cube_size": 100, "cubes_per_job": 2}, 3, 2, CHIPS),
        ({"cube_size": 1000, "last_cube": "drop"}, 0, 0, 0),
    ],
)
def test_a_plan_counts_its_cubes_and_jobs(local, options, cubes, jobs, chips):
    plan = plan_of(local, **options)
    assert (plan.cubes, plan.jobs, plan.chips) == (cubes, jobs, chips)
    numbers = [number for job in range(jobs + 2) for number in plan.numbers(job)]
    assert numbers == list(range(cubes))


def test_a_sink_learns_the_facts_of_all_cubes(local):
    cubes = plan_of(local, cube_size=40).cube_set
    assert (cubes.cube_size, cubes.chips, cubes.bands, cubes.chip_size) == (
        40,
        CHIPS,
        ("blue",),
        32,
    )


def test_a_dropped_cubes_chips_are_in_no_other_cube(local):
    plan = plan_of(local, last_cube="drop")
    rows = np.concatenate(list(plan.rows(0).values()))
    assert len(rows) == len(set(rows.tolist())) == 256


def test_the_record_is_left_once_and_agrees_with_itself(local, tmp_path):
    folder = CubeFolder(str(tmp_path), PLATFORM)
    plan_of(local).agree(folder, Storage())
    text = Path(folder.plan_href).read_text()
    record = json.loads(text)
    assert (record["chips"], record["cubes"], record["bands"]) == (CHIPS, 3, ["blue"])
    plan_of(local).agree(folder, Storage())
    assert Path(folder.plan_href).read_text() == text


@pytest.mark.parametrize(
    ("named", "other"),
    [
        ("seed", {"seed": 1}),
        ("mixing_bytes", {"mixing_bytes": 64 << 20}),
        ("chips", {"rows": list(range(CHIPS - 1))}),
        ("index", {"rows": list(range(CHIPS))[::-1]}),
    ],
)
def test_another_plan_is_refused_and_the_difference_named(local, tmp_path, named, other):
    folder = CubeFolder(str(tmp_path), PLATFORM)
    plan_of(local).agree(folder, Storage())
    with pytest.raises(UsageError, match=f"made in another way: {named} was"):
        plan_of(local, **other).agree(folder, Storage())


@pytest.mark.parametrize("text", ["", "[]", "5", "null", '"a"', "{", "\0", "[" * 100_000, "NaN"])
def test_a_record_of_cubes_that_is_no_object_is_an_error_that_names_it(local, tmp_path, text):
    folder = CubeFolder(str(tmp_path), PLATFORM)
    path = Path(folder.plan_href)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(StacchipError, match=r"_cubes\.json"):
        plan_of(local).agree(folder, Storage())
    assert path.read_text() == text


def test_a_record_of_cubes_is_no_larger_than_a_document(local, tmp_path):
    folder = CubeFolder(str(tmp_path), PLATFORM)
    plan_of(local).agree(folder, Storage())
    small = Storage(options=StorageOptions(limits=Limits(document_bytes=100)))
    with pytest.raises(LimitExceeded, match=r"_cubes\.json"):
        read_plan(folder, small)
