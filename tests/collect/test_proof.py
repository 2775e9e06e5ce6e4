"""An item counts as done once a chip of it can be cut from what was stored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from collect.survey import ITEM_ID, SURVEY, Survey
from stacchip.chipper import Chipper
from stacchip.collect.job import Job
from stacchip.collect.recipes.linz import RECIPE
from stacchip.collect.report import RowReport
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.errors import StacchipError

COPIED = dataclasses.replace(RECIPE, converts=False)


@pytest.fixture
def survey(tmp_path) -> Survey:
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    return survey


@pytest.fixture
def collect(survey, tmp_path):
    def run(**told: bool) -> RowReport:
        settings = Settings(
            str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"), **told
        )
        return Job(COPIED, COPIED.choices, settings).run(Row(0, SURVEY))

    return run


@pytest.fixture
def item(tmp_path) -> Path:
    return tmp_path / "archive/linz" / ITEM_ID


def first_pixel(item: Path) -> int:
    return int(Chipper(item.parents[1] / "index/linz" / ITEM_ID).cut_row(0).array[0, 0, 0])


def spoil(file: Path) -> None:
    """Put as many other bytes into a file, as a log-in page or a bad disk may."""
    file.write_bytes(b"<html>log in</html>".ljust(file.stat().st_size, b" "))


def test_an_item_whose_file_was_spoilt_is_brought_anew(collect, item):
    collect()
    spoil(item / "CE17.tiff")
    with pytest.raises(StacchipError):
        first_pixel(item)
    (report,) = collect().items
    assert (report.files_written, report.chips) == (1, 1)
    assert first_pixel(item) == 10
    (report,) = collect().items
    assert report.chips is None


def test_an_item_whose_index_was_spoilt_is_indexed_anew(collect, item):
    collect()
    spoil(item.parents[1] / f"index/linz/{ITEM_ID}/index_{ITEM_ID}.parquet")
    (report,) = collect().items
    assert report.chips == 1
    assert first_pixel(item) == 10


def test_an_archive_with_addresses_from_the_working_folder_is_mended(collect, item):
    """Earlier versions wrote them; no chip could be read."""
    collect()
    path = item / "stac_item.json"
    record = json.loads(path.read_text())
    record["assets"]["visual"]["href"] = f"archive/linz/{ITEM_ID}/CE17.tiff"
    path.write_text(json.dumps(record))
    before = (item / "CE17.tiff").stat().st_mtime_ns
    (report,) = collect().items
    assert (report.files_written, report.chips) == (0, 1)
    assert json.loads(path.read_text())["assets"]["visual"]["href"] == "./CE17.tiff"
    assert (item / "CE17.tiff").stat().st_mtime_ns == before, "its file is good"


def test_linked_files_that_are_gone_are_an_error_of_the_item(collect, survey, item):
    assert collect(assets="link").errors == ()
    (survey.folder / "CE17.tiff").unlink()
    (error,) = collect(assets="link").errors
    assert error.startswith(f"{ITEM_ID}: ObjectNotFound: ")


def test_links_to_local_files_are_read_from_any_folder(collect, survey, item, monkeypatch):
    assert collect(assets="link").errors == ()
    elsewhere = item.parents[2] / "elsewhere"
    elsewhere.mkdir()
    item.parents[1].rename(elsewhere / "moved")
    monkeypatch.chdir("/")
    chip = Chipper(elsewhere / "moved/index/linz" / ITEM_ID).cut_row(0)
    np.testing.assert_array_equal(chip.array, 10)
