"""Many chips, at the speed at which the machine decodes their blocks.

```python
stream = ChipStream("s3://bucket/index", assets=["red", "nir"], order="shuffle", seed=1)
print(stream.explain())
for batch in stream.batches(64):
    train(batch.array, batch.valid)
```
"""

from stacchip.stream.batch import ChipBatch, ChipKind
from stacchip.stream.explain import Explanation
from stacchip.stream.mixing import Mixing, measure_mixing
from stacchip.stream.report import Skipped, StreamReport
from stacchip.stream.shards import Shard
from stacchip.stream.stream import ChipStream

__all__ = [
    "ChipBatch",
    "ChipKind",
    "ChipStream",
    "Explanation",
    "Mixing",
    "Shard",
    "Skipped",
    "StreamReport",
    "measure_mixing",
]
