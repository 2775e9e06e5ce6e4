"""The grid of chips on a reference band: their number, windows, boxes and footprints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import pyproj
import shapely
from affine import Affine

from stacchip.errors import ChipOutOfRange, UsageError
from stacchip.grid.footprints import Footprints, make_footprints, pixels_at
from stacchip.grid.geobox import GeoBox, crs_name
from stacchip.grid.rounded_bounds import rounding_of
from stacchip.grid.transform import compose, map_points
from stacchip.grid.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChipGrid", "Edge", "require_grid"]

_FAR = 0.02  # share of a chip by which bounds may differ that mean the same chip

Edge = Literal["drop", "pad"]
"""The treatment of pixels beyond the last whole chip: "drop" leaves them out, "pad" adds nodata."""


@dataclass(frozen=True)
class ChipGrid:
    """The squares of `chip_size` pixels into which a reference band is cut, from its first pixel.

    Chip (x, y) is in column x and row y; both count from zero.

    Args:
        geobox: CRS, transform and shape of the reference band; it may be rotated.
        chip_size: Side of a chip in pixels.
        edge: `"drop"` leaves out chips that would reach beyond the last row or column of pixels,
            `"pad"` keeps them.

    Raises:
        UsageError: The chip size is not positive, `edge` is unknown, or the geobox has no CRS.

    Example:
        >>> from stacchip.grid.geobox import make_geobox
        >>> geobox = make_geobox("EPSG:32633", Affine(10, 0, 5e5, 0, -10, 6000), (600, 1000))
        >>> grid = ChipGrid(geobox, 256)
        >>> grid.x_size, grid.y_size, grid.size
        (3, 2, 6)
        >>> ChipGrid(geobox, 256, edge="pad").size
        12
        >>> grid.bbox(0, 0)
        (500000.0, 3440.0, 502560.0, 6000.0)
        >>> grid.crs_name
        'EPSG:32633'
    """

    geobox: GeoBox
    chip_size: int = 256
    edge: Edge = "drop"

    def __post_init__(self) -> None:
        require_grid(self.chip_size, self.edge)
        if self.geobox.crs is None:
            raise UsageError("A chip grid needs a geobox with a CRS; this one has none.")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the reference band in pixels."""
        height, width = self.geobox.shape
        return int(height), int(width)

    @property
    def x_size(self) -> int:
        """Number of columns of chips."""
        return self._count(self.shape[1])

    @property
    def y_size(self) -> int:
        """Number of rows of chips."""
        return self._count(self.shape[0])

    @property
    def size(self) -> int:
        """Number of chips."""
        return self.x_size * self.y_size

    def _count(self, pixels: int) -> int:
        rounded = math.ceil if self.edge == "pad" else math.floor
        return int(rounded(pixels / self.chip_size))

    @property
    def transform(self) -> Affine:
        """Affine from pixel (column, row) of the reference band to its CRS."""
        return self.geobox.affine

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The CRS of the reference band."""
        return pyproj.CRS.from_user_input(self.geobox.crs)

    @property
    def crs_name(self) -> str:
        """The CRS as it stands in the column `crs`: an authority's code, or else WKT2."""
        return crs_name(self.geobox)

    def window(self, x: int, y: int) -> Window:
        """Return the pixels of chip (x, y); with `"pad"` they may reach beyond the reference band.

        Raises:
            ChipOutOfRange: The grid has no such chip.
        """
        if not (0 <= x < self.x_size and 0 <= y < self.y_size):
            raise ChipOutOfRange(
                f"No chip ({x}, {y}): the grid has columns 0..{self.x_size - 1} "
                f"and rows 0..{self.y_size - 1}.",
                x=x,
                y=y,
            )
        return Window(y * self.chip_size, x * self.chip_size, self.chip_size, self.chip_size)

    def chip_geobox(self, x: int, y: int) -> GeoBox:
        """Return the geobox of chip (x, y), whole even if it reaches beyond the edge.

        Raises:
            ChipOutOfRange: The grid has no such chip.
        """
        window = self.window(x, y)
        transform = compose(self.transform, Affine.translation(window.col, window.row))
        return GeoBox(window.shape, transform, self.geobox.crs)

    def bbox(self, x: int, y: int) -> tuple[float, float, float, float]:
        """Return the bounds of chip (x, y) in the grid's CRS: xmin, ymin, xmax, ymax.

        Raises:
            ChipOutOfRange: The grid has no such chip.
        """
        window = self.window(x, y)
        corners = [
            map_points(self.transform, col, row)
            for col in (window.col, window.col_stop)
            for row in (window.row, window.row_stop)
        ]
        easts, norths = zip(*corners, strict=True)
        return min(easts), min(norths), max(easts), max(norths)

    def footprint(self, x: int, y: int) -> shapely.Geometry | None:
        """Return the footprint of chip (x, y) in OGC:CRS84; see `footprints`.

        Raises:
            ChipOutOfRange: The grid has no such chip.
        """
        made = make_footprints(self.chip_geobox(x, y).affine, self.crs, self.chip_size, (1, 1))
        found: shapely.Geometry | None = shapely.from_wkb(made.wkb[0].as_py())
        return found

    def pixel_at(self, lon: float, lat: float) -> tuple[float, float]:
        """Return (column, row) of a longitude and latitude; inf if the projection lacks it.

        Example:
            >>> from stacchip.grid.geobox import make_geobox
            >>> geobox = make_geobox("EPSG:32633", Affine(10, 0, 5e5, 0, -10, 6000), (600, 1000))
            >>> [round(number, 3) for number in ChipGrid(geobox).pixel_at(15, 0)]
            [0.0, 600.0]
        """
        col, row = pixels_at(self.transform, self.crs, lon, lat)
        return float(col), float(row)

    def has_chip_at(self, x: int, y: int, bbox: Mapping[str, float]) -> bool:
        """Return True if chip (x, y) is there and has these bounds in OGC:CRS84.

        They may differ by a fiftieth of the chip, since writers of indexes round; and by what
        rounding to float32 may do to them.

        Args:
            x: The chip's column.
            y: The chip's row.
            bbox: The sides `xmin`, `ymin`, `xmax` and `ymax` in degrees.
        """
        return self.misfit(x, y, bbox) <= _FAR

    def misfit(self, x: int, y: int, bbox: Mapping[str, float]) -> float:
        """Return by what share of a chip the bounds of chip (x, y) differ from others.

        It is the largest of the four sides' differences, to a ten-thousandth, since the numbers
        are rounded; inf without such a chip. What rounding to float32 may have done to a side does
        not count: for a chip of 20 m it is a twelfth of the chip.

        Args:
            x: The chip's column.
            y: The chip's row.
            bbox: The sides `xmin`, `ymin`, `xmax` and `ymax` in degrees.
        """
        if not (0 <= x < self.x_size and 0 <= y < self.y_size):
            return math.inf
        chip = self.chip_geobox(x, y)
        made = make_footprints(chip.affine, self.crs, self.chip_size, (1, 1)).bbox[0].as_py()
        if made is None:
            return math.inf
        sides = (_misfit(made, bbox, "xmin", "xmax"), _misfit(made, bbox, "ymin", "ymax"))
        return round(max(sides), 4)

    def footprints(self) -> Footprints:
        """Return the footprints of all chips in OGC:CRS84, in the order of rows, then columns.

        See `stacchip.grid.footprints.make_footprints` for their accuracy.
        """
        return make_footprints(
            self.transform, self.crs, self.chip_size, shape=(self.y_size, self.x_size)
        )


def _misfit(one: Mapping[str, float], other: Mapping[str, float], low: str, high: str) -> float:
    distance = max(_distance(one[side], other[side]) for side in (low, high))
    length = one[high] - one[low]
    return distance / length if length > 0 else math.inf


def _distance(made: float, told: float) -> float:
    distance, rounding = abs(made - told), rounding_of(told)
    return 0.0 if distance <= rounding else distance - rounding  # NaN stays NaN


def require_grid(chip_size: Any, edge: Any) -> None:
    """Refuse a chip size or an edge that no chip grid can have.

    Raises:
        UsageError: The chip size is not a whole number from 1 to 2^31 - 1, or `edge` is unknown.
    """
    is_whole = isinstance(chip_size, Integral) and not isinstance(chip_size, bool)
    if not is_whole or not 1 <= chip_size < 1 << 31:
        raise UsageError(
            f"chip_size is a whole number of pixels, at least 1 and below 2^31, not {chip_size!r}."
        )
    if edge not in ("drop", "pad"):
        raise UsageError(f"edge is 'drop' or 'pad', not {edge!r}.")
