"""Harmonising Sentinel-2 Level-2A: reflectance of all processing baselines on one scale.

Since processing baseline 04.00 (25 January 2022, and all reprocessed products) ESA adds 1000 to the
digital numbers of reflectance, and says so as `BOA_ADD_OFFSET` of -1000. Catalogues differ in what
they do about it, and in how they say it:

| catalogue | the offset is still to be added if |
|---|---|
| Earth Search, `sentinel-2-l2a` and its v0 | `earthsearch:boa_offset_applied` (v0: `sentinel:boa_offset_applied`) is false and the baseline is 04.00 or later; JPEG 2000 files are ESA's own |
| Earth Search, `sentinel-2-c1-l2a` | always: its baselines are 05.00 and later |
| Planetary Computer | `s2:processing_baseline` is 04.00 or later |
| Copernicus Data Space | `processing:version` is 04.00 or later |

`raster:bands` of Earth Search states an offset of -0.1 whether or not it was applied, so it counts
only for items that are not Earth Search's. Others list the files of Earth Search, too (Digital Earth
Africa), so the addresses of files count, not ids alone. A stated offset of 0 is no sign that there
is none: it may be a default.

Sources: ESA, Sentinel-2 Products Specification Document, issue 14.9, and the announcement of
baseline 04.00, for the offset, the values 0 (no data) and 65535 (saturated), and the clamping to 1
before 04.00; Element84/earth-search, README and issues 23, 41, 66 and 71; stactools-sentinel2,
issue 44, for the offset that is the same for all bands; microsoft/PlanetaryComputer, issue 134.
"""  # noqa: E501 - a table

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from stacchip.errors import InvalidMetadata, MissingMetadata, UsageError
from stacchip.sources.sentinel2 import SENTINEL_2, is_sentinel_2_l2a

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.sources.source import ItemLike

    Adjust = Callable[[NDArray[Any]], NDArray[Any]]

Harmonize = Literal["boa_offset"]
"""What may be harmonised."""

_OFFSET: Final = -1000
_FIRST_BASELINE: Final = 4.0
_SATURATED: Final = 65535
_APPLIED: Final = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_BASELINE: Final = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
_PRODUCT: Final = ("s2:product_uri", "sentinel:product_id")
# the COGs in which Earth Search may have applied the offset: S2B_31UDQ_20230609_0_L2A
_EARTH_SEARCH: Final = re.compile(r"S2[A-D]_\d{1,2}[A-Z]{3}_\d{8}_\d+_L2A")
_EARTH_SEARCH_FILES: Final = re.compile(r"sentinel-(s2-l2a-)?cogs\b", re.IGNORECASE)
_EARTH_SEARCH_COLLECTIONS: Final = ("sentinel-s2-l2a-cogs", "s2_l2a")
# reflectance that others make of Level-1C, on scales of their own: Geoscience Australia, NASA's HLS
_OTHER_PRODUCER: Final = re.compile(r"ga_s2|hls", re.IGNORECASE)
_SENTINEL_2: Final = re.compile(r"sentinel-?2|sentinel-s2|s2[a-d]?(_|$)", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"[-_]jp2$|[-_]\d0m$")
_REFLECTANCE: Final = re.compile(
    r"b0?[1-9]|b1[0-2]|b8a|coastal|blue|green|red|red-?edge\d*|nir\d*|swir\d*|cirrus"
)
_OTHER: Final = re.compile(
    r"scl|aot|wvp|tci|visual|true_?colou?r|cld.*|cloud.*|snw.*|snow.*|thumbnail|preview|overview|"
    r"(info|metadata|.*_metadata|datastrip.*|granule.*|product.*|tileinfo.*)"
)


def boa_offset(item: ItemLike, asset: str, band: int = 0) -> int:
    """Return what to add to a band's digital numbers, so that all baselines have one scale.

    That scale is the one before baseline 04.00: reflectance times 10,000. The offset is 0 for items
    that are not Sentinel-2, and for bands that are not reflectance (SCL, AOT, WVP, TCI).

    Args:
        item: The item, with its assets.
        asset: Key of the asset.
        band: Number of the band in the asset, from 0.

    Raises:
        MissingMetadata: The item does not say whether its pixels still have the offset, or that it
            is Level-2A, or the asset not whether it is reflectance.
        InvalidMetadata: What it says contradicts itself.

    Example:
        >>> from types import SimpleNamespace
        >>> red = SimpleNamespace(href="B04.tif", extra_fields={})
        >>> item = SimpleNamespace(
        ...     id="S2B_31UDQ_20230609_0_L2A", collection_id="sentinel-2-l2a",
        ...     properties={"s2:processing_baseline": "05.09"}, assets={"red": red},
        ... )
        >>> item.properties["earthsearch:boa_offset_applied"] = False
        >>> boa_offset(item, "red")
        -1000
        >>> item.properties["earthsearch:boa_offset_applied"] = True
        >>> boa_offset(item, "red")
        0
    """
    is_level_2a = SENTINEL_2.has_collection(item) or is_sentinel_2_l2a(item)
    if not (is_level_2a or _is_sentinel_2(item)) or not _is_reflectance(item, asset, band):
        return 0
    is_original = str(item.assets[asset].href).lower().partition("?")[0].endswith(".jp2")
    # this property is about Earth Search's own files
    applied = None if is_original else _find_applied(item)
    baseline = _find_baseline(item)
    if applied or (baseline is not None and baseline < _FIRST_BASELINE):
        return 0
    if not is_level_2a:
        raise _unknown_level(item, asset)
    if applied is None and not is_original and _is_earth_search(item, asset):
        raise _silence(item, asset, _APPLIED[0])
    stated = _stated_offset(item.assets[asset], band)
    if baseline is None:
        if stated is None or stated >= 0:
            raise _silence(item, asset, _BASELINE[0])
        return stated
    if applied is None and stated is not None and stated >= 0:
        raise InvalidMetadata(
            f"Item {item.id!r} has processing baseline {baseline:05.2f}, whose pixels have an "
            f"offset, and states none for asset {asset!r}: its pixels may have been "
            "harmonised already. Correct the item, or cut it without harmonize=.",
            item_id=item.id,
            asset=asset,
            field=_BASELINE[0],
        )
    return stated if applied is None and stated is not None else _OFFSET


