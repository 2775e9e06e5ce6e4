"""Files that the text of a CRS names: grids of shifts and heights, and PROJ's files of definitions.

PROJ opens them by their path, whatever they are: a pipe keeps it waiting for ever. Such texts come
from outside, in an item or in a file of imagery. A name without a folder is one of PROJ's own
grids, which it looks for in its own folder of data only.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# of PROJ 9: https://proj.org/en/stable/operations/transformations
_PARAMETERS: Final = r"\b(?:init|nadgrids|geoidgrids|grids|xy_grids|z_grids|file|model|catalog)\s*="
_WKT_FILES: Final = (
    r"""(?:PARAMETERFILE\s*[\[(]\s*(?:"(?:[^"]|"")*"|[^",\[\]()]*)|PROJ4_GRIDS"?)\s*,\s*"""
)
# in a text of PROJ, in ESRI's and OGC's WKT
_NAME: Final = re.compile(
    rf"""{_WKT_FILES}"(?P<quoted>(?:[^"]|"")*)"""
    rf"""|(?:{_PARAMETERS}|{_WKT_FILES})["\s]*(?P<plain>[^\s"\])]*(?:\s*,\s*[^\s"\])]+)*)""",
    re.IGNORECASE,
)
_WKT: Final = re.compile(r"\s*\w+\s*[\[(]")
# a text within WKT, in which a quote is written twice
_BETWEEN_QUOTES: Final = re.compile(r'(?:[^"]|"")+')
_OPERATION: Final = re.compile(r"\b(?:proj|init)\s*=")
_KEY: Final = re.compile(r"(?<!\w)(\w+)\s*=")
# GDAL hands the name of a CRS in XML to PROJ if it begins like this, whatever follows
_SRS_NAME: Final = r"\s*(?:urn:|epsg:|(?:https?://)?(?:www\.)?opengis\.net/)"
# ends of texts of XML, and how they begin: in either quotes, between tags, unparsed
_XML_TEXTS: Final = tuple(
    (end, re.compile(start + _SRS_NAME, re.IGNORECASE))
    for end, start in (('"', r"\A"), ("'", r"\A"), ("<", ">"), ("]]>", r"<!\[CDATA\["))
)


def find_named_file(text: str) -> str | None:
    """Return the first path of a file in the text of a CRS; None if it names none.

    A value of any parameter of PROJ that holds a path counts: later versions of PROJ have others.

    Example:
        >>> find_named_file("+proj=longlat +nadgrids = /etc/passwd")
        '/etc/passwd'
        >>> find_named_file("+proj=merc +nadgrids=@null") is None
        True
    """
    return _find_path(text, is_wkt=_WKT.match(text) is not None)


def may_name_file(data: bytes) -> bool:
    """Return True if WKT among other bytes may name a file by its path.

    Letters may have one, two or four bytes.

    Example:
        >>> may_name_file(b'EXTENSION["PROJ4","+proj=utm +nadgrids=@null"],AUTHORITY["EPSG","1"]]')
        False
    """
    text = data.replace(b"\0", b"").decode("latin-1")
    return _find_path(text, is_wkt=True) is not None


def xml_may_name_file(data: bytes) -> bool:
    """Return True if the name of a CRS in XML may name a file by its path.

    Other texts and attributes are metadata, and may hold any path.

    Example:
        >>> xml_may_name_file(b'<product><source file="a/b.jp2"/></product>')
        False
    """
    text = data.decode("latin-1")
    if _OPERATION.search(html.unescape(text)) is None:
        return False
    for end, start in _XML_TEXTS:
        for part in map(html.unescape, text.split(end)):
            found = start.search(part)
            if found is not None and find_named_file(part[found.start() :]) is not None:
                return True
    return False


def _find_path(text: str, *, is_wkt: bool) -> str | None:
    for match in _NAME.finditer(text):
        name = match["quoted"] or match["plain"] or ""
        if _is_path(name):
            return name
    texts = _BETWEEN_QUOTES.findall(text) if is_wkt else [text]
    return next((path for each in texts for path in _paths_of_operation(each)), None)


def _paths_of_operation(text: str) -> Iterator[str]:
    """Yield the values of a text of PROJ that hold a path."""
    if _OPERATION.search(text) is None:
        return
    _, *parts = _KEY.split(text)
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        is_title = key == "title" and not {",", "="} & set(value)  # such as "WGS 84 (long/lat)"
        if not is_title and _is_path(value):
            yield value.strip()


def _is_path(name: str) -> bool:
    return any(mark in name for mark in "/\\~")
