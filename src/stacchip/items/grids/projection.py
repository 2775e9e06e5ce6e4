"""A geobox from `proj:*` fields; contradictions between them are refused.

The rules are those of the STAC projection extension, versions 1.0 to 2.0, and a few more for the
habits of catalogues. A field of the asset outranks that of the item, field by field. But a field is
checked only against others of its own level: an item's `proj:bbox` may be larger than one asset.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from affine import Affine

from stacchip.errors import AssetNotFound, InvalidMetadata, MissingMetadata
from stacchip.grid.crs import crs_of_code, crs_of_text, same_crs, why_not_on_earth
from stacchip.grid.geobox import GeoBox, describe_geobox, make_geobox
from stacchip.items.grids.place import (
    Claims,
    find_contradiction,
    read_bounds,
    read_projected,
    reads_as_degrees,
)
from stacchip.items.grids.radar import describe_stretched
from stacchip.items.grids.transform_order import GDAL, MOST_ASPECT, aspect, in_order, likely_orders

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac
    from odc.geo.crs import CRS

Shape = tuple[int, int]
Box = tuple[float, float, float, float]

_log = logging.getLogger(__name__)

_CRS_FIELDS: Final = ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson")
# how far proj:bbox may lie off the grid, in pixels: catalogues round it, or use pixel centres
_TOLERANCE = 1.0
# sides of rasters, and numbers of chips in an index, have 31 bits
_LONGEST_SIDE: Final = 2**31 - 1


def read_geobox(
    item: pystac.Item, key: str | None = None, *, bounds: Claims | None = None
) -> GeoBox:
    """Return the geobox of an asset, or of the item if no asset is named, from metadata alone.

    The CRS comes from `proj:code`, `proj:epsg`, `proj:wkt2` or `proj:projjson`; transform and shape
    from their fields, or one of them from `proj:bbox` and the other. Rotated grids are read too.

    - A transform of 6 or 9 numbers is in the order of the specification, `a b c d e f`, pixel to
      CRS. GDAL's order, `c a b f d e`, is recognised by its zeros: in the specification's order
      they would mean pixels without height, or a grid turned by exactly 90 degrees, which is
      believed only if neither side of a pixel is ten times the other.
      If the grid contradicts the item's boxes and footprints in one order only, the other counts.
      Numbers that are not in the specification's order are logged as a warning.
    - If shape, transform and bbox are of one level, the bbox must lie within the grid, to a pixel.
      (Some catalogues give the bbox of the valid data.)
    - The grid must not contradict the item's `bbox` and `geometry` by far; see `items.grids.place`.

    Args:
        item: The item.
        key: The asset; None for the item's own fields.
        bounds: The result of `read_bounds(item)`; read if not given.

    Raises:
        AssetNotFound: The item has no such asset.
        MissingMetadata: Fields are absent; `missing` lists them, and `field` is the first.
        InvalidMetadata: Fields contradict each other, or one is wrong.

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {"proj:code": "EPSG:32629",
        ...     "proj:shape": [100, 200], "proj:bbox": [600000, 3199000, 602000, 3200000]})
        >>> read_geobox(item).resolution.x, read_geobox(item).shape.yx
        (10.0, (100, 200))
    """
    fields = _Fields(item.id, key, _levels(item, key))
    crs = _read_crs(fields)
    if bounds is None:
        bounds = read_bounds(item)
    claims = bounds or read_projected(_levels_of_crs(fields))
    problems = []
    numbers, _ = _read_numbers(fields, "proj:transform", (6, 9))
    for number, order in enumerate(likely_orders(numbers)):
        try:
            geobox = _read_placed(fields, crs, order, claims)
            stretched = describe_stretched(item, geobox)
            if stretched is not None:
                fields.refuse("proj:transform", stretched, describe_geobox(geobox))
        except InvalidMetadata as problem:
            problems.append(problem)
            continue
        if order == GDAL or number:
            _log.warning("%s: proj:transform %s is in %s order", fields, numbers, order)
        return geobox
    raise problems[0]


def _read_placed(fields: _Fields, crs: CRS | None, order: str, claims: Claims) -> GeoBox:
    """Return the geobox that fields give if the transform is in one order; check its place."""
    transform, shape, bbox = _read_grid(fields, order)
    lacking = {"proj:code": crs, "proj:shape": shape, "proj:transform": transform}
    missing = tuple(field for field, value in lacking.items() if value is None)
    if crs is None or transform is None or shape is None:
        raise MissingMetadata(
            f"{fields} lacks {', '.join(missing)}, so its grid is not known without opening a "
            "file. Open the file's header (open_files=True, or --open-files), or add the fields.",
            item_id=fields.item_id,
            asset=fields.asset,
            field=missing[0],
            missing=missing,
        )
    geobox = make_geobox(crs, transform, shape)
    if bbox is not None:
        _check_bbox(fields, geobox, bbox)
    found = find_contradiction(geobox, claims)
    if found is not None:
        fields.refuse(found.field, found.problem, describe_geobox(geobox))
    return geobox


def has_own_projection(asset: pystac.Asset) -> bool:
    """Return True if an asset has `proj:*` fields of its own.

    Example:
        >>> import pystac
        >>> has_own_projection(pystac.Asset("a.tif", extra_fields={"proj:shape": [1, 1]}))
        True
    """
    return any(field.startswith("proj:") for field in asset.extra_fields)


@dataclass(frozen=True)
class _Fields:
    """The `proj:*` fields of an asset, with those of its item behind them."""

    item_id: str
    asset: str | None
    levels: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        if self.asset is None:
            return f"Item {self.item_id!r}"
        return f"Asset {self.asset!r} of item {self.item_id!r}"

    def find(self, field: str) -> tuple[Any, int]:
        """Return a field's value and its level; (None, -1) if it is absent or null."""
        for number, level in enumerate(self.levels):
            if level.get(field) is not None:
                return level[field], number
        return None, -1

    def refuse(self, field: str, problem: str, grid: str | None = None) -> NoReturn:
        """Refuse a field, or a whole `grid` that contradicts what else is said of the place."""
        raise InvalidMetadata(
            f"{self}: {problem}. Mend the item, or open the file's header, which wins over it: "
            "open_files=True, or --open-files.",
            item_id=self.item_id,
            asset=self.asset,
            field=field,
            grid=grid,
        )


