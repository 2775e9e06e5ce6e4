"""Parcels: the division of land into districts, fields and the blocks of a town."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from stacchip.demo.landscape.view import EXTENT_M

if TYPE_CHECKING:
    from stacchip.demo.landscape.noise import Field
    from stacchip.demo.landscape.view import Points, View

_DISTRICTS_ACROSS = 15

Rectangles = NDArray[np.float64]
"""(n, 4): low x, low y, high x, high y."""


@dataclass(frozen=True)
class Parcels:
    """Convex pieces of land.

    Attributes:
        outlines: Polygons, in metres, (n,).
        angle: Direction of the longer furrows, radians from east to south, (n,).
    """

    outlines: NDArray[np.object_]
    angle: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.outlines)

    @cached_property
    def rings(self) -> list[Points]:
        """The corners of each parcel, the first one repeated at the end."""
        corners, owner = shapely.get_coordinates(self.outlines, return_index=True)
        return np.split(corners, np.flatnonzero(np.diff(owner)) + 1)

    @cached_property
    def centres(self) -> Points:
        """The centroid of each parcel, in metres, (n, 2)."""
        centres: Points = shapely.get_coordinates(shapely.centroid(self.outlines))
        return centres

    def seen_in(self, view: View) -> NDArray[np.bool_]:
        """Return True for each parcel whose bounding box touches the view, (n,)."""
        left, top, right, bottom = view.bounds_m
        low_x, low_y, high_x, high_y = shapely.bounds(self.outlines).T
        touches: NDArray[np.bool_] = (
            (high_x >= left) & (low_x <= right) & (high_y >= top) & (low_y <= bottom)
        )
        return touches

    def select(self, chosen: NDArray[np.bool_]) -> Parcels:
        """Return the parcels for which `chosen` is True."""
        return Parcels(self.outlines[chosen], self.angle[chosen])


def spread(values: NDArray[Any], place: NDArray[np.int32], outside: float = 0.0) -> Field:
    """Return values of parcels on the pixels that `View.draw_areas` numbered, (y, x), float32."""
    return np.concatenate([[outside], values]).astype(np.float32)[place]


def split_rectangles(
    rectangles: Rectangles, target_m2: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Rectangles, NDArray[np.int64]]:
    """Halve rectangles, unevenly and across, until each is near its target.

    Args:
        rectangles: The rectangles to split.
        target_m2: Area at which the splitting of each stops, (n,).
        rng: The source of randomness.

    Returns:
        The pieces, and for each piece the position of its rectangle.

    Example:
        >>> whole = np.array([[0.0, 0.0, 100.0, 100.0]])
        >>> pieces, origin = split_rectangles(whole, np.array([800.0]), np.random.default_rng(0))
        >>> sizes = pieces[:, 2:] - pieces[:, :2]
        >>> round(float(sizes.prod(axis=1).sum()))
        10000
    """
    done, origins = [], []
    origin = np.arange(len(rectangles))
    goal = target_m2
    while len(rectangles):
        size = rectangles[:, 2:] - rectangles[:, :2]
        enough = size.prod(axis=1) <= goal * rng.uniform(0.8, 2.2, len(rectangles))
        done.append(rectangles[enough])
        origins.append(origin[enough])
        rectangles, size = rectangles[~enough], size[~enough]
        origin, goal = np.tile(origin[~enough], 2), np.tile(goal[~enough], 2)
        rectangles = _halve(rectangles, size, rng)
    return np.concatenate(done), np.concatenate(origins)


def _halve(
    rectangles: Rectangles, size: NDArray[np.float64], rng: np.random.Generator
) -> Rectangles:
    """Cut each rectangle across its longer side; all first parts come before all second parts."""
    across_x = size[:, 0] * rng.uniform(0.55, 1.0, len(size)) > size[:, 1]
    share = rng.choice([1 / 3, 0.42, 0.5, 0.5, 0.58, 2 / 3], len(size))
    first, second = rectangles.copy(), rectangles.copy()
    for axis, chosen in ((0, across_x), (1, ~across_x)):
        cut = rectangles[chosen, axis] + share[chosen] * size[chosen, axis]
        first[chosen, axis + 2] = cut
        second[chosen, axis] = cut
    return np.concatenate([first, second])


def make_districts(rng: np.random.Generator) -> NDArray[np.object_]:
    """Return polygons that tile the landscape: the cells of points on a shaken grid."""
    step = EXTENT_M / _DISTRICTS_ACROSS
    number = np.arange(-1, _DISTRICTS_ACROSS + 1)
    grid = (np.stack(np.meshgrid(number, number), axis=-1) + 0.5) * step
    sites = grid.reshape(-1, 2) + rng.uniform(-0.38, 0.38, (grid.size // 2, 2)) * step
    cells = shapely.voronoi_polygons(shapely.multipoints(sites))
    frame = shapely.box(0, 0, EXTENT_M, EXTENT_M)
    pieces: NDArray[np.object_] = shapely.intersection(shapely.get_parts(cells), frame)
    pieces = pieces[~shapely.is_empty(pieces)]
    centres = shapely.get_coordinates(shapely.centroid(pieces))
    return pieces[np.lexsort(centres.T)]  # the order must not depend on the library


def divide(
    outlines: NDArray[np.object_],
    angle: NDArray[np.float64],
    target_m2: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Parcels, NDArray[np.int64]]:
    """Divide each polygon into parcels along its own direction.

    Args:
        outlines: Convex polygons, in metres.
        angle: Direction of each, radians.
        target_m2: Approximate area of its parcels.
        rng: The source of randomness.

    Returns:
        The parcels, and for each parcel the position of its polygon.
    """
    centre = shapely.get_coordinates(shapely.centroid(outlines))
    corners, owner = shapely.get_coordinates(outlines, return_index=True)
    reach = np.zeros(len(outlines))
    np.maximum.at(reach, owner, np.hypot(*(corners - centre[owner]).T))
    square = np.column_stack([-reach, -reach, reach, reach])
    pieces, origin = split_rectangles(square, target_m2, rng)
    turned = _turn(pieces[:, [[0, 1], [2, 1], [2, 3], [0, 3]]], angle[origin])
    parts = np.asarray(shapely.polygons(turned + centre[origin][:, None, :]), dtype=np.object_)
    shapely.prepare(outlines)  # most pieces lie inside or outside: clip only the others
    near = shapely.intersects(outlines[origin], parts)
    parts, pieces, origin = parts[near], pieces[near], origin[near]
    crossing = ~shapely.contains_properly(outlines[origin], parts)
    parts[crossing] = shapely.intersection(parts[crossing], outlines[origin[crossing]])
    whole = (shapely.area(parts) > 0.12 * target_m2[origin]) & (shapely.get_type_id(parts) == 3)
    size = pieces[:, 2:] - pieces[:, :2]
    furrows = angle[origin] + np.where(size[:, 0] >= size[:, 1], 0.0, np.pi / 2)
    return Parcels(parts[whole], furrows[whole]), origin[whole]


def _turn(points: Points, angle: NDArray[np.float64]) -> Points:
    """Rotate (n, corners, 2) points about the origin, by an angle for each n."""
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=-1)
