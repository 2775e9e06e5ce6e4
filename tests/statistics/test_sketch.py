from __future__ import annotations

import math

import numpy as np
import pytest

from stacchip.errors import UsageError
from stacchip.statistics import QuantileSketch

PERCENTS = [0.1, 1, 2, 5, 25, 50, 75, 95, 99, 99.9]


def rank_errors(sketch: QuantileSketch, values: np.ndarray) -> np.ndarray:
    """Return the distance of each percentile's true rank from the wanted one."""
    ordered = np.sort(values)
    found = np.array(sketch.percentile(PERCENTS))
    low = np.searchsorted(ordered, found, "left") / len(values)
    high = np.searchsorted(ordered, found, "right") / len(values)
    wanted = np.array(PERCENTS) / 100
    return np.maximum(np.maximum(low - wanted, wanted - high), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_of_merged_sketches_are_within_the_stated_error(dtype):
    values = np.random.default_rng(0).gamma(0.5, 0.2, 1_000_000).astype(dtype)
    whole = QuantileSketch(dtype)
    for part in np.array_split(values, 20):
        sketch = QuantileSketch(dtype)
        sketch.add(part)
        whole.merge(sketch)
    assert 0 < whole.rank_error < 0.001
    # the stated error covers the worst rank in 99 of 100 cases; twice that leaves no chance
    assert rank_errors(whole, values).max() <= 2 * whole.rank_error


def test_few_values_are_kept_as_they_are():
    sketch = QuantileSketch("float32")
    sketch.add(np.arange(1000, dtype=np.float32))
    assert sketch.rank_error == 0
    assert sketch.percentile([50, 100]) == [499, 999]


def test_a_sketch_survives_the_disk():
    sketch = QuantileSketch("float32")
    sketch.add(np.random.default_rng(0).random(100_000, np.float32))
    again = QuantileSketch.from_bytes("float32", sketch.to_bytes())
    assert again.percentile(PERCENTS) == sketch.percentile(PERCENTS)
    assert again.rank_error == sketch.rank_error


def test_of_nothing_nothing_is_known():
    assert math.isnan(QuantileSketch("float64").percentile([50])[0])


def test_types_do_not_mix():
    with pytest.raises(UsageError, match="float32"):
        QuantileSketch("float32").merge(QuantileSketch("float64"))
