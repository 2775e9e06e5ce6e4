"""The reference band: the asset whose grid carries the chips."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from stacchip.errors import AssetNotFound, InvalidMetadata, MissingMetadata, attribute
from stacchip.grid.crs import same_crs
from stacchip.grid.geobox import pixel_size_m
from stacchip.items.assets import AssetInfo, read_assets
from stacchip.items.file_grids import find_differences, place_by_files
from stacchip.runtime.names import names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pystac

    from stacchip.errors import StacchipError
    from stacchip.items.file_grids import FileGrid
    from stacchip.sources import Source

_log = logging.getLogger(__name__)

# a ground sample distance below this share of a pixel's side is that of a finer band: catalogues
# round it, and MODIS's "500 m" are 463 m
_FINER = 0.75


def reference_asset(
    item: pystac.Item,
    assets: Mapping[str, AssetInfo] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    source: Source | None = None,
    files: Mapping[str, FileGrid] | None = None,
) -> AssetInfo:
    """Return the asset whose geobox carries the chip grid: the finest band whose grid is known.

    A band whose grid only its file knows may be finer; a warning says so.

    Args:
        item: The item.
        assets: The result of `read_assets(item)`, or a part of it; read if not given.
        names: Choose among these assets only; they may be assets that are left out by default.
        source: Says which asset is the QA band, and the order of use of the bands.
        files: Headers or readers of files, by asset key. They are believed, whatever the item says
            (`place_by_files`). If they contradict it, assets without a file here come after those
            with one. A file in another CRS than its item says is the last choice.

    Raises:
        AssetNotFound: The item lacks an asset of `names`.
        MissingMetadata: No grid is known without opening a file, or there is nothing to chip.
        InvalidMetadata: The metadata contradict each other, or bands differ in CRS.
        UnsupportedRaster: The files lie on no grid.

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {"proj:code": "EPSG:32629"})
        >>> for key, size in (("scl", 5490), ("red", 10980)):
        ...     grid = {"proj:shape": [size, size], "proj:bbox": [499980, 0, 609780, 109800]}
        ...     item.add_asset(key, pystac.Asset(f"{key}.tif", extra_fields=grid))
        >>> reference_asset(item).key
        'red'
    """
    said = read_assets(item) if assets is None else assets
    placed = place_by_files(said, files or {})
    # a QA band whose grid is known does not stand in for bands whose grid is not
    candidates = best_candidates(item, placed, names=names, source=source)
    known = [asset for asset in candidates if asset.geobox is not None]
    is_doubted = bool(files and find_differences(item.id, said, files))
    known.sort(key=lambda a: (_left_its_crs(said[a.key], a), is_doubted and not a.is_checked))
    if not known:
        raise next(_refusals(item, candidates), None) or _no_grid(item, candidates)
    for problem in _refusals(item, candidates):
        _log.warning("%s (not chosen as reference band)", problem)
    for asset in known[1:]:
        _check_same_crs(item, said, known[0], asset)
    _warn_of_finer(item, known[0], candidates)
    return known[0]


def reference_candidates(
    item: pystac.Item,
    assets: Mapping[str, AssetInfo] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    source: Source | None = None,
) -> list[AssetInfo]:
    """Return the assets that may carry the chip grid, the best first.

    If no grid is known, these are the files to open. Bands of data go before renderings (role
    `visual`, which may be on a web map's grid), and renderings before QA bands. Among these, assets
    with a known grid go first, by the size of its pixels; then others by `gsd`. Among equals the
    source's bands go first, in its order, then the item's order.

    Args:
        item: The item.
        assets: The result of `read_assets(item)`, or a part of it; read if not given.
        names: Choose among these assets only; they may be assets that are left out by default.
        source: Says which asset is the QA band, and the order of use of the bands.

    Raises:
        AssetNotFound: The item lacks an asset of `names`.
        MissingMetadata: There is nothing to chip.

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {})
        >>> item.add_asset("B05", pystac.Asset("B05.tif", extra_fields={"gsd": 20}))
        >>> item.add_asset("B04", pystac.Asset("B04.tif", extra_fields={"gsd": 10}))
        >>> [asset.key for asset in reference_candidates(item)]
        ['B04', 'B05']
    """
    assets = read_assets(item) if assets is None else assets
    if names is None:
        chosen = [asset for asset in assets.values() if asset.is_raster]
    else:
        chosen = [_named(item, assets, name) for name in names_of(names, "names")]
    if not chosen:
        reasons = "; ".join(f"{a.key}: {a.why_left_out}" for a in list(assets.values())[:6])
        raise MissingMetadata(
            f"Item {item.id!r} has no asset to chip ({reasons or 'it has no assets at all'}). "
            "Add one, or name one with assets=[...].",
            item_id=item.id,
            field="assets",
        )
    bands = {} if source is None else {key: at for at, key in enumerate(source.bands)}

    def order(asset: AssetInfo) -> tuple[int, bool, float, int]:
        pixel = math.inf if asset.gsd is None else asset.gsd
        if asset.geobox is not None:
            pixel = math.sqrt(abs(asset.geobox.affine.determinant))
        return (
            _rank(asset, source),
            asset.geobox is None,
            # rounding errors must not order pixels of the same size
            float(f"{pixel:.6g}"),
            bands.get(asset.key, len(bands)),
        )

    return sorted(chosen, key=order)


def best_candidates(
    item: pystac.Item,
    assets: Mapping[str, AssetInfo] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    source: Source | None = None,
) -> list[AssetInfo]:
    """Return the candidates of the best kind: bands of data, else renderings, else QA bands.

    Arguments, order and errors are those of `reference_candidates`.
    """
    candidates = reference_candidates(item, assets, names=names, source=source)
    return [a for a in candidates if _rank(a, source) == _rank(candidates[0], source)]


def find_band(assets: Mapping[str, AssetInfo], name: str) -> tuple[str, int] | None:
    """Return the place of a band, as (asset key, band number from 0); None if it is not found.

    The name is an asset's key, or else a band's common name or name; assets with fewer bands go
    first. A single asset without a description of its bands is taken as red, green, blue and nir,
    the order of NAIP's and LINZ's.

    Example:
        >>> image = AssetInfo("image", "image.tif")
        >>> find_band({"image": image}, "green"), find_band({"image": image}, "swir16")
        (('image', 1), None)
    """
    rasters = [asset for asset in assets.values() if asset.is_raster]
    for asset in rasters:
        if asset.key.lower() == name.lower():
            return asset.key, 0
    for asset in sorted(rasters, key=lambda asset: len(asset.bands)):
        for number, band in enumerate(asset.bands):
            if name.lower() in ((band.common_name or "").lower(), (band.name or "").lower()):
                return asset.key, number
    usual = ("red", "green", "blue", "nir")
    if len(rasters) == 1 and not rasters[0].bands and name in usual:
        return rasters[0].key, usual.index(name)
    return None


def _rank(asset: AssetInfo, source: Source | None) -> int:
    """Return 0 for data, 1 for a rendering, 2 for a QA band."""
    if source is not None and asset.key in source.qa_assets and asset.key not in source.bands:
        return 2
    return 1 if "visual" in asset.roles and "data" not in asset.roles else 0


def _named(item: pystac.Item, assets: Mapping[str, AssetInfo], name: str) -> AssetInfo:
    if name not in assets:
        raise AssetNotFound(
            f"Item {item.id!r} has no asset {name!r}; it has: {', '.join(assets) or 'none'}. "
            "Pass assets=[...] to choose others.",
            item_id=item.id,
            asset=name,
        )
    return assets[name]


def _refusals(item: pystac.Item, candidates: Sequence[AssetInfo]) -> Iterator[StacchipError]:
    """Yield the errors of assets whose grid is wrong, or which lie on none."""
    for asset in candidates:
        if asset.problem is not None and not isinstance(asset.problem, MissingMetadata):
            yield attribute(asset.problem, item.id, asset.key)


def _no_grid(item: pystac.Item, candidates: Sequence[AssetInfo]) -> MissingMetadata:
    """Return the error for an item without a known grid."""
    for asset in candidates:
        if isinstance(asset.problem, MissingMetadata):
            return asset.problem
    return MissingMetadata(
        f"Item {item.id!r}: none of {', '.join(asset.key for asset in candidates)} is a GeoTIFF, "
        "so there is no grid. Name other assets.",
        item_id=item.id,
        field="assets",
    )


def _left_its_crs(said: AssetInfo, placed: AssetInfo) -> bool:
    """Return True if a file is in another CRS than its item says."""
    if said.geobox is None or placed.geobox is None:
        return False
    return not same_crs(said.geobox.crs, placed.geobox.crs)


def _check_same_crs(
    item: pystac.Item, said: Mapping[str, AssetInfo], first: AssetInfo, second: AssetInfo
) -> None:
    """Refuse bands in two CRSs if the item says so: neither is the finest, no chip can hold both.

    If only a file says so, the others can be cut, and a warning is enough.
    """
    if first.geobox is None or second.geobox is None:
        return
    if same_crs(first.geobox.crs, second.geobox.crs):
        return
    message = (
        f"Item {item.id!r}: asset {first.key!r} is in {first.geobox.crs}, {second.key!r} in "
        f"{second.geobox.crs}. Choose assets of one CRS with assets=[...]."
    )
    one, other = said[first.key].geobox, said[second.key].geobox
    if one is None or other is None or same_crs(one.crs, other.crs):
        _log.warning("%s", message)
        return
    raise InvalidMetadata(message, item_id=item.id, asset=second.key, field="proj:code")


def _warn_of_finer(item: pystac.Item, chosen: AssetInfo, candidates: Sequence[AssetInfo]) -> None:
    """Say so if bands may be finer than the one chosen: their grid is known to their files only."""
    if chosen.geobox is None:
        return
    pixel = _FINER * pixel_size_m(chosen.geobox)
    unsure = [
        asset.key
        for asset in candidates
        if asset is not chosen
        and not asset.is_checked
        and not (asset.has_own_grid and asset.geobox is not None)
        and (asset.geobox is None if asset.gsd is None else asset.gsd < pixel)
    ]
    if unsure:
        _log.warning(
            "Item %r: %s may have finer pixels than %r, which carries the chip grid: the item does "
            "not say where their pixels lie. To let the files decide, index with their headers or "
            "with open_files=True.",
            item.id,
            ", ".join(map(repr, unsure[:10])) + (" and others" if len(unsure) > 10 else ""),
            chosen.key,
        )
