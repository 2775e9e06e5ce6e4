"""Coordinate reference systems: parsed, named, and compared by `same_crs`.

Every name of a CRS that is kept or shown comes from `name_crs`. No error of PROJ's leaves this
module: what is no CRS is a `UsageError`, or None where a caller asks. The results are cached,
because PROJ takes from 0.01 to 100 ms for each.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import ProjError

from stacchip.errors import UsageError
from stacchip.grid.crs_text import LONGEST_TEXT, read_crs, text_of_crs, unwrap_crs
from stacchip.grid.same_crs import same_crs

__all__ = [
    "crs_of_code",
    "crs_of_text",
    "horizontal_crs",
    "lonlat_transformer",
    "name_crs",
    "same_crs",
    "why_not_on_earth",
]

# PROJ takes an ellipsoid for the Earth's within this share of its mean radius
_EARTH_RADIUS_M: Final = 6375000.0
_EARTH_SHARE: Final = 0.05


def crs_of_code(code: str) -> CRS | None:
    """Return the CRS of an authority's code, such as `EPSG:32631`; None if PROJ has none.

    Of a compound code, such as `EPSG:2193+7839`, it is the horizontal part.

    Example:
        >>> crs_of_code("EPSG:2193").epsg, crs_of_code("EPSG:2193+7839").epsg
        (2193, 2193)
        >>> crs_of_code("EPSG:9999") is None
        True
    """
    return _parse(code)


def crs_of_text(text: str | dict[str, Any]) -> CRS | None:
    """Return the CRS of WKT or PROJJSON, without a height part; None if PROJ cannot read it.

    Example:
        >>> crs_of_text("PROJCS[what?]") is None
        True
    """
    said = text if isinstance(text, str) else json.dumps(text, sort_keys=True, default=str)
    # PROJ reads names with a null character, but not the WKT that it writes of them
    return None if "\0" in said or "\\u0000" in said else _parse(said)


def horizontal_crs(crs: Any) -> CRS:
    """Return odc-geo's CRS of anything that pyproj reads, without a height part.

    Raises:
        UsageError: PROJ cannot read it.

    Example:
        >>> str(horizontal_crs("EPSG:32629+5773"))
        'EPSG:32629'
    """
    if isinstance(crs, str):
        return _parse(crs) or CRS(read_crs(crs))  # the latter raises the error
    known = crs.proj if isinstance(crs, CRS) else read_crs(crs)
    if isinstance(crs, CRS) and not known.is_compound:
        return crs
    part = _horizontal_part(known)
    try:
        if part is known:
            return CRS(known)
    except ValueError:  # odc-geo takes "EPSG:32629.0", which PROJ reads, for a whole number
        pass
    return CRS(name_crs(part.to_wkt()))  # a part of an EPSG code has a code of its own


def why_not_on_earth(crs: Any) -> str | None:
    """Return why a CRS places no pixel on Earth; None if it does.

    Raises:
        UsageError: PROJ cannot read it.

    Example:
        >>> why_not_on_earth("EPSG:3031") is None
        True
        >>> why_not_on_earth("+proj=longlat +R=1737400")
        'is of another body than the Earth (its radius is 1737 km)'
        >>> why_not_on_earth("EPSG:5773")
        'has no horizontal coordinates (it is a Vertical CRS)'
    """
    return _why_not_on_earth(text_of_crs(crs))


@lru_cache(maxsize=512)
def _why_not_on_earth(text: str) -> str | None:
    crs = unwrap_crs(read_crs(text))[-1]
    if not (crs.is_geographic or crs.is_projected) or crs.ellipsoid is None:
        return f"has no horizontal coordinates (it is a {crs.type_name})"
    radius = crs.ellipsoid.semi_major_metre
    if abs(radius - _EARTH_RADIUS_M) > _EARTH_SHARE * _EARTH_RADIUS_M:
        return f"is of another body than the Earth (its radius is {radius / 1000:.0f} km)"
    return None


@lru_cache(maxsize=64)
def lonlat_transformer(wkt: str) -> pyproj.Transformer:
    """Return pyproj's transformer from a CRS to OGC:CRS84; x and longitude come first.

    Raises:
        UsageError: The CRS is not on Earth, or PROJ does not know its projection.
    """
    why = _why_not_on_earth(wkt)
    if why is None:
        try:
            # making one takes ten milliseconds; pyproj keeps a context for each thread inside
            return pyproj.Transformer.from_crs(read_crs(wkt), "OGC:CRS84", always_xy=True)
        except ProjError as error:
            why = f"cannot be projected ({error})"
    raise UsageError(
        f"The CRS {read_crs(wkt).name!r} {why}: its chips have no place in longitude "
        "and latitude. Use imagery in a CRS of the Earth."
    )


@lru_cache(maxsize=256)
def name_crs(crs: Any) -> str:
    """Return the name of a CRS: its authority's code if that means the same CRS, or else WKT2.

    Args:
        crs: Anything that pyproj reads as a CRS and that can be hashed.

    Raises:
        UsageError: PROJ cannot read it.

    Example:
        >>> name_crs("EPSG:3031")
        'EPSG:3031'
        >>> name_crs("+proj=sinu +R=6371007.181 +units=m").startswith("PROJCRS[")
        True
    """
    known = read_crs(crs)
    authority = known.to_authority()
    if authority is not None:
        named = pyproj.CRS.from_authority(*authority)
        if named.equals(known, ignore_axis_order=True):
            return ":".join(authority)
    return str(known.to_wkt())


def _parse(text: str) -> CRS | None:
    """Return the horizontal part of the CRS that a text means; None if PROJ cannot read it."""
    return None if len(text) > LONGEST_TEXT else _parse_short(text)


@lru_cache(maxsize=512)
def _parse_short(text: str) -> CRS | None:
    try:
        known = read_crs(text)
    except UsageError:
        return None
    # odc-geo's, since a geobox made from it has nothing to look up again
    return horizontal_crs(known)


def _horizontal_part(crs: pyproj.CRS) -> pyproj.CRS:
    while crs.is_compound:
        crs = crs.sub_crs_list[0]
    return crs
