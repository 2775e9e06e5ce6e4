"""Geoboxes: CRS, transform and shape of a grid of pixels. They are odc-geo's, with additions.

An index keeps the geobox of an item's chips with the item (`RecordedGrid`): the one that the item
declares, or that of a file that was opened and disagreed. Without it, a reader of the index could
not know which of the two the chips were cut from.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyproj
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.errors import InvalidMetadata, UsageError
from stacchip.grid.crs import horizontal_crs, name_crs, same_crs
from stacchip.grid.transform import compose, map_points
from stacchip.grid.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "GeoBox",
    "RecordedGrid",
    "agrees_with",
    "covering_window",
    "crop_geobox",
    "crs_name",
    "describe_geobox",
    "is_axis_aligned",
    "is_same_grid",
    "make_geobox",
    "pixel_size_m",
    "read_grid",
    "record_grid",
    "require_comparable",
]

# How far below a pixel's edge (in source pixels) a point still counts as on it. Centres of coarse
# pixels fall on edges of fine ones; without a margin, rounding would send them to either side.
ON_EDGE = 1e-6
# How far apart the corners of equal grids may be (in pixels): items round their transforms.
_SAME_PIXEL = 0.01
# sides of rasters, and numbers of chips in an index, have 31 bits
_LONGEST_SIDE: Final = 2**31 - 1
_EARTH_RADIUS_M: Final = 6_371_008.8
_MEMBER: Final = "stacchip:grid"  # a foreign member of the item's GeoJSON (RFC 7946, 6.1)


def make_geobox(crs: Any, transform: Affine, shape: tuple[int, int]) -> GeoBox:
    """Return a geobox of a CRS in any form that pyproj reads, a transform, and (height, width).

    Of a CRS with a height part, the geobox has the horizontal part.

    Raises:
        UsageError: PROJ cannot read the CRS.

    Example:
        >>> geobox = make_geobox("EPSG:32629", Affine(10, 0, 600000, 0, -10, 4000000), (256, 512))
        >>> geobox.resolution.x, geobox.shape.yx, tuple(geobox.boundingbox)
        (10.0, (256, 512), (600000.0, 3997440.0, 605120.0, 4000000.0))
    """
    return GeoBox((shape[0], shape[1]), transform, None if crs is None else horizontal_crs(crs))


def crs_name(geobox: GeoBox) -> str:
    """Return the name of a geobox's CRS: an authority's code, or else WKT2.

    Example:
        >>> crs_name(make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (256, 512)))
        'EPSG:32629'
    """
    return name_crs(pyproj.CRS.from_user_input(geobox.crs).to_wkt())


def pixel_size_m(geobox: GeoBox) -> float:
    """Return the side of a pixel in metres: the root of its area, in the middle of the grid.

    Degrees are taken on a sphere, which is right to a third of a percent.

    Example:
        >>> tenth = Affine(0.1, 0, 10, 0, -0.1, 60.5)
        >>> round(pixel_size_m(make_geobox("EPSG:4326", tenth, (10, 10))))
        7863
    """
    side = math.sqrt(abs(geobox.affine.determinant))
    if geobox.crs is None:
        return side
    # metres of a unit, or radians
    unit = geobox.crs.proj.axis_info[0].unit_conversion_factor
    if not geobox.crs.geographic:
        return side * float(unit)
    _, latitude = map_points(geobox.affine, geobox.shape[1] / 2, geobox.shape[0] / 2)
    return side * float(unit) * _EARTH_RADIUS_M * math.sqrt(abs(math.cos(latitude * unit)))


def is_axis_aligned(geobox: GeoBox) -> bool:
    """Return whether rows run along x and columns along y: neither rotated nor sheared.

    Example:
        >>> turned = compose(Affine.rotation(20), Affine.scale(10, -10))
        >>> is_axis_aligned(make_geobox("EPSG:32629", turned, (256, 256)))
        False
    """
    affine = geobox.affine
    # a rotation this small moves the far corner of 100,000 px by less than a hundredth of a pixel
    limit = 1e-7 * math.hypot(affine.a, affine.e)
    return abs(affine.b) <= limit and abs(affine.d) <= limit


def crop_geobox(geobox: GeoBox, window: Window) -> GeoBox:
    """Return the geobox of a window, which may reach beyond the grid.

    Example:
        >>> geobox = make_geobox("EPSG:32629", Affine(10, 0, 600000, 0, -10, 4000000), (256, 512))
        >>> crop_geobox(geobox, Window(1, 2, 8, 4)).affine.xoff
        600020.0
    """
    corner = Affine.translation(window.col, window.row)
    return GeoBox(window.shape, compose(geobox.affine, corner), geobox.crs)


def is_same_grid(one: GeoBox, other: GeoBox) -> bool:
    """Return whether two geoboxes have the same pixels, to a hundredth of a pixel at the corners.

    Example:
        >>> geobox = make_geobox("EPSG:32629", Affine(10, 0, 600000, 0, -10, 4000000), (256, 512))
        >>> is_same_grid(geobox, geobox), is_same_grid(geobox, geobox.zoom_out(2))
        (True, False)
    """
    if tuple(one.shape) != tuple(other.shape) or not same_crs(one.crs, other.crs):
        return False
    between = compose(~one.affine, other.affine)
    height, width = one.shape
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    return all(math.dist(map_points(between, *corner), corner) < _SAME_PIXEL for corner in corners)


def agrees_with(
    geobox: GeoBox, shape: tuple[int, int], crs: Any = None, transform: Affine | None = None
) -> bool:
    """Return whether a geobox has a shape, and a CRS and a transform as far as these are known.

    Example:
        >>> geobox = make_geobox("EPSG:32629", Affine(10, 0, 600000, 0, -10, 4000000), (256, 512))
        >>> agrees_with(geobox, (256, 512)), agrees_with(geobox, (256, 512), "EPSG:32630")
        (True, False)
    """
    affine = geobox.affine if transform is None else transform
    known = make_geobox(geobox.crs if crs is None else crs, affine, (shape[0], shape[1]))
    return is_same_grid(known, geobox)


def describe_geobox(geobox: GeoBox) -> str:
    """Describe a geobox in one line, for messages.

    Example:
        >>> describe_geobox(make_geobox("EPSG:32629", Affine(10, 0, 6e5, 0, -10, 4e6), (256, 512)))
        'EPSG:32629, 256 x 512 px (height x width), transform (10, 0, 600000, 0, -10, 4000000)'
    """
    height, width = geobox.shape
    transform = ", ".join(f"{number:.12g}" for number in tuple(geobox.affine)[:6])
    return f"{_name(geobox)}, {height} x {width} px (height x width), transform ({transform})"


def _name(geobox: GeoBox) -> str:
    """Return a CRS's name for messages: WKT is cut off after 60 characters."""
    return "no CRS" if geobox.crs is None else name_crs(str(geobox.crs))[:60]


