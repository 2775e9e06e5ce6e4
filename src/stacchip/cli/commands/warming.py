"""`stacchip warm`: chips of an index into a store, before the first epoch."""

from __future__ import annotations

from typing import Annotated

import typer

from stacchip.chipstore import ChipStore
from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.filters import with_filters
from stacchip.cli.index_views.absent_chips import nothing_found
from stacchip.cli.index_views.chosen import Chosen  # noqa: TC001 - typer reads it
from stacchip.cli.terminal import console
from stacchip.cli.terminal.command_line import CommandLine
from stacchip.cli.terminal.progress import format_size
from stacchip.cli.trust import parse_size
from stacchip.errors import StacchipError
from stacchip.storage import Storage  # noqa: TC001 - typer reads it
from stacchip.stream import ChipStream

app = CommandLine()


@app.command(
    epilog=console.examples(
        "stacchip warm index --store chips",
        "stacchip warm index --store /scratch/chips --limit 500GB --assets red,green,blue,nir",
    )
)
@options.with_storage("endpoint", "region", "skip_signature")
@with_filters
def warm(
    index: options.Index,
    *,
    chosen: Chosen,
    store: Annotated[str, typer.Option(help="Folder of the store; it is made.")],
    limit: Annotated[
        int,
        typer.Option(
            parser=parse_size, metavar="SIZE",
            help="The most that the store may take, such as 500GB.",
        ),
    ] = "100GB",  # type: ignore[assignment]  # typer parses it
    assets: Annotated[
        str | None, typer.Option(help="Assets to keep, separated by commas; all by default.")
    ] = None,
    allow_empty: options.AllowEmpty = False,
    storage: Storage,
) -> None:  # fmt: skip
    """Fill a store of chips before training.

    A training that is given the store reads these chips from it. What is kept stays: the command
    can be stopped at any time and run again, and several can fill one store.
    """
    kept_in = ChipStore(store, limit)
    stream = ChipStream(
        index, store=kept_in, storage=storage, assets=options.parse_names(assets), errors="skip",
        **chosen.filters,
    )  # fmt: skip
    if not len(stream):
        with nothing_may_be_found(allowed=allow_empty):
            raise nothing_found(index, chosen, storage)
        return
    with console.progress("Keeping", len(stream), "chips") as advance:
        found = stream.fill_store(advance)
    console.say(
        f"{found.kept:,} chips kept, of {found.chips:,}; {store} has "
        f"{format_size(kept_in.count_bytes())}"
    )
    if found.failed:
        console.note(f"{found.failed:,} chips cannot be read; the first: {found.first_error}")
    if found.why_not_kept is not None:
        raise StacchipError(f"The other chips are not kept in {store}: {found.why_not_kept}.")
    if found.failed == found.chips:
        raise StacchipError(f"No chip can be read; the first: {found.first_error}")
