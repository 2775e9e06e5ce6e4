"""`stacchip split`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from stacchip import Split, read_index
from stacchip.cli import run

SMALL = ["--cell-km", "1", "--buffer-km", "0.05"]


@pytest.fixture
def index(demo: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(demo / "index", tmp_path / "index"))


def test_a_split_becomes_a_column(index: str, capsys):
    assert run(["split", index, *SMALL, "--train", "60%", "--val", "0.2", "--test", "20%"]) == 0
    said = capsys.readouterr().out
    table = read_index(index)
    split = Split(0.6, 0.2, 0.2, cell_km=1, buffer_km=0.05)
    assert table["split"].to_pylist() == split.of(table).to_pylist()
    assert f"{len(table):,} chips, of which" in said
    assert "Column 'split' added to" in said
    assert "check-leakage" in said


def test_an_explanation_writes_nothing(index: str, capsys):
    before = read_index(index)
    assert run(["split", index, *SMALL, "--explain"]) == 0
    assert "chips, of which" in capsys.readouterr().out
    assert read_index(index).equals(before)


def test_a_column_is_replaced_if_asked(index: str, capsys):
    assert run(["split", index, *SMALL]) == 0
    assert run(["split", index, *SMALL, "--salt", "v2"]) == 2
    assert "split" in capsys.readouterr().err
    assert run(["split", index, *SMALL, "--salt", "v2", "--replace"]) == 0
    assert run(["split", index, *SMALL, "--name", "other"]) == 0
    table = read_index(index)
    assert (
        table["split"].to_pylist()
        == Split(cell_km=1, buffer_km=0.05, salt="v2").of(table).to_pylist()
    )
    assert table["other"].to_pylist() == Split(cell_km=1, buffer_km=0.05).of(table).to_pylist()


def test_a_map_is_drawn(index: str, tmp_path: Path, capsys):
    where = tmp_path / "map.png"
    options = ["--stratify", "platform", "--map", str(where)]
    assert run(["split", index, *SMALL, *options, "--explain"]) == 0
    assert "platform: share of each class" in capsys.readouterr().out
    with Image.open(where) as picture:
        assert picture.width == 900


def test_shares_that_are_too_much_are_refused(index: str, capsys):
    assert run(["split", index, "--train", "90%"]) == 2
    assert "must add up to 1; they are 1.1 together" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "list"])
def test_commands_take_a_split(command: str, index: str, capsys):
    assert run(["split", index, "--train", "1", "--val", "0", "--test", "0"]) == 0
    table = read_index(index, split="train")
    assert len(table) == len(read_index(index))
    capsys.readouterr()
    assert run([command, index, "--split", "train"]) == 0
    said = capsys.readouterr().out
    assert said
    assert run([command, index, "--split", "trian"]) == 2
    assert "has no split 'trian': it is split into train" in capsys.readouterr().err
    assert run([command, index, "--split", "test"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "--split test leaves 0" in said
    assert "It has --split train" in said
