"""Splits by regions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from stacchip.errors import UsageError
from stacchip.splits.ground import bounds_of, grow, require_buffer
from stacchip.splits.shares import BORDER, require_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.splits.shares import Codes

    Floats = NDArray[np.float64]

__all__ = ["RegionRule"]

_HAIR: Final = 1e-9  # degrees


@dataclass(frozen=True)
class RegionRule:
    """Regions are splits, and the rest of the globe is another, or none.

    A chip is in a split if its bounds, grown by the buffer, lie in it as a whole.

    Attributes:
        regions: By split, an area in OGC:CRS84.
        rest: The split of all other places; None for none.
        buffer_km: Chips of two splits are farther apart than this.
    """

    regions: tuple[tuple[str, shapely.Geometry], ...]
    rest: str | None
    buffer_km: float

    columns = ("bbox",)

    def __post_init__(self) -> None:
        require_buffer(self.buffer_km)
        names = [name for name, _ in self.regions]
        if not names or len(set(names)) < len(names) or self.rest in names:
            raise UsageError("Give each region a split of its own, and the rest another one.")
        require_names(names if self.rest is None else [*names, self.rest])
        for name, region in self.regions:
            if not shapely.is_valid(region) or not _lies_on_globe(region):
                raise UsageError(
                    f"The region of {name!r} is no valid area within -180..180 and -90..90 degrees."
                )
        for place, (name, region) in enumerate(self.regions):
            for other, further in self.regions[place + 1 :]:
                if shapely.relate_pattern(region, further, "T********"):
                    raise UsageError(f"The regions of {name!r} and {other!r} overlap.")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        rest = () if self.rest is None else (self.rest,)
        return (*(name for name, _ in self.regions), *rest)

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split; `BORDER` for none."""
        box = grow(bounds_of(rows), self.buffer_km)
        is_known = np.isfinite(box[0])
        codes = np.full(rows.num_rows, BORDER, np.int8)
        parts = _cut_at_antimeridian(*(side[is_known] for side in box))
        found = codes[is_known]
        is_outside = np.ones(len(found), bool)
        for number, (_, region) in enumerate(self.regions):
            shapely.prepare(region)
            within = np.ones(len(found), bool)
            for boxes, there, touches in parts:
                within &= ~there | shapely.covers(region, boxes)
                is_outside &= ~(touches & shapely.intersects(region, boxes))
            found[within] = number
        if self.rest is not None:
            found[is_outside] = len(self.regions)
        codes[is_known] = found
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, with areas as GeoJSON."""
        regions = {name: json.loads(shapely.to_geojson(area)) for name, area in self.regions}
        return {"by": "region", "regions": regions, "rest": self.rest, "buffer_km": self.buffer_km}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> RegionRule:
        """Return it from plain values."""
        regions = (
            (str(name), shapely.from_geojson(json.dumps(area)))
            for name, area in facts["regions"].items()
        )
        return cls(tuple(regions), facts["rest"], float(facts["buffer_km"]))


def _lies_on_globe(region: shapely.Geometry) -> bool:
    west, south, east, north = region.bounds
    return bool(-180 <= west <= east <= 180 and -90 <= south <= north <= 90)


def _cut_at_antimeridian(
    west: Floats, south: Floats, east: Floats, north: Floats
) -> list[tuple[NDArray[np.object_], NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return the parts of boxes within -180..180: which are there, and which at least touch it."""
    turns = []
    for shift in (0, -360, 360):
        left, right = np.maximum(west + shift, -180), np.minimum(east + shift, 180)
        touches = left <= right
        is_there = touches if shift == 0 else left < right
        # a box that only touches is a hair wide, so that it is an area
        left = np.where(touches & (left == right), np.minimum(left, 180 - _HAIR), left)
        right = np.maximum(right, left + _HAIR)
        boxes = shapely.box(np.where(touches, left, 0), south, np.where(touches, right, 1), north)
        turns.append((boxes, is_there, touches))
    return turns
