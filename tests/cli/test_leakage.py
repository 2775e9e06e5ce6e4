"""`stacchip check-leakage`: exit codes, lines and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shapely

from selection.chips import as_rows
from stacchip.cli import run


@pytest.fixture
def chips(tmp_path: Path) -> str:
    wkb = [shapely.box(x, 0, x + 1, 1).wkb for x in (0, 0.5, 9)]
    rows = as_rows(wkb, ["train", "test", "test"], fold=[1, 1, 2], cover=["a", "b", "a"])
    path = tmp_path / "chips.parquet"
    pq.write_table(rows, path)
    return str(path)


def test_the_exit_code_says_whether_the_splits_leak(chips: str, capsys):
    assert run(["check-leakage", chips]) == 1
    assert capsys.readouterr().out.startswith("The splits leak: overlap\n")
    assert run(["check-leakage", chips, "--by", "fold"]) == 0
    assert capsys.readouterr().out.startswith("The splits do not leak\n")
    assert run(["check-leakage", chips, "--by", "fold", "--buffer-m", "900000"]) == 1
    assert "The splits leak: near" in capsys.readouterr().out
    assert run(["check-leakage", chips, "--forbid", "near"]) == 0
    capsys.readouterr()
    assert run(["check-leakage", chips, "--classes", "cover", "--forbid", "near, class"]) == 1
    assert "train lacks the classes: b" in capsys.readouterr().out


def test_a_report_is_one_json_document(chips: str, capsys):
    assert run(["check-leakage", chips, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["index"], document["leaks"], document["blocks"]) == (chips, True, None)
    assert document["overlap"]["worst"][0]["chips"] == [0, 1]
    assert set(document["distances"]["test"]["quantiles_m"]) == {
        "0.0",
        "0.01",
        "0.05",
        "0.25",
        "0.5",
    }


def test_a_wrong_column_is_one_line_on_standard_error(chips: str, capsys):
    assert run(["check-leakage", chips, "--by", "part"]) == 2
    assert "has no column 'part'; it has:" in capsys.readouterr().err
