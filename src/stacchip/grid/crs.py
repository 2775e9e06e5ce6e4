"""Coordinate reference systems: parsed, compared and named.

Every comparison of two CRSs goes through `same_crs`, and every name that is kept or shown comes
from `name_crs`. The results are cached, because PROJ takes from 0.01 to 1 ms for each.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import CRSError, ProjError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["crs_of_code", "crs_of_text", "name_crs", "same_crs"]

# Metres. The ellipsoids of WGS 84 and ETRS89 are 0.1 mm apart; those of different surveys differ by
# hundreds of metres, and neighbouring zones of one projection by hundreds of kilometres.
_SAME_PLACE_M: Final = 1e-3


def crs_of_code(code: str) -> CRS | None:
    """Return the CRS of an authority's code, such as `EPSG:32631`; None if PROJ has none.

    Example:
        >>> crs_of_code("EPSG:2193").epsg, crs_of_code("EPSG:9999")
        (2193, None)
    """
    return _parse(code)


def crs_of_text(text: str | dict[str, Any]) -> CRS | None:
    """Return the CRS of WKT or PROJJSON; None if PROJ cannot read it.

    Example:
        >>> crs_of_text("PROJCS[what?]") is None
        True
    """
    return _parse(text if isinstance(text, str) else json.dumps(text, sort_keys=True, default=str))


def same_crs(first: Any, second: Any) -> bool:
    """Return whether two CRSs give each place the same horizontal coordinates.

    Spelling, the order of the axes and a height part make no difference; two EPSG codes do. If a
    CRS has no code, the projections are compared, because files give the datum of the same CRS
    different names.

    Args:
        first: Anything that pyproj reads as a CRS, or None.
        second: The other; None is the same as None only.

    Raises:
        pyproj.exceptions.CRSError: PROJ cannot read one of them.

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
    one, other = str(first), str(second)
    return one == other or _are_same(one, other)


@lru_cache(maxsize=1024)
def _are_same(first: str, second: str) -> bool:
    one, other = _horizontal(first), _horizontal(second)
    if one.equals(other, ignore_axis_order=True):
        return True
    codes = one.to_epsg(), other.to_epsg()
    if None not in codes:
        return codes[0] == codes[1]
    return _project_alike(one, other)


def _horizontal(text: str) -> pyproj.CRS:
    """Return a CRS without its height part, and without a transformation bound to it."""
    crs = _read(text)
    while crs.is_compound or crs.is_bound:
        part = crs.sub_crs_list[0] if crs.is_compound else crs.source_crs
        if part is None:
            break
        crs = part
    # after `to_2d`, PROJ finds the codes of fewer CRSs
    return crs.to_2d() if len(crs.axis_info) > 2 else crs


def _project_alike(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Return whether two CRSs share an ellipsoid, a prime meridian and a projection."""
    if one.is_geographic != other.is_geographic or not _have_same_base(one, other):
        return False
    if one.source_crs is None and other.source_crs is None:
        return one.is_geographic and _units(one) == _units(other)
    if one.source_crs is None or other.source_crs is None:
        return False
    try:
        first, second = _project_globe(one), _project_globe(other)
    except ProjError:  # PROJ does not know the projection's name: nothing says that they differ
        return True
    known = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    # far from its origin, a projection magnifies the last bits of its parameters
    return bool(known.any() and np.allclose(first[:, known], second[:, known], 1e-9, _SAME_PLACE_M))


def _have_same_base(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Return whether two CRSs have ellipsoids of the same axes, and the same prime meridian."""
    sizes = []
    for crs in (one, other):
        if crs.ellipsoid is None or crs.prime_meridian is None:  # such as a building site's
            return False
        axes = (crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre)
        angle = crs.prime_meridian.longitude * float(crs.prime_meridian.unit_conversion_factor)
        sizes.append((*axes, angle * axes[0]))
    return math.dist(*sizes) < _SAME_PLACE_M


def _units(crs: pyproj.CRS) -> set[float]:
    return {axis.unit_conversion_factor for axis in crs.axis_info}


def _project_globe(crs: pyproj.CRS) -> NDArray[np.float64]:
    """Return the coordinates (2, point) of places every 15 degrees; inf where `crs` has none."""
    lon, lat = np.meshgrid(np.arange(-180, 180, 15), np.arange(-75, 80, 15))
    project = pyproj.Transformer.from_crs(crs.source_crs, crs, always_xy=True)
    return np.array(project.transform(lon.ravel(), lat.ravel()))


@lru_cache(maxsize=256)
def name_crs(crs: Any) -> str:
    """Return the name of a CRS: its authority's code if that means the same CRS, or else WKT2.

    Args:
        crs: Anything that pyproj reads as a CRS and that can be hashed.

    Example:
        >>> name_crs("EPSG:3031")
        'EPSG:3031'
        >>> name_crs("+proj=sinu +R=6371007.181 +units=m").startswith("PROJCRS[")
        True
    """
    known = pyproj.CRS.from_user_input(crs)
    authority = known.to_authority()
    if authority is not None:
        named = pyproj.CRS.from_authority(*authority)
        if named.equals(known, ignore_axis_order=True):
            return ":".join(authority)
    return str(known.to_wkt())


@lru_cache(maxsize=512)
def _parse(text: str) -> CRS | None:
    try:
        known = _read(text)
    except CRSError:
        return None
    try:
        # odc-geo's, since a geobox made from it has nothing to look up again
        return CRS(known)
    except ValueError:  # it takes the text of EPSG:2193+7839 for one number
        return CRS(known.to_wkt())


@lru_cache(maxsize=512)
def _read(text: str) -> pyproj.CRS:
    return pyproj.CRS.from_user_input(text)
