"""The settings that every call into GDAL runs under, and the errors that come out of one."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# GDAL does not look for sidecar files (.msk, .aux.xml, .tfw): each would be a request, and a file
# must read the same wherever it was copied to. Nor does it write any.
# Nor does it read a PNG as a whole: then it returns memory that nothing was written to in place of
# what it cannot decode.
_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
}
_SHOWN: Final = 300
# names that rasterio makes up for a file in memory, which differ each time
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IN_MEMORY: Final = re.compile(rf"(?:/vsimem/)?(?:{_UUID}/)?{_UUID}\.\w*[:,]? ?")


@contextmanager
def gdal_environment(**options: Any) -> Iterator[None]:
    """Run GDAL under our settings, whatever the user's environment says.

    Args:
        **options: More of GDAL's configuration options, for this call alone.
    """
    import rasterio  # half a second that the fast path saves

    with rasterio.Env(**_OPTIONS, **options):
        yield


def error_types() -> tuple[type[Exception], ...]:
    """Return the types of errors that rasterio raises for what stands in a file.

    Besides its own and GDAL's there are Python's: for text that is not UTF-8, for types and numbers
    that it does not know, and for sizes that no memory has.
    """
    from rasterio._err import CPLE_BaseError  # some escape as they are
    from rasterio.errors import RasterioError

    return (
        RasterioError, CPLE_BaseError, ValueError, LookupError, TypeError, OverflowError,
        MemoryError, SystemError,
    )  # fmt: skip


def gdal_says(error: BaseException) -> str:
    r"""Return the message of an error, or of its cause, as one short printable line.

    Example:
        >>> gdal_says(ValueError("a\x1b[31m tag"))
        'a.[31m tag'
    """
    text = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    text = _IN_MEMORY.sub("", text)
    text = "".join(c if c.isprintable() else "." for c in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
