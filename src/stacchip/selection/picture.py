"""How pictures of splits and draws look: colours and letters."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from PIL import ImageFont

__all__ = ["COLOURS", "FAINT", "INK", "PAPER", "font"]

PAPER, INK, FAINT = (250, 250, 248), (32, 34, 36), (112, 116, 120)
COLOURS: Final = (
    (86, 180, 233), (230, 159, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (213, 94, 0),
    (240, 228, 66),
)  # fmt: skip
"""Told apart also by those who see no red or no green (Okabe and Ito, 2008)."""


@cache
def font(size: int) -> Any:
    """Return letters of a size in pixels."""
    return ImageFont.load_default(size=size)
