"""The two products of affine transforms: a transform of a transform, and of points.

affine 3 writes them with `@` and warns about `*`; affine 2 knows only `*`. Written out, they are
the same numbers under both, without a warning.
"""

from __future__ import annotations

from typing import Any

from affine import Affine


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the transform that applies `inner` first, then `outer`.

    Example:
        >>> grid = Affine(10, 0, 600000, 0, -10, 4000000)
        >>> tuple(compose(grid, Affine.translation(2, 1)))[:6]
        (10.0, 0.0, 600020.0, 0.0, -10.0, 3999990.0)
    """
    a, b, c, d, e, f = outer[:6]
    to_a, to_b, to_c, to_d, to_e, to_f = inner[:6]
    return Affine(
        a * to_a + b * to_d,
        a * to_b + b * to_e,
        a * to_c + b * to_f + c,
        d * to_a + e * to_d,
        d * to_b + e * to_e,
        d * to_c + e * to_f + f,
    )


def map_points(transform: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    """Return (x, y) of points after a transform. They are numbers, or arrays of one shape.

    Example:
        >>> map_points(Affine(10, 0, 600000, 0, -10, 4000000), 2, 1)
        (600020.0, 3999990.0)
    """
    a, b, c, d, e, f = transform[:6]
    return x * a + y * b + c, x * d + y * e + f
