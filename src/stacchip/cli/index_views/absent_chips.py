"""What to say of chips that an index lacks: which are near, and which limit left them out."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow.compute as pc

from stacchip.cli.terminal import console
from stacchip.errors import ChipNotFound, NothingFound
from stacchip.index import SHARE_COLUMNS, Selection, scan_index
from stacchip.index.filters import SPLIT
from stacchip.runtime.near_names import list_names
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stacchip.cli.index_views.chosen import Chosen
    from stacchip.index import Filters
    from stacchip.storage import Storage

_MOST_COMPARED: Final = 20_000  # of item ids, which takes half a second
_MOST_SHOWN: Final = 3
_COUNTED: Final = (
    "platform", "item_id", "chip_size",
    *(SHARE_COLUMNS[share] for share in ("cloud", "nodata")),
)  # fmt: skip
_FILTERS: Final = {
    "--platform": "platform", "--item": "item_id", "--max-cloud": "max_cloud",
    "--max-nodata": "max_nodata", "--chip-size": "chip_size", "--datetime": "datetime",
    "--bbox": "bbox", "--split": "split",
}  # fmt: skip


def no_chip(index: str, chipid: str, storage: Storage) -> ChipNotFound:
    """Return the error for an id that an index does not have; it names those that are close.

    Args:
        index: Folder or file of the index.
        chipid: The id that was asked for.
        storage: How to reach it.
    """
    item_id, _, place = chipid.rpartition("-")
    item_id, _, column = item_id.rpartition("-")
    items = {
        item
        for part in scan_index(index, columns=["item_id"], storage=storage)
        for item in pc.unique(part["item_id"]).to_pylist()
    }
    listed = console.command("list", index, "--chips")
    if item_id in items and column.isdecimal() and place.isdecimal():
        near = _nearest(index, item_id, int(column), int(place), storage)
        hint = f"Item {item_id!r} has others; nearest: {', '.join(near)}."
        listed = console.command("list", index, "--chips", "--item", item_id)
    else:
        names = [name for name in (chipid, item_id) if name]
        close = [
            match
            for name in names
            for match in get_close_matches(name, sorted(items)[:_MOST_COMPARED], _MOST_SHOWN)
        ]
        some = list(dict.fromkeys(close)) or sorted(items)[:_MOST_SHOWN]
        ids = ", ".join(some) or "none"
        hint = f"It has no item of that name; {'close to it' if close else 'it has'}: {ids}."
        if chipid in items:
            hint = "That is the id of an item: add the chip's x and y, as in ITEM-X-Y."
    return ChipNotFound(f"{redact(index)} has no chip {chipid!r}. {hint} List all: {listed}")


def _nearest(index: str, item_id: str, x: int, y: int, storage: Storage) -> list[str]:
    """Return the ids of the item's chips that are nearest to a place in its grid."""
    found: list[tuple[float, str]] = []
    columns = ["chipid", "chip_index_x", "chip_index_y"]
    for part in scan_index(index, columns=columns, item_id=item_id, storage=storage):
        across = part["chip_index_x"].to_numpy().astype(np.float64) - x
        down = part["chip_index_y"].to_numpy().astype(np.float64) - y
        distances = np.hypot(across, down)
        best = np.argsort(distances, kind="stable")[:_MOST_SHOWN]
        found += [(float(distances[row]), part["chipid"][int(row)].as_py()) for row in best]
    return list(dict.fromkeys(chipid for _, chipid in sorted(found)))[:_MOST_SHOWN]


def nothing_found(index: str, chosen: Chosen, storage: Storage) -> NothingFound:
    """Return the error for limits that leave no chip of an index; it says how many each leaves.

    Args:
        index: Folder or file of the index.
        chosen: What was asked for.
        storage: How to reach it.
    """
    asked = {option: limit for option, limit in chosen.asked.items() if limit is not None}
    each = [_only(chosen, option) for option in asked]
    total, left, there = _count(index, each, storage)
    if not total or not asked:
        return NothingFound(f"{redact(index)} has no chips: there is nothing to show.")
    said = [
        f"{option} {' '.join(map(str, limit)) if isinstance(limit, list) else limit} leaves "
        f"{there:,}"
        for (option, limit), there in zip(asked.items(), left, strict=True)
    ]
    unknown = " (chips that were not measured are left out without --unmeasured keep)"
    is_share = chosen.unmeasured == "drop" and {"--max-cloud", "--max-nodata"} & set(asked)
    return NothingFound(
        f"No chip of {redact(index)} is within these limits{unknown if is_share else ''}. Of its "
        f"{total:,} chips, {', '.join(said)}.{_say_names(asked, left, there)} "
        f"See: {console.command('list', index)}"
    )


def _only(chosen: Chosen, option: str) -> Selection:
    """Return the chips that one of the options leaves."""
    name = _FILTERS[option]
    filters = {name: dict(chosen.filters)[name], "unmeasured": chosen.unmeasured}
    return Selection.of(cast("Filters", filters))


def _say_names(
    asked: Mapping[str, Any], left: Sequence[int], there: Mapping[str, Counter[str]]
) -> str:
    """Return the names that the index has, beside those that it lacks, as sentences."""
    said = ""
    for (option, wanted), number in zip(asked.items(), left, strict=True):
        names = there.get(_FILTERS[option])
        if names is not None and not number:
            near = [wanted] if isinstance(wanted, str) else wanted
            said += f" It has {option} {list_names(names, near=near, counts=names)}."
    return said


def _count(
    index: str, chosen: Sequence[Selection], storage: Storage
) -> tuple[int, list[int], dict[str, Counter[str]]]:
    """Return the number of all chips, of each selection's own, and of each name that it may give.

    Names are those of platforms and items, and of splits if some are asked for.
    """
    total, counts = 0, [0] * len(chosen)
    there: dict[str, Counter[str]] = {"platform": Counter(), "item_id": Counter()}
    columns = dict.fromkeys(_COUNTED)
    for selection in chosen:
        columns |= dict.fromkeys(
            (*selection.columns, *(("datetime",) if selection.datetime else ()))
        )
        if selection.split is not None:
            there[SPLIT] = Counter()
    for part in scan_index(index, columns=list(columns | there), storage=storage):
        total += part.num_rows
        for number, selection in enumerate(chosen):
            counts[number] += selection.refine(part.filter(selection.expression)).num_rows
        for column, names in there.items():
            for pair in pc.value_counts(part[column]).to_pylist():
                if pair["values"] is not None:
                    names[pair["values"]] += pair["counts"]
    return total, counts, there
