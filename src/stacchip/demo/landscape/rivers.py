"""Rivers: smooth lines through the cells in which much water gathers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape.view import CELL_M, Line, Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.noise import Field
    from stacchip.demo.landscape.relief import Drainage

_LEAST_KM2 = 4.0
"""The drained area from which water counts as a river."""


def smooth_line(points: Points, times: int) -> Points:
    """Return the line with its corners rounded and its ends unmoved.

    Example:
        >>> smooth_line(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]), 1).tolist()
        [[0.0, 0.0], [1.0, 0.5], [2.0, 0.0]]
    """
    smooth = points.astype(np.float64)
    for _ in range(times):
        smooth[1:-1] = 0.25 * smooth[:-2] + 0.5 * smooth[1:-1] + 0.25 * smooth[2:]
    return smooth


def refine_line(points: Points) -> Points:
    """Return the line with its corners cut twice (Chaikin), four times the points, ends unmoved."""
    for _ in range(2):
        near = 0.75 * points[:-1] + 0.25 * points[1:]
        far = 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([near, far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


def trace_rivers(drainage: Drainage, bend: tuple[Field, Field]) -> list[Line]:
    """Return the rivers as smooth lines that widen downstream.

    Args:
        drainage: The way of the water.
        bend: How far rivers leave the centres of their cells, east and south, in metres, (y, x).

    Returns:
        The longest first; a tributary ends on the river that it joins.
    """
    area_km2 = drainage.area.ravel() * (CELL_M / 1000) ** 2
    cols = drainage.area.shape[1]
    placed: dict[int, NDArray[np.float64]] = {}
    rivers = []
    for course in _find_courses(area_km2, drainage.receiver):
        fresh = [cell for cell in course if cell not in placed]
        cells = np.array(course[: len(fresh) + 1])
        if len(cells) < 5:
            continue
        rows, columns = cells // cols, cells % cols
        points = smooth_line((np.stack([columns, rows], axis=1) + 0.5) * CELL_M, 8)
        points += np.stack([part[rows, columns] for part in bend], axis=1)
        if cells[-1] in placed:
            points[-1] = placed[int(cells[-1])]
        placed.update(zip(cells.tolist(), points, strict=True))
        width_m = 6.0 * np.sqrt(smooth_line(area_km2[cells][:, None], 6)[:, 0])
        rivers.append(_widen(points, width_m))
    return rivers


def _widen(points: Points, width_m: NDArray[np.float64]) -> Line:
    fine = refine_line(points)
    along = np.linspace(0, len(points) - 1, len(fine))
    return Line(fine, np.interp(along, np.arange(len(points)), width_m))


def _find_courses(area_km2: NDArray[np.floating], receiver: NDArray[np.int64]) -> list[list[int]]:
    """Return the cells from each spring down to the sea, the longest course first."""
    wet = np.flatnonzero(area_km2 >= _LEAST_KM2)
    courses = []
    for spring in np.setdiff1d(wet, receiver[wet]).tolist():
        course = [spring]
        while (cell := int(receiver[course[-1]])) < receiver.size:
            course.append(cell)
        courses.append(course)
    return sorted(courses, key=len, reverse=True)
