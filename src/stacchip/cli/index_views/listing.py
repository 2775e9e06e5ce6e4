"""The items and chips of an index as lines, for people and for other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.cli.terminal import console
from stacchip.index import SHARE_COLUMNS
from stacchip.preview import format_share
from stacchip.sources import clouds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    Line = dict[str, Any]

CHIP_COLUMNS: Final = (
    "chipid", "platform", "item_id", "date", "chip_size", "chip_index_x", "chip_index_y",
    *(SHARE_COLUMNS[share] for share in ("cloud", "nodata")),
)  # fmt: skip
ITEM_COLUMNS: Final = (
    "platform", "item_id", "date", "chip_size",
    *(SHARE_COLUMNS[share] for share in ("cloud", "nodata")),
)  # fmt: skip


@dataclass
class _Mean:
    """The mean of a share over chips; None if no chip was measured."""

    total: float = 0.0
    count: int = 0

    def add(self, total: float | None, count: int) -> None:
        self.total += total or 0.0
        self.count += count

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass
class _Item:
    """What an index has of one item."""

    chips: int = 0
    day: date | None = None
    sizes: set[int] = field(default_factory=set)
    cloud: _Mean = field(default_factory=_Mean)
    nodata: _Mean = field(default_factory=_Mean)


def list_items(parts: Iterable[pa.Table]) -> Iterator[Line]:
    """Yield a line for each item: its chips, and the means of their shares of cloud and nodata.

    Args:
        parts: The index in parts, with `ITEM_COLUMNS`. Only numbers of each item are kept.
    """
    items: dict[tuple[str, str], _Item] = {}
    for part in parts:
        for row in _sum_up(part):
            item = items.setdefault((row["platform"], row["item_id"]), _Item())
            item.chips += row["chip_size_count"]
            item.day = item.day or row["date_min"]
            item.sizes.add(row["chip_size"])
            item.cloud.add(row["cloud_sum"], row["cloud_count"])
            item.nodata.add(row["nodata_sum"], row["nodata_count"])
    for (platform, item_id), item in items.items():
        yield {
            "item": item_id,
            "platform": platform,
            "date": item.day and item.day.isoformat(),
            "chips": item.chips,
            "cloud": item.cloud.value,
            "nodata": item.nodata.value,
            "chip_sizes": sorted(item.sizes),
        }


def _sum_up(part: pa.Table) -> list[Line]:
    """Return counts and sums of the chips of each item and size."""
    for share in ("cloud", "nodata"):
        part = part.append_column(share, _measured(part[SHARE_COLUMNS[share]]))
    groups = part.group_by(["platform", "item_id", "chip_size"], use_threads=False)
    sums = [(share, how) for share in ("cloud", "nodata") for how in ("sum", "count")]
    rows: list[Line] = groups.aggregate(
        [("chip_size", "count"), ("date", "min"), *sums]
    ).to_pylist()
    return rows


def _measured(shares: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return shares with null where they were not measured; other tools write NaN."""
    shares = shares.cast(pa.float64())
    return pc.if_else(pc.is_nan(shares), None, shares)


def list_chips(parts: Iterable[pa.Table]) -> Iterator[Line]:
    """Yield a line for each chip.

    Args:
        parts: The index in parts, with `CHIP_COLUMNS`.
    """
    for part in parts:
        cloud, nodata = (_measured(part[SHARE_COLUMNS[share]]) for share in ("cloud", "nodata"))
        shown = part.append_column("cloud", cloud).append_column("nodata", nodata)
        for batch in shown.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                yield {
                    "chip": row["chipid"],
                    "platform": row["platform"],
                    "date": row["date"] and row["date"].isoformat(),
                    "cloud": row["cloud"],
                    "nodata": row["nodata"],
                    "item": row["item_id"],
                    "x": row["chip_index_x"],
                    "y": row["chip_index_y"],
                    "chip_size": row["chip_size"],
                }


SHOWN: Final = ("item", "chip", "platform", "date", "chips", "cloud", "nodata")
"""The fields that people see, and programs that read lines of text; JSON has all."""
_PAGE: Final = 1000


def print_lines(lines: Iterable[Line], *, as_json: bool = False) -> int:
    """Print lines as JSON, as a table on a terminal, or separated by tabs; return their number.

    Only a page of them is kept in memory.
    """
    printed = 0
    for page in _pages(lines):
        if as_json:
            texts = [json.dumps(line) for line in page]
        elif console.out.is_terminal:
            texts = lay_out(page, console.out.width, with_header=not printed)
        else:
            texts = ["\t".join(_plain(line[name]) for name in _names(line)) for line in page]
        console.say("\n".join(texts))
        printed += len(page)
    return printed


def _pages(lines: Iterable[Line]) -> Iterator[list[Line]]:
    page = []
    for line in lines:
        page.append(line)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _names(line: Line) -> list[str]:
    first = "chip" if "chip" in line else "item"
    return [first, *(name for name in SHOWN[2:] if name in line)]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def lay_out(page: Sequence[Line], width: int, *, with_header: bool) -> list[str]:
    """Return rows with aligned columns, or without room for them, each id above its facts.

    Args:
        page: What is listed, as `list_items` and `list_chips` yield it.
        width: Columns of the terminal.
        with_header: Whether the first row names the columns.
    """
    names = _names(page[0])
    cells = [[_for_people(line, name) for name in names] for line in page]
    header = [names] if with_header else []
    widths = [max(map(len, column)) for column in zip(*header, *cells, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > width:
        return [line for row in cells for line in _below_each_other(names, row, width)]
    is_number = [name in ("chips", "cloud", "nodata") for name in names]
    return [
        "  ".join(
            cell.rjust(size) if right else cell.ljust(size)
            for cell, size, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in (*header, *cells)
    ]


def _below_each_other(names: Sequence[str], cells: Sequence[str], width: int) -> list[str]:
    """Return the first cell on a line of its own, ready to be copied, and the rest below it."""
    lines = [cells[0], ""]
    for name, cell in zip(names[1:], cells[1:], strict=True):
        text = f"  {_named(name, cell)}" if cell else ""
        if len(lines[-1]) + len(text) > width:
            lines.append("")
        lines[-1] += text
    return lines


def _named(name: str, cell: str) -> str:
    if name == "chips":
        return f"{cell} chip{'' if cell == '1' else 's'}"
    return f"{name} {cell}" if name in ("cloud", "nodata") else cell


def _for_people(line: Line, name: str) -> str:
    value = line[name]
    if name in ("cloud", "nodata"):
        if value is not None:
            return format_share(value)
        is_radar = name == "cloud" and clouds_of(line["platform"]) == "not applicable"
        return "does not apply" if is_radar else "not measured"
    return f"{value:,}" if name == "chips" else _plain(value)
