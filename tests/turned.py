"""Transforms of grids that are turned against north."""

from __future__ import annotations

from affine import Affine

from stacchip.grid.transform import compose


def turned(corner: tuple[float, float], degrees: float, *scale: float) -> Affine:
    """Return the transform of pixels that are scaled, then turned, then moved to a corner."""
    return compose(
        Affine.translation(*corner), compose(Affine.rotation(degrees), Affine.scale(*scale))
    )