def _levels(item: pystac.Item, key: str | None) -> tuple[Mapping[str, Any], ...]:
    if key is None:
        return (item.properties,)
    if key not in item.assets:
        raise AssetNotFound(
            f"Item {item.id!r} has no asset {key!r}; it has: {', '.join(item.assets) or 'none'}.",
            item_id=item.id,
            asset=key,
        )
    return (item.assets[key].extra_fields, item.properties)


def _read_crs(fields: _Fields) -> CRS | None:
    """Return the CRS of the first level that gives one; all its fields must agree."""
    for level in fields.levels:
        code, text = _code(fields, level), level.get("proj:wkt2") or level.get("proj:projjson")
        field = "proj:wkt2" if level.get("proj:wkt2") else "proj:projjson"
        by_code = crs_of_code(code) if code else None
        by_text = crs_of_text(text) if text else None
        if text and by_text is None:
            fields.refuse(field, f"{field} is not a CRS that PROJ knows: {str(text)[:60]!r}")
        if by_code is not None and by_text is not None and not same_crs(by_code, by_text):
            fields.refuse("proj:code", f"proj:code {code} and {field} ({by_text.proj.name}) differ")
        if code and by_code is None and by_text is None:
            fields.refuse("proj:code", f"{code} is not a CRS that PROJ knows")
        # a code too new for this PROJ may have the CRS as text beside it
        found = by_code or by_text
        if found is not None:
            why = why_not_on_earth(found)
            if why is not None:
                fields.refuse(
                    "proj:code" if code else field, f"the CRS {code or found.proj.name} {why}"
                )
            return found
    return None


