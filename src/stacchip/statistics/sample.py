"""The chips that statistics are made of, and those that were left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """Which chips of an index, or of cubes, a run measures.

    It is the same for all jobs of a run, and consists of plain values.

    Attributes:
        place: Address of the index or of the cubes, as it may be shown.
        there: Number of the platform's chips at the place; None if no record says it.
        left_out: Number of chips that were left out, by the limit that they fail; see
            `stacchip.cubes.left_out`. `max_chips` stands for chips that were not drawn.
        limits: `max_nodata`, `max_cloud` and `unmeasured` as they were when chips were chosen. For
            cubes that was when they were cut; None if no record says it.
        cubes_measured: Number of cubes that the run measures; None for an index.
        cubes_there: Number of cubes at the place; None for an index.

    Example:
        >>> sample = Sample("s3://bucket/index", 10, {"max_nodata": 2, "nodata_unmeasured": 1})
        >>> sample.there - sum(sample.left_out.values())  # chips that all jobs together measure
        7
    """

    place: str
    there: int | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    limits: dict[str, Any] | None = None
    cubes_measured: int | None = None
    cubes_there: int | None = None
