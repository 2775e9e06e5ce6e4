"""Weather: clouds, the shadows that they cast, and cirrus above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape.noise import Field, fractal_noise, resample, smooth_noise, smoothstep
from stacchip.demo.landscape.spectra import BANDS, COVER, reflectance_table

if TYPE_CHECKING:
    from stacchip.demo.landscape.surface import Season
    from stacchip.demo.landscape.view import View

SHADOW_LEFT = dict(
    zip(
        BANDS,
        (0.46, 0.42, 0.36, 0.31, 0.30, 0.29, 0.28, 0.27, 0.26, 0.26, 0.20, 0.18),
        strict=True,
    )
)
"""The share of light that remains in a cloud's shadow, from the sky alone: most in the blue."""


@dataclass(frozen=True)
class Clouds:
    """The amount and the height of clouds.

    Attributes:
        cover: Share of the view that clouds hide, 0 to 1.
        width_m: Approximate width of a group of clouds.
        base_m: Height of the clouds above the ground.
        cirrus: Thickness of the cirrus, 0 to 1.
    """

    cover: float
    width_m: float
    base_m: float
    cirrus: float


@dataclass(frozen=True)
class Sky:
    """The sky between the ground and the satellite, for each pixel of a view, (y, x).

    Attributes:
        cloud: Opacity of the clouds, 0 to 1.
        glow: Brightness of the clouds, 1 on average.
        shadow: Share of the sun that clouds take from the ground, 0 to 1.
        cirrus: Opacity of the cirrus, 0 to 1.
    """

    cloud: Field
    glow: Field
    shadow: Field
    cirrus: Field

    def veil(self, reflectance: Field, band: str) -> Field:
        """Return a surface's reflectance in one band as the satellite sees it through this sky."""
        white = reflectance_table(band)[COVER["cloud"]]
        seen: Field = reflectance * (self.shadow * np.float32(SHADOW_LEFT[band] - 1) + 1)
        seen += (np.float32(0.55) * white - seen) * self.cirrus
        seen += (self.glow * white - seen) * self.cloud
        return seen

    def refine(self, shape: tuple[int, int]) -> Sky:
        """Return the same sky on a finer grid of the same extent."""
        parts = (self.cloud, self.glow, self.shadow, self.cirrus)
        return Sky(*(np.clip(resample(part, shape), 0, 1.5) for part in parts))


def make_sky(view: View, clouds: Clouds, season: Season, rng: np.random.Generator) -> Sky:
    """Make clouds with soft edges, their shadows on the side away from the sun, and cirrus."""
    east, south = shadow_offset_m(clouds.base_m, season)
    step = (round(south / view.pixel_m), round(east / view.pixel_m))
    margin = max(abs(step[0]), abs(step[1]))
    shape = (view.shape[0] + 2 * margin, view.shape[1] + 2 * margin)
    heap = fractal_noise(rng, shape, clouds.width_m / view.pixel_m, 7, 0.66)
    heap += 1.1 * smooth_noise(rng, shape, 12000 / view.pixel_m)
    level = float(np.quantile(heap, 1 - clouds.cover))
    cloud = smoothstep(level - 0.35, level + 0.75, heap)
    inside = np.s_[margin : margin + view.shape[0], margin : margin + view.shape[1]]
    first_row, first_col = margin - step[0], margin - step[1]
    under = np.s_[first_row : first_row + view.shape[0], first_col : first_col + view.shape[1]]
    down, right = np.gradient(np.minimum(heap[inside] - np.float32(level), np.float32(1.2)))
    sunlit = np.hypot(south, east)
    facing = (right * np.float32(-east / sunlit) + down * np.float32(-south / sunlit)) * -1
    glow = np.clip(1 + np.float32(60 / view.pixel_m) * facing + 0.10 * heap[inside], 0.72, 1.25)
    return Sky(
        cloud[inside], glow, smoothstep(0.05, 0.7, cloud[under]), _spin_cirrus(view, clouds, rng)
    )


def shadow_offset_m(base_m: float, season: Season) -> tuple[float, float]:
    """Return how far east and south of a cloud at this height its shadow lies.

    Example:
        >>> from stacchip.demo.landscape.surface import Season
        >>> noon = Season("spring", snow_line_m=1000, sun_azimuth=180, sun_elevation=45)
        >>> east, south = shadow_offset_m(1000, noon)
        >>> round(east), round(south)  # the sun in the south, the shadow in the north
        (0, -1000)
    """
    east, south, rise = season.sun
    return -east * base_m / rise, -south * base_m / rise


def _spin_cirrus(view: View, clouds: Clouds, rng: np.random.Generator) -> Field:
    """Make long thin streaks from east to west."""
    height, width = view.shape
    streaks = fractal_noise(rng, (height, max(width // 3, 8)), 3200 / view.pixel_m, 6, 0.62)
    place = smooth_noise(rng, view.shape, 11000 / view.pixel_m)
    thick = smoothstep(0.9, 3.8, resample(streaks, view.shape) + 1.5 * place)
    return np.float32(clouds.cirrus) * thick
