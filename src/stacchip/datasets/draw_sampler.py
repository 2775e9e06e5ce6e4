"""`DrawSampler`: which chips of a `ChipDataset` an epoch takes, and in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.utils.data import Sampler

from stacchip.datasets.ranks import Rank, find_rank
from stacchip.stream import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacchip.datasets.chip_dataset import ChipDataset
    from stacchip.draws import Draw, Mix
    from stacchip.stream import ChipStream
    from stacchip.stream.plan.epoch_order import Order


class DrawSampler(Sampler[int]):
    """Gives a loader of a `ChipDataset` the numbers of the chips that an epoch draws.

    It takes the place of PyTorch's `WeightedRandomSampler` and `DistributedSampler` together: all
    ranks draw the same chips and share them out. Each pass is the next epoch. What is drawn is what
    `ChipStreamDataset` draws for the same seed and epoch.

    Args:
        dataset: The data set.
        draw: What an epoch takes; None for each chip once.
        seed: Seed of the draw and of the shuffle.
        epoch: Epoch of the first pass.
        order: `"shuffle"`, `"blocks"` or `"index"`, as for `ChipStream`. Neighbours in the order
            share blocks, so that batches of a shuffle, too, decode fewer blocks than chance.
        shard: This rank; by default that of `torch.distributed`, if it is initialized when a pass
            begins.

    Raises:
        UsageError: The chips cannot be drawn so.

    Example:
        >>> from stacchip.draws import Draw
        >>> from stacchip.datasets import ChipDataset
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> dataset = ChipDataset(NoStatsChipIndexer(item))
        >>> len(DrawSampler(dataset, Draw(weight="chip_index_x", chips=6)))
        6
    """

    def __init__(
        self,
        dataset: ChipDataset,
        draw: Draw | Mix | None = None,
        *,
        seed: int = 0,
        epoch: int = 0,
        order: Order = "shuffle",
        shard: Shard | None = None,
    ) -> None:
        self._stream = dataset.stream.with_draw(draw, order=order, seed=seed)
        self._shard = shard or Shard()
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be an epoch; the passes after it are the epochs after it."""
        self._epoch = int(epoch)

    def __len__(self) -> int:
        """Return the number of chips that this rank gets."""
        return len(self._open(self._epoch))

    def __iter__(self) -> Iterator[int]:
        stream = self._open(self._epoch)
        self._epoch += 1
        return stream.places_in_order()

    def _open(self, epoch: int) -> ChipStream:
        shard = self._shard
        rank = find_rank(Rank(shard.rank, shard.world_size), None)
        own = Shard(rank.number, rank.world_size, uneven=shard.uneven)
        stream = self._stream.with_shard(own)
        stream.set_epoch(epoch)
        return stream
