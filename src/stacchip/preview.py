"""Contact sheets: many chips in one picture, with their shares of cloud and nodata."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
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
"""The two light greys of the checkerboard that marks nodata."""
HOLE = (250, 236, 228)
"""The colour of a tile whose chip could not be cut."""

_TITLE_SIZE, _COUNT_SIZE, _CAPTION_SIZE = 26, 16, 14
_HOLE_MARGIN = 12
_LONGEST_TEXT = 400  # the layout of a longer one takes seconds
_PIECES = re.compile(r"-\d+-\d+$|[\s/_-]?[^\s/_-]*")  # the x and y of a chip's id stay together


@dataclass(frozen=True)
class ChipPicture:
    """One chip of a contact sheet.

    Attributes:
        rgb: Red, green and blue as stored, (3, y, x), of any number type.
        valid: True where a pixel has data, (y, x).
        captions: Lines under the chip; the first is the most important.
        platform: Chips of one platform, with the same bands shown, share one stretch.
        shown: Which bands are shown, if they are not red, green and blue.
    """

    rgb: NDArray[Any]
    valid: NDArray[np.bool_]
    captions: tuple[str, ...] = ()
    platform: str = ""
    shown: str = ""

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[0] != 3 or self.rgb.shape[1:] != self.valid.shape:
            raise UsageError(
                f"A picture needs rgb (3, y, x) and valid (y, x), not {self.rgb.shape} and "
                f"{self.valid.shape}: choose three bands, and cut both with the same window."
            )

    @property
    def stretched_with(self) -> tuple[str, str, str]:
        """The same for chips that share one stretch: their values mean the same."""
        return self.platform, self.shown, str(self.rgb.dtype)


@dataclass(frozen=True)
class MissingChip:
    """A chip of a contact sheet that could not be cut: a hole with the reason in it.

    Attributes:
        reason: Why.
        captions: Lines under the hole; the first is the most important.
        platform: The chip's source.
    """

    reason: str
    captions: tuple[str, ...] = ()
    platform: str = ""


@dataclass(frozen=True)
class Stretch:
    """Turns stored values into bytes for the screen.

    Attributes:
        black: The value that is shown as black.
        white: The value that is shown at full strength.
        gamma: A value above 1 brightens the values between.
    """

    black: float
    white: float
    gamma: float = 1.6

    def apply(self, rgb: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the bytes (y, x, 3) of stored values (3, y, x)."""
        contrast = self.white - self.black
        shares = np.clip(np.nan_to_num(rgb.astype(np.float64) - self.black) / contrast, 0, 1)
        return np.moveaxis(np.rint(255 * shares ** (1 / self.gamma)), 0, -1).astype(np.uint8)


