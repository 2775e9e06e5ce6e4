"""Surfaces: the landscape as a satellite would see it through a clear sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stacchip.demo.landscape.landscape import HEDGED, TRACKED, Ground, Landscape, LandUse
from stacchip.demo.landscape.noise import Field, fractal_noise, smooth_noise, smoothstep
from stacchip.demo.landscape.parcels import spread
from stacchip.demo.landscape.spectra import (
    BARE,
    BUILT,
    COVER,
    COVERS,
    FARMED,
    SEASONS,
    USE,
    USES,
    VIGOUR,
    WATER,
    reflectance_table,
)
from stacchip.demo.landscape.view import Line, View

Covers = NDArray[np.uint8]

FINE_M = 3.0
"""Pixels this wide or narrower show single trees and houses, which settlement.py draws."""


@dataclass(frozen=True)
class Season:
    """The time of year at which the landscape is seen.

    Attributes:
        name: "spring" or "autumn"; it decides which cover each use has.
        snow_line_m: Height above which snow lies.
        sun_azimuth: Degrees east of north.
        sun_elevation: Degrees above the horizon.
    """

    name: str
    snow_line_m: float
    sun_azimuth: float
    sun_elevation: float

    @property
    def sun(self) -> tuple[np.float64, np.float64, np.float64]:
        """The direction of the sun: east and south (of length 1), and the tangent of its height."""
        azimuth, elevation = np.radians([self.sun_azimuth, self.sun_elevation])
        return np.sin(azimuth), -np.cos(azimuth), np.tan(elevation)


@dataclass
class Surface:
    """The ground of a view: two covers in each pixel, and the light on them.

    Attributes:
        view: The grid of pixels.
        main: Number of the cover (`spectra.COVERS`), (y, x).
        over: Number of the cover that hides a part of the main one, (y, x).
        share: The share that is hidden, 0 to 1, (y, x).
        light: Brightness of the light, 1 on level ground, (y, x).
        vigour: How well plants grow, 0 on average, (y, x).
    """

    view: View
    main: Covers
    over: Covers
    share: Field
    light: Field
    vigour: Field

    def lay(self, cover: str, share: Field) -> None:
        """Put a cover over the ground; `share` is the part of each pixel that it hides, (y, x)."""
        laid = share > 0.03
        hidden = laid & (self.share > 0.5)
        np.copyto(self.main, self.over, where=hidden)
        np.copyto(self.over, np.uint8(COVER[cover]), where=laid)
        np.copyto(self.share, share, where=laid)

    def dominant(self) -> Covers:
        """Return the cover that fills most of each pixel, (y, x)."""
        return np.where(self.share > 0.5, self.over, self.main)

    def reflect(self, band: str) -> Field:
        """Return the reflectance in one band, 0 to 1 (more on sunlit snow), (y, x)."""
        table = reflectance_table(band)
        result = table[self.main]
        result += (table[self.over] - result) * self.share
        result *= self.light
        result += self.vigour * np.float32(VIGOUR[band]) * result
        return _soften(result)


def _soften(values: Field) -> Field:
    """Soften edges in place as optics do: a little of each pixel goes to its neighbours."""
    spill = values * np.float32(0.15)
    values *= np.float32(0.7)
    values[1:] += spill[:-1]
    values[:-1] += spill[1:]
    values[[0, -1]] += spill[[0, -1]]
    np.multiply(values, np.float32(0.15), out=spill)
    values *= np.float32(0.7)
    values[:, 1:] += spill[:, :-1]
    values[:, :-1] += spill[:, 1:]
    values[:, [0, -1]] += spill[:, [0, -1]]
    return values


def look(landscape: Landscape, view: View, season: Season, rng: np.random.Generator) -> Surface:
    """Return the surface of a view in a season; `rng` adds detail finer than `CELL_M`."""
    ground, use = landscape.ground, landscape.land_use
    grain = smooth_noise(rng, view.shape, 2.2) + smooth_noise(rng, view.shape, 5)
    patch = fractal_noise(rng, view.shape, 240 / view.pixel_m, 4, 0.65)
    height = view.resample(ground.height)
    down, right = np.gradient(height + patch * np.clip(height * 0.006, 0, 2.5), view.pixel_m)
    slope = np.hypot(down, right)
    surface = Surface(
        view=view,
        main=_grow_wild(ground, view, height, slope, patch),
        over=np.zeros(view.shape, np.uint8),
        share=np.zeros(view.shape, np.float32),
        light=_light_slopes(down, right, season),
        vigour=np.float32(0.55) * view.resample(ground.mood) + np.float32(0.35) * patch,
    )
    _work_parcels(surface, use, season, rng)
    if view.pixel_m > FINE_M:
        _plant_trees(surface, landscape, rng)
        _mix_gardens(surface, grain)
    _pave(surface, use)
    _flood(surface, ground, patch)
    _drop_snow(surface, height, slope, patch, season)
    _roughen(surface, grain if view.pixel_m > FINE_M else np.float32(0.5) * grain)
    return surface


def _grow_wild(ground: Ground, view: View, height: Field, slope: Field, patch: Field) -> Covers:
    """Return the cover that grows without people, by height, slope and chance."""
    wooded = view.resample(ground.woodland) + np.float32(0.35) * patch
    cover = np.full(view.shape, COVER["scrub"], np.uint8)
    height = height + np.float32(60) * patch
    valley = (slope < 0.10) & (height > 150)
    layers = (
        ("meadow", (wooded < -0.8) & (height < 900)),
        ("broadleaf", (wooded > -0.5) & (height < 450)),
        ("conifer", (wooded > -1.5 + height / 2500) & (height > 380)),
        ("conifer", (wooded > 0.9) & (height <= 380)),
        ("meadow", valley & (wooded < 0.6) & (height < 900)),
        ("alpine turf", height > 1180 + 90 * wooded),
        ("rock", (height > 1420 + 90 * wooded) | ((slope > 0.9) & (height > 700))),
    )
    for name, chosen in layers:
        np.copyto(cover, np.uint8(COVER[name]), where=chosen)
    return cover


def _light_slopes(down: Field, right: Field, season: Season) -> Field:
    """Return the light of sun and sky on each slope; 1 on level ground.

    Slopes count 1.6 times as steep as they are, because the wide cells of the landscape flatten the
    steepest ones.
    """
    east, south, rise = season.sun
    across, along = np.float32(1.6 * east / rise), np.float32(1.6 * south / rise)
    facing = (1 - right * across - down * along) / np.sqrt(1 + down * down + right * right)
    light = np.float32(0.15) + np.float32(0.85) * np.clip(facing, 0.05, 1.8)
    return light.astype(np.float32, copy=False)


def _work_parcels(surface: Surface, use: LandUse, season: Season, rng: np.random.Generator) -> None:
    """Give each parcel the cover of its use, its own tone and vigour, and furrows if farmed."""
    view = surface.view
    drawn = np.flatnonzero(use.parcels.seen_in(view) & (use.use != USE["natural"]))
    place = view.draw_areas(use.parcels.rings[parcel] for parcel in drawn)
    covers = np.array(
        [COVER[by_season[SEASONS.index(season.name)]] for by_season in USES.values()], np.uint8
    )
    cover = spread(covers[use.use[drawn]], place)
    np.copyto(surface.main, cover.astype(np.uint8), where=place > 0)
    surface.vigour += spread(use.vigour[drawn], place)
    surface.light *= spread(use.tone[drawn], place, outside=1)
    ploughed = FARMED[use.use[drawn]] / 9.0  # a strip of 9 m, the width of a machine
    angle = use.parcels.angle[drawn]
    across_x = spread(-np.sin(angle) * ploughed, place)
    across_y = spread(np.cos(angle) * ploughed, place)
    across_x *= np.arange(view.shape[1], dtype=np.float32) * np.float32(view.pixel_m)
    across_y *= (np.arange(view.shape[0], dtype=np.float32) * np.float32(view.pixel_m))[:, None]
    strip = (across_x + across_y).astype(np.int32)
    strip &= 1023
    surface.light *= rng.normal(1, 0.035, 1024).astype(np.float32)[strip]


def _plant_trees(surface: Surface, landscape: Landscape, rng: np.random.Generator) -> None:
    """Plant trees along rivers and hedges between fields."""
    view, use = surface.view, landscape.land_use
    clumps = smooth_noise(rng, view.shape, 90 / view.pixel_m)
    banks = view.draw_lines(landscape.ground.rivers, fineness=1, extra_m=70)
    surface.lay("broadleaf", banks * (clumps > -0.2))
    rings = use.parcels.rings
    fields = use.parcels.seen_in(view) & FARMED[use.use]
    hedges = [Line(rings[parcel], 9.0) for parcel in np.flatnonzero(fields & (use.edge < HEDGED))]
    surface.lay("broadleaf", view.draw_lines(hedges) * np.clip(0.8 + 0.5 * clumps, 0, 1))


def _mix_gardens(surface: Surface, grain: Field) -> None:
    """Mix roofs and gardens, which a satellite sees as speckle."""
    town = _is_one_of("houses", "old town")[surface.main]
    surface.lay("concrete", town * np.clip(0.45 * grain - 0.1, 0, 0.8))
    surface.lay("broadleaf", town * np.clip(-0.5 * grain - 0.2, 0, 0.8))


def _pave(surface: Surface, use: LandUse) -> None:
    """Pave tracks between fields, streets and roads."""
    view, rings = surface.view, use.parcels.rings
    seen = use.parcels.seen_in(view)
    tracks = np.flatnonzero(seen & FARMED[use.use] & (use.edge > TRACKED))
    surface.lay("gravel", view.draw_lines([Line(rings[parcel][:3], 5.0) for parcel in tracks]))
    streets = [Line(rings[parcel], 9.0) for parcel in np.flatnonzero(seen & BUILT[use.use])]
    surface.lay("asphalt", view.draw_lines([*streets, *use.roads]))


def _is_one_of(*covers: str) -> NDArray[np.bool_]:
    return np.isin(COVERS, covers)


def _flood(surface: Surface, ground: Ground, patch: Field) -> None:
    """Lay rivers, the lake, the sea and its beach."""
    view = surface.view
    surface.lay("river water", view.draw_lines(ground.rivers))
    lake = view.resample(ground.lake) + np.float32(0.6) * patch
    surface.lay("sand", smoothstep(-3, -1.5, lake))
    surface.lay("river water", smoothstep(-1, 0, lake))
    surface.lay("deep water", smoothstep(2, 14, lake))
    coast = view.resample(ground.coast) + np.float32(16) * patch
    surface.lay("marsh", smoothstep(90, 50, coast))
    surface.lay("sand", smoothstep(65, 45, coast))
    surface.lay("shallows", smoothstep(8, -8, coast))
    surface.lay("deep water", smoothstep(-60, -1500, coast))


def _drop_snow(surface: Surface, height: Field, slope: Field, patch: Field, season: Season) -> None:
    """Lay snow above the snow line, less of it on steep slopes."""
    edge = height + 70 * patch - 260 * slope
    surface.lay("snow", smoothstep(season.snow_line_m - 90, season.snow_line_m + 110, edge))


def _roughen(surface: Surface, grain: Field) -> None:
    """Give each cover its grain; water is level, and only plants have vigour."""
    cover = surface.dominant()
    surface.light *= 1 + _GRAIN[cover] * grain
    np.copyto(surface.light, 1 + np.float32(0.02) * grain, where=_is_one_of(*WATER)[cover])
    surface.vigour *= np.where(_is_one_of(*BARE, *WATER), 0.12, 1).astype(np.float32)[cover]


_ROUGH = {"conifer": 0.11, "broadleaf": 0.09, "autumn wood": 0.1, "young wood": 0.07,
          "scrub": 0.06, "rock": 0.09, "houses": 0.16, "old town": 0.16, "concrete": 0.2,
          "clearing": 0.08, "snow": 0.02, "alpine turf": 0.06}  # fmt: skip
_GRAIN = np.array([_ROUGH.get(name, 0.025) for name in COVERS], np.float32)
