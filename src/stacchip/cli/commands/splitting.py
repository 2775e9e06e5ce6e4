"""`stacchip split`: training, validation and test as a column of an index."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Annotated

import typer

from stacchip.cli import options
from stacchip.cli.output import require_place
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.errors import NothingFound
from stacchip.selection import Split, add_split
from stacchip.storage import Storage, redact

if TYPE_CHECKING:
    from stacchip.selection import SplitReport

app = CommandLine()
_OFTEN = "split"


@app.command(
    epilog=console.examples(
        "stacchip split index", "stacchip split index --cell-km 50 --buffer-km 5 --explain"
    )
)
@options.with_storage("endpoint", "region", "skip_signature")
def split(
    index: options.Index,
    *,
    train: Annotated[
        float, options.share_option("--train", what="Share of cells for training")
    ] = 0.8,
    val: Annotated[
        float, options.share_option("--val", what="Share of cells for validation")
    ] = 0.1,
    test: Annotated[
        float, options.share_option("--test", what="Share of cells for the test")
    ] = 0.1,
    cell_km: Annotated[
        float, typer.Option(help="Size of the cells that are in one split, in kilometres.")
    ] = 100,
    buffer_km: Annotated[
        float, typer.Option(help="Distance between chips of two splits, in kilometres.")
    ] = 1,
    salt: Annotated[str, typer.Option(help="Another text gives other splits.")] = "v1",
    stratify: Annotated[
        str | None,
        typer.Option(help="Column whose classes each split gets about the same share of."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the new column.")] = _OFTEN,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a column of that name.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what would be kept and lost; write nothing.")
    ] = False,
    picture: Annotated[
        str | None, typer.Option("--map", help="Draw a map of the splits as well: a PNG.")
    ] = None,
    storage: Storage,
) -> None:
    """Split an index by place."""
    chosen = Split(
        train, val, test, cell_km=cell_km, buffer_km=buffer_km, salt=salt, stratify=stratify
    )
    if picture is not None:
        require_place(picture, storage, is_file=True)
    chosen = chosen.fit(index, storage=storage)
    if explain:
        report = chosen.explain(index, classes=stratify, storage=storage)
    else:
        report = add_split(index, chosen, name, classes=stratify, replace=replace, storage=storage)
    console.say(str(report))
    if picture is not None:
        _draw(chosen, report, picture, storage)
    if not explain:
        following = console.command("check-leakage", index)
        console.say(f"Column {name!r} added to {redact(index)}\nNext: {following}")


def _draw(chosen: Split, report: SplitReport, picture: str, storage: Storage) -> None:
    """Write a map of the ground around the chips."""
    if report.bbox is None:
        raise NothingFound("There is nothing to draw: no chip has a place.")
    west, south, east, north = report.bbox
    edge = max(east - west, north - south, 0.01) / 20
    around = (west - edge, max(south - edge, -90), east + edge, min(north + edge, 90))
    file = BytesIO()
    chosen.draw(around, report=report).save(file, "PNG")
    storage.write(picture, file.getvalue())
    console.say(f"A map of the splits is in {redact(picture)}")