def rgb_stretch(pictures: Iterable[ChipPicture], *, gamma: float | None = None) -> Stretch:
    """Return one stretch for all of these pictures: from the 2nd to the 98th percentile.

    The percentiles are those of all valid pixels. All bands get the same stretch, from the lowest
    2nd percentile of any band to the highest 98th, so that colours stay true. A few clouds must not
    darken the land between them: values above Tukey's outer fence (three interquartile ranges above
    the upper quartile) are shown white, even if they are more than 2 % of the pixels.

    Args:
        pictures: The pictures.
        gamma: See `Stretch`. The default is 1.6, or 1 if all values are bytes, since such imagery
            is made for the eye already.

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
    if white <= black:  # one colour throughout: shown as a mid grey
        return Stretch(black - 0.5, black + 0.5, gamma)
    return Stretch(black, white, gamma)


def _sample_valid(picture: ChipPicture) -> NDArray[np.float64]:
    """Return about ten thousand valid and finite pixels of a picture, (3, n)."""
    values = picture.rgb[:, picture.valid].astype(np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    return values[:, :: max(values.shape[1] // 10_000, 1)]


def describe_chip(
    platform: str,
    x: int,
    y: int,
    day: date | None,
    *,
    cloud: float | None,
    nodata: float | None,
    chip_size: int | None = None,
    chipid: str | None = None,
    shown: str = "",
) -> tuple[str, ...]:
    """Return caption lines of a chip.

    Args:
        platform: The chip's source.
        x: Its column.
        y: Its row.
        day: Its date; None leaves it out.
        cloud: Its share of cloud, 0..1. None means not measured, and is said. NaN leaves the share
            out, for imagery that it does not apply to.
        nodata: Its share of nodata, likewise.
        chip_size: Its side in pixels; None leaves it out.
        chipid: Its id in the index, which becomes the last line; None leaves it out.
        shown: Which bands are shown, if they are not red, green and blue.

    Example:
        >>> from datetime import date
        >>> describe_chip("naip", 3, 4, date(2023, 6, 18), cloud=float("nan"), nodata=0.0)
        ('naip', 'x 3, y 4  ·  2023-06-18', 'nodata 0%')
        >>> describe_chip("landsat", 0, 1, date(2024, 9, 26), cloud=0.031, nodata=0.25)[2]
        'cloud 3%  ·  nodata 25%'
        >>> describe_chip("mine", 0, 1, date(2024, 9, 26), cloud=None, nodata=0.5)[2]
        'cloud not measured  ·  nodata 50%'
        >>> describe_chip("mine", 0, 1, None, cloud=None, nodata=None, chipid="a-0-1", shown="vv")
        ('mine  ·  vv', 'x 0, y 1', 'not measured', 'a-0-1')
    """
    shares = {"cloud": cloud, "nodata": nodata}
    told = [
        f"{name} {'not measured' if share is None else format_share(share)}"
        for name, share in shares.items()
        if share is None or np.isfinite(share)
    ]
    if cloud is None and nodata is None:
        told = []
    parts = (
        [platform, shown],
        [f"x {x}, y {y}", day and day.isoformat(), chip_size and f"{chip_size} px"],
        told or ["not measured"],
        [chipid],
    )
    lines = ("  ·  ".join(str(each) for each in part if each) for part in parts)
    return tuple(line for line in lines if line)


def format_share(share: float) -> str:
    """Return a share as whole percents; only exactly 0 or 1 is shown as 0% or 100%.

    Example:
        >>> format_share(0.25), format_share(0.001)
        ('25%', '< 1%')
    """
    if 0 < share < 0.005:
        return "< 1%"
    if 0.995 < share < 1:
        return "> 99%"
    return f"{100 * share:.0f}%"


def draw_chip(picture: ChipPicture) -> Image.Image:
    """Return one chip in true colour, at its own size; nodata is transparent."""
    colours = rgb_stretch([picture]).apply(picture.rgb)
    opacity = np.where(picture.valid, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([colours, opacity]), "RGBA")


def contact_sheet(
    chips: Iterable[ChipPicture | MissingChip], *, columns: int = 6, title: str = "Chips"
) -> Image.Image:
    """Return one picture of many chips, dark on light, in the order given.

    All chips are shown at the same width, whatever their size in pixels. Chips of a platform have
    the same stretch, so that they can be compared. Nodata is a grey checkerboard. Captions are
    wrapped, so that none of an id is lost.

    Args:
        chips: The chips; platforms and sizes may be mixed.
        columns: Chips in a row, at most.
        title: The first line; the second counts the chips by platform.

    Raises:
        UsageError: `columns` is less than 1.
    """
    if columns < 1:
        raise UsageError(f"A contact sheet has at least 1 column, not {columns}.", columns=columns)
    chips = list(chips)
    pictures = [chip for chip in chips if isinstance(chip, ChipPicture)]
    stretches = {
        kind: rgb_stretch([one for one in pictures if one.stretched_with == kind])
        for kind in {picture.stretched_with for picture in pictures}
    }
    captions = [_wrap_captions(chip.captions) for chip in chips]
    layout = _Layout(min(columns, max(len(chips), 3)), [len(lines) for lines in captions])
    sheet = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_header(draw, title, chips, layout.width - 2 * MARGIN)
    for number, (chip, lines) in enumerate(zip(chips, captions, strict=True)):
        left, top = layout.place(number)
        if isinstance(chip, MissingChip):
            tile = _explain(chip.reason)
        else:
            tile = _develop(chip, stretches[chip.stretched_with])
        sheet.paste(tile, (left, top))
        draw.rectangle((left - 1, top - 1, left + TILE, top + TILE), outline=FRAME)
        _write_captions(draw, lines, left, top + TILE + 8)
    return sheet


@dataclass(frozen=True)
class _Layout:
    """The positions of chips on the sheet; a row is as high as its longest caption needs."""

    columns: int
    lines: Sequence[int]
    """The number of caption lines of each chip."""

    @property
    def width(self) -> int:
        return 2 * MARGIN + self.columns * TILE + (self.columns - 1) * GUTTER

    @cached_property
    def tops(self) -> list[int]:
        """The top of each row, and where the next one would be."""
        tops = [MARGIN + _line_height(_TITLE_SIZE) + _line_height(_COUNT_SIZE) + GUTTER]
        for first in range(0, len(self.lines), self.columns):
            most = max(self.lines[first : first + self.columns])
            tops.append(tops[-1] + TILE + 8 + most * _line_height(_CAPTION_SIZE) + GUTTER)
        return tops

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.tops[-1] - GUTTER + MARGIN

    def place(self, number: int) -> tuple[int, int]:
        """Return left and top of a chip."""
        row, column = divmod(number, self.columns)
        return MARGIN + column * (TILE + GUTTER), self.tops[row]


def _line_height(size: int) -> int:
    return round(1.4 * size)


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _write_header(
    draw: ImageDraw.ImageDraw, title: str, chips: Sequence[ChipPicture | MissingChip], width: int
) -> None:
    counts = Counter(chip.platform for chip in chips)
    parts = [f"{number} {platform}".strip() for platform, number in counts.items()]
    number = f"{len(chips)} chip{'' if len(chips) == 1 else 's'}"
    line = f"{number}:  {',  '.join(parts)}" if any(counts) else number
    missing = sum(isinstance(chip, MissingChip) for chip in chips)
    line += f";  {missing} could not be cut" if missing else ""
    draw.text((MARGIN, MARGIN - 6), _shorten(title, _TITLE_SIZE, width), INK, _font(_TITLE_SIZE))
    below = MARGIN - 4 + _line_height(_TITLE_SIZE)
    text = _shorten(line, _COUNT_SIZE, width)
    draw.text((MARGIN, below), text, FAINT_INK, _font(_COUNT_SIZE))


def _wrap_captions(captions: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the lines under a chip, and their colours."""
    return [
        (line, FAINT_INK if number else INK)
        for number, caption in enumerate(captions)
        for line in _wrap(caption, _CAPTION_SIZE, TILE)
    ]