def add_offset(pixels: NDArray[Any], offset: int, nodata: float | None = 0) -> NDArray[Any]:
    """Return digital numbers with an offset added, in their own type.

    No data (0, and `nodata`) and saturation (65535) keep their values. A sum below 1 becomes 1, the
    least reflectance before baseline 04.00, so that no valid pixel turns into nodata.

    Args:
        pixels: Array of any shape.
        offset: The offset, 0 or less.
        nodata: The band's nodata value.

    Example:
        >>> add_offset(np.array([0, 200, 1000, 1001, 5000, 65535], "uint16"), -1000).tolist()
        [0, 1, 1, 1, 4000, 65535]
    """
    is_special = (pixels == 0) | (pixels == _SATURATED)
    if nodata:
        is_special |= pixels == nodata
    shift = -offset
    return np.where(is_special, pixels, np.maximum(pixels, 1 + shift) - shift)


def find_adjustment(
    item: ItemLike, asset: str, count: int, dtype: np.dtype[Any], nodata: float | None
) -> Adjust | None:
    """Return the function that harmonises an asset's pixels (band, y, x); None if none need it.

    Args:
        item: The item, with its assets.
        asset: Key of the asset.
        count: Number of its bands.
        dtype: Type of its file.
        nodata: The bands' nodata value.

    Raises:
        ItemError: As for `boa_offset`; or its file has no digital numbers.
    """
    offsets = tuple(boa_offset(item, asset, band) for band in range(count))
    if not any(offsets):
        return None
    if dtype.kind not in "iu" or dtype.itemsize < 2:
        raise InvalidMetadata(
            f"Asset {asset!r} of item {item.id!r} is Sentinel-2's reflectance, but its pixels are "
            f"{dtype}, not ESA's digital numbers (uint16): they have another scale. Leave the "
            "asset out, or cut it without harmonize=.",
            item_id=item.id,
            asset=asset,
            field="data_type",
        )
    return partial(_add_offsets, offsets=offsets, nodata=nodata)


def _add_offsets(
    pixels: NDArray[Any], *, offsets: tuple[int, ...], nodata: float | None
) -> NDArray[Any]:
    """Add each band's offset to its digital numbers, (band, y, x)."""
    if len(set(offsets)) == 1:
        return add_offset(pixels, offsets[0], nodata)
    bands = zip(pixels, offsets, strict=True)
    return np.stack([add_offset(band, offset, nodata) for band, offset in bands])


def require_harmonize(harmonize: Harmonize | None) -> None:
    """Refuse what cannot be harmonised.

    Raises:
        UsageError: It is none of `Harmonize`.
    """
    if harmonize is not None and harmonize not in get_args(Harmonize):
        raise UsageError(
            f"harmonize= is {' or '.join(map(repr, get_args(Harmonize)))}, or None; "
            f"not {harmonize!r}."
        )


def _is_reflectance(item: ItemLike, asset: str, band: int) -> bool:
    """Return whether a band is reflectance, by its role or its name.

    Raises:
        MissingMetadata: Neither says so.
    """
    found = item.assets[asset]
    key = _plain(asset)
    if _OTHER.fullmatch(key):
        return False
    if "reflectance" in (getattr(found, "roles", None) or ()):
        return True
    bands = _bands(found, "eo:bands", "bands")
    about: Mapping[str, Any] = bands[band] if band < len(bands) else {}
    names = [about.get(field) for field in ("common_name", "eo:common_name", "name")]
    if any(_REFLECTANCE.fullmatch(_plain(str(name))) for name in (key, *names)):
        return True
    raise MissingMetadata(
        f"Item {item.id!r} does not say whether asset {asset!r} is reflectance, which has an "
        "offset, or something else. Pass assets=[...] without it, or no harmonize=.",
        item_id=item.id,
        asset=asset,
        field="roles",
    )


def _plain(name: str) -> str:
    """Return a band's name in lower case, without its resolution and format."""
    return _SUFFIX.sub("", _SUFFIX.sub("", name.lower()))


