"""Bounds in float32, rounded outwards: they take half of the space, and still hold the chip.

A degree in float32 is 1.7 m long at most (2^-16 degrees, at longitudes of 128 to 180), so that a
rounded side lies less than that beyond the true one. 90, 180 and 360 stay as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.grid.footprints import BBOX

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ROUNDED_BBOX", "round_outwards", "rounding_of"]

ROUNDED_BBOX: Final = pa.struct([(side.name, pa.float32()) for side in BBOX])
"""Type of the column `bbox` in the files of an index."""


def round_outwards(bbox: pa.ChunkedArray, kind: pa.DataType = ROUNDED_BBOX) -> pa.ChunkedArray:
    """Return bounds rounded to float32: `xmin` and `ymin` down, `xmax` and `ymax` up.

    Bounds that are rounded already stay to the bit.

    Args:
        bbox: Bounds; null or NaN where a chip has none.
        kind: The type to return them in: `ROUNDED_BBOX`, or `BBOX` for the same numbers in float64.

    Example:
        >>> sides = {"xmin": 0.1, "ymin": 0.5, "xmax": 0.1, "ymax": 90.0}
        >>> round_outwards(pa.chunked_array([[sides]], BBOX), BBOX)[0].as_py()
        {'xmin': 0.09999999403953552, 'ymin': 0.5, 'xmax': 0.10000000149011612, 'ymax': 90.0}
    """
    fields = list(kind)
    chunks = []
    for chunk in bbox.chunks:
        sides = [
            pa.array(_round(pc.struct_field(chunk, side.name), up=side.name.endswith("max")))
            for side in fields
        ]
        values = [side.cast(field.type) for side, field in zip(sides, fields, strict=True)]
        chunks.append(pa.StructArray.from_arrays(values, fields=fields, mask=chunk.is_null()))
    return pa.chunked_array(chunks, kind)


def _round(side: pa.Array, *, up: bool) -> NDArray[np.float32]:
    values: NDArray[Any] = side.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # beyond float32 lies infinity, which is outwards, too
        near = values.astype(np.float32)
        inward = near < values if up else near > values
        near[inward] = np.nextafter(near[inward], np.float32(np.inf if up else -np.inf))
    return near


def rounding_of(side: float) -> float:
    """Return by how much rounding may have moved a side of bounds, in degrees.

    That is nothing for a number which float32 does not hold.

    Example:
        >>> rounding_of(0.1), rounding_of(170.5)
        (0.0, 1.52587890625e-05)
    """
    with np.errstate(over="ignore"):
        near = np.float32(side)
    if not math.isfinite(near) or float(near) != side:
        return 0.0
    return float(np.spacing(np.abs(near)))
