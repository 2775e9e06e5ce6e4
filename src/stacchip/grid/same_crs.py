"""Whether two CRSs are the same: their datums, their shifts, and the coordinates that they give.

Nothing else in stacchip compares two CRSs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyproj
from pyproj.crs import Datum  # type: ignore[attr-defined]  # it is documented there
from pyproj.exceptions import ProjError

from stacchip.grid.crs_text import read_crs, text_of_crs, unwrap_crs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["same_crs"]

# Metres. The ellipsoids of different surveys differ by hundreds of metres, and neighbouring zones
# of one projection by hundreds of kilometres.
_SAME_PLACE_M: Final = 1e-3
# The semi-minor axes of WGS 84 and GRS 1980 are 0.105 mm apart, and their datums up to two metres.
# 6356752.3142 is a common spelling of the first.
_SAME_AXIS_M: Final = 5e-5
_MODERN_AXIS_M: Final = 6378137.0
# Metres on the ground by which two shifts to WGS 84 may differ: surveys publish better ones.
_SAME_SHIFT_M: Final = 1.0
# An angle times this is metres on the ground.
_EARTH_RADIUS_M: Final = 6375000.0


def same_crs(first: Any, second: Any) -> bool:
    """Return whether two CRSs give each place the same horizontal coordinates.

    Spelling, the order of the axes and a height part make no difference. Datums that EPSG tells
    apart do, except a realization and the ensemble that it belongs to (WGS 84 (G1762) and WGS 84).
    If a CRS does not name its datum, its ellipsoid must be that of the other. Then the projections
    are compared by the coordinates that they give to places all over the globe, because files give
    the same projection different names.

    Args:
        first: Anything that pyproj reads as a CRS, or None.
        second: The other; None is the same as None only.

    Raises:
        UsageError: PROJ cannot read one of them.

    Example:
        >>> same_crs("EPSG:32613", "EPSG:32614"), same_crs("EPSG:4326", "EPSG:4258")
        (False, False)
        >>> same_crs("EPSG:4326", "OGC:CRS84"), same_crs("EPSG:2193+7839", "EPSG:2193")
        (True, True)
        >>> same_crs("+proj=utm +zone=29 +ellps=WGS84", "EPSG:32629")
        True
    """
    if first is second:
        return True
    if first is None or second is None:
        return False
    # the texts are the key: odc-geo hashes a CRS by its WKT, which it writes anew (70 us)
    one, other = text_of_crs(first), text_of_crs(second)
    return one == other or _are_same(*sorted((one, other)))


@dataclass(frozen=True)
class _Facts:
    """What a comparison needs to know of one CRS.

    Attributes:
        crs: Its horizontal part, without a transformation bound to it.
        shift: The shift to WGS 84 bound to it (`+towgs84`): seven numbers in metres on the ground,
            or None if there is none or it is a file.
        datum: EPSG's code of its geographic CRS, or None if the datum is not EPSG's or not named.
        named: EPSG's datum of the same name, or None if EPSG has none.
    """

    crs: pyproj.CRS
    shift: tuple[float, ...] | None
    datum: int | None
    named: Datum | None


@lru_cache(maxsize=512)
def _facts(text: str) -> _Facts:
    layers = unwrap_crs(read_crs(text))
    bound, crs = [layer for layer in layers if layer.is_bound], layers[-1]
    shift = _read_shift(bound[-1]) if bound else None
    # after `to_2d`, PROJ finds the codes of fewer CRSs
    crs = crs.to_2d() if len(crs.axis_info) > 2 and crs.is_geographic else crs
    base = crs.geodetic_crs
    return _Facts(crs, shift, None if base is None else base.to_epsg(), _find_datum(crs))


def _find_datum(crs: pyproj.CRS) -> Datum | None:
    """Return EPSG's datum of the name that a CRS gives its own: ESRI's WKT has names only."""
    if crs.datum is None:
        return None
    try:
        return Datum.from_name(crs.datum.name, auth_name="EPSG")
    except ProjError:
        return None


def _read_shift(bound: pyproj.CRS) -> tuple[float, ...] | None:
    """Return three translations, three rotations and a scale, in metres on the ground."""
    operation = bound.coordinate_operation
    given = {} if operation is None else {each.name: each for each in operation.params}
    metres = {"translation": 1.0, "rotation": _EARTH_RADIUS_M, "difference": _EARTH_RADIUS_M}
    numbers = []
    for name in _SHIFT:
        each = given.get(name)
        if each is None:
            numbers.append(0.0)
        elif isinstance(each.value, int | float):
            factor = float(each.unit_conversion_factor)
            numbers.append(each.value * factor * metres[name.split()[-1]])
    # a shift that is a file has other parameters
    return tuple(numbers) if any(name in given for name in _SHIFT) else None


_SHIFT: Final = (
    "X-axis translation", "Y-axis translation", "Z-axis translation",
    "X-axis rotation", "Y-axis rotation", "Z-axis rotation", "Scale difference",
)  # fmt: skip


@lru_cache(maxsize=1024)
def _are_same(first: str, second: str) -> bool:
    one, other = _facts(first), _facts(second)
    if not _shifts_agree(one, other):
        return False
    if one.crs.equals(other.crs, ignore_axis_order=True):
        # PROJ ignores that an axis may count to the west, too
        return _directions(one.crs) == _directions(other.crs) or _project_alike(one.crs, other.crs)
    return (
        _may_be_one_datum(one, other)
        and _have_same_base(one, other)
        and _project_alike(one.crs, other.crs)
    )


def _may_be_one_datum(one: _Facts, other: _Facts) -> bool:
    """Return False if both datums are EPSG's, by code or by name, and two."""
    if one.datum is not None and other.datum is not None:
        are_equal = one.datum == other.datum
    elif one.named is not None and other.named is not None:
        are_equal = one.named.name == other.named.name
    else:
        return True
    return are_equal or _has_realization(one, other) or _has_realization(other, one)


