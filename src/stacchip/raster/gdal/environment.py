"""The settings that every call into GDAL runs under."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# GDAL does not look for sidecar files (.msk, .aux.xml, .tfw): each would be a request, and a file
# must read the same wherever it was copied to. Nor does it write any.
_OPTIONS: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}


@contextmanager
def gdal_environment(**options: Any) -> Iterator[None]:
    """Run GDAL under our settings, whatever the user's environment says.

    Args:
        **options: More of GDAL's configuration options, for this call alone.
    """
    import rasterio  # half a second that the fast path saves

    with rasterio.Env(**_OPTIONS, **options):
        yield
