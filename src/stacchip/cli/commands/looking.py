"""`stacchip info`: what is in an index."""

from __future__ import annotations

import typer

from stacchip.cli import console, options
from stacchip.cli.summary import summarise
from stacchip.index import scan_index

app = typer.Typer()


@app.command(epilog=console.examples("stacchip info index"))
def info(
    index: options.Index,
    *,
    endpoint: options.Endpoint = None,
    region: options.Region = None,
    skip_signature: options.SkipSignature = False,
) -> None:
    """Summarise an index. Counts chips by source, cloud and nodata; shows extent and dates."""
    storage = options.make_storage(endpoint, region, skip_signature=skip_signature)
    summary = summarise(scan_index(index, storage=storage))
    if console.out.is_terminal:
        console.out.print(summary.table())
    else:
        console.say(summary.text())
