"""Views: a part of the landscape on a grid of pixels, and the drawing of lines and areas on it.

The landscape has its own coordinates: metres east and south of its north-west corner. Pixels count
in the same directions, and the drawing needs no projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stacchip.demo.landscape.noise import Field, resample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Points = NDArray[np.float64]

CELL_M = 60.0
CELLS = 768
EXTENT_M = CELL_M * CELLS
"""The landscape is a square of `CELLS` x `CELLS` cells, each `CELL_M` wide."""


@dataclass(frozen=True)
class Line:
    """A line on the ground, with a width: a river, a road, a hedge.

    Attributes:
        points: (n, 2): metres east and south of the landscape's north-west corner.
        width_m: One width for the line, or one for each point.
    """

    points: Points
    width_m: float | NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A rectangle of the landscape, cut into square pixels.

    Attributes:
        left_m: Distance of the west edge from the landscape's, in metres.
        top_m: Distance of the north edge from the landscape's, in metres.
        pixel_m: Width of a pixel.
        shape: Height and width in pixels.
    """

    left_m: float
    top_m: float
    pixel_m: float
    shape: tuple[int, int]

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge, in metres."""
        height, width = self.shape
        right, bottom = self.left_m + width * self.pixel_m, self.top_m + height * self.pixel_m
        return self.left_m, self.top_m, right, bottom

    def coarsen(self, times: int) -> View:
        """Return the same rectangle with pixels `times` as wide."""
        height, width = self.shape
        return replace(self, pixel_m=self.pixel_m * times, shape=(height // times, width // times))

    def sees(self, points: Points, margin_m: float = 0.0) -> bool:
        """Return True if the bounding box of the points touches the view."""
        left, top, right, bottom = self.bounds_m
        low, high = points.min(axis=0) - margin_m, points.max(axis=0) + margin_m
        return bool(high[0] >= left and low[0] <= right and high[1] >= top and low[1] <= bottom)

    def to_pixels(self, points: Points) -> Points:
        """Return column and row, counted from the first pixel's corner, of points in metres."""
        pixels: Points = (points - (self.left_m, self.top_m)) / self.pixel_m
        return pixels

    def resample(self, field: Field) -> Field:
        """Return a field of the landscape's cells on the pixels of this view."""
        left, top, right, bottom = (edge / CELL_M for edge in self.bounds_m)
        return resample(field, self.shape, (left, top, right, bottom))

    def draw_areas(self, outlines: Iterable[Points]) -> NDArray[np.int32]:
        """Number the pixels by the polygon that they lie in, from 1; 0 is outside all, (y, x).

        Later polygons lie on top of earlier ones. Outlines are (n, 2), in metres.
        """
        image = Image.new("I", self.shape[::-1], 0)
        draw = ImageDraw.Draw(image)
        for number, outline in enumerate(outlines, 1):
            # Pillow counts from the centre of the first pixel
            draw.polygon((self.to_pixels(outline) - 0.5).ravel().tolist(), fill=number)
        return np.asarray(image, dtype=np.int32)

    def draw_lines(
        self, lines: Sequence[Line], *, fineness: int = 2, extra_m: float = 0.0
    ) -> Field:
        """Return the share of each pixel that the lines cover, (y, x), 0 to 1.

        Args:
            lines: The lines to draw.
            fineness: Dots per pixel along each axis. More dots make smoother edges, and let a line
                thinner than a pixel cover a part of it.
            extra_m: Width to add to each line, as for the trees along a river.
        """
        height, width = self.shape
        image = Image.new("L", (width * fineness, height * fineness), 0)
        draw = ImageDraw.Draw(image)
        scale = fineness / self.pixel_m
        for line in lines:
            widths = (np.asarray(line.width_m) + extra_m) * scale
            if self.sees(line.points, float(widths.max()) / scale):
                _draw_line(draw, self.to_pixels(line.points) * fineness, widths)
        shares = np.asarray(image.reduce(fineness), dtype=np.float32)
        return shares * np.float32(1 / 255)


def _draw_line(draw: ImageDraw.ImageDraw, dots: Points, widths: NDArray[np.float64]) -> None:
    """Draw a line; one thinner than a dot becomes one dot wide and accordingly fainter."""
    shade = int(255 * min(1.0, float(widths.mean())))
    thick = np.maximum(np.round(widths), 1).astype(int)
    # corners are rounded only on wide lines of long pieces, where they show: it doubles the cost
    sharp = bool(thick.max() > 4 and np.abs(np.diff(dots, axis=0)).max() > thick.max())
    changes = (np.flatnonzero(np.diff(thick)) + 1).tolist() if thick.ndim else []
    for start, end in zip([0, *changes], [*changes, len(dots)], strict=True):
        width = int(thick[start] if thick.ndim else thick)
        stretch = dots[max(start - 1, 0) : end].ravel().tolist()
        if len(stretch) > 2:
            draw.line(stretch, fill=shade, width=width, joint="curve" if sharp else None)
