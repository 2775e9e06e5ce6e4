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
