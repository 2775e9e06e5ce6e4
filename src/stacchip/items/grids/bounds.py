"""Bounds in longitude and latitude of what an item says of its place, and what two share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

Box = tuple[float, float, float, float]
"""West, south, east, north; or coordinates in a CRS in this order."""

# the share of the smaller of two bounds that must be common to both
_SHARED: Final = 0.5


def box_of_numbers(numbers: Any) -> Box | None:
    """Return a box of 4 or 6 numbers without its heights; None if it is none."""
    try:
        sides = [float(number) for number in numbers]
    except (TypeError, ValueError, OverflowError):
        return None
    if len(sides) == 6:
        sides = [*sides[:2], *sides[3:5]]
    if len(sides) != 4 or not all(map(math.isfinite, sides)):
        return None
    return (sides[0], sides[1], sides[2], sides[3])


def box_of_geometry(geometry: Any) -> Box | None:
    """Return the box of a GeoJSON geometry; west is greater than east across the antimeridian."""
    try:
        points = np.array(list(_positions(geometry)), np.float64)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if not points.size or not np.isfinite(points).all():
        return None
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    if east - west > 180 and np.abs(points[:, 0]).max() <= 180:  # degrees on both sides of 180
        around = points[:, 0] % 360
        if around.max() - around.min() < 180:
            west, east = (
                each if each <= 180 else each - 360 for each in (around.min(), around.max())
            )
    return (float(west), float(south), float(east), float(north))


def _positions(geometry: Any) -> Iterator[tuple[float, float]]:
    """Yield (x, y) of all positions of a geometry."""
    waiting: list[Any] = [geometry] if isinstance(geometry, Mapping) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [part.get("coordinates"), part.get("geometries")]
        elif isinstance(part, list | tuple) and part:
            if isinstance(part[0], int | float):
                yield float(part[0]), float(part[1])
            else:
                waiting += part


@dataclass(frozen=True)
class Bounds:
    """Longitudes and latitudes between which something lies.

    Attributes:
        west: Degrees.
        south: Degrees.
        east: Degrees, greater than `west`, and maybe than 180.
        north: Degrees.
        unit: What the numbers are rounded to, in degrees.
    """

    west: float
    south: float
    east: float
    north: float
    unit: float = 0.0

    @staticmethod
    def of(box: Box) -> Bounds | None:
        """Return the bounds of a box; None if it is no box of degrees."""
        west, south, east, north = box
        if west > east:
            east += 360
        if not (-90 <= south <= north <= 90 and -540 <= west <= east <= 540):
            return None
        digits = max(len(f"{number:.6f}".rstrip("0").partition(".")[2]) for number in box)
        return Bounds(west, south, east, north, 10.0**-digits)

    @property
    def is_around(self) -> bool:
        """True if the longitudes say nothing: a pole is inside, or -180 to 180 stands for 180."""
        return self.east - self.west > 180

    def grow(self, x: float, y: float) -> Bounds:
        """Return larger bounds."""
        return Bounds(self.west - x, self.south - y, self.east + x, self.north + y)

    def turn(self, other: Bounds) -> Bounds:
        """Return the same bounds, as many whole turns away as is nearest to others."""
        turns = 360 * round((other.west + other.east - self.west - self.east) / 720)
        return replace(self, west=self.west + turns, east=self.east + turns)

    def area(self) -> float:
        """Return square degrees; 0 for bounds that hold nothing."""
        return max(0.0, self.east - self.west) * max(0.0, self.north - self.south)

    def common(self, other: Bounds) -> Bounds:
        """Return what both have in common."""
        return Bounds(
            max(self.west, other.west),
            max(self.south, other.south),
            min(self.east, other.east),
            min(self.north, other.north),
        )

    def shares(self, other: Bounds) -> bool:
        """Return whether both have half of the smaller in common."""
        return self.common(other).area() >= _SHARED * min(self.area(), other.area())
