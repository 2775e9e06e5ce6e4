"""`stacchip check-leakage`: whether the splits of chips are independent."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from stacchip.cli import options
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.selection import check_leakage
from stacchip.storage import Storage, redact

app = CommandLine()


@app.command(
    "check-leakage",
    epilog=console.examples(
        "stacchip check-leakage index --buffer-m 1000",
        "stacchip check-leakage chips.parquet --by fold --forbid overlap,class --classes cover",
    ),
)
@options.with_storage("endpoint", "region", "skip_signature")
def check(
    index: Annotated[
        str, typer.Argument(help="Folder or parquet file of an index, or any GeoParquet.")
    ],
    *,
    by: Annotated[str, typer.Option("--by", help="Column with the splits.")] = "split",
    buffer_m: Annotated[
        float,
        typer.Option("--buffer-m", help="Metres that chips of different splits must be apart."),
    ] = 0.0,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Column with classes, to see which of them a split lacks."),
    ] = None,
    forbid: Annotated[
        str,
        typer.Option(
            "--forbid",
            help="What is a leak, separated by commas: overlap, near, item, block, class.",
        ),
    ] = "overlap,near",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; null is not known.")
    ] = False,
    storage: Storage,
) -> None:
    """Check that splits share no ground.

    The exit code is 1 if they leak, in one of the ways that --forbid names.
    """
    report = check_leakage(
        index,
        by,
        buffer_m,
        classes=classes,
        forbid=[each.strip() for each in forbid.split(",") if each.strip()],  # type: ignore[misc]
        storage=storage,
    )
    if as_json:
        console.say(json.dumps({"index": redact(index), **report.to_dict()}, indent=2))
    else:
        console.say(str(report))
    if report.leaks:
        raise typer.Exit(1)
