"""Chips as PyTorch datasets; they need the extra `torch`.

```python
stream = ChipStream("s3://bucket/index", assets=["red", "nir"], order="shuffle", dtype="float32")
dataset = ChipStreamDataset(stream, batch_size=64)
loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver")
for batch in loader:
    train(batch["pixels"])
```

Use `ChipStreamDataset` to train: it reads whole areas, and gives each chip once over all ranks
and workers. `ChipDataset` gives any chip by its number, and decodes whole blocks for it.

Each pass over the dataset is the next epoch. `ChipStreamDataset.track` keeps its place, for a
checkpoint.

If several processes train together and the number of chips is not a multiple of their number, some
ranks have one chip more. They would wait forever for the gradients of the others. Give the stream
`Shard(rank, world_size, uneven="pad")` or `"drop"`, or train inside
`torch.nn.parallel.DistributedDataParallel.join`. `DistributedSampler` over a `ChipDataset` pads by
itself.

In reading order:

- `stream_dataset`: `ChipStreamDataset`, shared out among ranks and workers, and resumed
- `ranks`: which part of the chips is for this process
- `epochs`: each pass is the next epoch, in whatever process it is made
- `position`: where a pass begins, and how far its chips have come
- `tracking`: `TrackedLoader`, which keeps the position of what workers give
- `chip_dataset`: `ChipDataset`, any chip by its number
- `draw_sampler`: `DrawSampler`, which numbers of a `ChipDataset` an epoch draws
- `samples`: a batch of chips as a dictionary of tensors
- `labels`: `Label`, a label from a function, a column or an asset
- `loader`: the `DataLoader` that asks a dataset
- `shared_memory`: batches reach the parent process without being copied

`stream` decides the order of the chips; here they only become tensors. A new key of a sample
goes into `samples.to_tensors`, a new kind of label into `labels.Label`. This folder
imports from `stream` and the folders before it, and is the only one that imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.datasets.chip_dataset import ChipDataset
    from stacchip.datasets.draw_sampler import DrawSampler
    from stacchip.datasets.labels import Label
    from stacchip.datasets.stream_dataset import ChipStreamDataset

__all__ = ["ChipDataset", "ChipStreamDataset", "DrawSampler", "Label"]

if not TYPE_CHECKING:  # PyTorch is imported only when a name that needs it is used
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {
            "chip_dataset": ["ChipDataset"],
            "draw_sampler": ["DrawSampler"],
            "labels": ["Label"],
            "stream_dataset": ["ChipStreamDataset"],
        },
        extras={"torch": "torch"},
    )
