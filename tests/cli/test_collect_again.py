"""Rows that failed, and runs that found nothing: what is said, and how to go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from collect.survey import ITEM_ID, SURVEY, Survey
from stacchip.cli import run
from stacchip.cli.commands.collect_source import make_command
from stacchip.cli.terminal.console import run_command
from stacchip.collect.recipes import get_recipe
from stacchip.index import read_index
from storage.small_store import SmallStore

ABSENT = "otago/nowhere-{}_2018_0.3m/rgb/2193"


@pytest.fixture
def survey(tmp_path, monkeypatch) -> Path:
    """A working folder with a survey, and a list of rows of which only row 3 can be collected."""
    for name in ("STACCHIP_BUCKET", "STACCHIP_SAMPLE_SOURCE", "AWS_BATCH_JOB_ARRAY_INDEX"):
        monkeypatch.delenv(name, raising=False)
    Survey(tmp_path / "imagery").photograph(10)
    rows = [ABSENT.format(number) for number in range(6)]
    rows[3] = SURVEY
    (tmp_path / "rows.txt").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


LINZ = ["--bucket", "./archive", "--sample", "rows.txt", "--catalogue", "imagery"]


def test_each_failure_is_told_once_with_the_command_for_the_failed_rows(survey, capsys):
    assert run(["collect", "linz", *LINZ, "--chip-size", "128", "--no-store-copies"]) == 1
    out, err = capsys.readouterr()
    for number in (0, 1, 2, 4, 5):
        told = [line for line in (out + err).splitlines() if "failed: " in line]
        assert sum(line.startswith(f"row {number} (") for line in told) == 1
    words = shlex.split(err.splitlines()[-1].removeprefix("Run the failed rows again: "))
    assert words[1:] == [
        "collect", "linz", *LINZ, "--no-store-copies", "--chip-size", "128", "--rows", "0:3,4,5",
    ]  # fmt: skip
    imagery = survey / "imagery"
    (imagery / SURVEY).rename(imagery / "kept")
    for number in (0, 1, 2, 4, 5):
        place = imagery / ABSENT.format(number)
        place.parent.mkdir(parents=True)
        place.symlink_to(imagery / "kept")
    assert run(words[1:]) == 0
    assert "5 rows, 5 items" in capsys.readouterr().out
    assert len(list((survey / "archive/linz").iterdir())) == 6


def test_the_failed_rows_are_written_down_and_read_again(survey, capsys):
    assert run(["collect", "linz", *LINZ, "--failed", "failed.txt"]) == 1
    assert (survey / "failed.txt").read_text() == "0:3,4,5\n"
    (survey / "failed.txt").write_text("3  # the only one\n")
    assert run(["collect", "linz", *LINZ, "--rows", "@failed.txt", "--failed", "failed.txt"]) == 0
    assert (survey / "failed.txt").read_text() == "", "none is left"
    capsys.readouterr()
    assert run(["collect", "linz", *LINZ, "--rows", "@failed.txt"]) == 2
    assert "the file names no rows" in capsys.readouterr().err
    assert run(["collect", "linz", *LINZ, "--rows", "@gone.txt"]) == 2
    assert "gone.txt" in capsys.readouterr().err


def test_a_list_that_cannot_be_written_is_refused_before_the_run(survey, capsys):
    assert run(["collect", "linz", *LINZ, "--rows", "3", "--failed", "no/such/failed.txt"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert not (survey / "archive").exists()


def test_the_command_for_the_failed_rows_is_that_of_the_script(survey, monkeypatch, capsys):
    monkeypatch.setenv("STACCHIP_BUCKET", "./archive")
    monkeypatch.setenv("STACCHIP_SAMPLE_SOURCE", "rows.txt")
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "4")
    command = make_command(get_recipe("linz"))
    assert run_command(command, "stacchip-linz", ["--catalogue", "imagery", "-v"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "Run the failed rows again: stacchip-linz --catalogue imagery --rows 4"


def test_no_password_is_in_the_command(survey, capsys):
    address = "http://user:secret@127.0.0.1:9/"
    assert run(["collect", "linz", *LINZ, "--rows", "0", "--source-endpoint", address]) == 1
    assert "secret" not in "".join(capsys.readouterr())


def test_a_run_that_finds_nothing_fails_unless_that_is_allowed(survey, capsys):
    place = survey / "imagery" / SURVEY / "collection.json"
    place.write_text(json.dumps({"links": []}))
    assert run(["collect", "linz", *LINZ, "--rows", "3"]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"stacchip: {survey / 'imagery'} has no item that fits any of the 1 rows."
    )
    assert "row 3 (otago/dunedin_2018_0.3m/rgb/2193)" in line
    assert line.endswith("(If that is no mistake, give --allow-empty.)")
    assert run(["collect", "linz", *LINZ, "--rows", "3", "--dry-run"]) == 1
    capsys.readouterr()
    assert run(["collect", "linz", *LINZ, "--rows", "3", "--allow-empty"]) == 0
    assert "has no item that fits" in capsys.readouterr().err


def test_choices_that_leave_no_item_are_told_apart_from_an_empty_collection(survey, capsys):
    assert run(["collect", "linz", *LINZ, "--rows", "3", "--minimum", "0", "--maximum", "0"]) == 1
    assert "share, minimum and maximum leave none of 1 items" in capsys.readouterr().err


def test_a_row_without_items_is_a_note_in_a_run_that_finds_others(survey, capsys):
    empty = survey / "imagery" / ABSENT.format(0)
    empty.mkdir(parents=True)
    (empty / "collection.json").write_text(json.dumps({"links": []}))
    assert run(["collect", "linz", *LINZ, "--rows", "0,3"]) == 0
    assert "links to no item; skipped" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_found_before_the_catalogue_is_searched(survey, capsys):
    (survey / "archive").write_text("a file")
    assert run(["collect", "linz", *LINZ]) == 2
    assert "archive is a file, not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchBucket"), (403, "AccessDenied")])
def test_a_bucket_that_is_not_there_or_refuses_is_found_before_any_search(
    status, code, survey, capsys, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with SmallStore() as store:
        store.put_status, store.code = status, code
        options = ["--sample", "rows.txt", "--catalogue", "http://127.0.0.1:9"]
        options += ["--bucket", "archive", "--endpoint", store.url]
        assert run(["collect", "linz", *options]) == 2, "AWS Batch does not retry it"
    first, last = capsys.readouterr().err.splitlines()
    assert first == "Writing to s3://archive (for a folder: ./archive)"
    assert last.startswith("stacchip: s3://archive cannot be written to: ")


def test_the_help_of_a_source_has_its_own_options_only(capsys):
    shown = {}
    for name in ("naip", "sentinel-2"):
        assert run(["collect", name, "--help"]) == 0
        shown[name] = capsys.readouterr().out
    assert "--max-cloud" in shown["sentinel-2"]
    assert "--max-cloud" not in shown["naip"]
    assert "--resolution" not in shown["naip"]
    assert all("--bucket" in text for text in shown.values())
    assert run(["collect", "--help"]) == 0
    assert "--resolution" in capsys.readouterr().out


def test_a_folder_is_filled_moved_and_used_by_every_command(survey, capsys, monkeypatch):
    assert run(["collect", "linz", *LINZ, "--rows", "3"]) == 0
    place = f"index/linz/{ITEM_ID}"
    (survey / "elsewhere").mkdir()
    (survey / "archive").rename(survey / "elsewhere/moved")
    monkeypatch.chdir(survey / "elsewhere")
    assert run(["info", f"moved/{place}"]) == 0
    assert run(["merge", "moved/index", "-o", "moved/all"]) == 0
    (chipid,) = read_index("moved/all")["chipid"].to_pylist()
    assert run(["chip", "moved/all", chipid, "-o", "chip.tif"]) == 0
    options = ["--index", "moved/all", "--bands", "visual", "--unmeasured", "keep"]
    assert run(["stats", *options, "-o", "stats.yaml"]) == 0
    assert "visual" in Path("stats.yaml").read_text()
    assert run(["prechip", *options, "--target", "./cubes", "--platform", "unknown"]) == 0
    assert list(Path("cubes").rglob("*.npz"))
