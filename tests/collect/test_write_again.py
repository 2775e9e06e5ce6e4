"""Files that are there already stay as they are, unless the user wants them written again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import rasterio

from collect.survey import ITEM_ID, SURVEY, Survey
from stacchip.cli import run
from stacchip.collect.job import Job
from stacchip.collect.recipes.linz import RECIPE
from stacchip.collect.report import RowReport
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings
from stacchip.errors import UsageError
from stacchip.index import read_grid, read_index, read_records


@pytest.fixture
def survey(tmp_path) -> Survey:
    survey = Survey(tmp_path / "nz-imagery")
    survey.photograph(10)
    return survey


def archived_value(root: Path) -> int:
    with rasterio.open(root / "linz" / ITEM_ID / "CE17.tiff") as dataset:
        return int(dataset.read(1)[5, 5])


def written_at(root: Path) -> dict[str, int]:
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_index_of_an_item_has_footprints_unless_refused(survey, tmp_path):
    for geometry in ("wkb", "none"):
        settings = Settings(
            str(tmp_path / geometry), catalogue=str(tmp_path / "nz-imagery"), geometry=geometry
        )
        report = Job(RECIPE, RECIPE.choices, settings).run(Row(0, SURVEY))
        assert not report.errors
    whole, slim = (read_index(tmp_path / geometry / "index") for geometry in ("wkb", "none"))
    assert whole["geometry"].null_count == 0
    assert slim["geometry"].null_count == slim.num_rows
    apart = ["geometry", "item_href"]  # two archives
    assert slim.drop_columns(apart).equals(whole.drop_columns(apart))


def test_an_unknown_form_of_footprints_is_refused_at_once():
    with pytest.raises(UsageError, match="geometry must be"):
        Settings("archive/", geometry="wkt")


@pytest.mark.parametrize("converts", [True, False])
def test_files_item_and_index_are_written_again_only_when_asked(survey, tmp_path, converts):
    root = tmp_path / "archive"
    catalogue = str(tmp_path / "nz-imagery")
    recipe = dataclasses.replace(RECIPE, converts=converts)

    def collect(**told: bool) -> RowReport:
        settings = Settings(str(root), catalogue=catalogue, **told)
        report = Job(recipe, recipe.choices, settings).run(Row(0, SURVEY))
        assert not report.errors
        return report

    (first,) = collect().items
    assert (first.item_id, first.files_written, first.chips) == (ITEM_ID, 1, 1)
    before = written_at(root)
    survey.photograph(20)
    (second,) = collect().items
    assert (second.files_written, second.chips) == (0, None)
    assert written_at(root) == before
    assert archived_value(root) == 10
    (third,) = collect(write_again=True).items
    assert (third.files_written, third.chips) == (1, 1)
    assert archived_value(root) == 20
    after = written_at(root)
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before)


def test_the_index_of_an_item_has_the_grid_of_its_archived_file(survey, tmp_path):
    root = tmp_path / "archive"
    settings = Settings(str(root), catalogue=str(tmp_path / "nz-imagery"))
    assert not Job(RECIPE, RECIPE.choices, settings).run(Row(0, SURVEY)).errors
    (record,) = read_records(root / "index" / "linz" / ITEM_ID)
    grid = read_grid(record.item)
    with rasterio.open(root / "linz" / ITEM_ID / "CE17.tiff") as dataset:
        assert (grid.geobox.affine, grid.geobox.shape.yx) == (dataset.transform, dataset.shape)
    assert grid.is_checked


def test_a_plan_leaves_out_what_is_there(survey, tmp_path):
    settings = Settings(str(tmp_path / "archive"), catalogue=str(tmp_path / "nz-imagery"))
    job = Job(RECIPE, RECIPE.choices, settings)
    planned = job.plan_row(Row(0, SURVEY))
    assert [file.item_id for file in planned.files] == [ITEM_ID]
    assert not job.run(Row(0, SURVEY)).errors
    planned = job.plan_row(Row(0, SURVEY))
    assert not planned.files
    assert f"{ITEM_ID} is there already" in planned.notes
    again = Job(RECIPE, RECIPE.choices, dataclasses.replace(settings, write_again=True))
    assert len(again.plan_row(Row(0, SURVEY)).files) == 1


def test_the_command_has_it_as_an_option(survey, tmp_path, capsys):
    root, rows = tmp_path / "archive", tmp_path / "rows.txt"
    rows.write_text(f"{SURVEY}\n")
    places = ["--bucket", str(root), "--sample", str(rows)]
    places += ["--catalogue", str(tmp_path / "nz-imagery")]

    def collect(*options: str) -> str:
        code = run(["collect", "linz", *places, *options])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    assert "1 files" in collect()
    survey.photograph(20)
    assert "1 of them there already; 0 files" in collect()
    assert archived_value(root) == 10
    assert "0 of them there already; 1 files" in collect("--write-again")
    assert archived_value(root) == 20
