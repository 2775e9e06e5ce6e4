"""A picture of a split: a map of where chips are for what, and the classes of each split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from stacchip.errors import UsageError
from stacchip.grid.footprints import BBOX
from stacchip.selection.picture import COLOURS, FAINT, INK, PAPER, font
from stacchip.splits.shares import BORDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.selection.split_report import SplitReport
    from stacchip.splits.rules import Rule

__all__ = ["draw_split_map"]

_BORDER: Final = (222, 222, 220)
_MARGIN, _LINE, _BAR = 24, 24, 16
_MOST_CLASSES: Final = 12
_NAME_WIDTH, _SHARE_WIDTH = 150, 60
_ROWS_AT_ONCE: Final = 64
_LEAST_WIDTH, _LARGEST = 300, 10_000  # pixels
_KM_PER_DEGREE: Final = 111.2


def draw_split_map(
    rule: Rule,
    bbox: Sequence[float],
    *,
    chip_km: float = 2.56,
    width: int = 900,
    report: SplitReport | None = None,
) -> Image.Image:
    """Return a map of a rule by place: the split that a chip at each place would have.

    Args:
        rule: The rule; it looks at the column `bbox` and at no other.
        bbox: xmin, ymin, xmax, ymax of the map, in degrees.
        chip_km: The size of the chips.
        width: The width of the picture in pixels.
        report: Adds the share of each class in each split, as bars.

    Raises:
        UsageError: The box is none, or the rule looks at another column.
    """
    if rule.columns != ("bbox",):
        raise UsageError(f"A split by {', '.join(rule.columns)} has no map: it is not by place.")
    try:
        west, south, east, north = map(float, bbox)
    except (TypeError, ValueError):
        west = south = east = north = np.nan
    if not (-540 <= west < east <= 540 and -90 <= south < north <= 90):
        raise UsageError(f"A map needs xmin < xmax and ymin < ymax, in degrees, not {bbox!r}.")
    if not _LEAST_WIDTH <= width <= _LARGEST:
        raise UsageError(f"The width of a map is {_LEAST_WIDTH} to {_LARGEST} pixels, not {width}.")
    inside = width - 2 * _MARGIN
    squeeze = max(np.cos(np.radians((south + north) / 2)), 0.05)
    height = max(1, round(inside * (north - south) / ((east - west) * squeeze)))
    if height > _LARGEST:
        raise UsageError(f"The map would be {height:,} pixels high: choose a wider box.")
    codes = _codes(rule, (west, south, east, north), (height, inside), chip_km)
    colours = np.array([*_colours(len(rule.splits)), _BORDER], np.uint8)
    place = _MARGIN + 2 * _LINE
    classes = _shown_classes(report)
    below = (len(classes) + 2) * _LINE if classes else 0
    picture = Image.new("RGB", (width, place + height + _MARGIN + below), PAPER)
    picture.paste(Image.fromarray(colours[codes]), (_MARGIN, place))
    draw = ImageDraw.Draw(picture)
    _draw_legend(draw, rule.splits, codes)
    if report is not None and classes:
        _draw_classes(draw, report, classes, place + height + _MARGIN, width)
    return picture


def _codes(
    rule: Rule, box: tuple[float, ...], shape: tuple[int, int], chip_km: float
) -> NDArray[np.int8]:
    """Return the split of a chip around the middle of each pixel, (y, x); the border comes last."""
    west, south, east, north = box
    height, width = shape
    lat = north - (np.arange(height) + 0.5) * (north - south) / height
    lon = west + (np.arange(width) + 0.5) * (east - west) / width
    half = chip_km / 2 / _KM_PER_DEGREE
    found = np.empty(shape, np.int8)
    for first in range(0, height, _ROWS_AT_ONCE):
        y, x = (
            each.ravel()
            for each in np.meshgrid(lat[first : first + _ROWS_AT_ONCE], lon, indexing="ij")
        )
        wide = half / np.maximum(np.cos(np.radians(y)), 0.01)
        sides = (x - wide, np.maximum(y - half, -90), x + wide, np.minimum(y + half, 90))
        bounds = pa.StructArray.from_arrays([pa.array(side) for side in sides], fields=list(BBOX))
        codes = rule.codes(pa.table({"bbox": bounds}))
        found[first : first + _ROWS_AT_ONCE] = codes.reshape(-1, width)
    return np.where(found == BORDER, len(rule.splits), found)


def _colours(count: int) -> list[tuple[int, int, int]]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _draw_legend(draw: ImageDraw.ImageDraw, splits: Sequence[str], codes: NDArray[np.int8]) -> None:
    """Say which colour is which split, and how much of the map it has."""
    shares = np.bincount(codes.ravel(), minlength=len(splits) + 1) / codes.size
    left = _MARGIN
    labels = [*splits, "in none"]
    for name, colour, share in zip(labels, [*_colours(len(splits)), _BORDER], shares, strict=True):
        draw.rectangle((left, _MARGIN, left + _BAR, _MARGIN + _BAR), fill=colour)
        text = f"{name} {share:.0%}"
        draw.text((left + _BAR + 8, _MARGIN + _BAR / 2), text, INK, font(16), anchor="lm")
        left += _BAR + 32 + round(draw.textlength(text, font(16)))


def _shown_classes(report: SplitReport | None) -> list[str]:
    return [] if report is None else list(report.classes)[:_MOST_CLASSES]


def _draw_classes(
    draw: ImageDraw.ImageDraw, report: SplitReport, classes: Sequence[str], top: int, width: int
) -> None:
    """Draw a bar for each class and split: the share of the split's chips that are of the class."""
    draw.text((_MARGIN, top), f"{report.column}: share of each class", INK, font(16))
    splits = [*report.chips]
    room = (width - 2 * _MARGIN - _NAME_WIDTH) / len(splits)
    largest = max(
        report.classes[name][split] / max(report.chips[split], 1)
        for name in classes
        for split in splits
    )
    for row, name in enumerate(classes, 1):
        y = top + row * _LINE + _LINE / 2
        draw.text((_MARGIN, y), name[:18], FAINT, font(14), anchor="lm")
        for column, split in enumerate(splits):
            share = report.classes[name][split] / max(report.chips[split], 1)
            left = _MARGIN + _NAME_WIDTH + column * room
            length = (room - _SHARE_WIDTH) * share / (largest or 1)
            colour = COLOURS[column % len(COLOURS)]
            draw.rectangle((left, y - _BAR / 2, left + max(length, 1), y + _BAR / 2), fill=colour)
            draw.text((left + length + 6, y), f"{share:.1%}", FAINT, font(13), anchor="lm")