def _code(fields: _Fields, level: Mapping[str, Any]) -> str | None:
    """Return `proj:code`, or `proj:epsg` as a code; they must agree."""
    code, epsg = level.get("proj:code"), level.get("proj:epsg")
    if epsg is not None:
        try:
            epsg = f"EPSG:{int(epsg)}"
        except (TypeError, ValueError, OverflowError):
            fields.refuse("proj:epsg", f"proj:epsg is {repr(epsg)[:120]}, which is not a number")
    if code is None or epsg is None or str(code).upper() == epsg:
        return str(code) if code is not None else epsg
    one, other = crs_of_code(str(code)), crs_of_code(epsg)
    if one is None or other is None or not same_crs(one, other):
        fields.refuse("proj:code", f"proj:code {code} and proj:epsg {epsg[5:]} differ")
    return str(code)


def _levels_of_crs(fields: _Fields) -> tuple[Mapping[str, Any], ...]:
    """Return the levels whose `proj:bbox` is in the CRS of the first level that gives one."""
    giving = [level for level in fields.levels if any(level.get(name) for name in _CRS_FIELDS)]
    return tuple(level for level in fields.levels if level not in giving[1:])


def _read_grid(fields: _Fields, order: str) -> tuple[Affine | None, Shape | None, Box | None]:
    """Return transform, shape, and the bbox that they must agree with; None for what is absent."""
    numbers, transform_level = _read_numbers(fields, "proj:transform", (6, 9))
    shape, shape_level = _read_shape(fields)
    corners, bbox_level = _read_numbers(fields, "proj:bbox", (4, 6))
    bbox = _flat_bbox(corners)
    if transform_level > shape_level >= 0 and _differs_from_item(fields, "proj:shape"):
        numbers = None  # they are the item's, for another grid than that of the asset's shape
    if shape_level > transform_level >= 0 and _differs_from_item(fields, "proj:transform"):
        shape = None
    transform = None if numbers is None else _as_affine(fields, numbers, order)
    if bbox is not None:
        if transform is None and shape is not None:
            return _transform_from_bbox(fields, shape, bbox), shape, None
        if transform is not None and shape is None:
            return transform, _shape_from_bbox(transform, bbox), None
    is_of_grid = transform_level == shape_level == bbox_level
    return transform, shape, bbox if is_of_grid else None


def _differs_from_item(fields: _Fields, field: str) -> bool:
    """Return True if both the asset and its item have a field, with different values."""
    values = [level.get(field) for level in fields.levels]
    # a list from JSON and a tuple from Python are equal here
    of_asset, of_item = (list(v) if isinstance(v, Sequence) else v for v in values)
    return of_item is not None and of_item != of_asset


def _read_numbers(
    fields: _Fields, field: str, lengths: Sequence[int]
) -> tuple[tuple[float, ...] | None, int]:
    """Return a field that is an array of finite numbers, of one of the lengths given."""
    value, level = fields.find(field)
    if value is None:
        return None, level
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) not in lengths or not all(map(math.isfinite, numbers)):
        expected = " or ".join(map(str, lengths))
        fields.refuse(field, f"{field} is {str(value)[:120]}, and must be {expected} numbers")
    return numbers, level


def _read_shape(fields: _Fields) -> tuple[Shape | None, int]:
    """Return `proj:shape` as (height, width)."""
    numbers, level = _read_numbers(fields, "proj:shape", (2,))
    if numbers is None:
        return None, level
    if any(not 1 <= number <= _LONGEST_SIDE or number != int(number) for number in numbers):
        fields.refuse(
            "proj:shape",
            f"proj:shape is {list(numbers)}, and must be two whole numbers of pixels below 2^31",
        )
    return (int(numbers[0]), int(numbers[1])), level


