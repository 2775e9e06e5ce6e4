"""The bands of an item that a picture shows as red, green and blue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stacchip.errors import GridMismatch, UnsupportedRaster
from stacchip.items import find_band, read_assets
from stacchip.items.media import is_raster_file
from stacchip.items.reference import best_candidates
from stacchip.sources import find_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pystac

    from stacchip.items import AssetInfo
    from stacchip.sources import Source

    CountBands = Callable[[str], int]
    Place = tuple[str, int]

_RGB: Final = ("red", "green", "blue")
_MOST_COLOURS: Final = 4  # red, green and blue, with near infrared or opacity; more is a stack
_MOST_COUNTED: Final = 4  # files that are opened to count bands; more of them have one band each
_COLOUR_KEY: Final = re.compile(
    r"(visual|tci|rgb|(true|natural)[-_ ]?colou?r)([-_ ]?\d+m)?", re.IGNORECASE
)
_NUMBERED: Final = re.compile(r"(?:SR_|TOA_)?B(?:AND)?[-_ ]?0?(\d{1,2})(?:\.TIFF?)?", re.IGNORECASE)
_MSS: Final = re.compile(r"lm0?[1-5][_\d]|.*\bmss\b")
_TM: Final = re.compile(r"l[te]0?[457][_\d]|.*\b(landsat[-_][457]|e?tm)\b")
_OLI_OR_MSI: Final = re.compile(
    r"l[co]0?[89][_\d]|s2[abc]_|.*(\b(landsat|hls|oli|msi)|sentinel-?2)"
)


@dataclass(frozen=True)
class ShownBands:
    """The bands of an item that are shown.

    Attributes:
        bands: Those of red, green and blue, each as (asset key, band from 0); in grey, one band
            three times.
        note: What is shown, where it is not the item's own red, green and blue: `"band vv"`.
    """

    bands: tuple[Place, ...]
    note: str = ""

    @property
    def assets(self) -> tuple[str, ...]:
        """The keys of the assets, each once."""
        return tuple(dict.fromkeys(key for key, _ in self.bands))


def find_shown_bands(item: pystac.Item, count_bands: CountBands) -> ShownBands:
    """Return the bands to show of an item.

    The first of these that the item has: the measured bands that its source or its metadata call
    red, green and blue; the numbered bands of Landsat and Sentinel-2 with these colours; an asset
    that is a picture in colour (`visual`, `TCI`); an asset of three or four bands without a
    description; its best band, in grey.

    Args:
        item: The item.
        count_bands: Returns the number of bands in the file of an asset. It is called only for
            assets whose bands the item does not describe.

    Raises:
        MissingMetadata: The item has no raster.
        StacchipError: `count_bands` raised it.
    """
    infos = read_assets(item)
    source = find_source(item)
    measured = {key: i for key, i in infos.items() if i.is_raster and not _is_rendering(i)}
    return (
        _by_name(measured, source)
        or _by_number(item, measured, source)
        or _by_name(_renderings(item, infos), None)
        or _by_order(item, infos, count_bands)
        or _in_grey(item, measured or infos, source, count_bands)
    )


def _is_rendering(info: AssetInfo) -> bool:
    """Return True for a picture in colour that was made of other bands."""
    return "visual" in info.roles or _COLOUR_KEY.fullmatch(info.key) is not None


def _renderings(item: pystac.Item, infos: Mapping[str, AssetInfo]) -> dict[str, AssetInfo]:
    """Return pictures in colour, even those with the role `overview`, as in Earth Search's v0."""
    return {
        key: replace(info, why_left_out=None)
        for key, info in infos.items()
        if _is_rendering(info)
        and (info.is_raster or ("overview" in info.roles and is_raster_file(item.assets[key])))
    }


