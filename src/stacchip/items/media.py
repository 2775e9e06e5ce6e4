"""The assets of an item that hold pixels to chip, by media type, roles and file name."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from stacchip.storage.href import split_href

if TYPE_CHECKING:
    from collections.abc import Collection

    import pystac

# the spellings of GeoTIFF in catalogues, old ones too, and JPEG 2000 (Sentinel-2 SAFE)
RASTER_TYPES = frozenset(
    {
        "image/tiff",
        "image/tif",
        "image/geotiff",
        "image/x.geotiff",
        "image/vnd.stac.geotiff",
        "application/geotiff",
        "image/jp2",
    }
)
# the types that object stores give to files uploaded without one
_VAGUE_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_RASTER_SUFFIXES = frozenset({".tif", ".tiff", ".jp2"})
_PICTURE_ROLES = frozenset({"thumbnail", "overview"})


def is_raster_file(asset: pystac.Asset) -> bool:
    """Return True if an asset's file is of a format that can be chipped: GeoTIFF or JPEG 2000.

    The media type decides; without one, or with a vague one, the file's name does. HDF, NetCDF,
    Zarr, PNG and JPEG are not read.

    Example:
        >>> import pystac
        >>> is_raster_file(pystac.Asset("red.tif")), is_raster_file(pystac.Asset("a.hdf"))
        (True, False)
    """
    said = asset.media_type
    kind = said.split(";")[0].strip().lower() if isinstance(said, str) else ""
    if kind not in _VAGUE_TYPES:
        return kind in RASTER_TYPES
    path = split_href(asset.href).path if "://" in asset.href else asset.href
    return PurePosixPath(path).suffix.lower() in _RASTER_SUFFIXES


def read_roles(asset: pystac.Asset) -> tuple[str, ...]:
    """Return the roles of an asset; what is not a role is left out.

    Example:
        >>> import pystac
        >>> read_roles(pystac.Asset("a.tif", roles=["data", None]))
        ('data',)
    """
    roles: Any = asset.roles
    if isinstance(roles, str):
        return (roles,)
    roles = roles if isinstance(roles, list | tuple) else ()
    return tuple(role for role in roles if isinstance(role, str))


def why_left_out(key: str, asset: pystac.Asset, keys: Collection[str]) -> str | None:
    """Return why an asset is not chipped by default; None if it is.

    Three kinds are left out: files of other formats, pictures of the data (roles `thumbnail` and
    `overview`, whatever their format), and Earth Search's JPEG 2000 copies (`red-jp2` beside
    `red`). The role `metadata` means nothing: USGS gives it to QA bands.

    Args:
        key: The asset's key.
        asset: The asset.
        keys: The keys of all assets of the item.

    Example:
        >>> import pystac
        >>> why_left_out("red-jp2", pystac.Asset("B04.jp2"), {"red", "red-jp2"})
        "it is a JPEG 2000 copy of 'red'"
    """
    if not is_raster_file(asset):
        return f"its format is not read ({asset.media_type or 'no media type'})"
    pictures = sorted(_PICTURE_ROLES.intersection(read_roles(asset)))
    if pictures:
        return f"it is a picture of the data (role {pictures[0]!r})"
    original = key.removesuffix("-jp2")
    if original != key and original in keys:
        return f"it is a JPEG 2000 copy of {original!r}"
    return None
