"""Facts about an item's assets, from its metadata alone; no file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import InvalidMetadata, ItemError, NotAllowed, UnsupportedRaster, UsageError
from stacchip.items.alternates import choose_href
from stacchip.items.grids.place import Claims, read_bounds
from stacchip.items.grids.projection import has_own_projection, read_geobox
from stacchip.items.media import is_raster_file, read_roles, why_left_out
from stacchip.items.reach import find_origin, refusal
from stacchip.storage import join_href, unsign
from stacchip.storage.href import parse_href

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

    from stacchip.storage import Storage

# STAC's data types that have another name in numpy
_DTYPES = {"cfloat32": "complex64", "cfloat64": "complex128"}
# real items have fewer than ten, and to compare one with the item's bounds takes a millisecond
_MOST_GRIDS = 300


@dataclass(frozen=True)
class BandInfo:
    """One band of an asset; a name is None if the item does not give it."""

    name: str | None = None
    common_name: str | None = None


@dataclass(frozen=True)
class AssetInfo:
    """Facts that an item gives about an asset; a fact that it does not give is None.

    Attributes:
        key: The asset's key.
        href: Address of its file: absolute if that can be known, and unsigned.
        media_type: As the item gives it.
        roles: As the item gives them.
        is_raster: True if it holds pixels that are chipped by default.
        why_left_out: Why it is not chipped by default.
        geobox: Its grid; None if the item does not give it, or contradicts itself.
        missing: The absent fields that leave the grid unknown, such as `("proj:shape",)`.
        problem: The error that explains why there is no geobox, for a caller to raise.
        gsd: Ground sample distance in metres.
        dtype: numpy's name of the pixels' type, if it is the same for all bands.
        nodata: The nodata value, if it is the same for all bands; it may be NaN.
        bands: The bands that the item describes; may be empty.
        has_own_grid: True if the asset itself has `proj:*` fields; the item's serve otherwise.
        is_checked: True if its file was looked at, and agrees with `geobox`, or gave it.
        refusal: The error of an address that the item may not name (`stacchip.items.reach`).
    """

    key: str
    href: str
    media_type: str | None = None
    roles: tuple[str, ...] = ()
    why_left_out: str | None = None
    geobox: GeoBox | None = None
    problem: ItemError | UnsupportedRaster | None = None
    gsd: float | None = None
    dtype: str | None = None
    nodata: float | None = None
    bands: tuple[BandInfo, ...] = ()
    has_own_grid: bool = False
    is_checked: bool = False
    refusal: NotAllowed | None = None

    def require_href(self) -> str:
        """Return `href` for whoever reads the file.

        Raises:
            NotAllowed: The item came from a remote place, and names what is local to this machine.
        """
        if self.refusal is not None:
            raise self.refusal
        return self.href

    @property
    def is_raster(self) -> bool:
        """True if it holds pixels that are chipped by default."""
        return self.why_left_out is None

    @property
    def missing(self) -> tuple[str, ...]:
        """The absent fields that leave the grid unknown; empty if it is known, or wrong."""
        missing: tuple[str, ...] = getattr(self.problem, "missing", ())
        return missing


def read_assets(item: pystac.Item, storage: Storage | None = None) -> dict[str, AssetInfo]:
    """Return the facts that an item gives about each of its assets, in its order; raises nothing.

    Args:
        item: The item.
        storage: How its files are to be reached: then `href` is the address to read, which may be
            an alternate one (see `stacchip.items.alternates`).

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {})
        >>> item.set_self_href("s3://bucket/a/item.json")
        >>> item.add_asset("red", pystac.Asset("./B04.tif"))
        >>> red = read_assets(item)["red"]
        >>> red.href, red.is_raster, red.missing
        ('s3://bucket/a/B04.tif', True, ('proj:code', 'proj:shape', 'proj:transform'))
    """
    base, origin = item.get_self_href(), find_origin(item)
    bounds = read_bounds(item)
    of_item: tuple[GeoBox | None, ItemError | None] | None = None
    infos, grids = {}, set[str]()
    for key, asset in item.assets.items():
        geobox, problem = None, None
        has_own_grid = has_own_projection(asset)
        if is_raster_file(asset):
            if has_own_grid:
                grids.add(_text_of_grid(asset))
                if len(grids) <= _MOST_GRIDS:
                    geobox, problem = _try_geobox(item, key, bounds)
                else:
                    problem = _too_many_grids(item.id, key)
            else:
                # most catalogues give the grid once for all assets
                of_item = of_item or _try_geobox(item, None, bounds)
                geobox, problem = of_item
        bands = _read_bands(asset)
        href = _find_href(asset, base, storage)
        infos[key] = AssetInfo(
            key=key,
            href=href,
            media_type=asset.media_type,
            roles=read_roles(asset),
            why_left_out=why_left_out(key, asset, item.assets.keys()),
            geobox=geobox,
            problem=problem,
            gsd=_read_gsd(item, asset, bands),
            dtype=_read_dtype(asset, bands),
            nodata=_read_nodata(asset, bands),
            bands=tuple(BandInfo(_text(band, "name"), _common_name(band)) for band in bands),
            has_own_grid=has_own_grid,
            refusal=_refuse(href, origin, storage, item.id, key),
        )
    return infos


def _refuse(
    href: str, origin: str | None, storage: Storage | None, item_id: str, key: str
) -> NotAllowed | None:
    if origin is None or storage is None:
        return None
    return refusal(href, origin, storage, item_id=item_id, asset=key)


def _text_of_grid(asset: pystac.Asset) -> str:
    fields = asset.extra_fields
    return str([(name, fields[name]) for name in fields if name.startswith("proj:")])


def _too_many_grids(item_id: str, key: str) -> InvalidMetadata:
    return InvalidMetadata(
        f"Item {item_id!r}, asset {key!r}: the item gives more than {_MOST_GRIDS:,} different "
        "grids, and this one is not read. Make an item of each scene.",
        item_id=item_id,
        asset=key,
        field="proj:transform",
    )


def _try_geobox(
    item: pystac.Item, key: str | None, bounds: Claims
) -> tuple[GeoBox | None, ItemError | None]:
    try:
        return read_geobox(item, key, bounds=bounds), None
    except ItemError as problem:
        # kept with the asset; its traceback would keep the frames alive
        return None, problem.with_traceback(None)


def _find_href(asset: pystac.Asset, base: str | None, storage: Storage | None) -> str:
    """Return the asset's own address, or with `storage` the one to read."""
    own = _resolve(asset.href, base)
    if storage is None:
        return own
    chosen = choose_href(asset, own, storage, base)
    return own if chosen is own else _resolve(chosen, base)


