"""Rivers: smooth lines through the cells where much water gathers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape.relief import Drainage, sample
from stacchip.demo.landscape.view import Line, Points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.noise import Field


def smooth_line(points: Points, times: int) -> Points:
    """The line with its corners rounded, its ends where they were.

    Example:
        >>> smooth_line(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]), 1).tolist()
        [[0.0, 0.0], [1.0, 0.5], [2.0, 0.0]]
    """
    smooth = points.astype(np.float64)
    for _ in range(times):
        smooth[1:-1] = 0.25 * smooth[:-2] + 0.5 * smooth[1:-1] + 0.25 * smooth[2:]
    return smooth


def refine_line(points: Points, times: int) -> Points:
    """The line with corners cut (Chaikin), twice as many points each time, its ends kept."""
    for _ in range(times):
        near = 0.75 * points[:-1] + 0.25 * points[1:]
        far = 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([near, far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


def trace_rivers(
    drainage: Drainage,
    bend: tuple[Field, Field],
    *,
    cell_m: float,
    least_km2: float,
) -> list[Line]:
    """The rivers that drain at least `least_km2`, as smooth lines that widen downstream.

    Args:
        drainage: Where water runs.
        bend: How far rivers leave their cells' centres, east and south, in metres, (y, x).
        cell_m: Width of a cell.
        least_km2: Area from which water counts as a river.

    Returns:
        The longest first; a tributary ends on the river that it joins.
    """
    area_km2 = drainage.area.ravel() * (cell_m / 1000) ** 2
    cols = drainage.area.shape[1]
    placed: dict[int, NDArray[np.float64]] = {}
    rivers = []
    for course in _find_courses(area_km2, drainage.receiver, least_km2):
        fresh = [cell for cell in course if cell not in placed]
        cells = np.array(course[: len(fresh) + 1])
        if len(cells) < 5:
            continue
        rows, columns = cells // cols, cells % cols
        points = smooth_line((np.stack([columns, rows], axis=1) + 0.5) * cell_m, 8)
        points += np.stack([sample(part, rows, columns) for part in bend], axis=1)
        if cells[-1] in placed:
            points[-1] = placed[int(cells[-1])]
        placed.update(zip(cells.tolist(), points, strict=True))
        width_m = 6.0 * np.sqrt(smooth_line(area_km2[cells][:, None], 6)[:, 0])
        rivers.append(_widen(points, width_m))
    return rivers


def _widen(points: Points, width_m: NDArray[np.float64]) -> Line:
    fine = refine_line(points, 2)
    along = np.linspace(0, len(points) - 1, len(fine))
    return Line(fine, np.interp(along, np.arange(len(points)), width_m))


def _find_courses(
    area_km2: NDArray[np.floating], receiver: NDArray[np.int64], least_km2: float
) -> list[list[int]]:
    """From each spring down to the sea, as cells; the longest course first."""
    wet = np.flatnonzero(area_km2 >= least_km2)
    fed = set(receiver[wet].tolist())
    courses = []
    for spring in wet.tolist():
        if spring in fed:
            continue
        course = [spring]
        while (cell := int(receiver[course[-1]])) < receiver.size:
            course.append(cell)
        courses.append(course)
    return sorted(courses, key=len, reverse=True)
