"""A picture of a draw: the share of each class in the index, and in an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

from stacchip.errors import UsageError
from stacchip.selection.picture import COLOURS, FAINT, INK, PAPER, font

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.draws.report import ValueShare

__all__ = ["draw_shares"]

_MARGIN, _LINE, _BAR, _GAP = 24, 44, 14, 12
_NAME_WIDTH, _SHARE_WIDTH = 150, 60
_LEAST_WIDTH, _LARGEST = 300, 10_000  # pixels
_MOST_VALUES: Final = 40
_LABELS: Final = ("in the index", "in an epoch")


def draw_shares(values: Sequence[ValueShare], *, width: int = 900) -> Image.Image:
    """Return a chart of classes before and after a draw.

    Args:
        values: The classes; of many, the first 40 are shown.
        width: The width of the picture in pixels.

    Raises:
        UsageError: There are no classes, or the width is no width.
    """
    shown = values[:_MOST_VALUES]
    if not shown:
        raise UsageError("The draw balances no classes, so that there are none to draw.")
    if not _LEAST_WIDTH <= width <= _LARGEST:
        raise UsageError(
            f"The width of a chart is {_LEAST_WIDTH} to {_LARGEST} pixels, not {width}."
        )
    columns = [*dict.fromkeys(value.column for value in shown)]
    height = 2 * _MARGIN + _LINE + (len(columns) + len(shown)) * _LINE
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    _draw_legend(draw)
    largest = max(max(value.there, value.got) for value in shown)
    room = width - 2 * _MARGIN - _NAME_WIDTH - _SHARE_WIDTH
    y = _MARGIN + _LINE
    for column in columns:
        draw.text((_MARGIN, y + _LINE / 2), column, INK, font(16), anchor="lm")
        y += _LINE
        for value in shown:
            if value.column == column:
                _draw_value(draw, value, y, room / (largest or 1))
                y += _LINE
    return picture


def _draw_legend(draw: ImageDraw.ImageDraw) -> None:
    left = _MARGIN
    for label, colour in zip(_LABELS, COLOURS[:2], strict=True):
        draw.rectangle((left, _MARGIN, left + _BAR, _MARGIN + _BAR), fill=colour)
        draw.text((left + _BAR + 8, _MARGIN + _BAR / 2), label, INK, font(16), anchor="lm")
        left += _BAR + 32 + round(draw.textlength(label, font(16)))


def _draw_value(draw: ImageDraw.ImageDraw, value: ValueShare, top: float, scale: float) -> None:
    """Draw the two bars of a class; `scale` is the length of the share 1."""
    middle = top + (2 * _BAR + _GAP) / 2
    draw.text((_MARGIN, middle - _GAP / 2), value.value[:18], FAINT, font(14), anchor="lm")
    left = _MARGIN + _NAME_WIDTH
    for number, share in enumerate((value.there, value.got)):
        y = top + number * (_BAR + 2)
        right = left + max(share * scale, 1)
        draw.rectangle((left, y, right, y + _BAR - 1), fill=COLOURS[number])
        draw.text((right + 6, y + _BAR / 2), f"{share:.1%}", FAINT, font(13), anchor="lm")