def _has_realization(one: _Facts, other: _Facts) -> bool:
    """Return whether the datum of `one` is an ensemble that the datum of `other` belongs to."""
    first, second = one.named or one.crs.datum, other.named or other.crs.datum
    if first is None or second is None:
        return False
    members = first.to_json_dict().get("members", ())
    # the first frame of GPS lies a metre off those that followed it
    names = {each["name"] for each in members if not each["name"].endswith("(Transit)")}
    return second.name in names


def _shifts_agree(one: _Facts, other: _Facts) -> bool:
    """Return False if two CRSs on one ellipsoid are known to be shifted against each other."""
    if one.shift is None and other.shift is None:
        return True
    known = []
    for each in (one, other):
        size = 0.0 if each.crs.ellipsoid is None else each.crs.ellipsoid.semi_major_metre
        is_modern = abs(size - _MODERN_AXIS_M) < _SAME_PLACE_M
        # datums of satellites lie within metres of WGS 84; the shift of others is not known here
        known.append(each.shift or ((0.0,) * 7 if is_modern else None))
    if known[0] is None or known[1] is None:
        return True
    return math.dist(known[0], known[1]) < _SAME_SHIFT_M


def _directions(crs: pyproj.CRS) -> list[str]:
    return sorted(axis.direction for axis in crs.axis_info)


def _project_alike(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Return whether two CRSs on one datum share a projection, or units of longitude."""
    if one.is_geographic != other.is_geographic:
        return False
    if one.source_crs is None and other.source_crs is None:
        return one.is_geographic and _units(one) == _units(other)
    if one.source_crs is None or other.source_crs is None:
        return False
    try:
        first, second = _project_globe(one), _project_globe(other)
    except ProjError:  # PROJ does not know the projection's name
        return _have_same_numbers(one, other)
    known = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    # far from its origin, a projection magnifies the last bits of its parameters
    return bool(known.any() and np.allclose(first[:, known], second[:, known], 1e-9, _SAME_PLACE_M))


def _have_same_numbers(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Return whether two projections have the same parameters, whatever their names, and units."""
    operations = (one.coordinate_operation, other.coordinate_operation)
    first, second = (
        sorted(each.value for each in found.params) if found is not None else []
        for found in operations
    )
    return (
        len(first) == len(second)
        and bool(np.allclose(first, second, 1e-9, 1e-9))
        and (_units(one) == _units(other))
    )


def _have_same_base(one: _Facts, other: _Facts) -> bool:
    """Return whether two CRSs have the same ellipsoid and prime meridian."""
    if one.datum is not None and one.datum == other.datum:
        return True
    sizes = []
    for crs in (one.crs, other.crs):
        if crs.ellipsoid is None or crs.prime_meridian is None:  # such as a building site's
            return False
        axes = (crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre)
        angle = crs.prime_meridian.longitude * float(crs.prime_meridian.unit_conversion_factor)
        sizes.append((*axes, angle * axes[0]))
    are_modern = all(abs(size[0] - _MODERN_AXIS_M) < _SAME_PLACE_M for size in sizes)
    is_sphere = any(size[0] == size[1] for size in sizes)
    limit = _SAME_AXIS_M if are_modern and not is_sphere else _SAME_PLACE_M
    return math.dist(*sizes) < limit


def _units(crs: pyproj.CRS) -> set[float]:
    return {axis.unit_conversion_factor for axis in crs.axis_info}


def _project_globe(crs: pyproj.CRS) -> NDArray[np.float64]:
    """Return the coordinates (2, point) of places every 15 degrees; inf where `crs` has none."""
    lon, lat = np.meshgrid(np.arange(-180, 180, 15), np.arange(-75, 80, 15))
    project = pyproj.Transformer.from_crs(crs.source_crs, crs, always_xy=True)
    return np.array(project.transform(lon.ravel(), lat.ravel()))
