"""Coordinate reference systems from what STAC items write, each parsed once."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import CRSError


def crs_of_code(code: str) -> CRS | None:
    """The CRS of an authority's code, such as `EPSG:32631` or `OGC:CRS84`; None if PROJ has none.

    Example:
        >>> crs_of_code("EPSG:2193").epsg, crs_of_code("EPSG:9999")
        (2193, None)
    """
    return _parse(code)


def crs_of_text(text: str | dict[str, Any]) -> CRS | None:
    """The CRS of WKT or PROJJSON; None where PROJ cannot read it.

    Example:
        >>> crs_of_text("PROJCS[what?]") is None
        True
    """
    return _parse(text if isinstance(text, str) else json.dumps(text, sort_keys=True, default=str))


def is_same_crs(first: CRS, second: CRS) -> bool:
    """Whether nothing says that two CRSs differ.

    The same CRS has many texts (other names, axes in the order of GIS), so that texts alone tell
    no difference: it takes two EPSG codes that are known for sure.

    Example:
        >>> is_same_crs(crs_of_code("EPSG:32613"), crs_of_code("EPSG:32614"))
        False
        >>> is_same_crs(crs_of_code("EPSG:4326"), crs_of_code("OGC:CRS84"))
        True
    """
    if first == second or first.proj.equals(second.proj, ignore_axis_order=True):
        return True
    return None in (first.epsg, second.epsg) or first.epsg == second.epsg


@lru_cache(maxsize=256)
def name_crs(crs: Any) -> str:
    """The name of a CRS: its authority's code where that means the same CRS, or else WKT2.

    Args:
        crs: Anything that pyproj takes for a CRS and that can be hashed.

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
        # odc-geo's, since a geobox made from it has nothing to look up again
        return CRS(pyproj.CRS.from_user_input(text))
    except CRSError:
        return None
