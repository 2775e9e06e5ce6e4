"""The bands of a platform that make a training chip: their order, and what they measure.

Order, ground sample distance and wavelengths are those of `configs/metadata.yaml` of the Clay
model; the statistics have the form of that file, too. All wavelengths are in micrometres, even
those of MODIS, which Clay's file gives in nanometres. The two of Sentinel-1 are numbers that Clay
chose to tell its polarisations apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stacchip.errors import AssetNotFound, SourceNotFound, UsageError
from stacchip.runtime.names import names_of
from stacchip.sources import get_source

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERED = re.compile(r"(?P<asset>.+):(?P<number>[1-9][0-9]*)")


@dataclass(frozen=True)
class Band:
    """One band of a training chip.

    Attributes:
        name: Its name.
        asset: The key of its asset.
        number: Its number in the asset's file, from 1.
        wavelength_um: Centre wavelength in micrometres; None if not known.
    """

    name: str
    asset: str
    number: int = 1
    wavelength_um: float | None = None


@dataclass(frozen=True)
class PlatformBands:
    """The bands of a platform's training chips.

    Attributes:
        platform: The `platform` of its chips.
        bands: The bands, in their order.
        gsd_m: Nominal size of a pixel on the ground, in metres.
        dtype: The type of its imagery, which cubes of float32 do not show; None if not known.
        nodata: The value that stands for no data; None if every value but NaN is data.
    """

    platform: str
    bands: tuple[Band, ...]
    gsd_m: float | None = None
    dtype: str | None = None
    nodata: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def assets(self) -> tuple[str, ...]:
        """The keys of the assets that hold the bands."""
        return tuple(dict.fromkeys(band.asset for band in self.bands))

    @property
    def rgb_indices(self) -> tuple[int, int, int] | None:
        """The positions of red, green and blue among the bands; None if one of them is missing."""
        if not {"red", "green", "blue"} <= set(self.names):
            return None
        red, green, blue = (self.names.index(name) for name in ("red", "green", "blue"))
        return red, green, blue

    def places_in(self, found: Sequence[str], *, item_id: str) -> list[int]:
        """Return the positions of the bands among those of a chip.

        Args:
            found: The chip's bands, as `stacchip.chipper.Chip.bands` names them.
            item_id: The chip's item, for the error.

        Raises:
            AssetNotFound: A file has fewer bands than needed.

        Example:
            >>> get_platform("naip").places_in(
            ...     ["image:1", "image:2", "image:3", "image:4"], item_id="m_4709963_se"
            ... )
            [0, 1, 2, 3]
        """
        places = []
        for band in self.bands:
            numbered = f"{band.asset}:{band.number}"
            name = band.asset if band.number == 1 and numbered not in found else numbered
            if name not in found:
                count = sum(each.partition(":")[0] == band.asset for each in found)
                raise AssetNotFound(
                    f"Asset {band.asset!r} of item {item_id!r} has {count} bands, and no band "
                    f"{band.number} ({band.name}). Name the bands that you want.",
                    item_id=item_id,
                    asset=band.asset,
                )
            places.append(list(found).index(name))
        return places


def _bands(*described: tuple[str, float | None], asset: str | None = None) -> tuple[Band, ...]:
    """Return bands with their wavelengths: an asset for each, or one for all."""
    return tuple(
        Band(name, asset or name, number if asset else 1, wavelength)
        for number, (name, wavelength) in enumerate(described, start=1)
    )


_LANDSAT = _bands(
    ("red", 0.65), ("green", 0.56), ("blue", 0.48),
    ("nir08", 0.86), ("swir16", 1.6), ("swir22", 2.2),
)  # fmt: skip

PLATFORMS: dict[str, PlatformBands] = {
    each.platform: each
    for each in (
        PlatformBands(
            "sentinel-2-l2a",
            _bands(
                ("blue", 0.493), ("green", 0.56), ("red", 0.665), ("rededge1", 0.704),
                ("rededge2", 0.74), ("rededge3", 0.783), ("nir", 0.842), ("nir08", 0.865),
                ("swir16", 1.61), ("swir22", 2.19),
            ),
            gsd_m=10,
            dtype="uint16",
            nodata=0,
        ),
        # fill is 0 in both levels: Landsat 8-9 Collection 2 Level 2 Science Product Guide
        PlatformBands("landsat-c2l1", _LANDSAT, gsd_m=30, dtype="uint16", nodata=0),
        PlatformBands("landsat-c2l2-sr", _LANDSAT, gsd_m=30, dtype="uint16", nodata=0),
        PlatformBands(
            "naip",
            _bands(("red", 0.65), ("green", 0.56), ("blue", 0.48), ("nir", 0.842), asset="image"),
            gsd_m=1.0,
            dtype="uint8",
        ),
        PlatformBands(
            "linz",
            _bands(("red", 0.635), ("green", 0.555), ("blue", 0.465), asset="visual"),
            gsd_m=0.5,
            dtype="uint8",
        ),
        PlatformBands(
            "sentinel-1-rtc",
            _bands(("vv", 3.5), ("vh", 4.0)),
            gsd_m=10,
            dtype="float32",
            nodata=-32768,
        ),
        PlatformBands(
            "modis",
            _bands(
                ("sur_refl_b01", 0.645), ("sur_refl_b02", 0.8585), ("sur_refl_b03", 0.469),
                ("sur_refl_b04", 0.555), ("sur_refl_b05", 1.24), ("sur_refl_b06", 1.64),
                ("sur_refl_b07", 2.13),
            ),
            gsd_m=500,
            dtype="int16",
            nodata=-28672,
        ),
    )
}  # fmt: skip
"""The known platforms, by name."""


def get_platform(platform: str, bands: str | Sequence[str] | None = None) -> PlatformBands:
    """Return the bands of a platform's training chips.

    Args:
        platform: Name of a source, as in the index.
        bands: The bands wanted, in this order, or one: names of the platform's bands, keys of
            assets, or `asset:number` (from 1) for assets of several bands. Needed for platforms
            that are not in `PLATFORMS`.

    Raises:
        UsageError: The platform is not known and `bands` is not given, or a band is named twice.

    Example:
        >>> get_platform("sentinel-2-l2a", ["red", "scl"]).assets
        ('red', 'scl')
        >>> get_platform("planetscope", ["analytic:3", "analytic:1"]).bands[0].number
        3
    """
    known = PLATFORMS.get(platform)
    if bands is None:
        if known is None:
            raise UsageError(
                f"The bands of platform {platform!r} are not known: name them (bands=, --bands). "
                f"Known are: {', '.join(PLATFORMS)}."
            )
        return known
    bands = names_of(bands, "bands")
    if not bands or len(set(bands)) < len(bands):
        raise UsageError(
            f"Name each band once, and at least one; not: {', '.join(bands) or 'none'}."
        )
    by_name = {band.name: band for band in known.bands} if known else {}
    chosen = tuple(by_name.get(name) or _parse_band(name) for name in bands)
    if known is not None:
        return PlatformBands(platform, chosen, known.gsd_m, known.dtype, known.nodata)
    return PlatformBands(platform, chosen, nodata=_source_nodata(platform))


def _parse_band(name: str) -> Band:
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return Band(name, name)
    return Band(name, numbered["asset"], int(numbered["number"]))


def _source_nodata(platform: str) -> Any:
    try:
        return get_source(platform).nodata
    except SourceNotFound:
        return None
