"""Smooth random fields, which give a landscape variety at every scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def resample(
    field: Field, shape: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Field:
    """Return a part of a field on another grid, interpolated if finer, averaged if coarser.

    Args:
        field: Values, (y, x).
        shape: Height and width of the result.
        box: Left, top, right and bottom edge of the part, in pixels of `field`, which need not
            be whole numbers; the whole field by default.

    Returns:
        float32, of the given shape, by bicubic convolution.

    Example:
        >>> resample(np.ones((4, 4), np.float32), (2, 3)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    part = image.resize(shape[::-1], Image.Resampling.BICUBIC, box=box)
    return np.asarray(part, dtype=np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> Field:
    """Return random hills about `wavelength` pixels wide: mean near 0, deviation near 0.75."""
    cells = [int(np.ceil(size / wavelength)) + 4 for size in shape]
    lattice = rng.standard_normal(cells, dtype=np.float32)
    shift = rng.uniform(1.0, 2.0, size=2)
    height, width = shape[0] / wavelength, shape[1] / wavelength
    box = (shift[1], shift[0], shift[1] + width, shift[0] + height)
    return resample(lattice, shape, box)


def fractal_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    wavelength: float,
    octaves: int,
    gain: float = 0.5,
) -> Field:
    """Return hills upon hills: each octave has half the wavelength and `gain` times the height.

    Args:
        rng: The source of randomness.
        shape: Height and width.
        wavelength: Width of the widest hills, in pixels.
        octaves: Number of sizes of hills.
        gain: Height of each octave, as a share of the one before.

    Returns:
        float32 (y, x), mean near 0, standard deviation near 1.
    """
    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = gain**octave
        total += np.float32(weight) * smooth_noise(rng, shape, wavelength / 2**octave)
        power += (0.75 * weight) ** 2
    return total / np.float32(np.sqrt(power))


def smoothstep(low: float, high: float, values: Field) -> Field:
    """Return 0 up to `low`, 1 from `high`, an S-shaped slope between (`low` may exceed `high`).

    Example:
        >>> smoothstep(0.0, 2.0, np.array([-1.0, 1.0, 3.0], np.float32)).tolist()
        [0.0, 0.5, 1.0]
    """
    slope = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    result: Field = slope * slope * (np.float32(3.0) - np.float32(2.0) * slope)
    return result


def blur(field: Field, radius: int, passes: int = 2) -> Field:
    """Remove detail finer than `radius` pixels by a box average, repeated `passes` times."""
    result = field
    for _ in range(passes):
        for axis in (0, 1):
            result = _running_mean(result, radius, axis)
    return result


def _running_mean(field: Field, radius: int, axis: int) -> Field:
    pad = [(0, 0), (0, 0)]
    pad[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis, dtype=np.float64)
    width = 2 * radius + 1
    length = field.shape[axis]
    ahead = np.take(sums, np.arange(width, width + length), axis=axis)
    behind = np.take(sums, np.arange(length), axis=axis)
    return ((ahead - behind) / width).astype(np.float32)