def covering_window(source: GeoBox, target: GeoBox, *, margin: int = 0) -> Window | None:
    """Return the source's pixels that `target` needs; None if the grids do not meet.

    Args:
        source: The grid to read from.
        target: The grid to fill, of the same CRS.
        margin: Extra source pixels on each side: 0 for nearest neighbour, 2 for cubic.

    Raises:
        UsageError: The geoboxes differ in CRS, or one of them is rotated.
    """
    require_comparable(source, target)
    to_source = compose(~source.affine, target.affine)
    height, width = target.shape
    (x0, y0), (x1, y1) = map_points(to_source, 0, 0), map_points(to_source, width, height)
    top, stop = _cover(y0, y1, margin)
    left, right = _cover(x0, x1, margin)
    return Window(top, left, max(1, stop - top), max(1, right - left)).clip(source.shape.yx)


def _cover(one: float, other: float, margin: int) -> tuple[int, int]:
    low, high = min(one, other), max(one, other)
    return math.floor(low + ON_EDGE) - margin, math.ceil(high - ON_EDGE) + margin


def require_comparable(source: GeoBox, target: GeoBox) -> None:
    """Refuse two grids whose rows and columns do not correspond.

    Raises:
        UsageError: They differ in CRS, or one of them is rotated.
    """
    if not same_crs(source.crs, target.crs):
        raise UsageError(
            f"The grids differ in CRS: {_name(source)} and {_name(target)}. "
            "Reproject one of them first."
        )
    for geobox in (source, target):
        if not is_axis_aligned(geobox):
            raise UsageError(f"The grid {geobox.affine!r} is rotated: warp it with GDAL first.")


# -- kept with an item -----------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordedGrid:
    """The grid of an item's chips, as an index keeps it.

    Attributes:
        geobox: CRS, transform and shape of the reference band.
        reference: The reference band's asset key; None if the item has no bands.
        is_checked: True if the reference band's file was looked at, and agrees. Files of other
            bands are then believed where they contradict the item.
    """

    geobox: GeoBox
    reference: str | None
    is_checked: bool = False


def record_grid(item: Mapping[str, Any], grid: RecordedGrid) -> dict[str, Any]:
    """Return a copy of an item, as a dictionary, that keeps the grid of its chips.

    Example:
        >>> geobox = make_geobox("EPSG:32629", Affine(10, 0, 0, 0, -10, 2560), (256, 256))
        >>> item = record_grid({"id": "a"}, RecordedGrid(geobox, "red"))
        >>> read_grid(item) == RecordedGrid(geobox, "red")
        True
    """
    geobox = grid.geobox
    member = {
        "crs": crs_name(geobox),
        "shape": [int(size) for size in geobox.shape],
        "transform": list(geobox.affine)[:6],
        "reference": grid.reference,
        "is_checked": grid.is_checked,
    }
    return {**item, _MEMBER: member}


def read_grid(item: Mapping[str, Any]) -> RecordedGrid | None:
    """Return the grid that an item keeps, or None.

    Args:
        item: The item as a dictionary, or the extra fields of a `pystac.Item`.

    Raises:
        InvalidMetadata: What it keeps is no grid.
    """
    member = item.get(_MEMBER)
    if member is None:
        return None
    try:
        return _parse_grid(member)
    except (LookupError, TypeError, ValueError, OverflowError, UsageError):
        # neither what it keeps nor the cause is shown: a signed address may stand there
        raise InvalidMetadata(
            f"What the item keeps as the grid of its chips ({_MEMBER!r}) is none: that has a CRS, "
            "a shape, a transform and the key of the reference band. Index the item again.",
            field=_MEMBER,
        ) from None


def _parse_grid(member: Any) -> RecordedGrid:
    """Return the grid of a member; what is none may raise errors of any kind."""
    transform = Affine(*(float(number) for number in member["transform"]))
    height, width = (operator.index(size) for size in member["shape"])
    reference = member["reference"]
    if not all(map(math.isfinite, transform)) or not transform.determinant:
        raise ValueError("the transform has no inverse")
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise ValueError("the shape is impossible")
    if not isinstance(member["crs"], str) or not isinstance(reference, str | None):
        raise TypeError("a name is no text")
    geobox = make_geobox(member["crs"], transform, (height, width))
    # indexes of earlier versions do not say whether the file was looked at
    return RecordedGrid(geobox, reference, member.get("is_checked", False) is True)
