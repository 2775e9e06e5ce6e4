"""The reason why an item has no chip in an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.index import ChipGrid


def explain_no_chips(grid: ChipGrid, shares: Mapping[str, Any], max_nodata: float) -> str:
    """Return why an item has no chip, and how to get some, as the end of a sentence.

    Args:
        grid: The item's chips.
        shares: Their shares, 0..1, by share name; at least nodata if it decided.
        max_nodata: The largest share of nodata that a chip may have, 0..1.

    Example:
        >>> from affine import Affine
        >>> from stacchip.grid.chip_grid import ChipGrid
        >>> from stacchip.grid.geobox import make_geobox
        >>> geobox = make_geobox("EPSG:32633", Affine(1, 0, 0, 0, -1, 100), (100, 200))
        >>> explain_no_chips(ChipGrid(geobox, 256), {}, 0.5)
        'its 100 x 200 pixels are fewer than a chip of 256 x 256: edge="pad" (--pad) fills them up'
        >>> explain_no_chips(ChipGrid(geobox, 100), {"nodata": np.array([[0.75, 1]])}, 0.5)
        'each chip has more nodata than 0.5, the least 0.75: raise max_nodata (--max-nodata)'
    """
    height, width = grid.shape
    if not grid.size:
        side = grid.chip_size
        return (
            f"its {height} x {width} pixels are fewer than a chip of {side} x {side}: "
            'edge="pad" (--pad) fills them up'
        )
    least = float(np.nanmin(shares["nodata"]))
    if least == 1:
        return "all its pixels are nodata"
    return (
        f"each chip has more nodata than {max_nodata:g}, the least {least:.3g}: "
        "raise max_nodata (--max-nodata)"
    )