def _flat_bbox(corners: tuple[float, ...] | None) -> Box | None:
    """Return a bbox in the plane; None for one across the antimeridian, which has no extent."""
    if corners is None:
        return None
    xmin, ymin, xmax, ymax = corners if len(corners) == 4 else (*corners[:2], *corners[3:5])
    return (xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def _as_affine(fields: _Fields, numbers: Sequence[float], order: str) -> Affine:
    """Return the transform of `proj:transform`, in the specification's order or GDAL's."""
    if len(numbers) == 9 and tuple(numbers[6:]) != (0, 0, 1):
        fields.refuse(
            "proj:transform",
            f"proj:transform ends in {list(numbers[6:])}, and must end in 0, 0, 1",
        )
    transform = in_order(numbers, order)
    if transform.determinant == 0:
        fields.refuse("proj:transform", f"proj:transform {list(numbers)} gives pixels no area")
    if aspect(transform) > MOST_ASPECT:
        fields.refuse(
            "proj:transform",
            f"proj:transform {list(numbers)} gives pixels that are {aspect(transform):.3g} times "
            "as long as wide",
        )
    return transform


def _extent(transform: Affine, shape: Shape) -> Box:
    """Return the bbox of a grid in its CRS."""
    height, width = shape
    a, b, c, d, e, f = transform[:6]
    xs = (c, c + a * width, c + b * height, c + a * width + b * height)
    ys = (f, f + d * width, f + e * height, f + d * width + e * height)
    return min(xs), min(ys), max(xs), max(ys)


def _is_within(bbox: Box, transform: Affine, shape: Shape) -> bool:
    """Return True if a bbox lies within a grid, to a pixel."""
    xmin, ymin, xmax, ymax = _extent(transform, shape)
    slack_x = _TOLERANCE * (abs(transform.a) + abs(transform.b))
    slack_y = _TOLERANCE * (abs(transform.d) + abs(transform.e))
    return (
        xmin - slack_x <= bbox[0]
        and bbox[2] <= xmax + slack_x
        and ymin - slack_y <= bbox[1]
        and bbox[3] <= ymax + slack_y
    )


def _check_bbox(fields: _Fields, grid: GeoBox, bbox: Box) -> None:
    """Refuse a `proj:bbox` that reaches out of its grid; say so if the shape is swapped."""
    transform, shape = grid.affine, grid.shape.yx
    if _is_within(bbox, transform, shape):
        return
    if _is_within(bbox, transform, shape[::-1]):
        fields.refuse(
            "proj:shape",
            f"proj:shape {list(shape)} is (width, height): only {list(shape[::-1])} holds its "
            f"proj:bbox {list(bbox)}",
            describe_geobox(grid),
        )
    if reads_as_degrees(grid, bbox):
        _log.warning("%s: proj:bbox %s is in degrees, not in %s", fields, list(bbox), grid.crs)
        return
    fields.refuse(
        "proj:bbox",
        f"proj:bbox {list(bbox)} is not where proj:transform and proj:shape put the grid, "
        f"{list(_extent(transform, shape))}",
        describe_geobox(grid),
    )


def _transform_from_bbox(fields: _Fields, shape: Shape, bbox: Box) -> Affine:
    """Return the north-up transform of a grid that fills its bbox."""
    (height, width), (xmin, ymin, xmax, ymax) = shape, bbox
    transform = Affine((xmax - xmin) / width, 0, xmin, 0, (ymin - ymax) / height, ymax)
    swapped_aspect = (xmax - xmin) / height / ((ymax - ymin) / width)
    if abs(-transform.a / transform.e - 1) > 0.01 and abs(swapped_aspect - 1) < 0.001:
        fields.refuse(
            "proj:shape",
            f"proj:shape {list(shape)} is (width, height): with {list(shape[::-1])} the pixels of "
            f"proj:bbox {list(bbox)} are square",
            f"{height} x {width} px (height x width), proj:bbox {list(bbox)}",
        )
    return transform


def _shape_from_bbox(transform: Affine, bbox: Box) -> Shape | None:
    """Return the shape of a grid that fills its bbox; None if that is no whole number of pixels."""
    a, b, c, d, e, f = transform[:6]
    if b != 0 or d != 0:
        return None
    left, right = sorted(((bbox[0] - c) / a, (bbox[2] - c) / a))
    top, bottom = sorted(((bbox[3] - f) / e, (bbox[1] - f) / e))
    if not max(abs(left), abs(top), right, bottom) < _LONGEST_SIDE:
        return None
    shape = round(bottom), round(right)
    error = max(abs(left), abs(top), abs(bottom - shape[0]), abs(right - shape[1]))
    return shape if error < 0.01 and min(shape) > 0 else None
