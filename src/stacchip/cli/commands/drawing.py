"""`stacchip draw`: what a draw gives, and what it costs to read."""

from __future__ import annotations

from io import BytesIO
from typing import Annotated

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.draws import with_draw
from stacchip.cli.filters import with_filters
from stacchip.cli.index_views.absent_chips import nothing_found
from stacchip.cli.index_views.chosen import Chosen  # noqa: TC001 - typer reads it
from stacchip.cli.output import require_place
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.draws import Draw  # noqa: TC001 - typer reads it
from stacchip.storage import Storage, redact
from stacchip.stream import ChipStream

app = CommandLine()


@app.command(
    epilog=console.examples(
        'stacchip draw index --balance "month(datetime)"',
        "stacchip draw index --split train --balance landcover --power 0.5 --repeat --chips 100000",
    )
)
@options.with_storage("endpoint", "region", "skip_signature")
@with_filters
@with_draw
def draw(
    index: options.Index,
    *,
    chosen: Chosen,
    draw: Draw,
    assets: Annotated[
        str | None, typer.Option(help="Assets to read, separated by commas; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="Number of the epoch to look at.")] = 0,
    picture: Annotated[
        str | None, typer.Option("--chart", help="Draw the shares of the classes as well: a PNG.")
    ] = None,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:
    """See what a draw gives, before training."""
    if picture is not None:
        require_place(picture, storage, is_file=True)
    stream = ChipStream(
        index, order="shuffle", seed=seed, epoch=epoch, storage=storage,
        assets=options.parse_names(assets), errors="skip", **chosen.filters,
    )  # fmt: skip
    if not len(stream):
        with nothing_may_be_found(allowed=allow_empty):
            raise nothing_found(index, chosen, storage)
        return
    report = stream.with_draw(draw).report_draw()
    console.say(str(report))
    if picture is not None:
        file = BytesIO()
        report.draw().save(file, "PNG")
        storage.write(picture, file.getvalue())
        console.say(f"A chart of the classes is in {redact(picture)}")
