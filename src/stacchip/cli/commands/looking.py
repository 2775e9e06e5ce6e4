"""`stacchip info` and `stacchip list`: what is in an index, for people and for other programs."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, cast

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.index_views.absent_chips import nothing_found
from stacchip.cli.index_views.listing import (
    CHIP_COLUMNS,
    ITEM_COLUMNS,
    list_chips,
    list_items,
    print_lines,
)
from stacchip.cli.index_views.summary import COLUMNS, summarise, summarise_runs
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.index import read_runs, scan_index
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from stacchip.index import Unmeasured

app = CommandLine()

_WIDEST = 1000


@app.command(epilog=console.examples("stacchip info index", "stacchip info index --json"))
@options.with_storage("endpoint", "region", "skip_signature")
def info(
    index: options.Index,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; null is not measured.")
    ] = False,
    storage: Storage,
) -> None:
    """Summarise an index. Counts chips by source, cloud and nodata; shows extent and dates."""
    runs = read_runs(index, storage=storage)
    if runs is None:
        summary = summarise(scan_index(index, columns=COLUMNS, storage=storage))
    else:
        summary = summarise_runs(runs)
    if as_json:
        console.say(json.dumps({"index": redact(index), **summary.document()}, indent=2))
    elif not console.out.is_terminal:
        console.say(summary.text())
    else:
        whole = console.out.options.update(width=_WIDEST)
        fits = console.out.measure(summary.table(), options=whole).maximum <= console.out.width
        console.out.print(summary.table() if fits else summary.narrow())


@app.command(
    "list",
    epilog=console.examples(
        "stacchip list index",
        "stacchip list index --chips --item m_4709963_se_14_1_20120731 --max-cloud 0.1",
        "stacchip list index --chips --json --limit 100",
    ),
)
@options.with_storage("endpoint", "region", "skip_signature")
def list_index(
    index: options.Index,
    *,
    chips: Annotated[bool, typer.Option("--chips", help="List chips instead of items.")] = False,
    platform: options.Platform = None,
    item: Annotated[
        list[str] | None, typer.Option("--item", help="Only chips of this item; repeatable.")
    ] = None,
    max_cloud: options.MaxCloud = None,
    max_nodata: options.MaxNodata = None,
    unmeasured: options.KeepUnmeasured = "drop",
    limit: Annotated[int | None, typer.Option(min=1, help="List at most this many.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on each line; null is not measured.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """List the items of an index, or its chips. Filters count and list only what they leave.

    Where the output is no terminal, tabs separate id, source, date, number of chips (of items
    only), and the shares of cloud and nodata, 0..1. Those of an item are the means of its chips;
    a share that was not measured is empty.
    """
    parts = scan_index(
        index,
        columns=CHIP_COLUMNS if chips else ITEM_COLUMNS,
        platform=platform,
        item_id=item or None,
        max_cloud=max_cloud,
        max_nodata=max_nodata,
        unmeasured=cast("Unmeasured", unmeasured),
        storage=storage,
        explains_nothing=True,
    )
    lines = list_chips(parts) if chips else list_items(parts)
    if print_lines(islice(lines, limit), as_json=as_json):
        return
    limits = {
        "--platform": platform,
        "--item": item or None,
        "--max-cloud": max_cloud,
        "--max-nodata": max_nodata,
    }
    with nothing_may_be_found(allowed=allow_empty):
        raise nothing_found(index, limits, storage, unmeasured=cast("Unmeasured", unmeasured))
