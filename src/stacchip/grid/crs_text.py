"""Texts of CRSs, as PROJ reads them. A CRS that names a file by its path is refused unread.

No error of PROJ's leaves this module: whatever PROJ cannot read is a `UsageError`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import ProjError

from stacchip.errors import UsageError
from stacchip.grid.named_files import find_named_file

__all__ = ["LONGEST_TEXT", "read_crs", "text_of_crs", "unwrap_crs"]

LONGEST_TEXT: Final = 64 << 10
"""Characters of a CRS. Those that PROJ knows have up to 4,100; a million take it a second."""


def text_of_crs(crs: Any) -> str:
    """Return the text by which a CRS is kept in caches."""
    return crs if isinstance(crs, str) else str(crs)


def read_crs(crs: Any) -> pyproj.CRS:
    """Return the CRS that PROJ reads in a text, or in anything else that pyproj takes.

    Raises:
        UsageError: PROJ cannot read it, it is too long, or it names a file by its path.

    Example:
        >>> read_crs("EPSG:3031").name
        'WGS 84 / Antarctic Polar Stereographic'
    """
    if not isinstance(crs, str):
        return _read(crs)
    if len(crs) > LONGEST_TEXT:
        raise UsageError(
            f"The CRS {crs[:60]!r} has {len(crs):,} characters, and may have {LONGEST_TEXT:,}. "
            "Give an authority's code, such as 'EPSG:32631', or WKT."
        )
    return _read_text(crs)


def unwrap_crs(crs: pyproj.CRS) -> list[pyproj.CRS]:
    """Return a CRS and what it wraps: without a height part, without a bound transformation.

    Example:
        >>> [each.type_name for each in unwrap_crs(read_crs("EPSG:2193+7839"))]
        ['Compound CRS', 'Projected CRS']
    """
    layers = [crs]
    while crs.is_compound or crs.is_bound:
        part = crs.sub_crs_list[0] if crs.is_compound else crs.source_crs
        if part is None:
            break
        layers.append(crs := part)
    return layers


@lru_cache(maxsize=512)
def _read_text(text: str) -> pyproj.CRS:
    return _read(text)


def _read(crs: Any) -> pyproj.CRS:
    _refuse_files(crs, _say(crs))
    try:
        known = pyproj.CRS.from_user_input(crs)
        if not isinstance(crs, pyproj.CRS | CRS):
            _refuse_files(crs, known.to_wkt())  # which has no second way to write a name
    except (ProjError, ValueError) as error:  # the second for texts that are no Unicode
        raise UsageError(
            f"PROJ reads no CRS in {str(crs)[:60]!r}. Give an authority's code, such as "
            "'EPSG:32631', or WKT."
        ) from error
    return known


def _say(crs: Any) -> str:
    """Return what stands in a CRS as text; an object of PROJ's parameters as `+key=value`."""
    if isinstance(crs, str) and crs.lstrip().startswith("{"):
        try:
            crs = json.loads(crs)
        except (ValueError, RecursionError):
            return str(crs)  # nor does PROJ read it
    if isinstance(crs, dict):
        return " ".join(f"+{key}={value}" for key, value in crs.items())
    return str(crs)


def _refuse_files(crs: Any, text: str) -> None:
    """Refuse a CRS that names a file by its path: PROJ would open it, whatever it is."""
    name = find_named_file(text)
    if name is not None:
        raise UsageError(
            f"The CRS {str(crs)[:60]!r} names the file {name[:60]!r}, which is not opened. "
            "Put the grid into PROJ's folder of data, and name it without a folder."
        )
