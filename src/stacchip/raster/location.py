"""What locates an image: a transform, or something else that gives its pixels no grid.

Radar and other images as their sensor saw them lie oblique to every CRS. Their files have ground
control points (several ModelTiepoints without a scale, GeoTIFF 1.1 section 7.1.2), rational
polynomials (RPCCoefficientTag) or arrays of coordinates (GDAL's metadata domain `GEOLOCATION`).
Catalogues stretch a transform over such images, which fits none of their pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stacchip.errors import UnsupportedRaster, UsageError
from stacchip.storage import redact

if TYPE_CHECKING:
    from affine import Affine

    from stacchip.grid.geobox import GeoBox

BY_TRANSFORM: Final = "a transform"
BY_NOTHING: Final = "nothing"
_NAMELESS: Final = 'LOCAL_CS["unnamed"'


def find_location(
    transform: Affine | None,
    shape: tuple[int, int],
    *,
    points: int = 0,
    has_polynomials: bool = False,
    has_arrays: bool = False,
) -> str:
    """Return what locates an image: `BY_TRANSFORM`, `BY_NOTHING`, or other means in words.

    A transform wins, as in GDAL: orthorectified files often keep the polynomials of their original.
    But one that only counts pixels locates nothing.

    Args:
        transform: The file's transform, or None.
        shape: (height, width).
        points: Number of ground control points.
        has_polynomials: True if the file has RPCs.
        has_arrays: True if the file names arrays of coordinates.

    Example:
        >>> from affine import Affine
        >>> find_location(Affine(10, 0, 500000, 0, -10, 4000000), (64, 64), has_polynomials=True)
        'a transform'
        >>> find_location(Affine.identity(), (64, 64), points=4)
        '4 ground control points'
    """
    others = []
    if points:
        others.append(f"{points} ground control point" + ("s" if points > 1 else ""))
    if has_polynomials:
        others.append("rational polynomials (RPCs)")
    if has_arrays:
        others.append("geolocation arrays")
    counts_pixels = transform is None or _counts_pixels(transform, shape)
    if transform is not None and not (counts_pixels if others else transform.is_identity):
        return BY_TRANSFORM
    return " and ".join(others) or BY_NOTHING


def _counts_pixels(transform: Affine, shape: tuple[int, int]) -> bool:
    """Return True if coordinates are pixel numbers, from whichever corner, to half a pixel."""
    a, b, c, d, e, f = transform[:6]
    if (abs(a), b, d, abs(e)) != (1, 0, 0, 1):
        return False
    return bool(abs(c) <= 1 and min(abs(f), abs(f - shape[0])) <= 1)


def stated_crs(crs: str | None) -> str | None:
    """Return the CRS of a file; None also for a nameless local one, which says nothing.

    GDAL reads one from a file with GeoKeys, such as `AREA_OR_POINT=Point`, but no CRS among them.

    Example:
        >>> stated_crs("EPSG:32629"), stated_crs('LOCAL_CS["unnamed",UNIT["unknown",1]]')
        ('EPSG:32629', None)
    """
    return None if crs is None or crs.startswith(_NAMELESS) else crs


def place_image(crs: str | None, transform: Affine | None, shape: tuple[int, int]) -> GeoBox | None:
    """Return the geobox of an image; None if it lacks a CRS or a transform (see `stated_crs`).

    Raises:
        UnsupportedRaster: PROJ cannot read the CRS, or it places nothing on Earth.

    Example:
        >>> from affine import Affine
        >>> place_image("EPSG:32629", None, (64, 64)) is None
        True
        >>> place_image("IAU_2015:30100", Affine.scale(0.1), (64, 64))
        Traceback (most recent call last):
        stacchip.errors.UnsupportedRaster: The file's CRS, 'IAU_2015:30100', is of another body ...
    """
    from stacchip.grid.crs import why_not_on_earth  # a worker may not need them
    from stacchip.grid.geobox import make_geobox

    crs = stated_crs(crs)
    if crs is None or transform is None:
        return None
    try:
        why = why_not_on_earth(crs)
    except UsageError as error:
        why = f"cannot be read: {error}"
    if why is not None:
        raise UnsupportedRaster(
            f"The file's CRS, {crs[:60]!r}, {why}. stacchip cuts chips on Earth only: leave this "
            "asset out, or give the file another CRS."
        )
    return make_geobox(crs, transform, shape)


def why_no_grid(located_by: str | None) -> str | None:
    """Return what locates an image in place of a grid; None if it has a grid or nothing.

    Example:
        >>> why_no_grid("nothing"), why_no_grid("9 ground control points")
        (None, '9 ground control points')
    """
    return None if located_by in (None, BY_TRANSFORM, BY_NOTHING) else located_by


def refuse_no_grid(href: str, why: str | None) -> None:
    """Refuse a file whose pixels lie on no grid, whatever its item says of it.

    Args:
        href: The file.
        why: The result of `why_no_grid`.

    Raises:
        UnsupportedRaster: `why` is not None.

    Example:
        >>> refuse_no_grid("s1.tif", "210 ground control points")
        Traceback (most recent call last):
        stacchip.errors.UnsupportedRaster: s1.tif has no grid, only 210 ground control points: ...
    """
    if why is None:
        return
    raise UnsupportedRaster(
        f"{redact(href)} has no grid, only {why}: no transform places its pixels. Use a "
        "terrain-corrected or orthorectified product, or warp the file onto a grid (gdalwarp).",
        href=redact(href),
    )