def _write_captions(
    draw: ImageDraw.ImageDraw, lines: Sequence[tuple[str, Any]], left: int, top: int
) -> None:
    for number, (line, colour) in enumerate(lines):
        place = left, top + number * _line_height(_CAPTION_SIZE)
        draw.text(place, line, colour, _font(_CAPTION_SIZE))


def _without_middle(text: str) -> str:
    """Return a text that takes no more than a moment to lay out."""
    half = _LONGEST_TEXT // 2
    return text if len(text) <= _LONGEST_TEXT else f"{text[:half]}…{text[-half:]}"


def _shorten(text: str, size: int, width: int) -> str:
    """Return the text, without its middle if it is wider than `width` pixels."""
    text = _without_middle(text)
    kept, shown = len(text), text
    while kept and _font(size).getlength(shown) > width:
        kept -= 1
        shown = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return shown


def _wrap(text: str, size: int, width: int) -> list[str]:
    """Return the text as lines of at most `width` pixels, broken between words or parts of ids."""
    lines = [""]
    for piece in _PIECES.findall(" ".join(_without_middle(text).split())):
        if _font(size).getlength((lines[-1] + piece).strip()) <= width:
            lines[-1] += piece
            continue
        lines.append("")
        for letter in piece:  # a piece alone may be too wide
            if _font(size).getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return [line.strip(" ·") for line in lines if line.strip(" ·")]


def _explain(reason: str) -> Image.Image:
    """Return the tile of a chip that could not be cut, with the reason on it."""
    tile = Image.new("RGB", (TILE, TILE), HOLE)
    draw = ImageDraw.Draw(tile)
    size = _CAPTION_SIZE - 1
    room = (TILE - 2 * _HOLE_MARGIN) // _line_height(size)
    lines = _wrap(reason, size, TILE - 2 * _HOLE_MARGIN)
    if len(lines) > room:
        lines = [
            *lines[: room - 1],
            _shorten(lines[room - 1] + " …", size, TILE - 2 * _HOLE_MARGIN),
        ]
    for number, line in enumerate(lines):
        place = _HOLE_MARGIN, _HOLE_MARGIN + number * _line_height(size)
        draw.text(place, line, INK, _font(size))
    return tile


def _develop(picture: ChipPicture, stretch: Stretch) -> Image.Image:
    """Return a chip on its tile: stretched, scaled to fit, nodata as a checkerboard."""
    height, width = picture.valid.shape
    scale = TILE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # pixels that are much enlarged stay squares; others are interpolated
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
