"""The chips of an index that a run leaves out, counted by the limit that they fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from stacchip.index import Selection, conform, scan_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from stacchip.cubes.imagery import Imagery
    from stacchip.index import Filters
    from stacchip.storage import Storage

_COLUMNS: Final = (
    *("platform", "chip_size", "bbox"),
    *("nodata_percentage", "cloud_cover_percentage"),
)


@dataclass(frozen=True)
class ChipCount:
    """The chips of a platform in an index: how many are there, and how many are left out.

    A chip is counted once, for the first limit that it fails.

    Attributes:
        there: Number of the platform's chips.
        left_out: Number of chips left out, by reason: `chip_size` (they have another size),
            `nodata_unmeasured`, `max_nodata`, `cloud_unmeasured`, `max_cloud`, `no_place` (they lie
            beyond the edge of the Earth). A reason without chips is not among them.
    """

    there: int
    left_out: Mapping[str, int]


def count_left_out(imagery: Imagery, storage: Storage) -> ChipCount:
    """Count the platform's chips, and those that a run leaves out.

    It reads the columns that limits are put to, one row group at a time, and no others.

    Args:
        imagery: The chips, and the limits.
        storage: Reads the index.
    """
    there = 0
    left_out: Counter[str] = Counter()
    for rows in _parts(imagery, storage):
        there += rows.num_rows
        kept = rows
        for reason, condition in _conditions(imagery):
            before, kept = kept.num_rows, kept.filter(condition)
            left_out[reason] += before - kept.num_rows
    return ChipCount(there, {reason: count for reason, count in left_out.items() if count})


def _parts(imagery: Imagery, storage: Storage) -> Iterable[pa.Table]:
    """Return the platform's rows in parts."""
    if imagery.has_path:
        names = list(_COLUMNS)
        return scan_index(imagery.index, columns=names, storage=storage, platform=imagery.platform)
    return [Selection(platform=imagery.platform).apply(conform(imagery.index))]


def _conditions(imagery: Imagery) -> Iterator[tuple[str, pc.Expression]]:
    """Yield the conditions that a chip must meet, each with the reason if it does not."""
    limits: dict[str, Filters] = {
        "chip_size": {"chip_size": imagery.chip_size},
        # no share is above 1, so only chips without one fail
        "nodata_unmeasured": {"max_nodata": None if imagery.max_nodata is None else 1.0},
        "max_nodata": {"max_nodata": imagery.max_nodata},
        "cloud_unmeasured": {"max_cloud": None if imagery.max_cloud is None else 1.0},
        "max_cloud": {"max_cloud": imagery.max_cloud},
    }
    for reason, limit in limits.items():
        condition = Selection.of({**limit, "unmeasured": imagery.unmeasured}).expression
        if condition is not None:
            yield reason, condition
    yield "no_place", pc.is_valid(pc.field("bbox"))
