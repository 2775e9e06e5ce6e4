"""torch 2.14.1: `WeightedRandomSampler`, which draws chips by weight for a DataLoader."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import WeightedRandomSampler

from benchmarks.contender import Task, answer


def draw(weights: int, draws: int) -> dict[str, Any]:
    """Draw from so many equal weights; return how many were drawn, and torch's error if any."""
    sampler = WeightedRandomSampler(torch.ones(weights, dtype=torch.float64), draws)
    try:
        return {"drawn": len(list(sampler)), "failure": ""}
    except RuntimeError as error:
        return {"drawn": 0, "failure": str(error)}


TASKS: dict[str, Task] = {"draw": draw}

if __name__ == "__main__":
    answer(TASKS)
