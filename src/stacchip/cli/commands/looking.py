"""`stacchip info` and `stacchip list`: what is in an index, for people and for other programs."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.filters import with_filters
from stacchip.cli.index_views.absent_chips import nothing_found
from stacchip.cli.index_views.chosen import Chosen  # noqa: TC001 - typer reads it
from stacchip.cli.index_views.listing import (
    CHIP_COLUMNS,
    ITEM_COLUMNS,
    list_chips,
    list_items,
    print_lines,
)
from stacchip.cli.index_views.summary import COLUMNS, Summary, summarise, summarise_runs
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.index import Selection, read_runs, scan_index
from stacchip.storage import Storage, redact

app = CommandLine()

_WIDEST = 1000


@app.command(epilog=console.examples("stacchip info index", "stacchip info index --json"))
@options.with_storage("endpoint", "region", "skip_signature")
@with_filters
def info(
    index: options.Index,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; null is not measured.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    chosen: Chosen,
    storage: Storage,
) -> None:
    """Summarise an index. Counts chips by source, cloud and nodata; shows extent and dates."""
    summary = _summarise(index, chosen, storage)
    if not summary.sources and chosen.is_limited:
        with nothing_may_be_found(allowed=allow_empty):
            raise nothing_found(index, chosen, storage)
    if as_json:
        console.say(json.dumps({"index": redact(index), **summary.document()}, indent=2))
    elif not console.out.is_terminal:
        console.say(summary.text())
    else:
        whole = console.out.options.update(width=_WIDEST)
        fits = console.out.measure(summary.table(), options=whole).maximum <= console.out.width
        console.out.print(summary.table() if fits else summary.narrow())


def _summarise(index: str, chosen: Chosen, storage: Storage) -> Summary:
    """Return the summary of the chosen chips; of whole items, the chips are not looked at."""
    selection = Selection.of(chosen.filters)
    runs = read_runs(index, storage=storage) if selection.is_of_whole_items else None
    if runs is not None:
        where = selection.expression
        return summarise_runs(runs if where is None else runs.filter(where))
    return summarise(
        scan_index(index, columns=COLUMNS, storage=storage, explains_nothing=True, **chosen.filters)
    )


@app.command(
    "list",
    epilog=console.examples(
        "stacchip list index",
        "stacchip list index --chips --item m_4709963_se_14_1_20120731 --max-cloud 0.1",
        "stacchip list index --chips --json --limit 100",
    ),
)
@options.with_storage("endpoint", "region", "skip_signature")
@with_filters
def list_index(
    index: options.Index,
    *,
    chips: Annotated[bool, typer.Option("--chips", help="List chips instead of items.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most this many.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on each line; null is not measured.")
    ] = False,
    allow_empty: options.AllowEmpty = False,
    chosen: Chosen,
    storage: Storage,
) -> None:
    """List the items or chips of an index. Filters count and list only what they leave.

    Where the output is no terminal, tabs separate id, source, date, number of chips (of items
    only), and the shares of cloud and nodata, 0..1. Those of an item are the means of its chips;
    a share that was not measured is empty.
    """
    parts = scan_index(
        index,
        columns=CHIP_COLUMNS if chips else ITEM_COLUMNS,
        storage=storage,
        explains_nothing=True,
        **chosen.filters,
    )
    lines = list_chips(parts) if chips else list_items(parts)
    if print_lines(islice(lines, limit), as_json=as_json):
        return
    with nothing_may_be_found(allowed=allow_empty):
        raise nothing_found(index, chosen, storage)
