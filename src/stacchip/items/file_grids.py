"""What the files of an item say of their grids, against what the item says of them.

A file is believed. But where the two agree, to a hundredth of a pixel, the item's geobox stays: an
index is the same, byte for byte, whether its files were looked at or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from stacchip.errors import InvalidMetadata, UnsupportedRaster
from stacchip.grid.geobox import agrees_with, describe_geobox, is_same_grid
from stacchip.raster.location import refuse_no_grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from affine import Affine

    from stacchip.grid.geobox import GeoBox
    from stacchip.items.assets import AssetInfo


class FileGrid(Protocol):
    """What a file says of its grid: a header or a reader of `stacchip.raster`."""

    @property
    def geobox(self) -> GeoBox | None:
        """CRS, transform and shape, or None if the file lacks a CRS or a transform."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    def crs(self) -> str | None:
        """Its CRS, which it may have without a transform."""

    @property
    def transform(self) -> Affine | None:
        """Its transform, which it may have without a CRS."""

    @property
    def why_no_grid(self) -> str | None:
        """What locates its pixels in place of a grid, such as "9 ground control points"."""


@dataclass(frozen=True)
class GridDifference:
    """A file whose pixels lie elsewhere than its item says; the file was believed.

    Attributes:
        item_id: The item.
        asset: Key of the asset.
        in_item: What the item says: CRS, shape and transform.
        in_file: What the file's header says.
    """

    item_id: str
    asset: str
    in_item: str
    in_file: str

    def __str__(self) -> str:
        return (
            f"Item {self.item_id!r} says of asset {self.asset!r}: {self.in_item}; "
            f"its file says: {self.in_file}. The file is believed."
        )


def place_by_files(
    assets: Mapping[str, AssetInfo], files: Mapping[str, FileGrid]
) -> dict[str, AssetInfo]:
    """Return assets with the grids of their files, as far as these are known.

    An asset whose file was looked at is `is_checked`. A file without a CRS or a transform lies
    where the item says, if it does not contradict that. One located by control points or the like
    has no grid, whatever the item says.

    Args:
        assets: The result of `read_assets`.
        files: Headers or readers of files, by asset key; any part of the assets.

    Example:
        >>> from affine import Affine
        >>> from types import SimpleNamespace
        >>> from stacchip.grid.geobox import make_geobox
        >>> from stacchip.items import AssetInfo
        >>> geobox = make_geobox("EPSG:32629", Affine(15, 0, 6e5, 0, -15, 4e6), (200, 200))
        >>> file = SimpleNamespace(geobox=geobox)
        >>> pan = place_by_files({"pan": AssetInfo("pan", "pan.tif")}, {"pan": file})["pan"]
        >>> pan.geobox.resolution.x, pan.is_checked
        (15.0, True)
    """
    return {key: _place(info, files[key]) if key in files else info for key, info in assets.items()}


def forgive(assets: Mapping[str, AssetInfo]) -> dict[str, AssetInfo]:
    """Return assets without what is impossible in their item: it counts as saying nothing there.

    Example:
        >>> from stacchip.items import AssetInfo
        >>> wrong = AssetInfo("red", "red.tif", problem=InvalidMetadata("Its shape is 0."))
        >>> forgive({"red": wrong})["red"].problem is None
        True
    """
    return {
        key: replace(info, problem=None) if isinstance(info.problem, InvalidMetadata) else info
        for key, info in assets.items()
    }


def _place(info: AssetInfo, file: FileGrid) -> AssetInfo:
    try:
        actual = file.geobox
        refuse_no_grid(info.href, None if actual else file.why_no_grid)
    except UnsupportedRaster as error:
        return replace(info, geobox=None, problem=error.with_traceback(None), is_checked=True)
    claimed = info.geobox
    if actual is not None:
        is_right = claimed is not None and is_same_grid(claimed, actual)
        geobox = claimed if is_right else actual
        return replace(info, geobox=geobox, problem=None, is_checked=True)
    if claimed and not agrees_with(claimed, file.shape, file.crs, file.transform):
        problem = InvalidMetadata(
            f"The file of asset {info.key!r} has {tuple(file.shape)} pixels (height, width) and no "
            f"{'transform' if file.crs else 'CRS'}, and contradicts the item, which says "
            f"{describe_geobox(claimed)}. Mend the item, or give the file a CRS and a transform.",
            asset=info.key,
            field="proj:shape",
        )
        return replace(info, geobox=None, problem=problem, is_checked=True)
    return replace(info, is_checked=True)


def find_differences(
    item_id: str, assets: Mapping[str, AssetInfo], files: Mapping[str, FileGrid]
) -> tuple[GridDifference, ...]:
    """Return the files that lie elsewhere than their item says, in the order of the assets.

    A grid that the item gives once for all assets commonly holds for some of them only. It differs
    if it is that of no file, and is then reported for the first.

    Args:
        item_id: The item's id.
        assets: The result of `read_assets`.
        files: Headers or readers of files, by asset key.
    """
    own: list[tuple[AssetInfo, GeoBox]] = []
    shared: list[tuple[AssetInfo, GeoBox]] = []
    for key, info in assets.items():
        actual = _known_geobox(files.get(key))
        if actual is None:
            continue
        kind = own if info.has_own_grid else shared
        kind.append((info, actual))
    if any(info.geobox and _agree(info, actual) for info, actual in shared):
        shared = []
    return tuple(
        GridDifference(item_id, info.key, _describe_claim(info), describe_geobox(actual))
        for info, actual in (*shared[:1], *own)
        if not _agree(info, actual)
    )


def _known_geobox(file: FileGrid | None) -> GeoBox | None:
    """Return a file's geobox; None if it is not known, or if no chip can lie there."""
    try:
        return None if file is None else file.geobox
    except UnsupportedRaster:
        return None


def _agree(info: AssetInfo, actual: GeoBox) -> bool:
    """Return True if an item does not contradict the grid of a file; it may say nothing."""
    if info.geobox is not None:
        return is_same_grid(info.geobox, actual)
    if not isinstance(info.problem, InvalidMetadata):
        return True
    # what contradicts the stated grid, such as the item's bbox, is then wrong, not the grid
    return info.problem.grid == describe_geobox(actual)


def _describe_claim(info: AssetInfo) -> str:
    if info.geobox is not None:
        return describe_geobox(info.geobox)
    stated, field = (getattr(info.problem, name, None) for name in ("grid", "field"))
    return f"{stated}, and contradicts that" if stated else f"the impossible ({field or 'proj:*'})"
