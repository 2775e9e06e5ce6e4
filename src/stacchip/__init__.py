"""Satellite and aerial archives as machine-learning chips.

```python
from stacchip import Chipper, Indexer

index = Indexer(item).create_index()         # a STAC item to a pyarrow table, one row a chip
chip = Chipper(index).chip(x=23, y=42)       # {"red": array(1, 256, 256), ...}
```

The names below are loaded when they are first used, so that `import stacchip` takes milliseconds.
The folders are the stages that data flows through, in this order; each imports only from those
before it, and its own docstring introduces it:

```
errors       the tree of errors
runtime      threads, reusable memory, files that appear whole or not at all
grid         where pixels lie: CRSs, geoboxes, windows, chip grids, footprints
storage      bytes at an address: files, HTTP, object stores
parquet      parquet files of anyone, checked before they are read
raster       pixels of a file
sources      kinds of imagery: their QA bands, classes and bands
items        what a STAC item says, and where items are found
splits       rules that say whether a chip is for training, validation or test
index        the table of chips, and its files
indexer      from an item to the rows of its chips; from many items to one index
chipper      from a row to arrays of pixels
selection    which chips are for what: splits, and checks of them
draws        how often an epoch takes each chip: by weights and classes, in mixes of sources
chipstore    chips that were cut once, kept locally
stream       many chips at the speed of decoding: plan, then read
datasets     chips as PyTorch datasets
cubes        chips of several dates as files
statistics   means, deviations and percentiles of bands
collect      from catalogues to an archive
cli          the command line
```

Beside them stand `demo` (a generated archive to try things on), `preview` (pictures of chips),
`utils` (functions of the original stacchip), `moved` (old addresses of modules) and `__main__`
(`python -m stacchip`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from stacchip import moved
from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.chipper import Chip, Chipper
    from stacchip.chipstore import ChipStore
    from stacchip.datasets import ChipDataset, ChipStreamDataset, DrawSampler
    from stacchip.draws import Draw, DrawReport, Mix
    from stacchip.errors import StacchipError
    from stacchip.index import (
        add_column,
        concat_indexes,
        merge_indexes,
        read_index,
        scan_index,
        write_index,
    )
    from stacchip.indexer import (
        ChipIndexer,
        Indexed,
        Indexer,
        NoStatsChipIndexer,
        index_items,
    )
    from stacchip.items import load_items, search_items
    from stacchip.raster.cache import Caches
    from stacchip.selection import LeakageReport, Split, add_split, check_leakage
    from stacchip.sources import Source, find_source, register_source
    from stacchip.storage import Limits, Storage, StorageOptions
    from stacchip.stream import ChipStream, Shard

    __version__: str

__all__ = [
    "Caches",
    "Chip",
    "ChipDataset",
    "ChipIndexer",
    "ChipStore",
    "ChipStream",
    "ChipStreamDataset",
    "Chipper",
    "Draw",
    "DrawReport",
    "DrawSampler",
    "Indexed",
    "Indexer",
    "LeakageReport",
    "Limits",
    "Mix",
    "NoStatsChipIndexer",
    "Shard",
    "Source",
    "Split",
    "StacchipError",
    "Storage",
    "StorageOptions",
    "__version__",
    "add_column",
    "add_split",
    "check_leakage",
    "concat_indexes",
    "find_source",
    "index_items",
    "load_items",
    "merge_indexes",
    "read_index",
    "register_source",
    "scan_index",
    "search_items",
    "write_index",
]

moved.install()

if not TYPE_CHECKING:  # a type checker would take any name for one that is loaded
    _load, __dir__ = offer_lazily(
        __name__,
        {
            "chipper": ["Chip", "Chipper"],
            "chipstore": ["ChipStore"],
            "datasets": ["ChipDataset", "ChipStreamDataset", "DrawSampler"],
            "draws": ["Draw", "DrawReport", "Mix"],
            "errors": ["StacchipError"],
            "index": [
                *("add_column", "concat_indexes", "merge_indexes"),
                *("read_index", "scan_index", "write_index"),
            ],
            "indexer": ["ChipIndexer", "Indexed", "Indexer", "NoStatsChipIndexer", "index_items"],
            "items": ["load_items", "search_items"],
            "raster.cache": ["Caches"],
            "selection": ["LeakageReport", "Split", "add_split", "check_leakage"],
            "sources": ["Source", "find_source", "register_source"],
            "storage": ["Limits", "Storage", "StorageOptions"],
            "stream": ["ChipStream", "Shard"],
        },
    )

    def __getattr__(name: str) -> Any:
        return _find_version() if name == "__version__" else _load(name)


@cache
def _find_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("stacchip")
    except PackageNotFoundError as error:
        raise AttributeError("stacchip is not installed: it has no version") from error
