"""The console scripts of the processors."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from stacchip.cli import scripts

TABLE = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NAMES = {
    "stacchip", "stacchip-sentinel-2", "stacchip-landsat", "stacchip-naip", "stacchip-linz",
    "stacchip-sentinel-1", "stacchip-modis", "stacchip-prechip", "stacchip-stats",
}  # fmt: skip


def test_every_script_keeps_its_name():
    assert set(TABLE["scripts"]) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_script_says_what_it_takes(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    script = metadata.EntryPoint(name, TABLE["scripts"][name], "console_scripts").load()
    with pytest.raises(SystemExit) as ended:
        script()
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "Usage: " in shown
    assert name in shown


def test_an_interrupt_while_a_script_imports_is_one_line(monkeypatch, capsys):
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scripts, "import_module", interrupt)
    with pytest.raises(SystemExit) as ended:
        scripts.naip()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stacchip-naip: interrupted\n"
