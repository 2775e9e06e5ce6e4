"""The chips of an index that a run leaves out, counted by the limit that they fail."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from stacchip.index import Selection, conform, scan_numbered
from stacchip.index.nulls import may_be_null
from stacchip.runtime.near_names import list_names
from stacchip.runtime.percent import format_percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from stacchip.cubes.imagery import Imagery
    from stacchip.index import Filters
    from stacchip.index.on_disk import StoredIndex
    from stacchip.storage import Storage

_COLUMNS: Final = (
    *("platform", "chip_size", "bbox"),
    *("nodata_percentage", "cloud_cover_percentage"),
)

_REASONS: Final = {
    "chip_size": "of another size (--chip-size)",
    "nodata_unmeasured": "whose nodata was not measured (--unmeasured keep takes them)",
    "max_nodata": "with more nodata (--max-nodata)",
    "cloud_unmeasured": "whose cloud was not measured (--unmeasured keep takes them)",
    "max_cloud": "with more cloud (--max-cloud)",
    "no_place": "beyond the edge of the Earth",
    "max_chips": "not drawn (--max-chips)",
}


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


def count_left_out(imagery: Imagery, storage: Storage, rows: int | None = None) -> ChipCount:
    """Count the platform's chips, and those that a run leaves out for a limit.

    If the run wants chips of a place, a period or some items, no others count. It reads the columns
    that limits are put to, one row group at a time, and no others.

    Args:
        imagery: The chips, and the limits.
        storage: Reads the index.
        rows: Count only the first rows of an index that is somewhere, of this number.
    """
    there = 0
    left_out: Counter[str] = Counter()
    columns = list(_COLUMNS)
    conditions = dict(_conditions(imagery))
    if imagery.has_path and not may_be_null(imagery.index, "bbox", storage):  # half of an index
        columns.remove("bbox")
        del conditions["no_place"]
    for part in _parts(imagery, storage, columns, rows):
        there += part.num_rows
        kept = part
        for reason, condition in conditions.items():
            before, kept = kept.num_rows, kept.filter(condition)
            left_out[reason] += before - kept.num_rows
    return ChipCount(there, {reason: count for reason, count in left_out.items() if count})


def count_in_runs(imagery: Imagery, index: StoredIndex, wanted: int) -> ChipCount | None:
    """Count as `count_left_out` does, without a look at the chips; None if only these tell.

    Args:
        imagery: The chips, and the limits.
        index: Their index.
        wanted: The number of chips that the run takes.
    """
    limits = (imagery.max_cloud, imagery.bbox, imagery.split)
    is_told = all(limit is None for limit in limits) and index.nulls("bbox") == 0
    if not is_told:
        return None
    runs = imagery.of_items(index)
    there = kept = pc.sum(runs["rows"]).as_py() or 0
    left_out = {}
    if imagery.chip_size is not None:
        runs = runs.filter(pc.field("chip_size") == imagery.chip_size)
        left_out["chip_size"] = kept - (pc.sum(runs["rows"]).as_py() or 0)
        kept -= left_out["chip_size"]
    if imagery.max_nodata is not None and imagery.unmeasured == "drop":
        left_out["nodata_unmeasured"] = pc.sum(runs["nodata_unmeasured"]).as_py() or 0
        kept -= left_out["nodata_unmeasured"]
    left_out["max_nodata"] = kept - wanted
    return ChipCount(there, {reason: count for reason, count in left_out.items() if count})


def explain_nothing(imagery: Imagery, storage: Storage) -> str:
    """Return why no chip of an index is wanted: what was asked for, what there is, what fails."""
    platform, name = imagery.platform, imagery.index_name
    there: Counter[str] = Counter()
    every: Any = dict.fromkeys(("platform", "item_id", "datetime", "bbox", "split"))
    for rows in _parts(replace(imagery, **every), storage, ["platform"]):
        for pair in pc.value_counts(rows["platform"]).to_pylist():
            there[pair["values"]] += pair["counts"]
    if not there:
        return f"The index {name} has no chips at all."
    if platform not in there:
        return (
            f"There is no chip of platform {platform!r} in {name}; it has chips of "
            f"{list_names(there, near=[platform], counts=there)}."
        )
    count = count_left_out(imagery, storage)
    if not count.there:
        return (
            f"The {there[platform]:,} chips of platform {platform!r} in {name} are of other items, "
            "periods, places or splits (--item, --datetime, --bbox, --split)."
        )
    reasons = ", ".join(describe_left_out(count.left_out))
    return (
        f"No chip of platform {platform!r} in {name} is within these limits "
        f"({describe_limits(imagery.limits)}): of {count.there:,} chips, {reasons}."
    )


def describe_left_out(left_out: Mapping[str, int]) -> Iterator[str]:
    """Yield how many chips each reason leaves out, and the option that would take them.

    Example:
        >>> list(describe_left_out({"max_nodata": 12}))
        ['12 with more nodata (--max-nodata)']
    """
    for reason, number in left_out.items():
        yield f"{number:,} {_REASONS.get(reason, reason)}"


def describe_limits(limits: Mapping[str, Any]) -> str:
    """Return the limits of `Imagery.limits` in words.

    Example:
        >>> describe_limits({"max_nodata": 0.05, "max_cloud": None, "unmeasured": "keep"})
        'at most 5% nodata and any cloud, or where that was not measured'
    """
    said = []
    for share in ("nodata", "cloud"):
        largest = limits[f"max_{share}"]
        said.append(
            f"any {share}" if largest is None else f"at most {format_percent(largest)} {share}"
        )
    text = " and ".join(said)
    has_limit = any(limits[f"max_{share}"] is not None for share in ("nodata", "cloud"))
    if has_limit and limits["unmeasured"] == "keep":
        text += ", or where that was not measured"
    return text


def _parts(
    imagery: Imagery, storage: Storage, columns: Sequence[str], rows: int | None = None
) -> Iterable[pa.Table]:
    """Return the platform's rows of the place, time and items wanted, in parts."""
    filters: Filters = {
        "platform": imagery.platform,
        "item_id": imagery.item_id,
        "datetime": imagery.datetime,
        "bbox": imagery.bbox,
        "split": imagery.split,
    }
    if imagery.has_path:
        numbered = scan_numbered(
            imagery.index, columns=columns, storage=storage, explains_nothing=True, **filters
        )
        most = sys.maxsize if rows is None else rows
        return (part.slice(0, int((numbers < most).sum())) for numbers, part in numbered)
    return [Selection.of(filters).apply(conform(imagery.index))]


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
