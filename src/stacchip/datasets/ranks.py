"""Ranks: which part of the chips is for this process, among those that train together.

`torch.distributed` says so as soon as its process group is initialized, which may be after the
dataset was made (Lightning does it in `fit`). So the rank is looked up when a pass begins. A worker
of a loader has no process group; its parent tells it the rank.

The variables `RANK` and `WORLD_SIZE` do not count. A launcher sets them for every program that it
starts, also for processes that never meet, each of which should read all chips.

Accelerate shares chips out by itself in a loader that it has prepared: among processes that each
read all (`IterableDatasetShard`), or from the first process to the others (`DataLoaderDispatcher`).
There the dataset must give all chips, or each process would get a part of its part.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import distributed
from torch.utils.data import get_worker_info

from stacchip.datasets.loader import list_callers
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

_log = logging.getLogger(__name__)

_DISPATCHER: Final = ("accelerate.data_loader", "DataLoaderDispatcher")
_SHARDS: Final = {
    ("accelerate.data_loader", "IterableDatasetShard"),
    ("transformers.trainer_pt_utils", "IterableDatasetShard"),
}
_REMEDY: Final = (
    "Leave the loader out of accelerator.prepare(...): the dataset shares its chips out by itself. "
    "Move its batches with batch['pixels'].to(accelerator.device)."
)


class Rank(NamedTuple):
    """A process among those that train together.

    Attributes:
        number: Its number, from 0 on.
        world_size: Number of those processes.
        is_dispatched: True if the process reads for all, and another library sends the chips on.
    """

    number: int = 0
    world_size: int = 1
    is_dispatched: bool = False


def find_rank(stated: Rank, told: Rank | None) -> Rank:
    """Return the rank of this process.

    Args:
        stated: The rank that the user has stated; of one process if none was stated.
        told: The rank of the parent, if this may be a worker of it.

    Raises:
        UsageError: A rank is stated, and Accelerate would share that rank's chips out again.
    """
    callers = [(module, name.split(".")[0]) for module, name in list_callers()]
    is_dispatched = _DISPATCHER in callers
    if is_dispatched or not _SHARDS.isdisjoint(callers):
        if stated.world_size > 1:
            raise UsageError(
                f"The stream has the shard of rank {stated.number} of {stated.world_size}, and "
                f"Accelerate would share its chips out again. {_REMEDY}"
            )
        if not is_dispatched:
            _warn_of_reading_all()
        return Rank(is_dispatched=is_dispatched)
    if stated.world_size > 1:
        return stated
    if distributed.is_available() and distributed.is_initialized():
        return Rank(distributed.get_rank(), distributed.get_world_size())
    return told or Rank() if get_worker_info() is not None else Rank()


@cache
def _warn_of_reading_all() -> None:
    _log.warning("Each process reads the chips of all processes, and drops most. %s", _REMEDY)


def require_tensors(sample: Any) -> None:
    """Refuse a sample that Accelerate cannot send from process to process.

    Raises:
        UsageError: It has values that are no tensors or numbers.
    """
    if not isinstance(sample, dict):
        return
    others = [name for name, value in sample.items() if not _can_be_sent(value)]
    if others:
        raise UsageError(
            f"Accelerate sends samples to other processes, and cannot send {', '.join(others)}: "
            "give the dataset a transform that leaves them out. Or better: " + _REMEDY
        )


def _can_be_sent(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_can_be_sent(each) for each in value)
    return isinstance(value, torch.Tensor | int | float)
