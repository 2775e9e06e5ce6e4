"""Observations: the ground of a view as a satellite sees it through the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape import Clouds, Field, Season, Sky, Surface, look, make_sky

if TYPE_CHECKING:
    from stacchip.demo.landscape import Landscape, View

_CLOUD_PIXEL_M = 20.0
"""Clouds are drawn on pixels no finer than this: they are soft, and show no more detail."""


@dataclass(frozen=True)
class Observation:
    """The ground, the sky above it and the noise of the detectors, all on one grid.

    Attributes:
        surface: The ground.
        sky: Clouds, their shadows and cirrus.
        grain: Noise, in reflectance, (y, x).
    """

    surface: Surface
    sky: Sky
    grain: Field

    def reflectance(self, band: str, number: int) -> Field:
        """Return the reflectance in one band, (y, x); each band `number` has its own noise."""
        seen = self.sky.veil(self.surface.reflect(band), band)
        seen += np.roll(self.grain, 97 * number, axis=1)
        return seen


def observe(
    landscape: Landscape, view: View, season: Season, clouds: Clouds, rng: np.random.Generator
) -> Observation:
    """Observe a view of the landscape through random clouds."""
    coarse = view.coarsen(max(1, round(_CLOUD_PIXEL_M / view.pixel_m)))
    sky = make_sky(coarse, clouds, season, rng).refine(view.shape)
    surface = look(landscape, view, season, rng)
    grain = rng.standard_normal(view.shape, np.float32) * np.float32(0.0007)
    return Observation(surface, sky, grain)
