"""Read many chips, at the speed at which the machine decodes their blocks.

```python
stream = ChipStream("s3://bucket/index", assets=["red", "nir"], order="shuffle", seed=1)
print(stream.explain())
for batch in stream.batches(64):
    train(batch.array, batch.valid)
```

An epoch is planned first, from the index and the headers alone, and then read:

```
stream.py    ChipStream: what a user calls
options.py   its options, checked
planner.py   plans its epochs, by what follows
survey.py    opens one item of each kind, to learn how chips lie in blocks
plan/        which chips come, in what order, and which blocks are in memory meanwhile
read/        opens items, loads and decodes blocks ahead, and cuts chips out of them
batch.py     chips of one kind in one array
filling.py   cuts the chips of one pass into batches of their kinds
shards.py    the part of an epoch that one process reads
state.py     a place in an epoch, to be saved
report.py    what was delivered and skipped
explain.py   the cost of an epoch, before it is read
mixing.py    how well a shuffle mixes
```

The order of an epoch is decided in `plan` alone. It depends on the chips, `seed`, `epoch` and
`open_areas`, and neither on time nor on the number of processes, which share it out.

If a chip cannot be read, `read/loading.py` keeps the error of the block, `read/reading.py` adds
item and asset when the chip is cut, and `ChipStream` raises it. With `errors="skip"` it leaves the
chip out and counts it in `report`; an epoch logs one warning for each cause (an item or asset, and
a kind of error), and the count at its end. If an item cannot be opened, this happens to each of its
chips. An error that no file or store explains (out of memory) always ends the stream.

This folder imports from `chipper` and the folders before it; `plan` does not import `read`.
"""

from stacchip.stream.batch import ChipBatch, ChipKind
from stacchip.stream.explain import Explanation
from stacchip.stream.mixing import Mixing, measure_mixing
from stacchip.stream.report import Skipped, StreamReport
from stacchip.stream.shards import Shard
from stacchip.stream.stream import ChipStream
from stacchip.stream.survey import KindCount

__all__ = [
    "ChipBatch",
    "ChipKind",
    "ChipStream",
    "Explanation",
    "KindCount",
    "Mixing",
    "Shard",
    "Skipped",
    "StreamReport",
    "measure_mixing",
]
