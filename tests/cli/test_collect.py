"""`stacchip collect` from its options to what it prints, on a catalogue in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest
import shapely

from collect.survey import ITEM_ID, SURVEY, Survey
from stacchip.cli import run
from stacchip.cli.commands.collect_output import format_size, print_item, print_row, print_summary
from stacchip.collect.job import Job
from stacchip.collect.recipes import get_recipe, list_recipes
from stacchip.collect.report import ItemReport, RowReport, RunReport
from stacchip.collect.sample import Row
from stacchip.collect.settings import Settings

VARIABLES = (
    "STACCHIP_BUCKET", "STACCHIP_MGRS_SOURCE", "STACCHIP_SAMPLE_SOURCE", "STACCHIP_CATALOGUE",
    "STACCHIP_YEARS", "AWS_BATCH_JOB_ARRAY_INDEX",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def survey(tmp_path) -> Path:
    """A folder with a survey of one sheet, and a list of rows whose second one is not there."""
    Survey(tmp_path / "imagery").photograph(10)
    (tmp_path / "rows.txt").write_text(f"{SURVEY}\notago/nowhere_2018_0.3m/rgb/2193\n")
    return tmp_path


@pytest.fixture
def collect_linz(survey, capsys):
    """Run `stacchip collect linz` on the survey; gives the exit code and both outputs in lines."""

    def collect(*options: str) -> tuple[int, list[str], list[str]]:
        code = run(
            ["collect", "linz", "--bucket", str(survey / "archive"),
             "--sample", str(survey / "rows.txt"), "--catalogue", str(survey / "imagery"), *options]
        )  # fmt: skip
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return collect


def test_a_run_prints_each_item_and_row_and_a_summary(collect_linz, survey):
    code, out, err = collect_linz("--rows", "0")
    assert code == 0
    assert err == [f"Writing to {survey / 'archive'}"]
    item, row, summary, choices = out
    assert item.startswith(f"  row 0: {ITEM_ID}: 1 files (")
    assert row.startswith(f"row 0 ({SURVEY}): 1 items, 0 of them there already; 1 files (")
    assert summary.startswith("1 rows, 1 items, 1 files (")
    assert summary.endswith(" written, 1 chips indexed, 0 items there already; 0 rows failed")
    assert choices == (
        f"in {survey / 'archive'}: files converted; --seed 0 --chip-size 256 --share 50% "
        "--minimum 10 --maximum 2000 --resolution 0.3 --band-count 3"
    )
    _, out, _ = collect_linz("--rows", "0")
    assert len(out) == 3, "of an item that was there nothing is said but in the row's line"
    assert "1 of them there already; 0 files (0 B)" in out[0]


def test_a_row_that_fails_is_an_error_and_the_others_are_collected(collect_linz, survey):
    code, out, err = collect_linz()
    assert code == 1
    assert out[-2].endswith("1 rows failed")
    assert "ObjectNotFound" not in "".join(out), "each failure is told once, at the end"
    _, line, again = err
    assert line.startswith("row 1 (otago/nowhere_2018_0.3m/rgb/2193) failed: ObjectNotFound: ")
    assert again.startswith("Run the failed rows again: ")
    assert (survey / "archive" / "linz" / ITEM_ID / "stac_item.json").exists()


def test_a_dry_run_prints_fields_between_tabs_and_writes_nothing(collect_linz, survey):
    code, out, err = collect_linz("--rows", "0", "--dry-run")
    assert code == 0
    assert err == []
    number, item_id, asset, href, size = out[0].split("\t")
    assert (number, item_id, asset) == ("0", ITEM_ID, "visual")
    file = survey / "imagery" / SURVEY / "CE17.tiff"
    assert href == str(file)
    assert size == format_size(file.stat().st_size)
    assert out[1] == (
        f"1 rows: files of {size}, and 0 of unknown size, would be copied or converted to "
        f"{survey / 'archive'}; nothing written"
    )
    assert not (survey / "archive").exists()


def test_a_dry_run_of_links_says_so(collect_linz, survey):
    _, out, _ = collect_linz("--rows", "0", "--dry-run", "--files", "link")
    assert out[-1].endswith(f"would be linked from {survey / 'archive'}; nothing written")


def test_a_dry_run_goes_on_after_a_row_that_cannot_be_planned(collect_linz):
    code, out, err = collect_linz("--dry-run")
    assert code == 1
    assert out[0].split("\t")[1] == ITEM_ID
    assert err[0].startswith("row 1 (otago/nowhere_2018_0.3m/rgb/2193) failed: ")


def test_a_dry_run_notes_what_is_there(collect_linz):
    collect_linz("--rows", "0")
    _, out, _ = collect_linz("--rows", "0", "--dry-run")
    assert out[0] == f"0\t{ITEM_ID} is there already"


def test_linked_files_stay_where_they_are(collect_linz, survey):
    code, _, _ = collect_linz("--rows", "0", "--files", "link")
    assert code == 0
    item = json.loads((survey / "archive" / "linz" / ITEM_ID / "stac_item.json").read_text())
    assert item["assets"]["visual"]["href"] == str(survey / "imagery" / SURVEY / "CE17.tiff")
    assert not list((survey / "archive").rglob("*.tiff"))


def test_variables_stand_in_for_options_and_an_option_wins(survey, monkeypatch, capsys):
    monkeypatch.setenv("STACCHIP_BUCKET", str(survey / "one"))
    monkeypatch.setenv("STACCHIP_SAMPLE_SOURCE", str(survey / "rows.txt"))
    monkeypatch.setenv("STACCHIP_CATALOGUE", str(survey / "imagery"))
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "0")
    assert run(["collect", "linz"]) == 0
    assert run(["collect", "linz", "--bucket", str(survey / "two")]) == 0
    for root in ("one", "two"):
        assert (survey / root / "linz" / ITEM_ID).is_dir()
    assert run(["collect", "linz", "--rows", "1"]) == 1
    assert "row 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["winter"], "There is no source 'winter'. There are: sentinel-2, landsat, naip, "),
        (["linz", "--files", "move"], "--files is copy or link, not 'move'."),
        (["linz", "--assets", "link"], "For files to be linked give --files link."),
        (["linz", "--bands", "copy"], "For files to be copied give --files copy."),
        (["linz", "--years", "often"], "--years is FIRST:LAST, such as 2018:2023, not 'often'."),
        (["linz", "--years", "2018:2020"], "linz has no --years; it has: --seed, "),
        (["naip", "--max-cloud", "5%"], "naip has no --max-cloud; it has: --seed, "),
        (["sentinel-2", "--max-cloud", "20"], "write 20% or 0.2. See: stacchip collect --help"),
        (["naip"], "naip needs a sample layer: --sample, STACCHIP_MGRS_SOURCE or "),
        (["linz", "--bands", ","], "Separate names with commas: red,green; not ','."),
        (["linz", "--rows", "9999"], "'9999' is not among them."),
        (["linz", "--rows", "a:b"], "not 'a:b'."),
        (["linz", "--bucket", ""], "names neither a bucket nor a folder."),
        (["linz", "--workers", "0"], "See: stacchip collect --help"),
        (["linz", "--share", "2"], "See: stacchip collect --help"),
    ],
)
def test_misuse_is_one_line(options, words, capsys):
    assert run(["collect", "--bucket", "b", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("stacchip: ")
    assert words in line


def test_a_bucket_must_be_named(capsys):
    assert run(["collect", "linz"]) == 2
    assert "--bucket" in capsys.readouterr().err


def test_a_source_without_a_list_takes_a_layer(tmp_path, capsys):
    layer = tmp_path / "places.fgb"
    geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs="EPSG:4326").to_file(layer)
    options = ["--bucket", str(tmp_path / "b"), "--sample", str(layer), "--rows", "3"]
    assert run(["collect", "naip", *options]) == 2
    assert "'3' is not among them" in capsys.readouterr().err


# -- lines -----------------------------------------------------------------------------------------

NEW = ItemReport("a", "p", 2, 1_500_000, 16, 1.25, 0.5)
THERE = ItemReport("b", "p")


def test_an_item_that_was_there_has_no_line_of_its_own(capsys):
    print_item(Row(3, "row 3"), THERE)
    assert capsys.readouterr().out == ""
    print_item(Row(3, "row 3"), NEW)
    assert capsys.readouterr().out == (
        "  row 3: a: 2 files (1.5 MB) in 1.2 s and 16 chips in 0.5 s\n"
    )


def test_a_row_has_its_notes_below_it_and_counts_its_errors(capsys):
    print_row(RowReport(3, "31UDQ", (NEW, THERE), ("2020 Q1: no item.",), ("c: OSError: no",)))
    first, *below = capsys.readouterr().out.splitlines()
    assert first == (
        "row 3 (31UDQ): 2 items, 1 of them there already; 2 files (1.5 MB) in 1.2 s and 16 chips "
        "in 0.5 s of work; 1 failed"
    )
    assert below == ["  2020 Q1: no item."]


def test_a_summary_adds_up_and_tells_the_choices(capsys):
    notes = ("2020 Q1: no item.",)
    rows = (RowReport(0, "x", (NEW, THERE), notes), RowReport(1, "y", (NEW,), errors=("one",)))
    report = RunReport(rows)
    assert (report.items, report.files_written, report.bytes_written) == (3, 4, 3_000_000)
    recipe = get_recipe("sentinel-2")
    wanted = {"bands": ("red", "nir"), "max_cloud": 12.5}
    job = Job(recipe, recipe.with_choices(wanted), Settings("s3://archive", "link"))
    print_summary(job, report)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        (
            "2 rows, 3 items, 4 files (3 MB) written, 32 chips indexed, 1 items there already; "
            "1 notes of what the catalogue lacks; 1 rows failed"
        ),
        (
            "in s3://archive: files linked where they are; --seed 0 --chip-size 256 --years "
            "2018:2023 --year-count 2 --per-period 1 --max-cloud 12.5% --max-nodata 20% "
            "--assets red,nir"
        ),
    ]
    assert err == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2.5e9, "2.5 GB"), (3e15, "3000 TB")],
)
def test_sizes_are_for_people(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize("options", [[], ["--bucket", "./archive"], ["--years", "x"]])
def test_an_unknown_source_is_the_first_mistake_that_is_reported(options, capsys):
    assert run(["collect", "nosuch", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    known = ", ".join(recipe.name for recipe in list_recipes())
    assert err == (
        f"stacchip: There is no source 'nosuch'. There are: {known}. See: stacchip collect --help\n"
    )


def test_a_mistake_points_to_the_help_of_its_command(capsys):
    assert run(["collect", "naip"]) == 2
    assert run(["prechip", "--nosuch"]) == 2
    assert run(["nosuch"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "--bucket" in lines[0]
    ends = [line.partition(" See: ")[2] for line in lines]
    assert ends == ["stacchip collect --help", "stacchip prechip --help", "stacchip --help"]
