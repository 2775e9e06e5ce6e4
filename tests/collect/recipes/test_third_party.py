"""A source that another package adds, collected by `stacchip collect` as its users would do it.

Each test runs in a process of its own, since what is registered stays so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collect.survey import SURVEY, Survey

RECIPE = '''
"""A survey that is flown each spring: every sheet is taken, and copied as it is."""

from stacchip.collect.choice import Chosen
from stacchip.collect.recipe import Choices, Recipe


def choose(row, choices, catalogue, dice, recipe):
    hrefs = catalogue.item_hrefs(row.name)
    return Chosen(tuple(catalogue.read_item(href) for href in hrefs))


RECIPE = Recipe(
    name="spring-survey",
    title="The spring survey",
    catalogue="",
    collections=(),
    assets={"": ("visual",)},
    choices=Choices(),
    choose=choose,
    list_name="spring_survey:rows.txt",
    platform="spring-survey",
)
'''
MAIN = "from stacchip.cli import main; main()"
# several command lines in one process, each with its exit code below its output
SEVERAL = """
import sys
from stacchip.cli import run

for line in sys.argv[1:]:
    print(f"exit code {run(line.split())}", flush=True)
"""


def run(folder: Path, *arguments: str, program: str = MAIN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env={
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            "PATH": "",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write_package(folder: Path, text: str = RECIPE) -> None:
    package = folder / "spring_survey"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    (package / "rows.txt").write_text(f"{SURVEY}\n")


def install(folder: Path, value: str = "spring_survey:RECIPE") -> None:
    """Leave what `pip install` leaves of a package that has an entry point."""
    info = folder / "spring_survey-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spring-survey\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[stacchip.recipes]\nspring = {value}\n")


@pytest.fixture
def installed(tmp_path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    write_package(folder)
    install(folder)
    return folder


def test_a_source_of_an_installed_package_is_collected(installed, tmp_path):
    Survey(tmp_path / "imagery").photograph(10)
    archive = tmp_path / "archive"
    done = run(
        installed, "collect", "spring-survey", "--bucket", str(archive),
        "--catalogue", str(tmp_path / "imagery"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 rows, 1 items, 1 files" in done.stdout
    assert (archive / "spring-survey" / "CE17" / "stac_item.json").exists()


def test_help_and_errors_list_it_after_ours(installed):
    names = "sentinel-2, landsat, naip, linz, sentinel-1, modis, spring-survey"
    done = run(
        installed, "collect --help", "collect winter-survey --bucket b", program=SEVERAL
    )  # fmt: skip
    assert names in done.stdout
    assert done.stdout.splitlines()[-2:] == ["exit code 0", "exit code 2"]
    unknown = f"There is no source 'winter-survey'. There are: {names}."
    assert done.stderr == f"stacchip: {unknown} See: stacchip collect --help\n"


def test_one_call_adds_a_source_too(tmp_path):
    write_package(tmp_path)
    program = (
        "from spring_survey import RECIPE\n"
        "from stacchip.collect.recipes import get_recipe, list_recipes, register_recipe\n"
        "register_recipe(RECIPE)\n"
        "assert get_recipe('spring-survey') is RECIPE is list_recipes()[-1]\n"
    )
    done = run(tmp_path, program=program)
    assert done.returncode == 0, done.stderr


def test_without_either_it_is_not_known(tmp_path):
    write_package(tmp_path)
    done = run(tmp_path, "collect", "spring-survey", "--bucket", "b")
    assert done.returncode == 2
    assert "There is no source 'spring-survey'" in done.stderr


def test_a_broken_package_is_named_and_does_not_stop_our_sources(tmp_path):
    write_package(tmp_path)
    install(tmp_path, "spring_survey:MISSPELT")
    wanted = run(tmp_path, "collect", "spring-survey", "--bucket", "b")
    assert wanted.returncode == 1
    assert "Entry point 'spring' = 'spring_survey:MISSPELT'" in wanted.stderr
    assert len(wanted.stderr.splitlines()) == 1
    ours = run(tmp_path, "collect naip --bucket b --share 1", "--help", program=SEVERAL)
    assert "naip has no --share" in ours.stderr
    assert ours.stdout.splitlines()[-1] == "exit code 0"


def test_a_package_may_not_take_the_name_of_a_source_of_ours(tmp_path):
    write_package(tmp_path, RECIPE.replace('"spring-survey"', '"naip"'))
    install(tmp_path)
    done = run(tmp_path, "collect", "--help")
    assert "A recipe named 'naip' is there already" in done.stderr
    assert done.returncode == 0, "the help of our own sources is shown all the same"
    assert "landsat" in done.stdout
