"""Which chips are for what: splits into training, validation and test.

The files, in reading order:

```
split         `Split`: by cells of the globe, by region, by time, by a column
add_split     a split as a column of an index on disk
split_report  what a split does to an index: chips kept and lost, classes
split_map     a map of a split, as a picture
split_cells   cells dealt out so that each split has its share of every class
class_values  the classes of a column
index_parts   the rows of an index in parts, on disk or in memory
```

The rules themselves are in `stacchip.splits`. What is here reads indexes.
"""

from typing import TYPE_CHECKING

from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.selection.add_split import add_split
    from stacchip.selection.split import Split
    from stacchip.selection.split_report import SplitReport

__all__ = ["Split", "SplitReport", "add_split"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {"add_split": ["add_split"], "split": ["Split"], "split_report": ["SplitReport"]},
    )
