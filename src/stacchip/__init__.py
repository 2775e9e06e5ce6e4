"""Satellite and aerial archives as machine-learning chips.

```python
from stacchip.indexer import Indexer
from stacchip.chipper import Chipper

index = Indexer(item).create_index()         # a STAC item to a pyarrow table, one row a chip
chip = Chipper(index).chip(x=23, y=42)       # {"red": array(1, 256, 256), ...}
```
"""
