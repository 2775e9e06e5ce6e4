"""Chips as PyTorch datasets (these need the extra `torch`), sinks and statistics.

```python
stream = ChipStream("s3://bucket/index", assets=["red", "nir"], order="shuffle", dtype="float32")
dataset = ChipStreamDataset(stream, batch_size=64)
loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="forkserver")
for batch in loader:
    train(batch["pixels"])
```

Use `ChipStreamDataset` to train: it reads areas as wholes, and gives each chip once over all ranks
and workers. `ChipDataset` gives any chip by its number, and decodes whole blocks for it.

Where several processes train together and the chips do not divide by their number, some ranks have
one chip more, and those that wait for gradients would wait for ever: give the stream
`Shard(rank, world_size, uneven="pad")` or `"drop"`, or train inside
`torch.nn.parallel.DistributedDataParallel.join`. `DistributedSampler` over a `ChipDataset` pads by
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stacchip.datasets.chip_dataset import ChipDataset
    from stacchip.datasets.labels import Label
    from stacchip.datasets.stream_dataset import ChipStreamDataset

__all__ = ["ChipDataset", "ChipStreamDataset", "Label"]

_HOMES = {"ChipDataset": "chip_dataset", "ChipStreamDataset": "stream_dataset", "Label": "labels"}


def __getattr__(name: str) -> Any:
    """Import PyTorch with what needs it: sinks and statistics do without."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # see above

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
