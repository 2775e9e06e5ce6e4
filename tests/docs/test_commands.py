"""The commands, options and environment variables that the pages name exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from stacchip.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]
COMMANDS = get_command(app).commands
OPTIONS = {
    name: {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
    for name, command in COMMANDS.items()
}
SCRIPTS = {"stacchip-prechip": "prechip", "stacchip-stats": "stats"}  # any other collects


def command_lines(page: str) -> list[list[str]]:
    """The lines of a page's shell blocks that run stacchip, as words."""
    text = (ROOT / page).read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = [block.replace("\\\n", " ") for language, block in fenced if language in ("", "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        line.partition("#")[0].split()
        for line in lines
        if re.match(r"\s*stacchip(-[a-z0-9-]+)? ", line)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_have_the_options_that_it_gives_them(page: str):
    for words in command_lines(page):
        name = words[1] if words[0] == "stacchip" else SCRIPTS.get(words[0], "collect")
        given = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert given <= OPTIONS[name], words


def test_pages_with_commands_are_found():
    assert len([page for page in PAGES if command_lines(page)]) >= 10


@pytest.mark.parametrize("page", PAGES)
def test_the_options_in_a_table_exist(page: str):
    rows = re.findall(r"^\|.*\|$", (ROOT / page).read_text(), re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(--[a-z-]+)`", row)}
    assert named <= set().union(*OPTIONS.values())


def variables_in(path: Path) -> set[str]:
    return set(re.findall(r"\bSTACCHIP_[A-Z_]+", path.read_text(encoding="utf-8")))


@cache
def variables_of(files: str) -> set[str]:
    return set().union(*map(variables_in, ROOT.glob(files)))


@pytest.mark.parametrize("page", PAGES)
def test_the_environment_variables_of_a_page_are_read(page: str):
    known = variables_of("src/**/*.py")
    if page.startswith("docs/benchmarks/"):
        known = known | variables_of("benchmarks/*.py")
    assert variables_in(ROOT / page) <= known
