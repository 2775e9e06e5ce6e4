"""Contact sheets: many chips on one picture, each with its shares of cloud and nodata under it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from numpy.typing import NDArray

TILE = 256
MARGIN = 40
GUTTER = 20
PAPER = (250, 250, 248)
INK = (32, 34, 36)
FAINT_INK = (112, 116, 120)
FRAME = (206, 208, 210)
CHECKS = ((226, 227, 228), (238, 239, 240))
"""Two light greys: what nodata looks like."""

_TITLE_SIZE, _COUNT_SIZE, _CAPTION_SIZE = 26, 16, 14


@dataclass(frozen=True)
class ChipPicture:
    """One chip of a contact sheet.

    Attributes:
        rgb: Red, green and blue as stored, (3, y, x), of any number type.
        valid: True where a pixel has data, (y, x).
        captions: Lines under the chip; the first is the most important.
        platform: Chips of the same platform share one stretch.
    """

    rgb: NDArray[Any]
    valid: NDArray[np.bool_]
    captions: tuple[str, ...] = ()
    platform: str = ""

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[0] != 3 or self.rgb.shape[1:] != self.valid.shape:
            raise UsageError(
                f"A picture needs rgb (3, y, x) and valid (y, x), not {self.rgb.shape} and "
                f"{self.valid.shape}: choose three bands, and cut both with the same window."
            )


@dataclass(frozen=True)
class Stretch:
    """From stored values to bytes that a screen shows.

    Attributes:
        black: The value that is shown black.
        white: The value that is shown at full strength.
        gamma: Above 1 brightens what is between.
    """

    black: float
    white: float
    gamma: float = 1.6

    def apply(self, rgb: NDArray[Any]) -> NDArray[np.uint8]:
        """The bytes to show, (y, x, 3), of stored values (3, y, x)."""
        contrast = self.white - self.black
        shares = np.clip(np.nan_to_num(rgb.astype(np.float64) - self.black) / contrast, 0, 1)
        return np.moveaxis(np.rint(255 * shares ** (1 / self.gamma)), 0, -1).astype(np.uint8)


def rgb_stretch(pictures: Iterable[ChipPicture], *, gamma: float | None = None) -> Stretch:
    """The stretch that suits all of these pictures: from the 2nd to the 98th percentile.

    The percentiles are of all valid pixels of all pictures. All bands get the same stretch, from
    the lowest to the highest of theirs, so that the colours stay true. A few clouds must not darken
    the land between them: what lies further above the upper quartile than three times the distance
    of the quartiles (Tukey's outer fence) is shown white, although it may be more than 2 % of the
    pixels.

    Args:
        pictures: Whose pixels count.
        gamma: See `Stretch`. By default 1.6, but 1 where all values are bytes: those were made for
            the eye already.

    Example:
        >>> ramp = np.arange(101.0).reshape(1, 1, 101).repeat(3, axis=0)
        >>> rgb_stretch([ChipPicture(ramp, np.ones((1, 101), bool))])
        Stretch(black=2.0, white=98.0, gamma=1.6)
    """
    pictures = list(pictures)
    if gamma is None:
        gamma = 1.0 if all(one.rgb.dtype == np.uint8 for one in pictures) else 1.6
    values = np.concatenate([np.zeros((3, 0)), *map(_sample_valid, pictures)], axis=1)
    if values.shape[1] == 0:
        return Stretch(0.0, 1.0, gamma)
    low, lower, upper, high = np.percentile(values, [2, 25, 75, 98], axis=1)
    black = float(low.min())
    white = float(np.minimum(high, upper + 3 * (upper - lower)).max())
    if white <= black:  # all of one colour: shown as a mid grey
        return Stretch(black - 0.5, black + 0.5, gamma)
    return Stretch(black, white, gamma)


def _sample_valid(picture: ChipPicture) -> NDArray[np.float64]:
    """Some ten thousand valid and finite pixels of a picture, (3, n)."""
    values = picture.rgb[:, picture.valid].astype(np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    return values[:, :: max(values.shape[1] // 10_000, 1)]


def describe_chip(
    platform: str,
    x: int,
    y: int,
    day: date,
    *,
    cloud: float,
    nodata: float,
    chip_size: int | None = None,
) -> tuple[str, ...]:
    """Caption lines of a chip; `cloud` and `nodata` are shares, 0 to 1, NaN where not known.

    Example:
        >>> from datetime import date
        >>> describe_chip("naip", 3, 4, date(2023, 6, 18), cloud=float("nan"), nodata=0.0)
        ('naip', 'x 3, y 4  ·  2023-06-18', 'nodata 0 %')
        >>> describe_chip("landsat", 0, 1, date(2024, 9, 26), cloud=0.031, nodata=0.25)[2]
        'cloud 3 %  ·  nodata 25 %'
        >>> unknown = float("nan")
        >>> describe_chip("mine", 0, 1, date(2024, 9, 26), cloud=unknown, nodata=unknown)[2]
        'not measured'
    """
    shares = [("cloud", cloud), ("nodata", nodata)]
    told = [f"{name} {_as_percent(share)}" for name, share in shares if np.isfinite(share)]
    place = [f"x {x}, y {y}", day.isoformat(), *([f"{chip_size} px"] if chip_size else [])]
    return platform, "  ·  ".join(place), "  ·  ".join(told) or "not measured"


def _as_percent(share: float) -> str:
    """Whole percents, but never 0 or 100 for what is not quite that."""
    if 0 < share < 0.005:
        return "< 1 %"
    if 0.995 < share < 1:
        return "> 99 %"
    return f"{100 * share:.0f} %"


def draw_chip(picture: ChipPicture) -> Image.Image:
    """One chip in true colour, a pixel for each of its own; nodata is transparent."""
    colours = rgb_stretch([picture]).apply(picture.rgb)
    opacity = np.where(picture.valid, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([colours, opacity]), "RGBA")


def contact_sheet(
    chips: Iterable[ChipPicture], *, columns: int = 6, title: str = "Chips"
) -> Image.Image:
    """One picture of many chips, dark on light, in the order given.

    Every chip is as wide as the others, whatever its size in pixels. Chips of the same platform
    have the same stretch, so that they can be compared. Nodata is a grey checkerboard.

    Args:
        chips: What to show; platforms and sizes may be mixed.
        columns: Chips in a row, fewer where there are not so many.
        title: The first line; the second counts the chips by platform.

    Raises:
        UsageError: `columns` is less than 1.
    """
    if columns < 1:
        raise UsageError(f"A contact sheet has at least 1 column, not {columns}.", columns=columns)
    pictures = list(chips)
    stretches = {
        platform: rgb_stretch([one for one in pictures if one.platform == platform])
        for platform in {picture.platform for picture in pictures}
    }
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    layout = _Layout(min(columns, max(len(pictures), 3)), rows)
    sheet = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_header(draw, title, pictures, layout.width - 2 * MARGIN)
    for top, row in zip(layout.tops, rows, strict=True):
        for place, picture in enumerate(row):
            left = MARGIN + place * (TILE + GUTTER)
            sheet.paste(_develop(picture, stretches[picture.platform]), (left, top))
            draw.rectangle((left - 1, top - 1, left + TILE, top + TILE), outline=FRAME)
            _write_captions(draw, picture.captions, left, top + TILE + 8)
    return sheet


@dataclass(frozen=True)
class _Layout:
    """Where things are on the sheet: rows are as high as their longest captions need."""

    columns: int
    rows: Sequence[Sequence[ChipPicture]]

    @property
    def width(self) -> int:
        return 2 * MARGIN + self.columns * TILE + (self.columns - 1) * GUTTER

    @property
    def heights(self) -> list[int]:
        lines = [max(len(picture.captions) for picture in row) for row in self.rows]
        return [TILE + 8 + number * _line_height(_CAPTION_SIZE) for number in lines]

    @property
    def tops(self) -> list[int]:
        tops, top = [], MARGIN + _line_height(_TITLE_SIZE) + _line_height(_COUNT_SIZE) + GUTTER
        for height in self.heights:
            tops.append(top)
            top += height + GUTTER
        return tops

    @property
    def size(self) -> tuple[int, int]:
        header = MARGIN + _line_height(_TITLE_SIZE) + _line_height(_COUNT_SIZE)
        body = sum(height + GUTTER for height in self.heights)
        return self.width, header + body + MARGIN


def _line_height(size: int) -> int:
    return round(1.4 * size)


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _write_header(
    draw: ImageDraw.ImageDraw, title: str, pictures: Sequence[ChipPicture], width: int
) -> None:
    counts = Counter(picture.platform for picture in pictures)
    told = [f"{number} {platform}".strip() for platform, number in counts.items()]
    number = f"{len(pictures)} chip{'' if len(pictures) == 1 else 's'}"
    line = f"{number}:  {',  '.join(told)}" if any(counts) else number
    text = _shorten(draw, title, _TITLE_SIZE, width)
    draw.text((MARGIN, MARGIN - 6), text, INK, _font(_TITLE_SIZE))
    below = MARGIN - 4 + _line_height(_TITLE_SIZE)
    draw.text(
        (MARGIN, below), _shorten(draw, line, _COUNT_SIZE, width), FAINT_INK, _font(_COUNT_SIZE)
    )


def _write_captions(
    draw: ImageDraw.ImageDraw, captions: Sequence[str], left: int, top: int
) -> None:
    for number, caption in enumerate(captions):
        colour = INK if number == 0 else FAINT_INK
        text = _shorten(draw, caption, _CAPTION_SIZE, TILE)
        draw.text(
            (left, top + number * _line_height(_CAPTION_SIZE)), text, colour, _font(_CAPTION_SIZE)
        )


def _shorten(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """The text, cut short with an ellipsis where it is wider than `width` pixels."""
    font = _font(size)
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _develop(picture: ChipPicture, stretch: Stretch) -> Image.Image:
    """A chip on its tile: stretched, enlarged or reduced to fit, nodata as checks."""
    height, width = picture.valid.shape
    scale = TILE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # pixels that are enlarged much stay squares; else they are interpolated
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    shown = Image.fromarray(stretch.apply(picture.rgb)).resize(size, how)
    cover = Image.fromarray(np.where(picture.valid, 255, 0).astype(np.uint8))
    tile = _checkerboard(TILE)
    tile.paste(
        shown,
        ((TILE - size[0]) // 2, (TILE - size[1]) // 2),
        cover.resize(size, Image.Resampling.NEAREST),
    )
    return tile


def _checkerboard(size: int, square: int = 8) -> Image.Image:
    steps = np.arange(size) // square
    odd = (steps[:, None] + steps[None, :]) % 2
    return Image.fromarray(np.array(CHECKS, np.uint8)[odd])
