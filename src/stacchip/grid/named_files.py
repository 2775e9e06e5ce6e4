"""Files that the text of a CRS names: grids of shifts and heights, and PROJ's files of definitions.

PROJ opens them by their path, whatever they are: a pipe keeps it waiting for ever. Such texts come
from outside, in an item or in a file of imagery. A name without a folder is one of PROJ's own
grids, which it looks for in its own folder of data only.
"""

from __future__ import annotations

import html
import re
from typing import Final

_PARAMETERS: Final = r"\b(?:init|nadgrids|geoidgrids|grids|xy_grids|z_grids|file|catalog)\s*="
# in a text of PROJ, in ESRI's and OGC's WKT
_NAME: Final = re.compile(
    rf"""(?:{_PARAMETERS}\s*"*"""
    r"""|PARAMETERFILE\s*[\[(]\s*(?:"(?:[^"]|"")*"|[^",]*)\s*,\s*"*"""
    r"""|PROJ4_GRIDS"?\s*,\s*"*)([^\s"\])]*)""",
    re.IGNORECASE,
)
_MAY_NAME: Final = re.compile(
    rf"(?:{_PARAMETERS}|PARAMETERFILE|PROJ4_GRIDS)(.*)", re.IGNORECASE | re.DOTALL
)
# "WGS 84 / UTM zone 29N" is no path
_OF_A_PATH: Final = re.compile(r"(?<!\s)[/\\~]|[/\\~](?!\s)")


def find_named_file(text: str) -> str | None:
    """Return the first path of a file in the text of a CRS; None if it names none.

    Example:
        >>> find_named_file("+proj=longlat +nadgrids = /etc/passwd")
        '/etc/passwd'
        >>> find_named_file("+proj=merc +nadgrids=@null") is None
        True
    """
    names = (match[1] for match in _NAME.finditer(text))
    return next((name for name in names if any(mark in name for mark in "/\\~")), None)


def may_name_file(data: bytes) -> bool:
    """Return True if the text of a CRS among other bytes may name a file by its path.

    The text may be written in any way: in letters of two or four bytes, or as XML.

    Example:
        >>> may_name_file(b'EXTENSION["PROJ4","+proj=utm +nadgrids=@null"],AUTHORITY["EPSG","1"]]')
        False
    """
    text = data.replace(b"\0", b"").decode("latin-1")
    if "&" in text:
        text = html.unescape(text)
    found = _MAY_NAME.search(text)
    return found is not None and _OF_A_PATH.search(found[1]) is not None
