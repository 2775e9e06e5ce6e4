"""Things that stand on the ground: trees, roofs, cars, and the shadows that they cast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stacchip.demo.landscape.noise import Field, blur, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.demo.landscape.surface import Season
    from stacchip.demo.landscape.view import Points, View

PAINTS: dict[str, tuple[float, float, float, float]] = {
    # reflectance in red, green, blue and near infrared
    "ground": (0.0, 0.0, 0.0, 0.0),
    "tree 1": (0.052, 0.082, 0.042, 0.42),
    "tree 2": (0.066, 0.094, 0.046, 0.46),
    "tree 3": (0.040, 0.066, 0.036, 0.34),
    "tree 4": (0.084, 0.102, 0.050, 0.44),
    "conifer 1": (0.032, 0.052, 0.034, 0.26),
    "conifer 2": (0.040, 0.060, 0.038, 0.29),
    "grey roof": (0.165, 0.165, 0.160, 0.19),
    "dark roof": (0.095, 0.095, 0.098, 0.12),
    "brown roof": (0.170, 0.135, 0.110, 0.21),
    "red roof": (0.235, 0.140, 0.105, 0.27),
    "tan roof": (0.260, 0.235, 0.195, 0.30),
    "metal roof": (0.300, 0.304, 0.310, 0.30),
    "white car": (0.480, 0.480, 0.480, 0.45),
    "dark car": (0.050, 0.052, 0.058, 0.06),
    "red car": (0.300, 0.080, 0.070, 0.30),
    "pool": (0.110, 0.300, 0.360, 0.03),
    "drive": (0.235, 0.225, 0.205, 0.27),
}
PAINT = {name: number for number, name in enumerate(PAINTS)}

_LARGEST = 14
_VARIANTS = 6


@dataclass(frozen=True)
class Standing:
    """The things that stand on the ground of a view.

    Attributes:
        view: The grid of pixels.
        height: Metres above the ground, (y, x).
        paint: Number of the paint (`PAINTS`), 0 for bare ground, (y, x).
        crowns: Shapes of trees, by radius in pixels, from 2.
    """

    view: View
    height: Field
    paint: NDArray[np.uint8]
    crowns: list[list[Field]]

    def put(self, row: int, col: int, top: Field, paint: int) -> None:
        """Put a shape down with its corner at a pixel; higher things that stand there stay."""
        rows, cols = self.view.shape
        high, low = max(row, 0), min(row + top.shape[0], rows)
        left, right = max(col, 0), min(col + top.shape[1], cols)
        if high >= low or left >= right:
            return
        part = top[high - row : low - row, left - col : right - col]
        here = np.s_[high:low, left:right]
        higher = part > self.height[here]
        np.copyto(self.height[here], part, where=higher)
        np.copyto(self.paint[here], np.uint8(paint), where=higher)

    def clear(self, chosen: NDArray[np.bool_]) -> None:
        """Take away everything that stands in the chosen pixels, (y, x), as in water."""
        self.height[chosen] = 0
        self.paint[chosen] = 0

    def put_box(
        self, centre: Points, half_m: tuple[float, float], angle: float, paint: int,
        *, wall_m: float, ridge_m: float = 0.0,
    ) -> None:  # fmt: skip
        """Put a box down, with a gable roof if `ridge_m` is above 0.

        Args:
            centre: Metres east and south, (2,).
            half_m: Half the length and half the width, in metres.
            angle: Direction of the length, radians from east to south.
            paint: Number of its paint.
            wall_m: Height of the walls.
            ridge_m: Height of the ridge above them.
        """
        pixel_m = self.view.pixel_m
        reach = int(np.hypot(*half_m) / pixel_m) + 2
        middle = self.view.to_pixels(centre)
        col, row = int(middle[0]) - reach, int(middle[1]) - reach
        steps = np.arange(2 * reach + 1) + 0.5
        x = (steps[None, :] + col - middle[0]) * pixel_m
        y = (steps[:, None] + row - middle[1]) * pixel_m
        ahead = np.abs(x * np.cos(angle) + y * np.sin(angle))
        aside = np.abs(y * np.cos(angle) - x * np.sin(angle))
        roof = wall_m + ridge_m * (1 - aside / half_m[1])
        inside = (ahead <= half_m[0]) & (aside <= half_m[1])
        self.put(row, col, np.where(inside, roof, -1).astype(np.float32), paint)

    def plant(
        self, points: Points, radii_m: tuple[float, float], paints: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        """Plant a tree, a bumpy dome, at each point: its radius lies between the two radii."""
        radius_m = rng.uniform(*radii_m, len(points))
        chosen = rng.choice(paints, len(points)).tolist()
        pixels = np.floor(self.view.to_pixels(points)).astype(int)
        sizes = np.clip(np.round(radius_m / self.view.pixel_m).astype(int), 2, _LARGEST)
        for number, ((col, row), size) in enumerate(
            zip(pixels.tolist(), sizes.tolist(), strict=True)
        ):
            crown = self.crowns[size - 2][number % _VARIANTS]
            self.put(row - size, col - size, crown, chosen[number])


def clear_ground(view: View, rng: np.random.Generator) -> Standing:
    """Return an empty view, with new shapes of trees."""
    crowns = [
        [_grow_crown(size, view.pixel_m, rng) for _ in range(_VARIANTS)]
        for size in range(2, _LARGEST + 1)
    ]
    nothing = np.zeros(view.shape, np.float32)
    return Standing(view, nothing, np.zeros(view.shape, np.uint8), crowns)


def _grow_crown(size: int, pixel_m: float, rng: np.random.Generator) -> Field:
    """Return the height in metres of a tree of this radius in pixels; -1 around it."""
    steps = np.arange(-size, size + 1)
    angle = np.arctan2(*np.meshgrid(steps, steps))
    lobes = sum(np.cos(k * angle + rng.uniform(0, 6.3)) * 0.22 / k for k in (2, 3, 5))
    far = np.hypot(*np.meshgrid(steps, steps)) / size * (1 + lobes)
    dome = 1.2 + 0.55 * np.sqrt(np.clip(1 - far**2, 0, 1))
    bumps = 0.11 * smooth_noise(rng, far.shape, 3.0)
    return np.where(far < 1, (dome + bumps) * size * pixel_m, -1).astype(np.float32)


def shine(standing: Standing, season: Season) -> Field:
    """Return the brightness of things and of the ground in their shadow; 1 on open ground."""
    view, height = standing.view, standing.height
    east, south, rise = season.sun
    down, right = np.gradient(blur(height, 1, passes=1), view.pixel_m)
    down, right = np.clip(down, -2.2, 2.2), np.clip(right, -2.2, 2.2)
    facing = 1 - (right * np.float32(east) + down * np.float32(south)) / rise
    facing /= np.sqrt(1 + down * down + right * right)
    light = np.float32(0.30) + np.float32(0.70) * np.clip(facing, 0, 1.6)
    shadow = blur(_cast_shadows(height, view.pixel_m, season), 1, passes=1)
    result: Field = light * (1 - np.float32(0.62) * shadow)
    return result


def _cast_shadows(height: Field, pixel_m: float, season: Season) -> Field:
    """Return 1 if something between a pixel and the sun is higher than the ray, else 0, (y, x)."""
    east, south, rise = season.sun
    steps = int(float(height.max()) / rise / pixel_m) + 1
    rows, cols = height.shape
    padded = np.pad(height, steps + 1)
    shaded = np.zeros(height.shape, bool)
    for step in range(1, steps + 1):
        row, col = round(step * south) + steps + 1, round(step * east) + steps + 1
        ray_m = np.float32(step * pixel_m * rise + 0.4)
        shaded |= padded[row : row + rows, col : col + cols] > height + ray_m
    return shaded.astype(np.float32)
