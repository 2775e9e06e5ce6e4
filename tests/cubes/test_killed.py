"""Jobs that write cubes and statistics are killed before steps, and fail at steps."""

from __future__ import annotations

import errno

import pytest

from cubes import dying
from cubes.cube_world import PLATFORM, make_world
from failures import failures_of, small_files
from kills import files_of, left_by_kills
from stacchip.cubes.sinks import CubeFolder, find_cubes
from stacchip.draws import Draw
from stacchip.errors import ChipNotFound, DiskFull, UsageError
from stacchip.statistics import StatisticsFolder
from stacchip.storage import Storage


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return make_world(str(folder / "data"), folder, Storage())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def hidden(files):
    return [name for name in files if ".stacchip" in name]


@pytest.mark.parametrize(
    ("form", "every", "draw"),
    [
        ("npz", 4, None),
        ("webdataset", 4, None),
        ("zarr", 30, None),
        ("webdataset", 4, Draw(weight="1 + chip_index_x", chips=300, replace="repeat")),
    ],
)
def test_a_killed_job_leaves_whole_cubes_and_makes_the_others_when_it_runs_again(
    world, folder, tmp_path, form, every, draw
):
    lefts = left_by_kills(
        dying.write_cubes, folder, world, form, draw, copies=tmp_path / "copies", every=every
    )
    files = files_of(folder)
    assert hidden(files) == []
    found = set()
    for left in lefts:
        for name, digest in files_of(left.folder).items():
            assert ".stacchip" in name or files[name] == digest, f"{left.step}: {name} is half"
        try:
            cubes = find_cubes(CubeFolder(str(left.folder / "cubes"), PLATFORM), Storage())
            for number in cubes.numbers:
                cubes.reader.read(number)
            found.add(cubes.numbers)
        except ChipNotFound:
            found.add(())
        dying.write_cubes(left.folder, world, form, draw)
        assert files_of(left.folder) == files, left.step
    assert {(), (0, 1)} <= found <= {(), (0,), (0, 1)}


@pytest.mark.parametrize(("form", "every"), [("npz", 4), ("zarr", 25)])
def test_a_job_whose_disk_is_full_leaves_whole_cubes_and_nothing_else(world, folder, form, every):
    failures = failures_of(dying.write_cubes, folder, world, form, code=errno.ENOSPC, every=every)
    assert len(failures) > 2
    dying.write_cubes(folder, world, form)
    files = files_of(folder)
    for failure in failures:
        assert isinstance(failure.error, DiskFull), failure
        assert f"{folder}/cubes" in str(failure.error)
        for name, digest in failure.files.items():
            assert files[name] == digest, f"{failure.step}: {name}"


@pytest.mark.parametrize("limit", [0, 100, 2_000])
def test_a_cube_that_does_not_fit_is_not_there(world, folder, limit):
    with small_files(limit), pytest.raises(DiskFull, match=str(folder)):
        dying.write_cubes(folder, world, "npz")
    assert not [name for name in files_of(folder) if "cube_" in name or ".stacchip" in name]


def test_a_killed_job_leaves_its_part_of_statistics_or_none(folder, tmp_path):
    dying.write_part(folder, 0)
    lefts = left_by_kills(dying.write_part, folder, 1, copies=tmp_path / "copies")
    files = files_of(folder)
    assert sorted(files) == ["statistics_naip_0.npz", "statistics_naip_1.npz"]
    merged = set()
    for left in lefts:
        try:
            (statistics,) = StatisticsFolder(str(left.folder), Storage()).merge()
            merged.add(statistics.chips)
        except UsageError as error:
            assert "jobs 1 are missing" in str(error)
            merged.add(None)
        dying.write_part(left.folder, 1)
        assert files_of(left.folder) == files, left.step
    assert merged == {None, 2}
