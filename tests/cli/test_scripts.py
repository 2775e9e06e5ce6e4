"""The nine console scripts: their names, what each runs, and how each reports misuse."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from interrupts import heeding_interrupts
from stacchip.collect.recipes import RECIPES, get_recipe

TABLE = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
SOURCES = {
    "stacchip-sentinel-2": "sentinel-2",
    "stacchip-landsat": "landsat",
    "stacchip-naip": "naip",
    "stacchip-linz": "linz",
    "stacchip-sentinel-1": "sentinel-1",
    "stacchip-modis": "modis",
}
NAMES = {"stacchip", "stacchip-prechip", "stacchip-stats", *SOURCES}


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Run a console script in this process; gives its exit code, output and errors."""

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        script = metadata.EntryPoint(name, TABLE["scripts"][name], "console_scripts").load()
        with pytest.raises(SystemExit) as ended:
            script()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_every_script_keeps_its_name():
    assert set(TABLE["scripts"]) == NAMES


def test_every_recipe_of_ours_has_a_script():
    assert set(SOURCES.values()) == {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize("columns", [60, 200])
@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_script_says_what_it_takes(name, columns, run_script, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = run_script(name, "--help" if columns == 60 else "-h")
    assert code == 0
    assert "Usage: " in out
    assert name in out


@pytest.mark.parametrize(("name", "source"), SOURCES.items())
def test_a_script_runs_the_recipe_that_it_is_named_after(name, source, run_script):
    _, out, _ = run_script(name, "--help")
    assert get_recipe(source).title in " ".join(out.split())
    # and refuses what only other sources can choose
    strange = "--share" if source != "linz" else "--max-cloud"
    code, out, err = run_script(name, "--bucket", "b", "--rows", "0", strange, "0.5")
    assert code == 2
    assert out == ""
    assert err.startswith(f"{name}: {source} has no {strange}; it has: ")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_wrong_option_is_one_line_in_the_same_form(name, run_script):
    code, out, err = run_script(name, "--zzz")
    assert code == 2
    assert out == ""
    assert err == f"{name}: No such option: --zzz See: {name} --help\n"


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_script_of_a_source_refuses_to_run_without_a_row(name, run_script):
    code, _, err = run_script(name, "--bucket", "b")
    assert code == 2
    assert err.startswith(f"{name}: Which row? Set AWS_BATCH_JOB_ARRAY_INDEX")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("module", ["typer", "numpy", "stacchip.collect.recipes"])
def test_an_interrupt_while_a_script_imports_is_one_line(module):
    program = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from stacchip.cli.scripts import naip
naip()
"""
    with heeding_interrupts():
        done = subprocess.run(
            [sys.executable, "-c", program, "--help"], check=False, capture_output=True, text=True
        )
    assert done.returncode == 130
    assert done.stderr == "stacchip-naip: interrupted\n"
