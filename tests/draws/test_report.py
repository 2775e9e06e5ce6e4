"""The report of a draw, as people read and see it."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip import ChipStream, Draw
from stacchip.draws.chart import draw_shares
from stacchip.draws.report import ValueShare
from stacchip.errors import UsageError


def value(name: str, there: float, got: float, column: str = "land") -> ValueShare:
    return ValueShare(column, name, there, got, got, 10, 10, 1.0)


def test_a_chart_has_a_bar_for_each_share() -> None:
    picture = np.asarray(draw_shares([value("a", 0.5, 0.25), value("b", 0.25, 0.5)], width=600))
    blue, orange = ((picture == colour).all(axis=2) for colour in ((86, 180, 233), (230, 159, 0)))
    lengths = [int(bars[row].sum()) for bars in (blue, orange) for row in _rows(bars)]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=2)
    assert lengths[3] == pytest.approx(2 * lengths[2], abs=2)
    assert lengths[0] == lengths[3]


def _rows(bars: np.ndarray) -> list[int]:
    """A row of pixels in the middle of each bar below the legend."""
    there = bars.any(axis=1)
    starts = np.flatnonzero(np.diff(there.astype(int)) == 1)
    return [int(start) + 5 for start in starts[1:]]


def test_a_chart_of_many_classes_shows_the_first(path: str) -> None:
    many = [value(str(number), 0.01, 0.01) for number in range(100)]
    assert draw_shares(many).height < 2100
    stream = ChipStream(path, draw=Draw(balance=["land", "half"]))
    assert stream.report_draw().draw(width=500).size[0] == 500


def test_what_cannot_be_drawn_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no classes"):
        ChipStream(path, draw=Draw(chips=10)).report_draw().draw()
    with pytest.raises(UsageError, match="width of a chart"):
        draw_shares([value("a", 1, 1)], width=10)
    with pytest.raises(UsageError, match="no draw to report"):
        ChipStream(path).report_draw()