def _by_name(infos: Mapping[str, AssetInfo], source: Source | None) -> ShownBands | None:
    """Return the bands that are called red, green, blue, perhaps after a prefix (`nbart_red`)."""
    prefixes = {
        name[: -len("red")]: None
        for name, _ in _names_of_bands(infos.values())
        if name.lower().endswith(("_red", "-red"))
    }
    prefixed = [tuple(f"{prefix}{colour}" for colour in _RGB) for prefix in prefixes]
    for names in (source.rgb if source else None, _RGB, *prefixed):
        found = [find_band(infos, name) for name in names or ()]
        bands = tuple(band for band in found if band is not None)
        # the order of NAIP is only a guess for a file that nothing describes
        if len(bands) == 3 and all(number < max(len(infos[key].bands), 1) for key, number in bands):
            return ShownBands(bands)
    return None


def _by_number(
    item: pystac.Item, infos: Mapping[str, AssetInfo], source: Source | None
) -> ShownBands | None:
    """Return the bands whose numbers mean red, green and blue."""
    numbered: dict[int, tuple[str, Place]] = {}
    for name, place in _names_of_bands(infos.values()):
        if match := _NUMBERED.fullmatch(name):
            numbered.setdefault(int(match[1]), (name, place))
    wanted = _numbers_of_colours(item, source)
    if not wanted or not set(wanted) <= set(numbered):
        return None
    shown = [numbered[number] for number in wanted]
    note = f"bands {', '.join(name.split('.')[0] for name, _ in shown)}"
    return ShownBands(tuple(place for _, place in shown), note)


def _names_of_bands(infos: Iterable[AssetInfo]) -> Iterator[tuple[str, Place]]:
    for info in infos:
        yield info.key, (info.key, 0)
        for number, band in enumerate(info.bands):
            if band.name is not None:
                yield band.name, (info.key, number)


def _numbers_of_colours(item: pystac.Item, source: Source | None) -> tuple[int, ...]:
    """Return the numbers of red, green and blue in the names of a sensor's bands.

    They are 4, 3, 2 of OLI (Landsat 8 and 9) and MSI (Sentinel-2), and 3, 2, 1 of TM and ETM+
    (Landsat 4 to 7). MSS has no blue. An item that names no sensor is taken for one of the first.
    """
    told = [item.properties.get(name) for name in ("platform", "constellation", "instruments")]
    names = [item.id, *told, item.collection_id, source.name if source else None]
    sensor = " ".join(str(name) for name in names if name).lower()
    if _MSS.match(sensor):
        return ()
    if _TM.match(sensor):
        return 3, 2, 1
    is_unknown = source is None and not any(told)
    return (4, 3, 2) if is_unknown or _OLI_OR_MSI.match(sensor) else ()


def _by_order(
    item: pystac.Item, infos: Mapping[str, AssetInfo], count_bands: CountBands
) -> ShownBands | None:
    """Return the first three bands of an asset of three or four that the item does not describe."""
    renderings = _renderings(item, infos)
    others = [key for key, info in infos.items() if info.is_raster and key not in renderings]
    few = others if len(others) <= _MOST_COUNTED else []
    for key in (*renderings, *few):
        if any(band.name or band.common_name for band in infos[key].bands):
            continue
        try:
            count = len(infos[key].bands) or count_bands(key)
        except (GridMismatch, UnsupportedRaster):  # a picture for web maps, in another CRS
            continue
        if key in renderings and count >= 3:
            return ShownBands(((key, 0), (key, 1), (key, 2)))
        if 3 <= count <= _MOST_COLOURS:
            note = "" if len(others) == 1 else f"bands 1, 2, 3 of {key}"
            return ShownBands(((key, 0), (key, 1), (key, 2)), note)
    return None


def _in_grey(
    item: pystac.Item,
    infos: Mapping[str, AssetInfo],
    source: Source | None,
    count_bands: CountBands,
) -> ShownBands:
    """Return the item's best band, three times."""
    best = best_candidates(item, infos, source=source)[0]
    named = next((band.name or band.common_name for band in best.bands[:1]), None)
    of = f" of {best.key}" if (len(best.bands) or count_bands(best.key)) > 1 else ""
    note = f"band {named or 1}{of}" if of else f"band {best.key}"
    return ShownBands(3 * ((best.key, 0),), note)
