"""Which chips are for what: splits into training, validation and test.

The files, in reading order:

```
split         `Split`: by cells of the globe, by region, by time, by a column
adding        a split as a column of an index on disk
split_report  what a split does to an index: chips kept and lost, classes
region        areas of any CRS as longitude and latitude
split_map     a map of a split, as a picture
picture       how pictures of splits and draws look
split_cells   cells dealt out so that each split has its share of every class
class_values  the classes of a column
quantiles     exact quantiles of any number of values
index_parts   the rows of an index in parts, on disk or in memory
leakage       `check_leakage`: whether splits are independent
leakage_report  what it found
split_rows    the rows of anything with footprints and a split column
split_survey  a first look at them: which splits there are, and where
coarse_grid   the grid on which that is painted
candidates    footprints that may lie near one of another split, put aside
quads         footprints of four corners, of which most are seen to be apart at once
near_pairs    pairs of them that overlap, or are too near
ellipsoid     areas and distances on the ellipsoid
shared_blocks blocks of files that chips of several splits share
nearest_split how far the chips of a split are from those of another
```

The rules themselves are in `stacchip.splits`. What is here reads indexes.
"""

from typing import TYPE_CHECKING

from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.selection.adding import add_split
    from stacchip.selection.leakage import check_leakage
    from stacchip.selection.leakage_report import LeakageReport
    from stacchip.selection.split import Split
    from stacchip.selection.split_report import SplitReport

__all__ = ["LeakageReport", "Split", "SplitReport", "add_split", "check_leakage"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {
            "adding": ["add_split"],
            "leakage": ["check_leakage"],
            "leakage_report": ["LeakageReport"],
            "split": ["Split"],
            "split_report": ["SplitReport"],
        },
    )
