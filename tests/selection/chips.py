"""Chips at odd places of the Earth, and what a slow and plain way finds among them."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyproj
import shapely
from affine import Affine

from stacchip.grid.footprints import make_footprints
from stacchip.grid.transform import compose

GEOD = pyproj.Geod(ellps="WGS84")
# CRS, and the middle of a grid of chips in it
PLACES = {
    "border of two zones": [("EPSG:32632", 12.0, 50.0), ("EPSG:32633", 12.0, 50.0)],
    "antimeridian": [("EPSG:32601", 180.0, -17.0), ("EPSG:32660", 180.0, -17.0)],
    "north pole": [("EPSG:3413", 0.0, 90.0), ("EPSG:3995", 0.0, 90.0)],
    "south pole": [("EPSG:3031", 0.0, -90.0), ("EPSG:3976", 0.0, -90.0)],
    "equator": [("EPSG:32631", 3.0, 0.0), ("EPSG:32731", 3.0, 0.0)],
}


def grid_at(crs: str, lon: float, lat: float, *, px: float = 10.0, side: int = 4) -> list[bytes]:
    """The footprints of a square of chips of 256 pixels around a place, turned by 7 degrees."""
    known = pyproj.CRS(crs)
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", known, always_xy=True).transform(lon, lat)
    half = side * 256 / 2
    turned = compose(Affine.translation(x, y), compose(Affine.rotation(7), Affine.scale(px, -px)))
    corner = compose(turned, Affine.translation(-half, -half))
    made = make_footprints(corner, known, 256, (side, side))
    return made.wkb.to_pylist()


def chips_at(place: str, *, side: int = 4) -> list[bytes]:
    return [chip for grid in PLACES[place] for chip in grid_at(*grid, side=side)]


def as_rows(wkb: list[bytes], splits: list[str | None], **columns: list) -> pa.Table:
    return pa.table({"geometry": pa.array(wkb, pa.binary()), "split": splits, **columns})


def pairs_of(splits: list[str | None]) -> list[tuple[int, int]]:
    return [
        (one, other)
        for one, other in itertools.combinations(range(len(splits)), 2)
        if None not in (splits[one], splits[other]) and splits[one] != splits[other]
    ]


def shared_m2(one: bytes, other: bytes) -> float:
    """The shared area, in an equal-area projection around the first."""
    shapes = [shapely.from_wkb(each) for each in (one, other)]
    shapes = [shapely.segmentize(each, max(0.0005, each.length / 2000)) for each in shapes]
    lon, lat = shapely.get_coordinates(shapes[0])[0]
    flat = pyproj.Proj(proj="laea", lon_0=lon, lat_0=lat, ellps="WGS84")
    # parts of a chip that is cut at the antimeridian, or along a pole, touch in the plane
    planes = [
        shapely.union_all(
            [
                shapely.transform(part, lambda xy: np.stack(flat(*xy.T), axis=1)).buffer(0)
                for part in shapely.get_parts(shape)
            ]
        )
        for shape in shapes
    ]
    return float(shapely.intersection(*planes).area)


def gap_m(one: bytes, other: bytes) -> float:
    """The distance of two outlines: of points along them, then of denser ones where it is least."""
    rings = [_outline(each) for each in (one, other)]
    for _ in range(4):
        spaces = [_in_space(ring) for ring in rings]
        gaps = np.linalg.norm(spaces[0][:, None] - spaces[1][None], axis=-1)
        ends = np.unravel_index(gaps.argmin(), gaps.shape)
        nearest = [ring[end] for ring, end in zip(rings, ends, strict=True)]
        rings = [_between(ring, end) for ring, end in zip(rings, ends, strict=True)]
    return float(GEOD.inv(*nearest[0], *nearest[1])[2])


def _outline(wkb: bytes) -> np.ndarray:
    rings = [part.exterior for part in shapely.get_parts(shapely.from_wkb(wkb))]
    points = [shapely.get_coordinates(ring) for ring in rings]
    return np.concatenate([_dense(each, max(1, 160 // len(each))) for each in points])


def _dense(points: np.ndarray, pieces: int) -> np.ndarray:
    part = np.arange(pieces) / pieces
    steps = points[:-1, None] + part[None, :, None] * (points[1:] - points[:-1])[:, None]
    return np.concatenate([steps.reshape(-1, 2), points[-1:]])


def _between(ring: np.ndarray, place: int) -> np.ndarray:
    some = ring[max(0, place - 1) : place + 2]
    if np.abs(np.diff(some[:, 0])).max(initial=0) > 180:  # two parts
        return ring[place : place + 1]
    return _dense(some, 40)


def _in_space(lonlat: np.ndarray) -> np.ndarray:
    to_space = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.stack(to_space.transform(*lonlat.T, np.zeros(len(lonlat))), axis=-1)