def _resolve(href: str, base: str | None) -> str:
    """Return an unsigned href, absolute if the item's own is known.

    If it is not, a relative href stays relative: it is a path from the working directory. An item
    from the web cannot name a local file by a path: its paths are those of its host. A bucket has
    no such paths: there, users who have downloaded the assets write the paths of their copies.
    """
    if base is not None and not (href.startswith("/") and not _is_web(base)):
        try:
            href = join_href(base, href)
        except ValueError:  # urllib's, for a host that is none: nothing can be read there
            return href if "://" in href else f"https:{href}"
    return unsign(href) if "?" in href or "@" in href or ";" in href else href


def _is_web(href: str) -> bool:
    try:
        return parse_href(href).scheme == "http"
    except UsageError:  # of a scheme that is not read
        return False


def _read_bands(asset: pystac.Asset) -> list[dict[str, Any]]:
    """Return the asset's bands: `bands` (STAC 1.1), or `raster:bands` and `eo:bands` merged."""
    fields = asset.extra_fields
    merged: list[dict[str, Any]] = []
    for name in ("raster:bands", "eo:bands", "bands"):
        bands = fields.get(name)
        if not isinstance(bands, Sequence):
            continue
        for number, band in enumerate(bands):
            if number == len(merged):
                merged.append({})
            if isinstance(band, Mapping):
                merged[number].update(band)
    return merged


def _common(asset: pystac.Asset, bands: Iterable[Mapping[str, Any]], *names: str) -> Any:
    """Return a field of the asset, or else of its bands if they all agree."""
    for name in names:
        if asset.extra_fields.get(name) is not None:
            return asset.extra_fields[name]
    values = [next((band[name] for name in names if name in band), None) for band in bands]
    # compared as text, since NaN differs from itself; made of floats, since 0 equals 0.0
    texts = {str(_as_number(value) if isinstance(value, int) else value) for value in values}
    return values[0] if len(texts) == 1 else None


def _read_dtype(asset: pystac.Asset, bands: list[dict[str, Any]]) -> str | None:
    dtype = _common(asset, bands, "data_type", "raster:data_type")
    if not isinstance(dtype, str):
        return None
    try:
        found = np.dtype(_DTYPES.get(dtype, dtype))
    except (TypeError, ValueError, SyntaxError):
        return None  # "other" and complex integers do not exist in numpy
    return str(found) if found.kind in "iufc" else None


def _read_nodata(asset: pystac.Asset, bands: list[dict[str, Any]]) -> float | None:
    """Return nodata as a number; STAC writes "nan", "inf" and "-inf" as strings."""
    return _as_number(_common(asset, bands, "nodata", "raster:nodata"))


def _read_gsd(item: pystac.Item, asset: pystac.Asset, bands: list[dict[str, Any]]) -> float | None:
    gsd = _common(asset, bands, "gsd", "eo:gsd", "raster:spatial_resolution", "spatial_resolution")
    for value in (gsd, item.properties.get("gsd"), item.properties.get("eo:gsd")):
        if isinstance(value, int | float) and value > 0:
            return _as_number(value)
    return None


def _as_number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(band: Mapping[str, Any], field: str) -> str | None:
    value = band.get(field)
    return None if value is None else str(value)


def _common_name(band: Mapping[str, Any]) -> str | None:
    return _text(band, "eo:common_name") or _text(band, "common_name")
