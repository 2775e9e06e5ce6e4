"""Pairs of footprints of different splits that overlap, or lie too near to each other.

A footprint counts once, however many others it meets. Where pairs are very many, only those are
measured that can still tell something of a footprint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from stacchip.selection.ellipsoid import LocalPlane, area_m2, distance_m, grow_bounds
from stacchip.selection.quads import Quads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.selection.candidates import Band

    Integers = NDArray[np.int64]
    Booleans = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Shapes = NDArray[np.object_]

__all__ = ["AT_ONCE", "MOST_PAIRS", "Example", "PairSearch", "Tally"]

MOST_PAIRS: Final = 1_000_000
"""Pairs of different footprints that are measured in any case."""
# Neighbours of one grid share their corners, but for the rounding of numbers.
_LEAST_AREA_M2: Final = 1e-4
_LEAST_SHARE: Final = 1e-6
_EXAMPLES: Final = 5
AT_ONCE: Final = 2_000
"""Footprints whose neighbours are looked for together."""


@dataclass(frozen=True)
class Example:
    """A pair of rows of different splits.

    Attributes:
        rows: Their numbers.
        splits: The numbers of their splits.
        size: The area that they share in square metres, or their distance in metres.
        share: The part of the smaller footprint that is shared, 0..1; None for a distance.
        shapes: Their footprints.
    """

    rows: tuple[int, int]
    splits: tuple[int, int]
    size: float
    share: float | None
    shapes: tuple[shapely.Geometry, shapely.Geometry]


@dataclass
class Tally:
    """What was found of one kind of pairs.

    Attributes:
        pairs: Number of pairs of rows.
        rows: Number of rows in them.
        shared_m2: Total of the areas that they share.
        examples: The worst of them.
    """

    pairs: int = 0
    rows: int = 0
    shared_m2: float = 0.0
    examples: list[Example] = field(default_factory=list)
    _seen: set[tuple[bytes, int]] = field(default_factory=set)

    def count(self, band: Band, flags: Booleans) -> None:
        """Count the rows of flagged footprints; those of several bands once."""
        in_several = band.lows < band.highs
        self.rows += int(band.counts[flags & ~in_several].sum())
        for place in np.flatnonzero(flags & in_several).tolist():
            key = (band.wkb[place].as_py(), int(band.splits[place]))
            if key not in self._seen:
                self._seen.add(key)
                self.rows += int(band.counts[place])


@dataclass
class PairSearch:
    """Looks for pairs band by band.

    Args:
        buffer_m: Distance in metres below which two footprints are too near.

    Attributes:
        overlaps: Pairs that share an area.
        nears: Pairs that do not, but are nearer than the buffer.
        is_complete: False if some pairs were not measured, since both footprints were known.
    """

    buffer_m: float
    overlaps: Tally = field(default_factory=Tally)
    nears: Tally = field(default_factory=Tally)
    is_complete: bool = True
    _measured: int = 0

    def look_in(self, band: Band) -> None:
        """Find the pairs of a band that belong to no band before it."""
        if len(np.unique(band.splits)) < 2:
            return
        state = _State(band)
        for pairs in _find_pairs(band, self.buffer_m):
            self._measure(state, pairs)
        self.overlaps.count(band, state.overlapping)
        self.nears.count(band, state.near)

    def _measure(self, state: _State, pairs: Integers) -> None:
        if self._measured > MOST_PAIRS:
            known = state.overlapping & (state.near | (self.buffer_m <= 0))
            is_open = ~known[pairs].all(axis=0)
            self.is_complete &= bool(is_open.all())
            pairs = pairs[:, is_open]
        self._measured += pairs.shape[1]
        if not pairs.shape[1]:
            return
        band = state.band
        area = np.zeros(pairs.shape[1])
        meets = ~state.quads.are_apart(pairs)
        one, other = band.shapes[pairs[:, meets]]
        area[meets] = area_m2(shapely.intersection(one, other))
        smaller = state.areas[pairs].min(axis=0)
        overlaps = area > np.maximum(_LEAST_AREA_M2, _LEAST_SHARE * smaller)
        self._take(self.overlaps, state, pairs[:, overlaps], area[overlaps], "most")
        state.overlapping[pairs[:, overlaps]] = True
        if self.buffer_m > 0:
            others = pairs[:, ~overlaps]
            distance = _distances(state, others, self.buffer_m)
            near = distance < self.buffer_m
            self._take(self.nears, state, others[:, near], distance[near], "least")
            state.near[others[:, near]] = True

    def _take(
        self, tally: Tally, state: _State, pairs: Integers, sizes: Floats, worst: str
    ) -> None:
        """Count pairs, and keep the worst of them as examples."""
        band = state.band
        times = band.counts[pairs].prod(axis=0)
        tally.pairs += int(times.sum())
        order = np.argsort(sizes if worst == "least" else -sizes, kind="stable")[:_EXAMPLES]
        if worst == "most":
            tally.shared_m2 += float((sizes * times).sum())
        for place in order.tolist():
            a, b = sorted(pairs[:, place].tolist(), key=band.rows.__getitem__)
            shapes = (band.shapes[a], band.shapes[b])
            size, share = float(sizes[place]), None
            if worst == "most":
                share = size / float(state.areas[[a, b]].min())
            rows = (int(band.rows[a]), int(band.rows[b]))
            splits = (int(band.splits[a]), int(band.splits[b]))
            tally.examples.append(Example(rows, splits, size, share, shapes))
        sign = 1 if worst == "least" else -1
        tally.examples.sort(key=lambda example: (sign * example.size, example.rows))
        del tally.examples[_EXAMPLES:]


class _State:
    """What is known of the footprints of a band."""

    def __init__(self, band: Band) -> None:
        self.band = band
        self.areas = area_m2(band.shapes)
        self.quads = Quads(band.shapes)
        self.overlapping = np.zeros(len(band.shapes), bool)
        self.near = np.zeros(len(band.shapes), bool)
        points, owner = shapely.get_coordinates(band.shapes, return_index=True)
        firsts = np.searchsorted(owner, np.arange(len(band.shapes)))
        # the plane in which each is compared with others: around a whole degree nearby
        self.planes = np.round(points[firsts]).astype(np.int64)


def _find_pairs(band: Band, buffer_m: float) -> Iterator[Integers]:
    """Yield pairs whose bounds say that they may be near, as numbers of footprints, (2, pair)."""
    parts, owner = shapely.get_parts(band.shapes, return_index=True)
    bounds = shapely.bounds(parts)
    boxes = shapely.box(*bounds.T)
    count = len(band.shapes)
    for split in np.unique(band.splits)[:-1].tolist():
        inside = np.flatnonzero(band.splits[owner] == split)
        tree = shapely.STRtree(boxes[inside])
        asking = np.flatnonzero(band.splits > split)
        for start in range(0, len(asking), AT_ONCE):
            some = asking[start : start + AT_ONCE]
            low, high = np.searchsorted(owner, [some[0], some[-1] + 1])
            mine = low + np.flatnonzero(band.splits[owner[low:high]] > split)
            box, whose = _wrapped(grow_bounds(bounds[mine], buffer_m), owner[mine])
            asked, found = tree.query(box)
            keys = np.unique(whose[asked] * count + owner[inside[found]])
            pairs = np.stack([keys // count, keys % count])
            first = band.lows[pairs].max(axis=0) == band.number
            yield pairs[:, first]


def _wrapped(bounds: Floats, owner: Integers) -> tuple[Shapes, Integers]:
    """Return boxes, and copies on the other side of those at the antimeridian."""
    west, _, east, _ = bounds.T
    turns = [(0, np.ones(len(bounds), bool)), (360, west <= -180), (-360, east >= 180)]
    shifted = [bounds[where] + (turn, 0, turn, 0) for turn, where in turns]
    owners = [owner[where] for _, where in turns]
    return shapely.box(*np.concatenate(shifted).T), np.concatenate(owners)


def _distances(state: _State, pairs: Integers, buffer_m: float) -> Floats:
    """Return distances of pairs in metres: all are on the right side of the buffer.

    Those near to it are exact; others may be wrong by what an edge is curved.
    """
    distances = np.empty(pairs.shape[1])
    lon, lat = state.planes[pairs[0]].T
    order = np.lexsort((lat, lon))
    is_next = (np.diff(lon[order]) != 0) | (np.diff(lat[order]) != 0)
    for here in np.split(order, np.flatnonzero(is_next) + 1) if len(order) else ():
        plane = LocalPlane(int(lon[here[0]]), int(lat[here[0]]))
        distances[here] = _in_plane(plane, state.band.shapes, pairs[:, here], buffer_m)
    return distances


def _in_plane(plane: LocalPlane, shapes: Shapes, pairs: Integers, buffer_m: float) -> Floats:
    used, places = np.unique(pairs, return_inverse=True)
    one, other = places.reshape(pairs.shape)
    flat = plane.shapes(shapes[used])
    distance: Floats = shapely.distance(flat[one], flat[other])
    reach = np.abs(shapely.bounds(flat)).max(axis=1)
    curved = _curves(shapes[used], flat, plane)
    error = distance * plane.distortion(1.5 * np.maximum(reach[one], reach[other]))
    error += curved[one] + curved[other] + 1e-6
    for pair in np.flatnonzero(~(np.abs(distance - buffer_m) > error)).tolist():  # few
        a, b = pairs[:, pair]
        distance[pair] = distance_m(shapes[a], shapes[b], buffer_m)
    return distance


def _curves(shapes: Shapes, flat: Shapes, plane: LocalPlane) -> Floats:
    """Return how far the edges of each shape are at most from straight lines of a plane."""
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    places = shapely.get_coordinates(flat)
    inside = owner[1:] == owner[:-1]
    ends = (points[:-1][inside], points[1:][inside])
    most = np.zeros(len(shapes))
    flat_ends = (places[:-1][inside], places[1:][inside])
    np.maximum.at(most, owner[1:][inside], plane.curves(*ends, flat_ends))
    return most


def settle(example: Example) -> Example:
    """Return an example with its exact distance."""
    length = distance_m(*example.shapes)
    return Example(example.rows, example.splits, length, None, example.shapes)
