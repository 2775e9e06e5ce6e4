"""`stacchip draw`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from draws.conftest import drawn_items, path, table
from stacchip import ChipStream, Draw
from stacchip.cli import run

__all__ = ["drawn_items", "path", "table"]


def test_a_draw_is_told_and_nothing_is_written(path: str, capsys) -> None:
    before = sorted(Path(path).iterdir())
    asked = ["--balance", "land", "--weight", "1 + rank", "--chips", "300", "--seed", "3"]
    assert run(["draw", path, *asked, "--item", "a", "--item", "b", "--epoch", "2"]) == 0
    draw = Draw(balance="land", weight="1 + rank", chips=300)
    stream = ChipStream(
        path, draw=draw, seed=3, epoch=2, order="shuffle", item_id=["a", "b"], errors="skip"
    )
    assert capsys.readouterr().out == f"{stream.report_draw()}\n"
    assert sorted(Path(path).iterdir()) == before


def test_classes_are_drawn_as_a_chart(path: str, tmp_path: Path, capsys) -> None:
    chart = tmp_path / "shares.png"
    assert run(["draw", path, "--balance", "land", "--repeat", "--by", "area",
                "--chart", str(chart)]) == 0  # fmt: skip
    assert "come again" in capsys.readouterr().out
    with Image.open(chart) as picture:
        assert picture.size[0] == 900


def test_what_cannot_be_drawn_is_one_line(path: str, capsys) -> None:
    assert run(["draw", path, "--balance", "lnd"]) == 2
    assert "no column 'lnd'; there are: land" in capsys.readouterr().err
    assert run(["draw", path, "--by", "tile"]) == 2
    assert run(["draw", path, "--power", "3"]) == 2
    capsys.readouterr()
    assert run(["draw", path, "--chips", "2000"]) == 2
    assert "let them come again: --repeat." in capsys.readouterr().err


def test_nothing_to_draw_from_is_told_as_by_other_commands(path: str, capsys) -> None:
    asked = ["draw", path, "--balance", "land", "--datetime", "1999-01"]
    assert run(asked) == 1
    assert "--datetime 1999-01 leaves 0" in capsys.readouterr().err
    assert run([*asked, "--allow-empty"]) == 0
    assert capsys.readouterr().out == ""


def test_lines_of_numbers_fit_into_60_columns(path: str, capsys) -> None:
    long = "floor(rank / 2) + floor(month(datetime) / 6) + year(datetime)"
    assert run(["draw", path, "--balance", "land", "--balance", long, "--chips", "900"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert long in lines
    assert max(len(line) for line in lines if "%" in line and " of " not in line) <= 60
