"""The reference band: the asset whose grid carries the chips."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from stacchip.errors import AssetNotFound, InvalidMetadata, MissingMetadata
from stacchip.grid.crs import same_crs
from stacchip.items.assets import AssetInfo, read_assets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pystac

    from stacchip.sources import Source

_log = logging.getLogger(__name__)


def reference_asset(
    item: pystac.Item,
    assets: Mapping[str, AssetInfo] | None = None,
    *,
    names: Sequence[str] | None = None,
    source: Source | None = None,
) -> AssetInfo:
    """Return the asset whose geobox carries the chip grid: the finest band whose grid is known.

    Args:
        item: The item.
        assets: The result of `read_assets(item)`, or a part of it; read if not given.
        names: Choose among these assets only; they may be assets that are left out by default.
        source: Says which asset is the QA band, and the order of use of the bands.

    Raises:
        AssetNotFound: The item lacks an asset of `names`.
        MissingMetadata: No grid is known without opening a file, or there is nothing to chip.
        InvalidMetadata: The metadata contradict each other, or bands differ in CRS.

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
    candidates = reference_candidates(item, assets, names=names, source=source)
    # a QA band whose grid is known does not stand in for bands whose grid is not
    candidates = [a for a in candidates if _rank(a, source) == _rank(candidates[0], source)]
    known = [asset for asset in candidates if asset.geobox is not None]
    if not known:
        problem = next(
            (a.problem for a in candidates if isinstance(a.problem, InvalidMetadata)), None
        )
        raise problem or _no_grid(item, candidates)
    for asset in candidates:
        if isinstance(asset.problem, InvalidMetadata):
            _log.warning("%s (not chosen as reference band)", asset.problem)
    for asset in known[1:]:
        _check_same_crs(item, known[0], asset)
    return known[0]


def reference_candidates(
    item: pystac.Item,
    assets: Mapping[str, AssetInfo] | None = None,
    *,
    names: Sequence[str] | None = None,
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
        chosen = [_named(item, assets, name) for name in names]
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
            if name in (band.common_name, band.name):
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


def _check_same_crs(item: pystac.Item, first: AssetInfo, second: AssetInfo) -> None:
    """Refuse bands in two CRSs: neither is the finest, and no chip can hold both."""
    if first.geobox is None or second.geobox is None:
        return
    if same_crs(first.geobox.crs, second.geobox.crs):
        return
    raise InvalidMetadata(
        f"Item {item.id!r}: asset {first.key!r} is in {first.geobox.crs}, {second.key!r} in "
        f"{second.geobox.crs}. Choose assets of one CRS with assets=[...].",
        item_id=item.id,
        asset=second.key,
        field="proj:code",
    )
