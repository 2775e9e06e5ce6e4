"""Jobs that collect into a folder are killed before steps, and fail at steps.

`test_kill.py` kills jobs that write to an object store.
"""

from __future__ import annotations

import errno

import pytest

from collect import dying
from collect.survey import Survey
from failures import failures_of
from index.tables import rows_of
from kills import files_of, left_by_kills
from stacchip.chipper import Chipper
from stacchip.errors import StacchipError
from stacchip.index import read_index


@pytest.fixture
def world(tmp_path):
    """A folder to collect in, and a survey."""
    Survey(tmp_path / "nz-imagery").photograph(10)
    (tmp_path / "folder" / "tmp").mkdir(parents=True)
    return tmp_path / "folder", tmp_path / "nz-imagery"


def index_of(folder):
    (index,) = (folder / "archive").glob("index/linz/*")
    return index


def chips_of(folder):
    return [{**row, "item_href": None} for row in rows_of(read_index(index_of(folder)))]


def kept(files):
    """What does not depend on when it was written, as headers in an index do."""
    return {
        name: "" if name.startswith("archive/index/") else digest for name, digest in files.items()
    }


@pytest.mark.parametrize("converts", [True, False])
def test_a_killed_job_leaves_nothing_half_and_ends_its_work_when_it_runs_again(
    world, tmp_path, converts
):
    folder, survey = world
    lefts = left_by_kills(
        dying.collect, folder, survey, converts, copies=tmp_path / "copies", every=8
    )
    files, chips = kept(files_of(folder)), chips_of(folder)
    assert [name for name in files if ".stacchip" in name or name.startswith("tmp/")] == ["tmp/"]
    for left in lefts:
        for name, digest in kept(files_of(left.folder)).items():
            is_ours = name.startswith("tmp/") or ".stacchip" in name
            assert is_ours or files[name] == digest, f"{left.step}: {name} is half"
        dying.collect(left.folder, survey, converts)
        assert kept(files_of(left.folder)) == files, left.step
        assert chips_of(left.folder) == chips
        assert (Chipper(index_of(left.folder)).cut_row(0).array == 10).all()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_job_that_fails_names_the_place_and_leaves_nothing_half(world, code):
    folder, survey = world
    failures = failures_of(dying.collect, folder, survey, True, code=code, every=6)
    assert len(failures) > 3
    dying.collect(folder, survey, True)
    files = kept(files_of(folder))
    for failure in failures:
        if failure.error is None:
            assert failure.step.startswith(("delete", "touch")), failure
            continue
        assert type(failure.error) is StacchipError, failure
        assert "UnexpectedError" not in str(failure.error)
        assert str(folder) in str(failure.error), failure
        if code == errno.ENOSPC:
            for name, digest in kept(failure.files).items():
                assert files[name] == digest, f"{failure.step}: {name}"
