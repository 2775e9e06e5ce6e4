"""Help that can be read: on any terminal, and one option without the others."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from typer.main import get_command

from stacchip.cli.app import app
from stacchip.cli.commands.collect_source import make_command
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.cli.terminal.help_pages import help_style
from stacchip.collect.recipes import RECIPES

COMMANDS = get_command(app).commands
PARAMETERS = [
    pytest.param(parameter, id=f"{name}-{parameter.name}")
    for name, command in COMMANDS.items()
    for parameter in command.params
]


@pytest.mark.parametrize(("columns", "style"), [(60, None), (119, None), (120, "rich")])
def test_tables_are_for_terminals_with_room(columns, style, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert help_style() == style


def test_commands_are_listed_in_the_order_of_use():
    assert list(COMMANDS) == [
        "demo", "index", "merge", "add", "remove", "compact", "info", "list", "headers", "split",
        "check-leakage", "draw", "warm", "chip", "preview", "collect", "prechip", "stats",
    ]  # fmt: skip


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_the_help_of_an_option_is_a_sentence_of_its_own(parameter):
    text = parameter.help or ""
    assert len(text.split()) >= 2, "it says something"
    assert text.endswith((".", ".)"))
    assert not text.endswith("...")
    assert text[0].isupper()
    assert not re.match(r"(Of|In|At most|So many|This|Also) ", text), "half a sentence"


def test_the_options_of_jobs_mean_the_same_in_both_commands():
    """One name, one variable and one sentence; those that differ on purpose are named here."""
    prechip, stats = (
        {each.name: (each.opts, each.envvar, each.help) for each in COMMANDS[name].params}
        for name in ("prechip", "stats")
    )
    shared = prechip.keys() & stats.keys()
    assert {"index", "data", "bands", "seed", "max_cloud", "chip_size"} <= shared
    differ = {name for name in shared if prechip[name] != stats[name]}
    assert differ == {"form", "job", "platform", "pool_size"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_summed_up_in_a_line(name):
    summary = COMMANDS[name].get_short_help_str(limit=40)
    assert not summary.endswith("...")
    assert summary.endswith(".")


SCRIPTS = {f"stacchip-{recipe.name}": make_command(recipe) for recipe in RECIPES}
PAGES = ("", *COMMANDS, *SCRIPTS)
PROGRAM = f"""
from stacchip.cli import run
from stacchip.cli.terminal import console
from stacchip.cli.commands.collect_source import make_command
from stacchip.collect.recipes import RECIPES

for page in {("", *COMMANDS)}:
    assert run([*page.split(), "--help"]) == 0
    print("\\f", end="")
for recipe in RECIPES:
    assert console.run_command(make_command(recipe), recipe.name, ["--help"]) == 0
    print("\\f", end="")
"""


@cache
def help_pages(columns: int) -> dict[str, str]:
    """Return help pages by the name of their command; "" is the list of commands.

    They come from another process, since a process looks at its terminal only once.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"COLUMNS": str(columns), "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return dict(zip(PAGES, done.stdout.split("\f")[:-1], strict=True))


def parameters_of(page: str) -> list[Any]:
    if page in COMMANDS:
        return COMMANDS[page].params
    app = CommandLine()
    app.command()(SCRIPTS[page])
    return [each for each in get_command(app).params if not each.hidden]


@pytest.mark.parametrize("columns", [60, 120])  # the narrowest of each style
@pytest.mark.parametrize("name", [*COMMANDS, *SCRIPTS])
def test_no_name_is_cut_off_however_narrow_the_terminal(name, columns):
    page = help_pages(columns)[name]
    text = page.partition("Example")[0]  # whose lines are whole, to be copied
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns
    words = set(re.split(r"[\s,/\[\];|│]+", text))
    for parameter in parameters_of(name):
        variables = parameter.envvar or []
        names = [*parameter.opts, *parameter.secondary_opts]
        names += [variables] if isinstance(variables, str) else variables
        for each in names:
            assert each in words or not each.startswith(("-", "STACCHIP", "AWS"))
    cut = re.search(r"(^|\s)--?[a-z-]*-\s*│?$", text, re.MULTILINE)
    assert cut is None, "a name that is mentioned is whole, too"


@pytest.mark.parametrize("columns", [60, 120])
def test_an_example_is_not_broken_within_a_word(columns):
    words = "https://earth-search.aws.element84.com/v1 --collection sentinel-2-l2a --bbox "
    assert words in " ".join(help_pages(columns)["index"].split())


def test_the_list_of_commands_is_whole_on_a_narrow_terminal():
    text = help_pages(60)[""]
    assert "..." not in text.replace("[ARGS]...", "")
    places = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert all(before < after for before, after in pairwise(places))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_command_of_a_source_is_described_by_its_title(recipe):
    command = make_command(recipe)
    assert command.__doc__ is not None
    assert command.__doc__.startswith(recipe.title)
    assert "source" not in command.__annotations__