def _is_sentinel_2(item: ItemLike) -> bool:
    """Return whether anything of an item says that it is ESA's Sentinel-2, of whatever level."""
    if any(_OTHER_PRODUCER.match(str(text)) for text in (item.collection_id, item.id)):
        return False
    names = ("platform", "constellation")
    said = (item.id, item.collection_id, *(item.properties.get(name) for name in names))
    return any(_SENTINEL_2.match(str(text)) for text in said) or any(
        name.startswith("s2:") or name in (*_APPLIED, *_BASELINE[:2]) for name in item.properties
    )


def _is_earth_search(item: ItemLike, asset: str) -> bool:
    """Return whether a file is one of the COGs of Earth Search, in whichever catalogue."""
    return (
        _EARTH_SEARCH.fullmatch(item.id) is not None
        or item.collection_id in _EARTH_SEARCH_COLLECTIONS
        or _EARTH_SEARCH_FILES.search(str(item.assets[asset].href)) is not None
    )


def _find_applied(item: ItemLike) -> bool | None:
    """Return whether the offset was applied, as the item says; None if it does not.

    Raises:
        InvalidMetadata: It says so with something else than true or false.
    """
    for name in _APPLIED:
        applied = item.properties.get(name)
        if isinstance(applied, bool):
            return applied
        if applied is not None:
            raise InvalidMetadata(
                f"Item {item.id!r} has {name} {applied!r}, which is neither true nor false: "
                "whether its pixels still have the offset is unknown. Correct the item, or cut it "
                "without harmonize=.",
                item_id=item.id,
                field=name,
            )
    return None


def _find_baseline(item: ItemLike) -> float | None:
    """Return the processing baseline, such as 5.09, from a field or from the product's name.

    Raises:
        InvalidMetadata: One is before 04.00, and the other is not.
    """
    stated, named = _stated_baseline(item), _named_baseline(item)
    if stated is None or named is None:
        return named if stated is None else stated
    if (stated < _FIRST_BASELINE) != (named < _FIRST_BASELINE):
        raise InvalidMetadata(
            f"Item {item.id!r} states processing baseline {stated:05.2f}, and the name of its "
            f"product {named:05.2f}: one has an offset, the other none. Correct the item, or cut "
            "it without harmonize=.",
            item_id=item.id,
            field=_BASELINE[0],
        )
    return stated


def _stated_baseline(item: ItemLike) -> float | None:
    for name in _BASELINE:
        match = re.fullmatch(r"\s*N?(\d{1,2}\.?\d\d)\s*", str(item.properties.get(name)))
        if match:
            number = match[1]
            return float(number) if "." in number else float(number) / 100
    return None


def _named_baseline(item: ItemLike) -> float | None:
    for text in (*(item.properties.get(name) for name in _PRODUCT), item.id):
        match = re.search(r"_N(\d\d)(\d\d)_", str(text))
        if match:
            return float(f"{match[1]}.{match[2]}")
    return None


def _stated_offset(asset: Any, band: int) -> int | None:
    """Return the offset of `raster:bands` (STAC 1.1: `bands`) in digital numbers, if there is one.

    The STAC raster extension adds it after multiplying by the scale.
    """
    bands = _bands(asset, "raster:bands", "bands")
    about = [bands[band]] if band < len(bands) else []
    about.append(asset.extra_fields)
    for fields in about:
        offset = _first(fields, ("offset", "raster:offset"), int, float)
        scale = _first(fields, ("scale", "raster:scale"), int, float)
        if offset is not None and scale and math.isfinite(offset / scale):
            number: int = round(offset / scale)
            return number
    return None


def _bands(asset: Any, *names: str) -> Sequence[Mapping[str, Any]]:
    """Return the first description of an asset's bands that there is."""
    for name in names:
        bands = asset.extra_fields.get(name)
        if isinstance(bands, list) and all(isinstance(each, dict) for each in bands):
            return bands
    return ()


def _first(fields: Mapping[str, Any], names: Sequence[str], *kinds: type) -> Any:
    """Return the first of some fields whose value is of the kinds asked for."""
    return next((fields[name] for name in names if type(fields.get(name)) in kinds), None)


def _silence(item: ItemLike, asset: str, field: str) -> MissingMetadata:
    return MissingMetadata(
        f"Item {item.id!r} does not say whether the pixels of asset {asset!r} still have the "
        f"offset of processing baseline 04.00: it has no {field}. Add that to the item, or cut it "
        "without harmonize=.",
        item_id=item.id,
        asset=asset,
        field=field,
    )


def _unknown_level(item: ItemLike, asset: str) -> MissingMetadata:
    return MissingMetadata(
        f"Item {item.id!r} is of Sentinel-2, but nothing says that it is Level-2A: whether the "
        f"pixels of asset {asset!r} have the offset of processing baseline 04.00 is unknown. Add "
        "s2:product_type 'S2MSI2A' to the item if it is Level-2A, else cut it without harmonize=.",
        item_id=item.id,
        asset=asset,
        field="s2:product_type",
    )
