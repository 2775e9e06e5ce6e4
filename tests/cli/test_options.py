"""One word and one unit for a share, in every command that takes one."""

from __future__ import annotations

import math

import pytest
import typer

from stacchip.cli import run
from stacchip.cli.options import parse_share


@pytest.mark.parametrize(
    ("text", "share"),
    [("20%", 0.2), ("0.2", 0.2), ("0", 0), ("1", 1), ("100%", 1), ("0.5 %", 0.005), (0.05, 0.05)],
)
def test_a_share_is_written_with_a_percent_sign_or_as_a_number_up_to_1(text, share):
    assert math.isclose(parse_share(text), share)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("20", "write 20% or 0.2"),
        ("1.5", "write 1.5% or 0.015"),
        ("120%", "write 20% or 0.2"),
        ("-1", "write 20% or 0.2"),
        ("nan", "write 20% or 0.2"),
        ("inf", "write 20% or 0.2"),
        ("a fifth", "write 20% or 0.2"),
        ("%", "write 20% or 0.2"),
    ],
)
def test_what_could_be_misread_as_a_share_is_refused(text, advice):
    with pytest.raises(typer.BadParameter, match=advice):
        parse_share(text)


COMMANDS = {
    "index": ["index", "item.json", "-o", "index"],
    "preview": ["preview", "index", "-o", "sheet.png"],
    "prechip": ["prechip", "--index", "index", "--platform", "naip", "--target", "cubes"],
    "stats": ["stats", "--index", "index"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_bare_number_above_1_is_no_share_in_any_command(command, capsys):
    assert run([*command, "--max-nodata", "20"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--max-nodata" in line
    assert "write 20% or 0.2" in line


@pytest.mark.parametrize("command", ["prechip", "stats"])
def test_a_variable_takes_a_share_too(command, monkeypatch, capsys):
    monkeypatch.setenv("STACCHIP_MAX_CLOUD", "20")
    assert run(COMMANDS[command]) == 2
    assert "STACCHIP_MAX_CLOUD" in capsys.readouterr().err
    monkeypatch.setenv("STACCHIP_MAX_CLOUD", "20%")
    assert run(COMMANDS[command]) == 1, "the index is not there"
