"""scikit-learn 1.9.1: `GroupShuffleSplit` by item, once for the test split, once for the others."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from sklearn.model_selection import GroupShuffleSplit

from benchmarks.contender import Task, answer


def assign(path: str, out: str, fractions: list[float], seed: int) -> None:
    """Write the number of each chip's split: 0 for training, 1 for validation, 2 for testing."""
    items = pq.read_table(path, columns=["item_id"])["item_id"].to_numpy()
    train, val, test = fractions
    known, tested = _split(items, test, seed)
    _, validated = _split(items[known], val / (train + val), seed)
    codes = np.zeros(len(items), np.int8)
    codes[known[validated]] = 1
    codes[tested] = 2
    np.save(out, codes)


def _split(items: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    (parts,) = splitter.split(items, groups=items)
    return parts


TASKS: dict[str, Task] = {"assign": assign}

if __name__ == "__main__":
    answer(TASKS)
