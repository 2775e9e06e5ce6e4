"""A cube whose chips are distinct, and the folder it goes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from stacchip.cubes.sinks import Cube, CubeFolder

CUBE_SIZE = 4
BANDS = ("red", "green")
CHIP_SIZE = 16


def make_cube(number: int, count: int = CUBE_SIZE) -> Cube:
    draw = np.random.default_rng(number)
    start = datetime(2024, 1, 1, 9, 30, tzinfo=UTC)
    table = pa.table(
        {
            "chipid": [f"MOD09GA.A2024.h18v04-{n}-{number}" for n in range(count)],
            "platform": ["somewhere"] * count,
            "item_id": ["MOD09GA.A2024.h18v04"] * count,
            "datetime": pa.array(
                [start + timedelta(days=30 * n, hours=n) for n in range(count)],
                pa.timestamp("us", tz="UTC"),
            ),
            "bbox": [
                {"xmin": n, "ymin": number, "xmax": n + 1.0, "ymax": number + 1.0}
                for n in range(count)
            ],
        }
    )
    shape = (count, len(BANDS), CHIP_SIZE, CHIP_SIZE)
    return Cube(number, draw.integers(0, 4000, shape).astype(np.float32), table)


@pytest.fixture
def folder(tmp_path) -> CubeFolder:
    return CubeFolder(str(tmp_path), "somewhere")
