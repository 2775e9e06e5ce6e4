"""The parts that jobs leave, made by hand: each chip of job `n` has the value `n`."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.errors import ChipNotFound, IndexFormatError, UsageError
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import Part, PlatformStatistics, StatisticsFolder, merge_statistics
from stacchip.storage import Storage

MEASURED = {"cubes": "s3://cubes", "dtype": None}


def statistics_of(job: int, platform: str = "naip", chips: int = 1) -> PlatformStatistics:
    statistics = PlatformStatistics(get_platform(platform), "uint8")
    shape = (chips, len(statistics.bands), 2, 2)
    statistics.add(np.full(shape, job, np.uint8), np.ones(shape, bool))
    statistics.measured = dict(MEASURED)
    return statistics


@pytest.fixture
def folder(tmp_path) -> StatisticsFolder:
    return StatisticsFolder(str(tmp_path / "parts"), Storage())


def write(folder: StatisticsFolder, job: int, jobs: int, platform: str = "naip", **options) -> str:
    platforms = options.pop("platforms", ("naip",))
    return folder.write(statistics_of(job, platform, **options), Part(job, jobs, platforms))


def test_each_part_has_an_address_of_its_own(folder):
    assert write(folder, 3, 4).endswith("parts/statistics_naip_3.npz")
    assert write(folder, 12, 14, "linz").endswith("parts/statistics_linz_12.npz")


@pytest.mark.parametrize("jobs", [1, 3, 12])
def test_parts_are_merged_in_any_order(folder, jobs):
    for job in reversed(range(jobs)):
        write(folder, job, jobs, chips=job + 1)
    (merged,) = folder.merge()
    values = np.repeat(np.arange(jobs), np.arange(1, jobs + 1))
    assert merged.chips == len(values)
    assert merged.bands[3].moments.mean == pytest.approx(values.mean())
    assert merged.bands[3].percentile([0, 50, 100]) == [0, np.median(values), jobs - 1]


def test_platforms_are_merged_apart_and_sorted(folder):
    platforms = ("naip", "linz")
    for job in range(2):
        for platform in platforms:
            write(folder, job, 2, platform, platforms=platforms)
    assert [each.platform.platform for each in folder.merge()] == ["linz", "naip"]


def test_a_platform_that_the_run_names_is_missed(folder):
    write(folder, 0, 1, platforms=("naip", "modis"))
    with pytest.raises(UsageError, match=r"0 of 1 parts of .*'modis': .* jobs 0 are missing"):
        folder.merge()


def test_many_missing_jobs_are_not_all_named(folder):
    write(folder, 5, 40)
    with pytest.raises(UsageError, match=r"jobs 0, 1, 2, 3, 4, 6, 7, 8, 9, 10 and 29 more are"):
        folder.merge()


def test_other_files_in_the_folder_are_left_alone(folder, tmp_path):
    write(folder, 0, 1)
    for name in ("metadata.yaml", "statistics_naip.npz", "cube_0.npz", "statistics_naip_0.npz.old"):
        (tmp_path / "parts" / name).write_bytes(b"something else")
    assert [each.chips for each in folder.merge()] == [1]


def test_a_file_that_is_not_a_part_is_named(folder, tmp_path):
    write(folder, 0, 2)
    (tmp_path / "parts" / "statistics_naip_1.npz").write_bytes(b"something else")
    with pytest.raises(IndexFormatError, match=r"statistics_naip_1\.npz"):
        folder.merge()


def test_an_empty_folder_has_nothing_to_merge(folder):
    with pytest.raises(ChipNotFound, match="no statistics to merge"):
        folder.merge()
    with pytest.raises(UsageError, match="nothing to merge"):
        merge_statistics([])


def test_a_part_that_measured_something_else_is_named_with_the_difference(folder):
    write(folder, 0, 2)
    other = statistics_of(1)
    other.measured["cubes"] = "s3://other"
    folder.write(other, Part(1, 2, ("naip",)))
    with pytest.raises(UsageError, match=r"_0\.npz and .*_1\.npz .*: cubes is 's3://cubes' in one"):
        folder.merge()


@pytest.mark.parametrize("there", [set(), {0}, {1, 2}, {0, 1, 2}])
def test_a_part_says_which_jobs_are_missing(there):
    part = Part(0, 3, ("naip", "linz"))
    assert set(part.find_missing(there)) == {0, 1, 2} - there
    assert Part.from_dict(part.to_dict()) == part
